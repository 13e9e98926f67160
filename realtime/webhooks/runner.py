"""Posts for one endpoint: reads what is due for it, keeps each session's order, tries again."""

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from core.errors import Unavailable
from core.writer import writer
from realtime.webhooks import ledger, sender
from realtime.webhooks.ledger import Attempt, Claimed, Due, NotOurs, Owner, Prepared
from realtime.webhooks.models import DeliveryState

if TYPE_CHECKING:
    from realtime.webhooks.outbox import Outbox

logger = logging.getLogger(__name__)

# The first retry comes soon, for most failures are brief; then each waits twice as long.
FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 300.0
# Posts under way to one endpoint.
PARALLEL = 4
# Changes that other processes make are noticed at the latest after this.
POLL_SECONDS = 10.0
DATABASE_SECONDS = 2.0
SAVE_CURSOR_SECONDS = 60.0


class Runner:
    """Posts for one endpoint."""

    def __init__(self, outbox: "Outbox", endpoint: Claimed, owner: Owner) -> None:
        self.outbox = outbox
        self.owner = owner
        self.endpoint_id = endpoint.id
        self.user_id = endpoint.user_id
        self.wake = asyncio.Event()
        self.ended = False
        self._cursor = self._saved_cursor = endpoint.cursor
        self._saved_at = time.monotonic()
        self._resume_at = endpoint.resume_at
        self._lanes: dict[tuple[str, int | None], deque[Due]] = {}
        self._known: set[int] = set()
        # There was more in the log than may wait here.
        self._full = False
        # What waits in the database is not all in the lanes.
        self._recover = True
        self._slots = asyncio.Semaphore(PARALLEL)

    async def run(self) -> None:
        """Read the log, keep the lanes going; ends when the endpoint is not ours any more."""
        try:
            async with asyncio.TaskGroup() as lanes:
                while True:
                    self.wake.clear()
                    try:
                        await self._look(lanes)
                    except (DatabaseError, InterfaceError, Unavailable) as exc:
                        self._recover = True
                        logger.warning("Webhook %s waits: %s", self.endpoint_id, type(exc).__name__)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL_SECONDS):
                            await self.wake.wait()
        except* NotOurs:
            logger.debug("Webhook %s is not posted for here any more", self.endpoint_id)
        except* Exception as group:
            logger.exception("Webhook %s failed", self.endpoint_id, exc_info=group)
        finally:
            self.ended = True

    async def _look(self, lanes: asyncio.TaskGroup) -> None:
        """Put what is due into the lanes, and read on in the log while there is room."""
        database = self.outbox.database
        if self._recover:
            self._add(await database(ledger.pending, self.endpoint_id, redeliveries=False), lanes)
            self._recover = False
        self._add(await database(ledger.pending, self.endpoint_id, redeliveries=True), lanes)
        while True:
            room = ledger.WINDOW - len(self._known)
            self._full = room <= 0
            if self._full or not self.outbox.lease.held:
                return
            before = self._cursor
            self._cursor, due = await database(
                ledger.advance, self.endpoint_id, self.owner, before, room
            )
            self._add(due, lanes)
            if not due:
                break
        if time.monotonic() >= self._saved_at + SAVE_CURSOR_SECONDS:
            await self.save_cursor()

    async def save_cursor(self) -> None:
        """Note a cursor that moved past events which were not for this endpoint."""
        self._saved_at = time.monotonic()
        if self._cursor != self._saved_cursor:
            cursor = self._saved_cursor = self._cursor
            job = writer.submit(lambda: ledger.save_cursor(self.endpoint_id, self.owner, cursor))
            await asyncio.wrap_future(job)

    def _add(self, found: Sequence[Due], lanes: asyncio.TaskGroup) -> None:
        for due in found:
            if due.id in self._known:
                continue
            self._known.add(due.id)
            lane = self._lanes.get(due.lane)
            if lane is None:
                lane = self._lanes[due.lane] = deque()
                lanes.create_task(self._post_lane(due.lane, lane))
            lane.append(due)

    async def _post_lane(self, name: tuple[str, int | None], lane: deque[Due]) -> None:
        """Post one after the other, each until it is delivered or given up."""
        while lane:
            due = lane[0]
            await self._until(due)
            async with self._slots:
                if self._wait_seconds(due) > 0 or not self.outbox.lease.held:
                    continue
                if self.outbox.draining:
                    return
                attempt = await self._attempt(due)
            if attempt is not None:
                await self._store(attempt)
            if attempt is None or attempt.next_at is None:
                lane.popleft()
                self._known.discard(due.id)
                if self._full and len(self._known) <= ledger.WINDOW - ledger.PAGE_EVENTS:
                    self._full = False
                    self.wake.set()
            else:
                due.attempts += 1
                due.at = attempt.next_at
        del self._lanes[name]

    def _wait_seconds(self, due: Due) -> float:
        at = due.at if self._resume_at is None else max(due.at, self._resume_at)
        return (at - timezone.now()).total_seconds()

    async def _until(self, due: Due) -> None:
        """Wait until the delivery is due, its endpoint wants to hear of us, and we may post."""
        while True:
            seconds = self._wait_seconds(due)
            if seconds <= 0 and self.outbox.lease.held:
                return
            await asyncio.sleep(min(max(seconds, 0.2), 3600.0))

    async def _attempt(self, due: Due) -> Attempt | None:
        try:
            prepared = await self.outbox.database(ledger.prepare, due.id, self.owner)
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("Webhook %s waits: %s", self.endpoint_id, type(exc).__name__)
            due.at = timezone.now() + timedelta(seconds=DATABASE_SECONDS)
            return self._again(due, sender.Outcome(error="The hub's database did not answer."))
        if not isinstance(prepared, Prepared):
            return prepared
        with self.outbox.posting():
            outcome = await self.outbox.post(prepared.url, prepared.body, prepared.headers)
        now = timezone.now()
        if outcome.delivered:
            self._resume_at = None
            return self._result(due, outcome, DeliveryState.DELIVERED, now, None)
        if now >= due.expires_at:
            return self._result(due, outcome, DeliveryState.DEAD, now, None)
        return self._again(due, outcome)

    def _again(self, due: Due, outcome: sender.Outcome) -> Attempt:
        now = timezone.now()
        if outcome.retry_after:
            self._resume_at = now + timedelta(seconds=outcome.retry_after)
        pause = timedelta(seconds=backoff_seconds(due.attempts))
        return self._result(due, outcome, DeliveryState.PENDING, now, now + pause)

    def _result(
        self,
        due: Due,
        outcome: sender.Outcome,
        state: DeliveryState,
        now: datetime,
        next_at: datetime | None,
    ) -> Attempt:
        return Attempt(
            endpoint_id=self.endpoint_id,
            delivery_id=due.id,
            state=state,
            at=now,
            next_at=next_at,
            status=outcome.status,
            error=outcome.error,
            duration_ms=outcome.duration_ms,
            resume_at=self._resume_at,
        )

    async def _store(self, attempt: Attempt) -> None:
        """Store what came of an attempt; one that is lost is made again after a restart."""
        try:
            await asyncio.wrap_future(writer.submit_item(ledger.store_attempts, attempt))
        except Exception as exc:
            self._recover = True
            logger.warning("Webhook %s: not stored: %s", self.endpoint_id, type(exc).__name__)


def backoff_seconds(attempts: int) -> float:
    """Return how long to wait after `attempts` earlier failures and this one, jittered."""
    doubled = FIRST_RETRY_SECONDS * float(2 ** min(attempts, 30))
    return min(doubled, LONGEST_RETRY_SECONDS) * random.uniform(0.75, 1.25)
