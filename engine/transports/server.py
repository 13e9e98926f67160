"""The socket on which a running hub serves its engine to the commands beside it."""

import asyncio
import contextlib
import contextvars
import functools
import logging
import os
import socket
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

from engine import wire
from engine.errors import EngineError, TooLarge
from engine.store import Guard
from engine.streams import Pipe, UploadAborted
from engine.transports.base import Transport
from engine.transports.frames import (
    EPOCH,
    MAX_PAYLOAD_BYTES,
    VERSION,
    Kind,
    Link,
    ProtocolError,
    address,
    listening,
    new_credit,
    take,
)
from engine.wire import Reply, Request

logger = logging.getLogger(__name__)


class UnixServer:
    """Serves a transport on the socket at `path`, which only its owner may open (0600).

    `start` and `stop` are safe from any thread. A file that a dead process left is replaced.
    """

    def __init__(self, transport: Transport, path: Path, guard: Guard) -> None:
        self._transport = transport
        self._path = path
        self._guard = guard
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def start(self) -> None:
        """Listen, or raise RuntimeError when another process does so already."""
        if self._thread is not None:
            return
        listener = bind(self._path)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready), name="telegram-server", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self, deadline_seconds: float = 2.0) -> None:
        """Close the socket; clients see at once that the hub has gone."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stopping is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join(deadline_seconds)

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main(listener, ready))
        finally:
            ready.set()

    async def _main(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        visits: set[asyncio.Task[None]] = set()

        async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                visits.add(task)
                task.add_done_callback(visits.discard)
            # asyncio 3.11 logs a visit that ends as cancelled.
            with contextlib.suppress(asyncio.CancelledError):
                await Visit(self._transport, self._guard, Link(reader, writer)).serve()

        inode = self._path.stat().st_ino
        server = await asyncio.start_unix_server(visit, sock=listener)
        ready.set()
        try:
            await self._stopping.wait()
        finally:
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == inode:
                    self._path.unlink()
            server.close()
            for task in visits:
                task.cancel()
            await asyncio.gather(*visits, return_exceptions=True)


@dataclass(slots=True, eq=False)
class Served:
    """A call of a visitor."""

    future: Future[Reply]
    upload: Pipe | None
    output: Pipe | None
    credit: asyncio.Semaphore
    pump: asyncio.Task[None] | None = None


class Visit:
    """One client's connection."""

    def __init__(self, transport: Transport, guard: Guard, link: Link) -> None:
        self._transport = transport
        self._guard = guard
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._epoch: int | None = None
        self._calls: dict[int, Served] = {}
        self._answers: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Read frames until the client leaves; what it had asked for is cancelled then."""
        try:
            self._greet()
            while True:
                self._handle(*await self._link.receive())
        except ProtocolError as error:
            logger.warning("A client of the engine's socket speaks strangely: %s", error)
        except (OSError, EOFError):
            pass
        finally:
            self._link.close()
            for call in list(self._calls.values()):
                self._leave(call)
            self._calls.clear()
            for task in self._answers:
                task.cancel()

    def _greet(self) -> None:
        """Say hello, again whenever the lease is another one."""
        epoch = self._guard.epoch
        if epoch != self._epoch:
            self._epoch = epoch
            hello = {"version": VERSION, "epoch": epoch, "pid": os.getpid()}
            self._link.write(Kind.HELLO, 0, wire.dumps(hello))

    def _handle(self, kind: Kind, number: int, payload: bytes) -> None:
        if kind is Kind.REQUEST:
            self._begin(number, payload)
            return
        call = self._calls.get(number)
        if call is None:  # answered meanwhile
            return
        if kind is Kind.CANCEL:
            del self._calls[number]
            self._leave(call)
        elif kind is Kind.CREDIT:
            call.credit.release()
        elif kind in (Kind.DATA, Kind.END, Kind.ABORT):
            take(call.upload, kind, payload)
        else:
            raise ProtocolError(f"{kind.name} from a client")

    def _begin(self, number: int, payload: bytes) -> None:
        if number in self._calls:
            raise ProtocolError("two calls of one number")
        try:
            (epoch,) = EPOCH.unpack_from(payload)
            request = Request.from_dict(wire.loads(memoryview(payload)[EPOCH.size :]))
            request = replace(request, epoch=epoch)
        except Exception:
            raise ProtocolError("a request of no known shape") from None
        upload = output = None
        if request.upload:
            upload = Pipe(on_take=lambda: self._soon(self._give_credit, number))
        if request.stream:
            output = Pipe()
        try:
            future = self._transport.submit(request, upload=upload, output=output)
        except EngineError as error:
            self._answer_now(number, Reply(request.id, error=error))
            return
        call = Served(future, upload, output, new_credit())
        self._calls[number] = call
        if output is not None:
            call.pump = asyncio.create_task(self._link.pump(number, output, call.credit))
        future.add_done_callback(functools.partial(self._done, number))

    def _done(self, number: int, future: Future[Reply]) -> None:
        if not future.cancelled():
            self._soon(self._start_answer, number)

    def _soon(self, function: Any, number: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: so has the visit
            self._loop.call_soon_threadsafe(function, number, context=contextvars.Context())

    def _give_credit(self, number: int) -> None:
        if number in self._calls:
            self._link.write(Kind.CREDIT, number)

    def _start_answer(self, number: int) -> None:
        task = asyncio.create_task(self._answer(number))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, number: int) -> None:
        call = self._calls.get(number)
        if call is None:
            return
        if call.pump is not None:  # the bytes come before the reply
            await asyncio.wait([call.pump])
        if self._calls.pop(number, None) is None:
            return
        self._greet()
        with contextlib.suppress(OSError):
            await self._link.send(Kind.REPLY, number, _pack(call.future.result()))

    def _answer_now(self, number: int, reply: Reply) -> None:
        self._link.write(Kind.REPLY, number, _pack(reply))

    @staticmethod
    def _leave(call: Served) -> None:
        call.future.cancel()
        if call.pump is not None:
            call.pump.cancel()
        if call.upload is not None:
            call.upload.finish(UploadAborted())
        if call.output is not None:
            call.output.close()


def bind(path: Path) -> socket.socket:
    """Return a socket that listens at `path`, mode 0600 from the first moment.

    It is bound under another name and then moved, which also replaces a dead process's file.
    """
    if listening(path):
        raise RuntimeError("another hub is running on this data directory")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        with address(draft) as name:
            listener.bind(name)
        draft.chmod(0o600)
        listener.listen(128)
        draft.rename(path)
    except BaseException:
        listener.close()
        raise
    return listener


def _pack(reply: Reply) -> bytes:
    payload = wire.dumps(reply.to_dict())
    if len(payload) > MAX_PAYLOAD_BYTES:
        payload = wire.dumps(Reply(reply.id, error=TooLarge(), carried=reply.carried).to_dict())
    return payload
