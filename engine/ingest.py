"""From Telegram's updates to committed events, in order, losing none.

A client puts `Unit`s in; they leave as `UpdateBatch`es: the events, the states that they reach
and the entities that they name, in one transaction of the sink. Only what was committed counts
as seen: a session that starts again asks Telegram for everything after it. What Telegram does
not tell any more, a hole, is read from the history, while the other chats go on; the box with
the hole waits, so that order holds per chat.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from telethon import errors, types

from engine import ingest_holes
from engine.errors import EngineError
from engine.ingest_box import ACCOUNT, Unit
from engine.ingest_events import events_of, message_events, message_of
from engine.ingest_holes import Page
from engine.sessions import HubSession, channel_bare, channel_mark
from engine.store import ACCOUNT_BOX, BoxState, EngineEvent, UpdateBatch, UpdateSink
from engine.timing import NORMAL, Backoff, Timing

logger = logging.getLogger(__name__)

Ask = ingest_holes.Ask

# A session that was revoked is stopped from outside; until then nothing is known to be readable.
_PASSING = (
    errors.ServerError,
    errors.TimedOutError,
    errors.UnauthorizedError,
    errors.AuthKeyError,
    OSError,
    asyncio.TimeoutError,
)


@dataclass(slots=True)
class Counts:
    """What an ingest has done since it was made."""

    events: int = 0
    batches: int = 0
    holes: int = 0
    refilled: int = 0
    retries: int = 0


class Ingest:
    """The updates of one session. To be used on its worker's loop alone."""

    def __init__(
        self,
        session_id: int,
        session: HubSession,
        sink: UpdateSink,
        *,
        boxes: Iterable[BoxState] = (),
        timing: Timing = NORMAL,
    ) -> None:
        self.session_id = session_id
        self.counts = Counts()
        self.ask: Ask | None = None
        self._session = session
        self._sink = sink
        self._timing = timing
        self._committed = {box_id(state.chat_id): state for state in boxes}
        self._reached = dict(self._committed)
        self._queue: deque[Unit] = deque()
        self._parked: dict[int, deque[Unit]] = {}
        self._fills: dict[int, asyncio.Task[None]] = {}
        self._refilled: dict[int, int] = {}  # up to which message the history has told
        self._task: asyncio.Task[None] | None = None
        self._busy = False
        self._news = asyncio.Event()
        self._moved = asyncio.Condition()

    @property
    def states(self) -> list[BoxState]:
        """Return how far each box was committed."""
        return list(self._committed.values())

    @property
    def waiting(self) -> int:
        """Return how many units are not committed yet."""
        return len(self._queue) + sum(len(parked) for parked in self._parked.values())

    @property
    def behind(self) -> bool:
        """Whether the sink is so slow that updates wait for it."""
        return self.waiting >= self._timing.queue_units

    def start(self) -> None:
        """Begin to commit; in a context of its own, whoever asks."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())

    async def put(self, unit: Unit, box: Any = None) -> None:
        """Take a unit in, waiting while too many wait already.

        `box` is the message box's own state, whose date, seq and qts go with the account's pts.
        """
        if self.behind:
            async with self._moved:
                await self._moved.wait_for(lambda: not self.behind)
        if box is not None and unit.box == ACCOUNT:
            unit.clock = (box["qts"], int(box["date"].timestamp()), box["seq"])
        self._queue.append(unit)
        self._news.set()

    def know(self, channel_id: int, pts: int, top_message_id: int) -> None:
        """Begin to follow a channel from here, if it is not followed yet."""
        if channel_id not in self._reached:
            self._begin(BoxState(channel_mark(channel_id), pts, top_message_id=top_message_id))

    def begin_account(self, state: dict[str, Any]) -> None:
        """Follow the account from this pts, qts, date and seq on: what a first login does.

        Where it was followed before, what lies between is a hole, which is refilled.
        """
        if ACCOUNT not in self._reached:
            date = int(state["date"].timestamp())
            self._begin(BoxState(ACCOUNT_BOX, state["pts"], state["qts"], date, state["seq"]))

    def know_account_top(self, top_message_id: int) -> None:
        """Say which message is the account's newest, where nothing is promised before it."""
        reached = self._reached.get(ACCOUNT)
        if reached is not None and not reached.top_message_id:
            self._begin(replace(reached, top_message_id=top_message_id))

    def _begin(self, state: BoxState) -> None:
        box = box_id(state.chat_id)
        self._reached[box] = state
        unit = Unit(box, [], None, None)
        unit.begins = True
        self._queue.append(unit)
        self._news.set()

    def pts(self, box: int) -> int | None:
        """Return how far a box came in, None when it is not followed."""
        reached = self._reached.get(box)
        return None if reached is None else reached.pts

    @property
    def follows_channels(self) -> bool:
        """Whether the state of any channel is known."""
        return any(box != ACCOUNT for box in self._reached)

    async def settle(self, seconds: float) -> bool:
        """Wait until everything that came in is committed; whether it is in time.

        Holes do not count: they are taken up again from where they stand.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: not self._queue and not self._busy)
                return True
        return False

    async def stop(self, seconds: float) -> bool:
        """Commit what came in, as far as the time allows, then end; whether all of it was.

        What was not committed is not counted as seen: the next start asks Telegram again.
        """
        settled = await self.settle(seconds) if self._task and not self._task.done() else False
        for task in (*self._fills.values(), self._task):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        settled = settled and not self._parked
        self._fills.clear()
        self._parked.clear()
        self._queue.clear()
        self._task = None
        self._busy = False
        self._reached = dict(self._committed)
        async with self._moved:
            self._moved.notify_all()
        return settled

    # Committing.

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._queue:
                self._busy = True
                await self._commit(*self._take())
                async with self._moved:
                    self._moved.notify_all()
            self._busy = False
            async with self._moved:
                self._moved.notify_all()

    def _take(self) -> tuple[list[EngineEvent], dict[int, BoxState]]:
        """Take units off the queue until a batch is full or a hole needs filling."""
        events: list[EngineEvent] = []
        states: dict[int, BoxState] = {}
        while self._queue and len(events) < self._timing.batch_events:
            unit = self._queue.popleft()
            if unit.box in self._parked:
                self._parked[unit.box].append(unit)
            elif unit.begins:
                states[unit.box] = self._reached[unit.box]
            elif unit.box in self._reached and self._is_hole(unit):
                self._open_hole(unit)
            else:
                events += self._events(unit)
                self._reach(unit)
                if unit.pts is not None:
                    states[unit.box] = self._reached[unit.box]
        return events, states

    def _events(self, unit: Unit) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        for update in unit.updates:
            message = message_of(update, self._session.account_id)
            if message is not None and message.id <= self._refilled.get(unit.box, 0):
                continue
            try:
                events += events_of(update, unit.entities, self._session.account_id)
            except Exception:
                # One update that nobody can read must not hold up all that follow.
                logger.exception(
                    "Session %s: %s was not understood", self.session_id, type(update).__name__
                )
        return events

    def _reach(self, unit: Unit) -> None:
        """Move the box's state on to what a unit reaches."""
        if unit.pts is None:
            return
        old = self._reached.get(unit.box)
        if old is None:
            # The message that shares its pts with a first update of count 0 is still to come.
            pts = unit.pts if unit.start != unit.pts else max(1, unit.pts - 1)
            old = BoxState(channel_mark(unit.box) if unit.box else ACCOUNT_BOX, pts)
        else:
            pts = max(old.pts, unit.pts)
        top = max([old.top_message_id, unit.top_message_id, *self._message_ids(unit)])
        self._reached[unit.box] = _with_clock(replace(old, pts=pts, top_message_id=top), unit)

    def _message_ids(self, unit: Unit) -> list[int]:
        found = (message_of(update, self._session.account_id) for update in unit.updates)
        return [message.id for message in found if message is not None]

    async def _commit(self, events: list[EngineEvent], states: dict[int, BoxState]) -> None:
        """Have the sink store a batch; try again for as long as it cannot."""
        if not (events or states):
            return  # Entities alone are stored behind, by the session's owner.
        entities = self._session.take_changed()
        batch = UpdateBatch(
            session_id=self.session_id,
            account_id=self._session.account_id,
            events=events,
            states=list(states.values()),
            entities=entities,
        )
        backoff = Backoff(0.1, 10.0)
        while True:
            try:
                # Cancelling us must not cancel a commit under way.
                await asyncio.shield(asyncio.wrap_future(self._sink.submit(batch)))
                break
            except asyncio.CancelledError:
                self._session.put_back(entities)
                raise
            except Exception as error:
                self.counts.retries += 1
                seconds = backoff.next()
                logger.warning(
                    "Session %s: %d events were not stored (%s), again in %.1f s",
                    self.session_id,
                    len(events),
                    type(error).__name__,
                    seconds,
                )
                await asyncio.sleep(seconds)
        self._committed.update(states)
        self.counts.batches += 1
        self.counts.events += len(events)

    # Holes.

    def _is_hole(self, unit: Unit) -> bool:
        """Whether messages lie between what was reached and this unit that nobody told.

        Only asked of boxes that are followed: elsewhere nothing was promised.
        """
        if any(isinstance(update, types.UpdateShortSentMessage) for update in unit.updates):
            return True  # Nobody claimed it: its text is only in the history.
        if unit.hole:
            return True
        return unit.start is not None and unit.start > self._reached[unit.box].pts

    def _open_hole(self, unit: Unit) -> None:
        told = not unit.hole and not any(
            isinstance(update, types.UpdateShortSentMessage) for update in unit.updates
        )
        self._parked[unit.box] = deque([unit] if told else ())
        self.counts.holes += 1
        logger.info("Session %s: box %s has a hole", self.session_id, unit.box)
        self._fills[unit.box] = asyncio.create_task(self._fill(unit, told))

    async def _fill(self, unit: Unit, told: bool) -> None:
        """Read what is missing, then let the box go on from there."""
        state = self._reached[unit.box]
        try:
            async with contextlib.aclosing(self._pages(unit, state, told)) as pages:
                async for page in pages:
                    events = self._page_events(page)
                    reached = max(state.top_message_id, page.reached)
                    state = replace(state, top_message_id=reached)
                    await self._commit(events, {unit.box: state})
                    self.counts.refilled += len(page.messages)
        except errors.RPCError as error:
            # No access any more: there is nothing left that we could miss.
            name = type(error).__name__
            logger.warning("Session %s: box %s is closed: %s", self.session_id, unit.box, name)
        except Exception:
            # Better one hole that the log tells of than a chat that stands still for ever.
            logger.exception("Session %s: box %s was not refilled", self.session_id, unit.box)
        pts = unit.start if told else unit.pts
        state = replace(state, pts=max(state.pts, pts or 0))
        if not told:
            state = _with_clock(state, unit)
        await self._commit([], {unit.box: state})
        self._reached[unit.box] = state
        self._refilled[unit.box] = state.top_message_id
        self._fills.pop(unit.box, None)
        self._queue.extendleft(reversed(self._parked.pop(unit.box, ())))
        self._news.set()

    def _page_events(self, page: Page) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        for message in page.messages:
            try:
                events += message_events(message, page.entities, self._session.account_id)
            except Exception:
                logger.exception("Session %s: a message was not understood", self.session_id)
        return events

    def _pages(self, unit: Unit, state: BoxState, told: bool) -> AsyncGenerator[Page]:
        ask = self._patient_ask
        if unit.box == ACCOUNT:
            return self._account_pages(ask, state)
        row = self._session.entity(channel_mark(unit.box))
        channel = types.InputPeerChannel(unit.box, (row.access_hash if row else 0) or 0)
        if state.top_message_id:
            newest = 0 if told else unit.top_message_id
            return ingest_holes.channel_pages(ask, channel, state.top_message_id, newest)
        # The last message before the hole is not known; pts counts at least the messages in it.
        missing = (unit.start if told else unit.pts or 0) or 0
        return ingest_holes.latest_channel_pages(ask, channel, max(0, missing - state.pts))

    async def _account_pages(self, ask: Ask, state: BoxState) -> AsyncGenerator[Page]:
        newest = await ingest_holes.newest_account_id(ask)
        if not state.top_message_id:
            yield Page([], newest)
            return
        pages = ingest_holes.account_pages(ask, state.top_message_id, newest)
        async with contextlib.aclosing(pages):
            async for page in pages:
                yield page

    async def _patient_ask(self, request: Any) -> Any:
        """Ask Telegram; lost connections and floods pass, refusals do not."""
        backoff = Backoff(self._timing.backoff_first, 60.0)
        while True:
            try:
                if self.ask is None:
                    raise ConnectionError
                return await self.ask(request)
            except (errors.FloodWaitError, errors.FloodPremiumWaitError) as error:
                await asyncio.sleep(error.seconds + 1)
            except EngineError as error:
                await asyncio.sleep(max(error.seconds or 0, backoff.next()))
            except _PASSING:
                await asyncio.sleep(backoff.next())


def _with_clock(state: BoxState, unit: Unit) -> BoxState:
    if unit.box != ACCOUNT or unit.clock is None:
        return state
    qts, date, seq = unit.clock
    return replace(state, qts=qts, date=date, seq=seq)


def box_id(chat_id: int) -> int:
    """Return the box of a `BoxState`: its channel's bare id, or `ACCOUNT`."""
    return ACCOUNT if chat_id == ACCOUNT_BOX else channel_bare(chat_id)
