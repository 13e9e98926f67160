"""One thread with one loop, on which the clients of its sessions live.

Take a request, do it, reply: whatever happens, what leaves a worker is a Reply or a cancelled
future. A second thread of its own does the worker's database reads, so that no loop ever waits
for the ORM and no ORM call meets a loop.
"""

import asyncio
import contextlib
import contextvars
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import uvloop

from engine import wire
from engine.conf import EngineSettings
from engine.errors import BadGateway, BadRequest, EngineError, Unavailable, timed_out
from engine.floods import CallContext, Floods, enter_call
from engine.methods.registry import Method, lookup
from engine.seam import (
    ClientFactory,
    ClientSource,
    DatabaseThread,
    Home,
    WorkerContext,
)
from engine.store import Guard, SessionStore, UpdateSink
from engine.streams import Pipe, PipeClosed, UploadAborted
from engine.wire import JSON, Carried, Reply, Request

__all__ = ["ClientFactory", "ClientSource", "DatabaseThread", "Home", "Worker", "WorkerContext"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEARTBEAT_SECONDS = 1.0
START_SECONDS = 60.0

Forward = Callable[[Request, Pipe | None, Pipe | None], Future[Reply]]


@dataclass(frozen=True, slots=True)
class Job:
    """A request on its way through a worker."""

    request: Request
    upload: Pipe | None
    output: Pipe | None
    future: Future[Reply]


class Worker:
    """The thread `telegram-<index>`. `start`, `submit`, `run`, `stop` are safe from any thread.

    `forward` takes a carried session's call to the worker of the stored session with its key.
    """

    def __init__(
        self,
        index: int,
        *,
        settings: EngineSettings,
        store: SessionStore,
        sink: UpdateSink,
        guard: Guard,
        clients: ClientFactory,
        forward: Forward,
    ) -> None:
        self.index = index
        self.name = f"telegram-{index}"
        self._settings = settings
        self._store = store
        self._sink = sink
        self._guard = guard
        self._make_clients = clients
        self._forward = forward
        self._lock = threading.Lock()
        self._state = "new"  # new, starting, running, stopping, stopped
        self._inbox: deque[Job] = deque()
        self._woken = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._beat = 0.0
        self._last_status: dict[str, JSON] = {}
        self._stop_by = 0.0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._clients: ClientSource
        self._database: DatabaseThread

    # from any thread

    def start(self) -> None:
        """Start the thread and return when it takes calls; raises what made it fail."""
        with self._lock:
            if self._state == "new":
                self._state = "starting"
                self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise Unavailable("starting", "A worker did not start in time.")
        if self._failure is not None:
            raise self._failure

    def submit(
        self, request: Request, upload: Pipe | None = None, output: Pipe | None = None
    ) -> Future[Reply]:
        """Take a request; many in one burst cost one wake-up of the loop."""
        job = Job(request, upload, output, Future())
        with self._lock:
            if self._state == "running":
                self._inbox.append(job)
                if not self._woken:
                    self._woken = True
                    # A clean context: the caller's would bring Django's request-bound thread.
                    self._loop.call_soon_threadsafe(self._take, context=contextvars.Context())
                return job.future
        _answer(job, Reply(request.id, error=self._unavailable()))
        return job.future

    def run(self, function: Callable[[ClientSource], Awaitable[T]]) -> Future[T]:
        """Run `function(clients)` on the loop, outside any call."""

        async def task() -> T:
            return await function(self._clients)

        with self._lock:
            if self._state != "running":
                raise self._unavailable()
            return contextvars.Context().run(asyncio.run_coroutine_threadsafe, task(), self._loop)

    def ask_to_stop(self, deadline_seconds: float) -> None:
        """Take no more calls, let those in flight end, close the clients; returns at once."""
        if self._state == "starting":
            self._ready.wait(deadline_seconds)
        with self._lock:
            if self._state == "new":
                self._state = "stopped"
            if self._state != "running":
                return
            self._state = "stopping"
            self._stop_by = time.monotonic() + deadline_seconds
            self._loop.call_soon_threadsafe(self._stopping.set, context=contextvars.Context())

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread to end; whether it did. On the worker's own thread: False."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return thread is None
        thread.join(max(0.0, timeout_seconds))
        return not thread.is_alive()

    def stop(self, deadline_seconds: float = 10.0) -> bool:
        """Stop within the deadline; whether the thread has ended."""
        self.ask_to_stop(deadline_seconds)
        return self.join(deadline_seconds + 1.0)

    def status(self) -> dict[str, JSON]:
        """Return the worker's facts; `heartbeat_age_seconds` says how long its loop is stuck."""
        running = self._state == "running"
        return {
            "name": self.name,
            "state": self._state,
            "heartbeat_age_seconds": round(time.monotonic() - self._beat, 3) if running else None,
            "calls": len(self._tasks) + len(self._inbox),
            "clients": self._clients_status() if running else {},
        }

    def _clients_status(self) -> dict[str, JSON]:
        with contextlib.suppress(RuntimeError):  # the loop changed what was being read
            self._last_status = self._clients.status()
        return self._last_status

    def _unavailable(self) -> Unavailable:
        if self._state in ("new", "starting"):
            return Unavailable("starting", "The engine is starting.")
        return Unavailable("draining", "The engine is stopping.", seconds=5)

    # in the thread

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except BaseException as error:
            self._failure = error
            logger.critical("%s ended", self.name, exc_info=True)
        finally:
            with self._lock:
                self._state = "stopped"
                left = list(self._inbox)
                self._inbox.clear()
            self._ready.set()
            for job in left:
                _answer(job, Reply(job.request.id, error=self._unavailable()))

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._database = DatabaseThread(f"{self.name}-db")
        try:
            self._clients = self._make_clients(
                WorkerContext(
                    index=self.index,
                    workers=self._settings.workers,
                    loop=self._loop,
                    settings=self._settings,
                    store=self._store,
                    sink=self._sink,
                    guard=self._guard,
                    floods=Floods(self._save_flood),
                    database=self._database,
                )
            )
            self._beat = time.monotonic()
            heart = asyncio.create_task(self._heartbeat())
            with self._lock:
                self._state = "running"
            self._ready.set()
            await self._stopping.wait()
            await self._drain()
            heart.cancel()
        finally:
            self._database.stop()

    async def _heartbeat(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _save_flood(self, session_id: int, method: str, until: float) -> None:
        await self._database.run(self._store.save_flood, session_id, method, until)

    async def _drain(self) -> None:
        """Give the calls in flight most of the time that is left, the clients the rest."""
        self._take()
        left = self._stop_by - time.monotonic()
        if self._tasks and left > 0:
            await asyncio.wait(set(self._tasks), timeout=left * 0.6)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=max(0.5, left * 0.1))
        try:
            async with asyncio.timeout(max(0.5, self._stop_by - time.monotonic())):
                await self._clients.close_all()
        except Exception:
            logger.exception("%s: the clients were not closed in time", self.name)

    def _take(self) -> None:
        with self._lock:
            jobs = list(self._inbox)
            self._inbox.clear()
            self._woken = False
        for job in jobs:
            if job.future.cancelled():
                continue
            task = self._loop.create_task(self._serve(job), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            job.future.add_done_callback(functools.partial(self._caller_left, task))

    def _caller_left(self, task: asyncio.Task[None], future: Future[Reply]) -> None:
        if future.cancelled():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs any more
                self._loop.call_soon_threadsafe(task.cancel, context=contextvars.Context())

    # one call

    async def _serve(self, job: Job) -> None:
        request = job.request
        try:
            reply = await self._reply(job)
        except asyncio.CancelledError:
            if job.future.cancelled():
                return
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                reply = Reply(request.id, error=self._unavailable())
            else:  # a lost connection cancels whoever waits for an answer on it
                reply = Reply(request.id, error=BadGateway())
        except Exception as error:
            reply = Reply(request.id, error=self._translate(error, request))
        finally:
            if job.upload is not None:
                job.upload.close()
            if job.output is not None:
                job.output.finish()
        _answer(job, reply)

    async def _reply(self, job: Job) -> Reply:
        request, ref = job.request, job.request.ref
        method = lookup(request.method)
        self._check(request, method)
        enter_call(
            CallContext(
                id=request.id,
                method=request.method,
                flood=request.flood,
                background=request.background,
                deadline=None if request.stream else request.deadline,
            )
        )
        async with asyncio.timeout(request.deadline - time.time()) as limit:
            if isinstance(ref, Carried) and ref.auth_key is not None:
                stored = await self._database.run(self._store.find_key, ref.auth_key)
                if stored is not None:
                    # One key, one client: the stored session's own serves this call, too.
                    await self._clients.close(ref)
                    forwarded = replace(request, ref=stored)
                    answer = self._forward(forwarded, job.upload, job.output)
                    return await asyncio.wrap_future(answer)
            if not method.connect:
                home = Home(ref, self._clients)
                return Reply(request.id, await self._do(method, home, job, limit))
            async with self._clients.use(ref) as client:
                self._check(request, method)  # connecting may have taken long
                return await self._with_client(method, client, job, limit)

    async def _with_client(
        self, method: Method, client: Any, job: Job, limit: asyncio.Timeout
    ) -> Reply:
        request = job.request
        if not isinstance(request.ref, Carried):
            return Reply(request.id, await self._do(method, client, job, limit))
        result, failure = None, None
        try:
            result = await self._do(method, client, job, limit)
        except Exception as error:
            failure = self._translate(error, request)
        after = self._clients.carried(client)
        return Reply(request.id, result, failure, after if after != request.ref else None)

    async def _do(self, method: Method, subject: Any, job: Job, limit: asyncio.Timeout) -> JSON:
        body, request = method.bound(), job.request
        kwargs = dict(request.kwargs)
        if method.upload:
            kwargs["upload"] = aiter(job.upload) if job.upload is not None else None
        if not request.stream:
            result = await body(subject, **kwargs)
            return wire.normalise(result) if method.copied else result
        output = job.output
        if output is None:
            raise BadRequest("method_unknown", "A stream needs somebody to read it.")
        async with contextlib.aclosing(body(subject, **kwargs)) as chunks:
            async for chunk in chunks:
                await output.send(chunk)
                limit.reschedule(self._loop.time() + request.timeout_seconds)
        return None

    def _check(self, request: Request, method: Method) -> None:
        """Refuse what must not run any more: after a freeze calls arrive that nobody awaits."""
        self._guard.check()
        if request.epoch is not None and request.epoch != self._guard.epoch:
            raise Unavailable("stale_epoch", "The session has moved to another owner.")
        if time.time() >= request.deadline:
            raise timed_out("The call came after its deadline.")
        if method.stream != request.stream:
            raise BadRequest("method_unknown", "This method is called by another verb.")
        given = dict.fromkeys(request.kwargs) | ({"upload": None} if request.upload else {})
        try:
            method.signature.bind(**given)
        except TypeError:
            raise BadRequest("arguments_invalid", "The method takes other arguments.") from None

    def _translate(self, error: Exception, request: Request) -> EngineError:
        if isinstance(error, EngineError):
            return error
        if (ours := self._clients.translate(error, request.method)) is not None:
            return ours
        if isinstance(error, TimeoutError):
            return timed_out()
        if isinstance(error, OSError | EOFError):
            return BadGateway()
        if isinstance(error, UploadAborted):
            return BadRequest("upload_aborted", "The upload broke off.")
        if isinstance(error, PipeClosed):
            return BadRequest("reader_gone", "Nobody reads the stream any more.")
        logger.error("%s failed in %s", request.method, self.name, exc_info=error)
        return EngineError()


def _answer(job: Job, reply: Reply) -> None:
    if job.output is not None:
        job.output.finish()
    if job.future.set_running_or_notify_cancel():
        job.future.set_result(reply)
