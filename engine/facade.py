"""The one door to Telegram, the same for views, consumers, commands and jobs.

    telegram.call(session.pk, methods.messages.send_message, chat_id="@x", text="hi")
    await telegram.acall(session.pk, methods.messages.send_message, chat_id="@x", text="hi")
    telegram.using(timeout_seconds=600, flood="wait").call(session.pk, ...)

Nothing here knows Telethon, and no file that a caller imports does. Every failure that is not
the caller's own mistake is an EngineError.
"""

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

from engine import conf, database
from engine.conf import EngineSettings
from engine.errors import Unavailable, timed_out
from engine.methods.registry import describe
from engine.pool import Pool
from engine.seam import ClientFactory
from engine.store import Guard, SessionStore, UpdateSink
from engine.streams import Pipe, PipeClosed, UploadAborted
from engine.transports.base import Transport
from engine.transports.local import LocalTransport, telethon_clients
from engine.wire import Carried, FloodPolicy, Ref, Reply, Request

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT_SECONDS = 30.0
UPLOAD_TIMEOUT_SECONDS = 3600.0
GRACE_SECONDS = 2.0
"""The owner enforces the deadline; a caller gives up on the owner itself a little later."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a call is made. `timeout_seconds` None: 30, for uploads an hour.

    For a stream the timeout is that of each chunk.
    """

    timeout_seconds: float | None = None
    flood: FloodPolicy = "raise"
    background: bool = False


@dataclass(frozen=True, slots=True)
class _Prepared:
    request: Request
    upload: Any

    @property
    def pipe(self) -> Pipe | None:
        return Pipe() if self.request.upload else None

    def give_up_in(self) -> float:
        return max(0.0, self.request.deadline - time.time()) + GRACE_SECONDS


class Verbs:
    """`call`, `acall`, `stream`, `carry`, `acarry` under one set of options."""

    def __init__(self, engine: "Engine", options: Options) -> None:
        self._engine = engine
        self._options = options

    def using(
        self,
        *,
        timeout_seconds: float | None = None,
        flood: FloodPolicy | None = None,
        background: bool | None = None,
    ) -> "Verbs":
        """Return the same verbs under other options.

        `flood="wait"` sits out Telegram's pauses within the timeout instead of raising
        FloodWait at once; `background` marks work that nobody waits for.
        """
        options = self._options
        if timeout_seconds is not None:
            options = replace(options, timeout_seconds=timeout_seconds)
        if flood is not None:
            options = replace(options, flood=flood)
        if background is not None:
            options = replace(options, background=background)
        return Verbs(self._engine, options)

    def call(
        self,
        ref: Ref,
        method: Callable[P, Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a method for a session and wait for its result. For synchronous code.

        Gives the thread's database connection back first: RuntimeError inside `atomic`, and on
        a thread that runs a loop. Raises EngineError.
        """
        return _result(self._call(ref, method, args, kwargs))  # type: ignore[no-any-return]

    async def acall(
        self,
        ref: Ref,
        method: Callable[P, Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Do as `call`, for asynchronous code. Cancelling it cancels the call at its owner."""
        return _result(await self._acall(ref, method, args, kwargs))  # type: ignore[no-any-return]

    def carry(
        self,
        ref: Carried,
        method: Callable[P, Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[R, Carried]:
        """Call a method for a carried session; return the result and the session's new state."""
        reply = self._call(ref, method, args, kwargs)
        return _result(reply), reply.carried or ref

    async def acarry(
        self,
        ref: Carried,
        method: Callable[P, Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[R, Carried]:
        """Do as `carry`, for asynchronous code."""
        reply = await self._acall(ref, method, args, kwargs)
        return _result(reply), reply.carried or ref

    async def stream(
        self,
        ref: Ref,
        method: Callable[P, AsyncIterator[bytes]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AsyncIterator[bytes]:
        """Iterate over the bytes of a method; the owner reads ahead by 2 MB at most.

        Raises EngineError, before the first chunk or between two. Close it (`aclosing`) or let
        its task be cancelled to stop the owner early.
        """
        call = self._prepare(ref, method, args, kwargs, stream=True)
        output = Pipe()
        await database.arelease()
        future = self._engine.transport().submit(call.request, output=output)
        stall = call.request.timeout_seconds + GRACE_SECONDS
        try:
            while True:
                async with _giving_up(stall):
                    chunk = await output.receive()
                if chunk is None:
                    break
                yield chunk
            async with _giving_up(stall):
                _result(await asyncio.wrap_future(future))
        finally:
            output.close()
            future.cancel()

    def _prepare(
        self,
        ref: Ref,
        method: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        stream: bool = False,
    ) -> _Prepared:
        entry, options = describe(method), self._options
        if entry.stream != stream:
            raise TypeError(f"{entry.name} is a method to {'stream' if entry.stream else 'call'}")
        arguments = entry.arguments(args, kwargs)
        upload = arguments.pop("upload", None) if entry.upload else None
        default = UPLOAD_TIMEOUT_SECONDS if upload is not None else TIMEOUT_SECONDS
        timeout = default if options.timeout_seconds is None else options.timeout_seconds
        request = Request(
            id=uuid.uuid4().hex,
            ref=ref,
            method=entry.name,
            kwargs=arguments,
            deadline=time.time() + timeout,
            timeout_seconds=timeout,
            flood=options.flood,
            background=options.background,
            stream=entry.stream,
            upload=upload is not None,
        )
        return _Prepared(request, upload)

    def _call(
        self, ref: Ref, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Reply:
        _refuse_loop()
        call = self._prepare(ref, method, args, kwargs)
        if call.upload is not None and not isinstance(call.upload, Iterable):
            raise TypeError("a synchronous call uploads from an iterable of bytes")
        database.release()
        pipe = call.pipe
        future = self._engine.transport().submit(call.request, upload=pipe)
        try:
            if pipe is not None:
                future.add_done_callback(lambda _: pipe.close())
                _feed(call.upload, pipe, call.give_up_in())
            return future.result(call.give_up_in())
        except TimeoutError:
            raise timed_out() from None
        finally:
            if pipe is not None:
                pipe.finish(UploadAborted())
            future.cancel()  # result(timeout) alone leaves the coroutine running

    async def _acall(
        self, ref: Ref, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Reply:
        call = self._prepare(ref, method, args, kwargs)
        await database.arelease()
        pipe = call.pipe
        future = self._engine.transport().submit(call.request, upload=pipe)
        try:
            async with _giving_up(call.give_up_in()):
                if pipe is None:
                    return await asyncio.wrap_future(future)
                return await _afeed(call.upload, pipe, future)
        finally:
            future.cancel()


class Engine(Verbs):
    """The façade. `configure` says what it works with, `start` is implied by the first call."""

    def __init__(self) -> None:
        super().__init__(self, Options())
        self._lock = threading.RLock()
        self._parts: dict[str, Any] = {}
        self._transport: Transport | None = None
        self._started = False
        self._stopped = False

    def configure(
        self,
        *,
        store: SessionStore | None = None,
        sink: UpdateSink | None = None,
        guard: Guard | None = None,
        settings: EngineSettings | None = None,
        clients: ClientFactory | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Say what the engine works with; what is left out stays as it was. Starts nothing.

        With a `transport` (the socket of a running hub) the rest is not needed. `settings` are
        Django's TELEGRAM by default, `clients` Telethon's.
        """
        given = {
            "store": store,
            "sink": sink,
            "guard": guard,
            "settings": settings,
            "clients": clients,
        }
        with self._lock:
            if self._started:
                raise RuntimeError("the engine is running; stop it before it is configured anew")
            self._parts.update({name: part for name, part in given.items() if part is not None})
            self._transport = transport
            self._stopped = False

    def start(self) -> None:
        """Start the threads, or the connection; does nothing when it was done before."""
        with self._lock:
            if self._started:
                return
            if self._transport is None:
                self._transport = self._local()
            self._transport.start()
            self._started, self._stopped = True, False

    def stop(self, deadline_seconds: float = 10.0) -> None:
        """Drain and stop within the deadline. From then on calls raise Unavailable."""
        with self._lock:
            transport, self._transport = self._transport, None
            was_started, self._started = self._started, False
            self._stopped = True
        if transport is not None and was_started:
            transport.stop(deadline_seconds)

    def disconnect(self, deadline_seconds: float = 5.0) -> bool:
        """Close all clients of this process and go on; whether that was done in time.

        For a node whose lease is ending. Nothing to do for other transports.
        """
        transport = self._transport
        if not isinstance(transport, LocalTransport) or not self._started:
            return True
        return transport.pool.disconnect(deadline_seconds)

    def status(self) -> dict[str, Any]:
        """Return facts about the engine as JSON, without asking Telegram or the database."""
        transport = self._transport
        if transport is None or not self._started:
            return {"running": False}
        return {"running": True, **transport.status()}

    def waited_for(self, session_id: int) -> int:
        """Return how many calls on a session somebody waits for: background work makes room.

        Only the process that runs the session knows; elsewhere it is 0.
        """
        transport = self._transport
        return transport.waited_for(session_id) if isinstance(transport, LocalTransport) else 0

    @contextlib.contextmanager
    def over(self, transport: Transport) -> Iterator[Transport]:
        """Use another transport for a while, as tests do with `FakeTransport`."""
        with self._lock:
            before = self._transport, self._started, self._stopped
            self._transport, self._started, self._stopped = transport, True, False
        transport.start()
        try:
            yield transport
        finally:
            with self._lock:
                self._transport, self._started, self._stopped = before
            transport.stop(1.0)

    def transport(self) -> Transport:
        """Return the transport that is in use, starting it if need be."""
        transport = self._transport
        if transport is not None and self._started:
            return transport
        if self._stopped:
            raise Unavailable("draining", "The engine has stopped.", seconds=5)
        self.start()
        with self._lock:
            if self._transport is None:
                raise Unavailable("draining", "The engine has stopped.", seconds=5)
            return self._transport

    def _local(self) -> Transport:
        missing = {"store", "sink", "guard"} - self._parts.keys()
        if missing:
            raise RuntimeError(f"telegram.configure() was not given: {', '.join(sorted(missing))}")
        parts = dict(self._parts)
        settings = parts.pop("settings", None) or conf.read()
        clients = parts.pop("clients", None) or telethon_clients
        return LocalTransport(Pool(settings=settings, clients=clients, **parts))


def _result(reply: Reply) -> Any:
    if reply.error is not None:
        raise reply.error
    return reply.result


def _refuse_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("call() would block a running loop: await acall() instead")


@contextlib.asynccontextmanager
async def _giving_up(seconds: float) -> AsyncIterator[None]:
    """Bound a wait, as our error and not asyncio's."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise timed_out() from None
        raise


def _feed(upload: Any, pipe: Pipe, stall_seconds: float) -> None:
    try:
        for chunk in upload:
            pipe.put(chunk, stall_seconds)
    except PipeClosed:
        return  # the call has ended without the rest
    pipe.finish()


async def _afeed(upload: Any, pipe: Pipe, future: Future[Reply]) -> Reply:
    """Send an upload while waiting for the reply; the source's own error comes first."""

    async def send() -> None:
        try:
            if isinstance(upload, AsyncIterable):
                async for chunk in upload:
                    await pipe.send(chunk)
            else:
                for chunk in upload:
                    await pipe.send(chunk)
        except PipeClosed:
            return
        except BaseException:
            pipe.finish(UploadAborted())
            raise
        pipe.finish()

    feeder = asyncio.create_task(send())
    try:
        reply = await asyncio.wrap_future(future)
        if feeder.done() and not feeder.cancelled() and (error := feeder.exception()) is not None:
            raise error
        return reply
    finally:
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)
