"""The clients of one worker: opened when they are wanted, kept, supervised, closed.

A stored session stays open once it was used; its supervisor keeps it so. A carried session is
kept warm for a while in a bounded pool which nothing depends on. There is never a second
connection on one auth key.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from engine.client import HubClient
from engine.client_errors import translate
from engine.errors import EngineError, NotAuthorized, from_dict
from engine.floods import current_call
from engine.seam import WorkerContext
from engine.sessions import trust_key
from engine.store import SessionRecord, SessionReport
from engine.stored import StoredLink
from engine.supervisor import Supervisor
from engine.timing import NORMAL, Queue, Timing
from engine.warm import WarmPool
from engine.wire import Carried, Ref

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0


class Seat:
    """A stored session in this worker: its link, its supervisor, and who uses it."""

    def __init__(self, link: StoredLink, supervisor: Supervisor) -> None:
        self.link = link
        self.supervisor = supervisor
        self.users = 0
        self.used_at = 0.0
        self.lost: tuple[str, bytes | None] | None = None  # the record as it was then


class Clients:
    """A ClientSource. Made and used on one worker's loop."""

    def __init__(self, context: WorkerContext, timing: Timing = NORMAL) -> None:
        self._context = context
        self._timing = timing
        self._seats: dict[int, Seat] = {}
        self._loop = context.loop
        self._turns = Queue(timing.reconnect_gap, timing.reconnect_max, self._loop.time)
        self._opening = asyncio.Semaphore(timing.opening_max)
        self._warm = WarmPool(context, self._turns, timing)
        self._background: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        if context.settings.dc_public_key is not None:
            trust_key(context.settings.dc_public_key)

    @asynccontextmanager
    async def use(self, ref: Ref) -> AsyncIterator[HubClient]:
        """Lend a connected client; it is not closed for idleness meanwhile.

        Raises NotFound, NotAuthorized for a session that has expired or is logged out (but a
        login may begin on it), BadGateway, Unavailable.
        """
        self._context.guard.check()
        self._keep()
        if isinstance(ref, Carried):
            async with self._warm.use(ref) as client:
                yield client
            return
        seat = await self._seat(ref)
        seat.users += 1
        try:
            await seat.supervisor.ready()
            yield seat.link.client
        except OSError as error:
            # The connection was closed because the session has expired: say that.
            if seat.link.lost is not None:
                raise from_dict(seat.link.lost.to_dict()) from error
            raise
        finally:
            seat.users -= 1
            seat.used_at = self._loop.time()
            if seat.link.opened and seat.link.client.logged_out:
                self._spawn(self._logged_out(ref, seat))

    def carried(self, client: HubClient) -> Carried:
        return self._warm.carried(client)

    def translate(self, error: Exception, method: str) -> EngineError | None:
        return translate(error, method)

    async def close(self, ref: Ref) -> bool:
        """Disconnect a session's client, storing what is unsaved; whether there was one."""
        if isinstance(ref, Carried):
            return await self._warm.close(ref)
        seat = self._seats.pop(ref, None)
        if seat is None:
            return False
        await self._leave(ref, seat)
        return True

    async def close_all(self) -> None:
        seats, self._seats = self._seats, {}
        tasks = [self._leave(number, seat) for number, seat in seats.items()]
        await asyncio.gather(self._warm.close_all(), *tasks, return_exceptions=True)
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None

    def connected(self, ref: Ref) -> bool:
        """Whether the session has an open client here; asks nobody."""
        if isinstance(ref, Carried):
            return self._warm.has(ref)
        seat = self._seats.get(ref)
        return seat is not None and seat.supervisor.state in ("connected", "degraded")

    def status(self) -> dict[str, Any]:
        """Return each stored session's state and the size of the carried pool, as JSON."""
        return {
            "sessions": {
                str(number): {
                    "state": seat.supervisor.state,
                    "error": seat.supervisor.error.code if seat.supervisor.error else None,
                    "retry_at": seat.supervisor.retry_at,
                    **seat.link.status(),
                }
                for number, seat in self._seats.items()
            },
            "carried": len(self._warm),
        }

    # Seats.

    async def _seat(self, session_id: int) -> Seat:
        seat = self._seats.get(session_id)
        if seat is not None and seat.supervisor.state != "expired":
            return seat
        if seat is not None:
            await seat.supervisor.finished()
        record = await self._context.database.run(self._context.store.load, session_id)
        _may_open(record)
        seat = self._seats.get(session_id)  # It may have come while we read.
        if seat is not None:
            if seat.supervisor.state != "expired":
                return seat
            if seat.lost == (record.state, record.auth_key):
                raise seat.supervisor.failure()
        link = StoredLink(session_id, self._context, self._turns, self._timing)
        seat = Seat(link, self._supervisor(session_id, link))
        self._seats[session_id] = seat
        seat.supervisor.start()
        return seat

    def _supervisor(self, session_id: int, link: StoredLink) -> Supervisor:
        async def report(report: SessionReport) -> None:
            store, database = self._context.store, self._context.database
            if report.kind == "expired" and (seat := self._seats.get(session_id)):
                # It is tried again when a login, or another key, has changed it.
                record = await database.run(store.load, session_id)
                seat.lost = (record.state, record.auth_key)
            await database.run(store.report, session_id, report)

        return Supervisor(str(session_id), link, report, opening=self._opening, timing=self._timing)

    async def _leave(self, session_id: int, seat: Seat) -> None:
        was_open = seat.supervisor.state in ("connected", "degraded")
        await seat.supervisor.stop()
        if was_open:
            with contextlib.suppress(Exception):
                await self._context.database.run(
                    self._context.store.report, session_id, SessionReport("disconnected")
                )

    async def _logged_out(self, session_id: int, seat: Seat) -> None:
        if self._seats.get(session_id) is seat:
            del self._seats[session_id]
            await self._leave(session_id, seat)

    # Housekeeping.

    def _keep(self) -> None:
        if self._keeper is None or self._keeper.done():
            self._keeper = self._loop.create_task(
                self._housekeeping(), context=contextvars.Context()
            )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work, context=contextvars.Context())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _housekeeping(self) -> None:
        flushed = self._loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                self._context.guard.check()
            except EngineError as error:
                for seat in self._seats.values():
                    seat.supervisor.interrupt(error)
                await self._warm.close_all()
                continue
            await self._warm.evict()
            await self._evict_logins()
            if self._loop.time() - flushed >= self._timing.flush:
                flushed = self._loop.time()
                for seat in list(self._seats.values()):
                    await seat.link.flush()
                    seat.link.reconcile_if_due()

    async def _evict_logins(self) -> None:
        """Close what was opened for a login that nobody goes on with."""
        now = self._loop.time()
        for session_id, seat in list(self._seats.items()):
            idle = not seat.users and now - seat.used_at > self._timing.login_idle
            if idle and seat.used_at and seat.link.opened and not seat.link.logged_in:
                await self.close(session_id)


def _may_open(record: SessionRecord) -> None:
    """Refuse a session that cannot do anything, unless a login may be beginning."""
    if current_call().method.startswith("auth."):
        return
    if record.state == "expired":
        raise NotAuthorized("session_expired", "Telegram has ended this session.")
    if record.state in ("logged_out", "closed"):
        raise NotAuthorized("session_logged_out", "The session is logged out.")
