"""The socket of a running hub, as the commands beside it use it."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from engine import wire
from engine.errors import TooLarge, Unavailable
from engine.streams import Pipe
from engine.transports.frames import (
    EPOCH,
    MAX_PAYLOAD_BYTES,
    VERSION,
    Kind,
    Link,
    ProtocolError,
    connect,
    listening,
    new_credit,
    settle,
    take,
)
from engine.wire import Reply, Request

__all__ = ["UnixTransport", "listening"]

logger = logging.getLogger(__name__)

HELLO_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class Call:
    """A request on its way through the socket."""

    request: Request
    payload: bytes = field(repr=False)
    upload: Pipe | None
    output: Pipe | None
    future: Future[Reply]
    number: int = 0
    credit: asyncio.Semaphore | None = None
    pump: asyncio.Task[None] | None = None

    def end(self, reply: Reply) -> None:
        if self.pump is not None:
            self.pump.cancel()
        if self.upload is not None:
            self.upload.close()
        if self.output is not None:
            self.output.finish()
        settle(self.future, reply)


class UnixTransport:
    """Sends requests to the `UnixServer` at `path`, many at a time over one connection.

    It connects at the first call, and again at the next one after the hub has gone. A call
    answers Unavailable at once when nobody listens or the connection ends under it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        # the rest is the loop's alone
        self._link: Link | None = None
        self._epoch = 0
        self._server_pid: int | None = None
        self._number = 0
        self._calls: dict[int, Call] = {}
        self._waiting: list[Call] = []
        self._session: asyncio.Task[None] | None = None

    def start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            ready = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(ready,), name="telegram-socket", daemon=True
            )
            self._thread.start()
            ready.wait()

    def stop(self, deadline_seconds: float) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
            loop, self._loop = self._loop, None
            if thread is None or loop is None or self._stopping is None:
                return
            loop.call_soon_threadsafe(self._stopping.set)
        thread.join(deadline_seconds)

    def status(self) -> dict[str, Any]:
        return {
            "transport": "unix",
            "connected": self._link is not None,
            "server_pid": self._server_pid,
            "calls": len(self._calls) + len(self._waiting),
            "workers": [],
        }

    def submit(
        self, request: Request, *, upload: Pipe | None = None, output: Pipe | None = None
    ) -> Future[Reply]:
        payload = wire.dumps(request.to_dict())
        call = Call(request, payload, upload, output, Future())
        if len(payload) + EPOCH.size > MAX_PAYLOAD_BYTES:
            call.end(Reply(request.id, error=TooLarge()))
            return call.future
        if output is not None:
            output.on_take = lambda: self._soon(self._give_credit, call)
        call.future.add_done_callback(
            lambda future: self._soon(self._cancel, call) if future.cancelled() else None
        )
        if not self._soon(self._begin, call):
            call.end(Reply(request.id, error=_gone("The engine has stopped.")))
        return call.future

    def _soon(self, function: Callable[[Call], None], call: Call) -> bool:
        with self._lock:
            if self._loop is None:
                return False
            self._loop.call_soon_threadsafe(function, call, context=contextvars.Context())
            return True

    # on the loop

    def _run(self, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main(ready))

    async def _main(self, ready: threading.Event) -> None:
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        ready.set()
        await self._stopping.wait()
        if self._session is not None:
            self._session.cancel()
            await asyncio.gather(self._session, return_exceptions=True)
        self._end_all(_gone("The engine has stopped."))

    def _begin(self, call: Call) -> None:
        if call.future.cancelled():
            return
        if self._link is not None:
            self._send(self._link, call)
            return
        self._waiting.append(call)
        if self._session is None:
            self._session = asyncio.create_task(self._connection())

    def _send(self, link: Link, call: Call) -> None:
        self._number += 1
        call.number = self._number
        self._calls[call.number] = call
        link.write(Kind.REQUEST, call.number, EPOCH.pack(self._epoch) + call.payload)
        call.payload = b""
        if call.upload is not None:
            call.credit = new_credit()
            call.pump = asyncio.create_task(link.pump(call.number, call.upload, call.credit))

    def _give_credit(self, call: Call) -> None:
        if self._link is not None and call.number in self._calls:
            self._link.write(Kind.CREDIT, call.number)

    def _cancel(self, call: Call) -> None:
        if call in self._waiting:
            self._waiting.remove(call)
        elif self._calls.pop(call.number, None) is not None and self._link is not None:
            self._link.write(Kind.CANCEL, call.number)
        call.end(Reply(call.request.id))

    async def _connection(self) -> None:
        """Connect, send what waits, read until the end; then nobody is left waiting."""
        error = _gone()
        link: Link | None = None
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                # In a thread: the backlog of a frozen hub may be full.
                connection = await asyncio.to_thread(connect, self._path)
                reader, writer = await asyncio.open_unix_connection(sock=connection)
                link = Link(reader, writer)
                self._greet(*await link.receive())
            self._link = link
            waiting, self._waiting = self._waiting, []
            for call in waiting:
                self._send(link, call)
            while True:
                self._handle(*await link.receive())
        except ProtocolError as failure:
            logger.error("The engine's socket answers strangely: %s", failure)
            error = Unavailable("protocol_mismatch", "The hub runs another version.", seconds=5)
        except (OSError, EOFError, TimeoutError):
            pass
        except Exception:
            logger.exception("The connection to the hub ended")
        finally:
            self._link = self._session = None
            if link is not None:
                link.close()
            self._end_all(error)

    def _greet(self, kind: Kind, number: int, payload: bytes) -> None:
        hello = wire.loads(payload) if kind is Kind.HELLO else {}
        if hello.get("version") != VERSION:
            raise ProtocolError("no greeting of this version")
        self._epoch, self._server_pid = hello["epoch"], hello["pid"]

    def _handle(self, kind: Kind, number: int, payload: bytes) -> None:
        if kind is Kind.HELLO:  # the server's lease is a new one
            self._greet(kind, number, payload)
            return
        call = self._calls.get(number)
        if call is None:  # cancelled meanwhile
            return
        if kind is Kind.REPLY:
            del self._calls[number]
            call.end(Reply.from_dict(wire.loads(payload)))
        elif kind is Kind.CREDIT:
            if call.credit is not None:
                call.credit.release()
        else:
            take(call.output, kind, payload)

    def _end_all(self, error: Unavailable) -> None:
        calls = [*self._calls.values(), *self._waiting]
        self._calls.clear()
        self._waiting.clear()
        for call in calls:
            call.end(Reply(call.request.id, error=error))


def _gone(detail: str = "No hub is running here, or it has just stopped.") -> Unavailable:
    return Unavailable("engine_gone", detail, seconds=2)
