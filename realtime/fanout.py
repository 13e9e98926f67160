"""One reader of the event log per process, and everybody who listens to it.

The log is read once for all of them. Who is behind (new, slow, or resuming) reads the log on
their own until they have caught up; so nobody misses an event, and nobody holds up another.
"""

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass

from channels.layers import get_channel_layer
from django.conf import settings

from core import events
from realtime import eventlog
from realtime.eventlog import Access, Filter, LogEvent, Page, Place
from realtime.threads import read_log

logger = logging.getLogger(__name__)

QUEUE_EVENTS = 1000
PAGE_EVENTS = 500
# What other processes append is noticed by Redis' word, and at the latest after this.
POLL_SECONDS = 1.0
FORGET_NAMES_SECONDS = 30.0
# So often it is asked whether what waits for slow clients may still be told.
CHECK_SECONDS = 0.4
RETRY_SECONDS = 1.0
REJOIN_SECONDS = 3600.0
GROUP = "tghub.events"


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next for a feed: `next` is the cursor after it.

    `reset` says that events after the cursor are gone; `oldest` is the first that is kept, and
    the feed goes on with it.
    """

    events: list[LogEvent]
    next: int
    oldest: int = 0
    reset: bool = False


class Feed:
    """The events that one client is told, in order, from a cursor on. Close it at the end."""

    def __init__(
        self, fanout: "Fanout", access: Access, wanted: Filter, cursor: int, *, checked: bool
    ) -> None:
        self.access = access
        self.cursor = cursor
        # What was asked for after this may still lie here, or with who asked.
        self.passed_on = cursor
        # Whether the cursor is one of this log.
        self._checked = checked
        self._fanout = fanout
        self._wanted = wanted
        self._queue: deque[LogEvent] = deque()
        self._seen = cursor
        self._lent = False
        self.live = False
        self._news = asyncio.Event()

    async def next(self, limit: int = PAGE_EVENTS) -> Batch:
        """Wait for the next events, at most `limit`; cancelling it loses none.

        Raises DatabaseError.
        """
        self._lent = False
        while True:
            self.passed_on = self.cursor
            if self.live or self._catch_up():
                if self._queue:
                    batch = self._take(limit)
                    if batch.events:
                        return batch
                    continue
                self.cursor = self.passed_on = max(self.cursor, self._seen)
                self._news.clear()
                await self._news.wait()
                continue
            batch = await self.read(limit)
            if batch.reset or batch.events:
                return batch

    async def read(self, limit: int = PAGE_EVENTS) -> Batch:
        """Return what the log holds now, at most `limit`; for a feed that was not waited for."""
        page = await eventlog.read_page(self.cursor, self.access, self._wanted, limit)
        self._checked = True
        if page.reset:
            self.cursor = page.oldest - 1
            return Batch([], self.cursor, page.oldest, reset=True)
        self.cursor = page.next
        self._lent = bool(page.events)
        self._fanout.note(page)
        return Batch(page.events, page.next)

    def _take(self, limit: int) -> Batch:
        found = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
        self.cursor = found[-1].id if self._queue else max(found[-1].id, self._seen)
        told = [event for event in found if self.may_tell(event)]
        self._lent = bool(told)
        return Batch(told, self.cursor)

    def may_tell(self, event: LogEvent) -> bool:
        """Tell whether an event of a batch may still be sent.

        To be asked after each wait for a slow client: a chat may have been left meanwhile.
        """
        return event.place not in self._fanout.withdrawn

    @property
    def behind(self) -> bool:
        """Whether events wait here, or with who asked for them last."""
        return self._lent or bool(self._queue)

    def _catch_up(self) -> bool:
        """Go on with what is distributed, when nothing lies between."""
        if not self._checked or self.cursor < self._fanout.cursor:
            return False
        self.live, self._seen = True, self.cursor
        return True

    def push(self, page: Page) -> None:
        """Take what was read for everybody; called by the fan-out."""
        if not self.live or page.next <= self._seen:
            return
        for event in page.events:
            if (
                event.id > self._seen
                and self._wanted.matches(event)
                and self.access.allows(event.owner_id, event.session_id)
            ):
                self._queue.append(event)
        self._seen = page.next
        if page.reset or len(self._queue) > QUEUE_EVENTS:
            # Too slow: the log keeps what the queue need not.
            self._queue.clear()
            self.live = False
        if self._queue or not self.live:
            self._news.set()

    def close(self) -> None:
        self._fanout.leave(self)


class Fanout:
    """Reads the log for the feeds of one event loop; runs from the first feed on."""

    def __init__(self) -> None:
        self.cursor = 0
        # Where nothing may be told any more, of what waits for slow clients.
        self.withdrawn: frozenset[Place] = frozenset()
        # Where what may still wait was said, and the newest event there.
        self._told: dict[Place, int] = {}
        self._feeds: set[Feed] = set()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._started: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._announcing = False
        self._stop_listening = events.on_append(self._appended)
        if settings.REDIS_URL:
            self._tasks.append(asyncio.create_task(self._listen()))

    async def join(self, access: Access, wanted: Filter, since: int | None = None) -> Feed:
        """Return a feed of what comes after `since`, or from now on."""
        if self._started is None:
            self._started = asyncio.create_task(self._start())
        await asyncio.shield(self._started)
        cursor = await eventlog.newest() if since is None else since
        feed = Feed(self, access, wanted, cursor, checked=since is None)
        self._feeds.add(feed)
        # There may be news that nobody was there to be told of.
        self._news.set()
        return feed

    def leave(self, feed: Feed) -> None:
        self._feeds.discard(feed)

    async def _start(self) -> None:
        self.cursor = await eventlog.newest()
        self._tasks.append(asyncio.create_task(self._pump()))
        self._tasks.append(asyncio.create_task(self._forget_names()))
        self._tasks.append(asyncio.create_task(self._check()))

    def _appended(self, last: int) -> None:
        """Hear of a commit, on the thread that wrote."""
        with contextlib.suppress(RuntimeError):  # The loop has ended.
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._news.set()
        if settings.REDIS_URL and not self._announcing:
            self._announcing = True
            self._tasks.append(task := asyncio.create_task(self._announce()))
            task.add_done_callback(self._tasks.remove)

    async def _announce(self) -> None:
        """Wake the readers of other processes; many commits make one call."""
        self._announcing = False
        try:
            await get_channel_layer().group_send(GROUP, {"type": "events"})
        except Exception as error:
            logger.info("Other processes notice events later: %s", type(error).__name__)

    async def _listen(self) -> None:
        """Hear of commits of other processes."""
        while True:
            try:
                layer = get_channel_layer()
                channel = await layer.new_channel()
                while True:
                    # Redis forgets the members of a group after a day.
                    await layer.group_add(GROUP, channel)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(REJOIN_SECONDS):
                            while True:
                                await layer.receive(channel)
                                self._news.set()
            except Exception as error:
                logger.info("Redis does not tell of events: %s", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _pump(self) -> None:
        while True:
            self._news.clear()
            try:
                more = await self._read()
            except Exception as error:
                logger.warning("The event log cannot be read: %s", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), POLL_SECONDS)

    async def _read(self) -> bool:
        """Read one page and hand it out; tell whether there may be more."""
        if not any(feed.live for feed in self._feeds):
            newest = await eventlog.newest()
            # Nobody relies on what lies between, unless they have come meanwhile.
            if not any(feed.live for feed in self._feeds):
                self.cursor = newest
                return False
        page = await eventlog.read_page(self.cursor, None, limit=PAGE_EVENTS)
        self.cursor = page.next
        self.note(page)
        for feed in list(self._feeds):
            feed.push(page)
        return page.more

    def note(self, page: Page) -> None:
        """Remember where a page was said, in case that its events must wait for a client.

        They were allowed when they were read just now.
        """
        places = {event.place: event.id for event in page.events if event.place is not None}
        for place, event_id in places.items():
            self._told[place] = max(event_id, self._told.get(place, 0))
        if self.withdrawn:
            self.withdrawn -= places.keys()

    async def _check(self) -> None:
        """Ask again and again whether what waits for slow clients may still be told."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            passed_on = min((feed.passed_on for feed in self._feeds if feed.behind), default=None)
            if passed_on is None:
                self._told.clear()
                self.withdrawn = frozenset()
                continue
            self._told = {place: last for place, last in self._told.items() if last > passed_on}
            try:
                gone = await read_log(eventlog.withdrawn, set(self._told))
            except Exception as error:
                logger.warning("Access cannot be checked: %s", type(error).__name__)
                continue
            self.withdrawn = frozenset(gone)

    async def _forget_names(self) -> None:
        while True:
            await asyncio.sleep(FORGET_NAMES_SECONDS)
            await read_log(eventlog.names.forget)

    def close(self) -> None:
        self._stop_listening()
        for task in self._tasks:
            task.cancel()


_fanout: Fanout | None = None


def fanout() -> Fanout:
    """Return the fan-out of the running loop. A process that serves has one loop for it."""
    global _fanout
    if _fanout is None or _fanout._loop is not asyncio.get_running_loop():
        if _fanout is not None:
            _fanout.close()
        _fanout = Fanout()
    return _fanout
