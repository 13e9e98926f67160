"""Posts events to webhooks, in one thread of the process that holds the engine's lease.

Each endpoint has a task of its own, and in it each session a lane: an event is posted when
the one before it in its lane was delivered or given up. So order holds per endpoint and
session, and neither a slow endpoint nor a failing one holds up another.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from django.db import DatabaseError, InterfaceError, connection

from core import events
from core.errors import Unavailable
from realtime.webhooks import endpoints, ledger, sender
from realtime.webhooks.ledger import Claimed, NotOurs, Owner
from realtime.webhooks.runner import Runner
from sessions_app.alongside import register_runner
from sessions_app.purge import register_purge_handler

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Post = Callable[[str, bytes, dict[str, str]], Awaitable[sender.Outcome]]

# Changes that other processes make are noticed at the latest after this.
POLL_SECONDS = 2.0
# One look at the log serves what is appended in this time.
GATHER_SECONDS = 0.02
PRUNE_SECONDS = 600.0
GRACE_SECONDS = 1.0


class Guard(Protocol):
    """The node's lease."""

    name: str
    epoch: int

    @property
    def held(self) -> bool: ...


class Outbox:
    """The thread, and the tasks of the endpoints that this node posts for."""

    def __init__(self, lease: Guard, *, post: Post = sender.post) -> None:
        self.lease = lease
        self.post = post
        self.draining = False
        self._posting = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._runners: dict[int, Runner] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._database = ThreadPoolExecutor(1, thread_name_prefix="webhooks-db")
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._wake = asyncio.Event()
        self._seen = 0
        self._appended = False
        self._reload = True
        self._restart: set[int] = set()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing new, let posts under way end for a moment, stop the thread."""
        self.draining = True
        if self._thread is None:
            return
        self._started.wait(GRACE_SECONDS)
        if self._loop is not None:
            _hop(self._loop, self._wake.set)
        self._thread.join(GRACE_SECONDS * 2)
        self._thread = None

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:
            logger.exception("The outbox of webhooks ended")
        finally:
            # Not `connection.close`: that would be this thread's.
            self._database.submit(lambda: connection.close())
            self._database.shutdown(wait=False)

    async def _main(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._started.set()
        forget = [
            events.on_append(lambda last: _hop(loop, self._news)),
            endpoints.on_change(lambda *change: _hop(loop, self._endpoint_changed, *change)),
        ]
        pruned_at = polled_at = float("-inf")
        try:
            while not self.draining:
                self._wake.clear()
                now = time.monotonic()
                try:
                    if self._reload or now >= polled_at + POLL_SECONDS:
                        self._reload = False
                        polled_at = now
                        await self._take_endpoints()
                    if self._appended:
                        await self._wake_owners()
                    if self._runners and now >= pruned_at + PRUNE_SECONDS:
                        pruned_at = now
                        await self.database(ledger.prune)
                except (DatabaseError, InterfaceError, Unavailable) as exc:
                    logger.warning("Webhooks wait for the database: %s", type(exc).__name__)
                    self._appended = True
                except Exception:
                    logger.exception("Webhooks go on in a moment")
                await self._pause(polled_at + POLL_SECONDS - time.monotonic())
        finally:
            for stop in forget:
                stop()
            await self._end()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._wake.wait()
            if not self.draining:
                await asyncio.sleep(GATHER_SECONDS)

    def _news(self) -> None:
        self._appended = True
        if self._runners:
            self._wake.set()

    def _endpoint_changed(self, endpoint_id: int, afresh: bool) -> None:
        runner = self._runners.get(endpoint_id)
        if runner is not None and not afresh:
            runner.wake.set()
            return
        self._restart.add(endpoint_id)
        self._reload = True
        self._wake.set()

    async def _wake_owners(self) -> None:
        """Wake the endpoints of the users whose sessions have news."""
        self._appended = False
        users, self._seen = await self.database(ledger.owners_of_news, self._seen)
        for runner in self._runners.values():
            if runner.user_id in users:
                runner.wake.set()

    async def _take_endpoints(self) -> None:
        """Begin to post for what is ours, and stop for what is not any more."""
        claimed: list[Claimed] = []
        owner = Owner(self.lease.name, self.lease.epoch)
        if not self._runners:
            self._seen = (await self.database(events.bounds)).last
        if self.lease.held:
            claimed = await self.database(ledger.claim_endpoints, owner)
        ours = {endpoint.id for endpoint in claimed} - self._restart
        self._restart.clear()
        for endpoint_id, runner in list(self._runners.items()):
            if endpoint_id not in ours or runner.owner != owner or runner.ended:
                await self._drop(endpoint_id)
        for endpoint in claimed:
            if endpoint.id not in self._runners:
                runner = Runner(self, endpoint, owner)
                self._runners[endpoint.id] = runner
                self._tasks[endpoint.id] = asyncio.create_task(runner.run())

    async def _drop(self, endpoint_id: int) -> None:
        del self._runners[endpoint_id]
        task = self._tasks.pop(endpoint_id)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _end(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), GRACE_SECONDS)
        runners = list(self._runners.values())
        for runner in runners:
            await self._drop(runner.endpoint_id)
        for runner in runners:
            with contextlib.suppress(NotOurs, Exception):
                await asyncio.wait_for(runner.save_cursor(), GRACE_SECONDS)

    @contextlib.contextmanager
    def posting(self) -> Iterator[None]:
        """Have `stop` wait a moment for what is under way."""
        self._posting += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._posting -= 1
            if not self._posting:
                self._idle.set()

    async def database(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function of the ledger in the outbox's own database thread."""

        def run() -> T:
            try:
                return function(*args, **kwargs)
            except (DatabaseError, InterfaceError):
                connection.close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._database, run)


def _hop(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(function, *args)


def register() -> None:
    """Post for as long as a hub serves, and forget a session with its account."""
    register_runner(run_outbox)
    register_purge_handler(ledger.forget_session)


def run_outbox(lease: Guard) -> Callable[[], None]:
    """Start the outbox of a node; return how to stop it."""
    outbox = Outbox(lease)
    outbox.start()
    return outbox.stop
