"""Tiny loopback proxies, for tests: SOCKS5, HTTP CONNECT and MTProxy.

Each runs in a thread of its own and logs what went through it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import uvloop

from sandbox.transport import NAMES, open_obfuscated

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Convert = Callable[[bytes], bytes]


class Refused(Exception):
    """The client may not pass; the proxy's own refusal has been sent."""


@dataclass(slots=True)
class Passage:
    """One connection that went through: where to, and how many bytes each way."""

    host: str
    port: int
    up_bytes: int = 0
    down_bytes: int = 0


@dataclass(slots=True)
class Route:
    """Where a client wants to go, and what to do with the bytes on the way."""

    host: str
    port: int
    first: bytes = b""  # sent to the target before anything of the client
    up: Convert = bytes
    down: Convert = bytes


class Proxy(ABC):
    """A proxy on a loopback port; `passages` and `refused` may be read from any thread."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.passages: list[Passage] = []
        self.refused = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def agree(self, reader: Reader, writer: Writer) -> Route:
        """Do the proxy's handshake. Raises Refused."""

    async def established(self, writer: Writer) -> None:  # noqa: B027 (not all do)
        """Tell the client that the target is connected."""

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        if self._loop is not None and self._finished is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._finished.set)
            self._thread.join(timeout=30)
            self._thread = None

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _main(self, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._run(ready))

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._finished = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._finished.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                await self._pass(reader, writer)
            except Refused:
                self.refused += 1
        writer.close()
        self._tasks.discard(task)

    async def _pass(self, reader: Reader, writer: Writer) -> None:
        route = await self.agree(reader, writer)
        target_reader, target_writer = await asyncio.open_connection(route.host, route.port)
        passage = Passage(route.host, route.port)
        self.passages.append(passage)
        target_writer.write(route.first)
        await self.established(writer)

        async def pipe(source: Reader, sink: Writer, convert: Convert, up: bool) -> None:
            while data := await source.read(65536):
                if up:
                    passage.up_bytes += len(data)
                else:
                    passage.down_bytes += len(data)
                sink.write(convert(data))
                await sink.drain()

        ways = [
            asyncio.create_task(pipe(reader, target_writer, route.up, True)),
            asyncio.create_task(pipe(target_reader, writer, route.down, False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            target_writer.close()


class Socks5Proxy(Proxy):
    """SOCKS5 CONNECT, with user name and password when given (RFC 1928, RFC 1929)."""

    def __init__(self, username: str = "", password: str = "", host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self._credentials = (username, password)

    async def agree(self, reader: Reader, writer: Writer) -> Route:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        method = 2 if self._credentials[0] else 0
        if method not in offered:
            writer.write(b"\x05\xff")
            raise Refused
        writer.write(bytes((5, method)))
        if method:
            await self._authenticate(reader, writer)
        _, command, _, kind = await reader.readexactly(4)
        if command != 1 or kind not in (1, 3, 4):
            writer.write(b"\x05\x07\x00\x01" + bytes(6))
            raise Refused
        host = await self._read_host(reader, kind)
        (port,) = struct.unpack(">H", await reader.readexactly(2))
        return Route(host, port)

    async def _authenticate(self, reader: Reader, writer: Writer) -> None:
        (_, length) = await reader.readexactly(2)
        username = (await reader.readexactly(length)).decode()
        (length,) = await reader.readexactly(1)
        password = (await reader.readexactly(length)).decode()
        if (username, password) != self._credentials:
            writer.write(b"\x01\x01")
            raise Refused
        writer.write(b"\x01\x00")

    @staticmethod
    async def _read_host(reader: Reader, kind: int) -> str:
        if kind == 3:
            (length,) = await reader.readexactly(1)
            return (await reader.readexactly(length)).decode()
        parts = await reader.readexactly(4 if kind == 1 else 16)
        if kind == 1:
            return ".".join(map(str, parts))
        return ":".join(f"{parts[i]:02x}{parts[i + 1]:02x}" for i in range(0, 16, 2))

    async def established(self, writer: Writer) -> None:
        writer.write(b"\x05\x00\x00\x01" + bytes(6))


class HttpProxy(Proxy):
    """HTTP CONNECT, with Basic authentication when given (RFC 9110, section 9.3.6)."""

    def __init__(self, username: str = "", password: str = "", host: str = "127.0.0.1") -> None:
        super().__init__(host)
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._expected = f"basic {token}" if username else ""

    async def agree(self, reader: Reader, writer: Writer) -> Route:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, *_ = head[0].split(" ") + ["", ""]
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        if method != "CONNECT":
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            raise Refused
        scheme, _, token = headers.get("proxy-authorization", "").partition(" ")
        if self._expected and f"{scheme.lower()} {token}" != self._expected:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            raise Refused
        host, _, port = target.rpartition(":")
        return Route(host.strip("[]"), int(port))

    async def established(self, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")


class MtProxy(Proxy):
    """An MTProxy: opens the client's obfuscation with its secret and routes by DC number.

    `secret` has 16 bytes; a client that has another one is refused.
    Source: https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation
    """

    def __init__(
        self, secret: bytes, routes: Mapping[int, tuple[str, int]], host: str = "127.0.0.1"
    ) -> None:
        super().__init__(host)
        if len(secret) != 16:
            raise ValueError("an MTProxy secret has 16 bytes")
        self._secret = secret
        self._routes = dict(routes)

    async def agree(self, reader: Reader, writer: Writer) -> Route:
        streams = open_obfuscated(await reader.readexactly(64), self._secret)
        target = self._routes.get(abs(streams.dc) % 10_000)
        if streams.tag not in NAMES or target is None:
            raise Refused
        # Behind the proxy the same packets travel plainly, announced by the transport's tag.
        first = streams.tag if streams.tag[0] != 0xEF else b"\xef"
        return Route(*target, first=first, up=streams.decrypt, down=streams.encrypt)
