"""Frames on the engine's socket: a header, then JSON or bytes.

The header is `!IBI`: payload length, kind, number of the call (the client counts from 1). A
request's payload is the epoch (8 bytes) followed by JSON, a reply's is JSON, data's is bytes.
Requests are pipelined; data flows in both directions, a chunk for each credit.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from engine.streams import WINDOW, Pipe, UploadAborted
from engine.wire import Reply

VERSION = 1
MAX_PAYLOAD_BYTES = 32 * 1024 * 1024
CONNECT_SECONDS = 5.0

HEADER = struct.Struct("!IBI")
EPOCH = struct.Struct("!q")


class Kind(IntEnum):
    """What a frame says. Hello and reply come from the server, request and cancel go to it."""

    HELLO = 1
    REQUEST = 2
    REPLY = 3
    CANCEL = 4
    DATA = 5
    END = 6
    ABORT = 7
    CREDIT = 8


class ProtocolError(ConnectionError):
    """The other side does not speak this protocol; the connection is of no use."""


class Link:
    """One connection, as both sides see it. To be used on its loop alone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sending = asyncio.Lock()

    async def receive(self) -> tuple[Kind, int, bytes]:
        """Return the next frame; EOFError or OSError at the end of the connection."""
        length, kind, number = HEADER.unpack(await self._reader.readexactly(HEADER.size))
        if length > MAX_PAYLOAD_BYTES:
            raise ProtocolError(f"a frame of {length} bytes")
        try:
            known = Kind(kind)
        except ValueError:
            raise ProtocolError(f"a frame of kind {kind}") from None
        return known, number, await self._reader.readexactly(length)

    def write(self, kind: Kind, number: int, payload: bytes = b"") -> None:
        """Send a small frame without waiting."""
        if not self._writer.is_closing():
            self._writer.write(HEADER.pack(len(payload), kind, number))
            if payload:
                self._writer.write(payload)

    async def send(self, kind: Kind, number: int, payload: bytes) -> None:
        """Send a frame, waiting while the other side does not read."""
        self.write(kind, number, payload)
        async with self._sending:
            await self._writer.drain()

    async def pump(self, number: int, pipe: Pipe, credit: asyncio.Semaphore) -> None:
        """Send a pipe's bytes as the other side gives credit, then their end."""
        try:
            async for chunk in pipe:
                await credit.acquire()
                await self.send(Kind.DATA, number, chunk)
        except UploadAborted:
            self.write(Kind.ABORT, number)
        except OSError:
            return  # the connection is lost: its reader tells everybody
        else:
            self.write(Kind.END, number)

    def close(self) -> None:
        self._writer.close()


def take(pipe: Pipe | None, kind: Kind, payload: bytes) -> None:
    """Put a data, end or abort frame into the pipe that it is for."""
    if pipe is None:
        return
    if kind is Kind.END:
        pipe.finish()
    elif kind is Kind.ABORT:
        pipe.finish(UploadAborted())
    elif not pipe.offer(payload):
        raise ProtocolError("more data than there was credit for")


def new_credit() -> asyncio.Semaphore:
    return asyncio.Semaphore(WINDOW)


def settle(future: Future[Reply], reply: Reply) -> None:
    """Answer a call unless its caller has left."""
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_result(reply)


@contextmanager
def address(path: Path) -> Iterator[str]:
    """Yield a name for a socket's path that is short enough (108 bytes), as long as it is used."""
    if len(bytes(path)) < 100:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def connect(path: Path) -> socket.socket:
    """Connect to the socket at `path`; OSError when nobody listens there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_SECONDS)
    try:
        with address(path) as name:
            connection.connect(name)
    except BaseException:
        connection.close()
        raise
    connection.setblocking(False)
    return connection


def listening(path: Path) -> bool:
    """Whether somebody listens on the socket at `path`."""
    try:
        connect(path).close()
    except OSError:
        return False
    return True
