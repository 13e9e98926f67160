"""Filling the holes of a chat's cache: one fill per chat, joined by everybody who needs it.

Streams, jobs and commands say which ids they need (`Demand`) and how far they have come; the
fill asks Telegram for what is missing, several pages at once, and stores each with the interval
that it covers. Nothing here holds anything while a client reads.

Windows of ids are disjoint where ids are dense (channels, supergroups). Elsewhere ids belong to
the whole account, and a page goes on where the last one ended: 100 messages over five million
ids are one call.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.errors import ApiError
from engine import methods, telegram
from engine.errors import EngineError, FloodWait, TooManyCalls
from engine.methods.answers import PageDict
from engine.methods.shapes import MessageDict
from scraper import coverage, grants, intervals, loop, runtime_settings, store
from scraper.intervals import Interval
from scraper.models import Chat
from scraper.pace import Pace, Turn, pace_of
from scraper.rows import ChatScope
from sessions_app.models import TelegramSession

logger = logging.getLogger(__name__)

PAGE = 100
PAGES_AHEAD = 128
"""How many pages a fill may be ahead of whoever needs them."""

TASKS = 64
CALL_SECONDS = 60.0
ATTEMPTS = 4
LOOK_AGAIN_SECONDS = 0.05
DENSE = 0.6


@dataclass(eq=False)
class Demand:
    """Ids that somebody needs, in the order in which they are needed.

    `max_wait` is for how long a pause of Telegram's is sat out. `messages` counts what was read
    for this demand, `unreadable` names those whose schema is not ours.
    """

    fill: "Fill"
    session: TelegramSession
    low: int
    high: int
    descending: bool
    max_wait: float
    position: int = 0
    issued: list[int] = field(default_factory=list)
    error: Exception | None = None
    messages: int = 0
    unreadable: list[int] = field(default_factory=list)

    async def reach(self, position: int, *, patience: float = 0.0) -> int:
        """Return how far from `position` on everything is there; waits until something is.

        And for `patience` seconds more: what comes in quick succession is worth one answer.
        Raises FloodWait when the pause is longer than `max_wait`, NotFound when access was lost,
        EngineError.
        """
        self.position = position
        self.fill.wake()
        while (end := self.fill.reached(self, position)) is None:
            if self.error is not None:
                raise self.error
            await self.fill.news()
        if patience and end != (self.low if self.descending else self.high):
            await asyncio.sleep(patience)
            end = self.fill.reached(self, position) or end
        return end

    def close(self) -> None:
        """Say that nothing more is needed; the last one to go stops the fill."""
        self.fill.leave(self)

    @property
    def flood_seconds(self) -> float:
        return pace_of(self.session.pk).flood_seconds

    def ahead(self) -> int:
        """Return how many pages were asked for beyond the position."""
        if self.descending:
            self.issued = [end for end in self.issued if end < self.position]
        else:
            self.issued = [end for end in self.issued if end > self.position]
        return len(self.issued)


class Fill:
    """What is missing of one chat. To be used on the scraper's loop alone."""

    def __init__(self, chat: Chat, scope: ChatScope, *, refresh: bool) -> None:
        self.chat = chat
        self.scope = scope
        self.refresh = refresh
        self.covered: list[Interval] = []
        self.demands: list[Demand] = []
        self._in_flight: list[Interval] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._paces: set[Pace] = set()
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._runner: asyncio.Task[None] | None = None
        self._failures = 0
        self._page_size = _page_size()
        self._seen_ids = PAGE
        self._seen_messages = min(PAGE, self._density_told() * PAGE)

    def _density_told(self) -> float:
        """Return messages per id, as Telegram counted them last."""
        if not self.chat.count or not self.chat.top_message_id:
            return 1.0
        return max(self.chat.count / self.chat.top_message_id, 0.0001)

    @property
    def busy(self) -> bool:
        """Whether pages are on their way."""
        return bool(self._in_flight)

    # What demands do

    def join(self, demand: Demand) -> None:
        self.demands.append(demand)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        self.wake()

    def leave(self, demand: Demand) -> None:
        if demand in self.demands:
            self.demands.remove(demand)
        self.wake()

    def wake(self) -> None:
        self._wake.set()

    async def news(self) -> None:
        """Wait until something was stored or failed."""
        await asyncio.shield(self._news)

    def reached(self, demand: Demand, position: int) -> int | None:
        """Return the end of what is there from `position` on, None when it is not there."""
        for low, high in self.covered:
            if low <= position <= high:
                return max(low, demand.low) if demand.descending else min(high, demand.high)
        return None

    # The work

    async def _run(self) -> None:
        try:
            while self.demands:
                self._wake.clear()
                short = self._begin_pages()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_SECONDS if short else None):
                        await self._wake.wait()
        except Exception as error:
            logger.exception("The fill of chat %s failed", self.scope.peer_id)
            for demand in self.demands:
                demand.error = error
            self.tell()
        finally:
            for task in self._tasks:
                task.cancel()
            for pace in self._paces:
                pace.listeners.discard(self._wake)

    def _begin_pages(self) -> bool:
        """Ask for as many pages as may be; tell whether more would be asked for if it could."""
        short = False
        for demand in list(self.demands):
            pace = pace_of(demand.session.pk)
            pace.listeners.add(self._wake)
            self._paces.add(pace)
            while demand.error is None and len(self._tasks) < TASKS:
                if pace.is_full and not pace.rest_seconds:
                    short = True
                    break
                window = self._next_window(demand)
                if window is None:
                    break
                if pace.flood_seconds > demand.max_wait:
                    self._fail(demand.session, FloodWait(seconds=int(pace.flood_seconds) + 1))
                    break
                if not pace.may_begin():
                    short = True
                    break
                self._begin(demand, window, pace)
        return short

    def _next_window(self, demand: Demand) -> Interval | None:
        """Return the next ids to ask for; None when there are none, or enough is on its way."""
        taken = self.covered
        for low, high in self._in_flight:
            taken = intervals.add(taken, low, high)
        missing = intervals.holes(taken, demand.low, demand.high)
        if not missing or demand.ahead() >= PAGES_AHEAD:
            return None
        low, high = missing[-1] if demand.descending else missing[0]
        width = self._width()
        if width is None:
            # The end of a page is not known before it is there: one at a time in each hole.
            return None if self._touches_flight(low, high) else (low, high)
        if demand.descending:
            return max(low, high - width + 1), high
        return low, min(high, low + width - 1)

    def _touches_flight(self, low: int, high: int) -> bool:
        return any(end == low - 1 or start == high + 1 for start, end in self._in_flight)

    def _width(self) -> int | None:
        """Return how many ids one page holds, None where ids say nothing about that."""
        if not self.chat.is_shared:
            return None
        density = self._seen_messages / self._seen_ids
        size = self._page_size
        return size if density >= DENSE else int(0.85 * size / density)

    def _begin(self, demand: Demand, window: Interval, pace: Pace) -> None:
        self._in_flight.append(window)
        demand.issued.append(window[0] if demand.descending else window[1])
        turn = pace.begin()
        task = asyncio.create_task(self._page(demand, window, pace, turn))
        self._tasks.add(task)

        def over(task: asyncio.Task[None]) -> None:
            # Also for a task that was cancelled before it ran.
            turn.end(answered=False)
            self._tasks.discard(task)
            self._in_flight.remove(window)
            self.tell()
            self.wake()

        task.add_done_callback(over)

    async def _page(self, demand: Demand, window: Interval, pace: Pace, turn: Turn) -> None:
        try:
            page = await self._read(demand, window)
            turn.end(answered=True)
            covered = _covered(page, window, demand.descending)
            await self._store(demand, page, covered)
        except FloodWait as error:
            pace.flooded(error.seconds or 1)
            for other in self.demands:
                if other.session.pk == demand.session.pk and other.max_wait < pace.flood_seconds:
                    other.error = error
        except EngineError as error:
            await self._failed(demand, pace, error)
        except ApiError as error:
            self._fail(demand.session, error)
        except Exception as error:
            logger.exception("A page of chat %s was not stored", self.scope.peer_id)
            self._fail(demand.session, error)
        else:
            self._failures = 0
            self.covered = intervals.add(self.covered, *covered)
            self._learn(window, covered, page)
            self._count(demand, page["messages"])

    def _count(self, demand: Demand, messages: list[MessageDict]) -> None:
        demand.messages += len(messages)
        for message in messages:
            if "raw" in message.get("extra", {}):
                demand.unreadable.append(message["message_id"])
        note_page(demand.session, self.scope, messages)

    async def _read(self, demand: Demand, window: Interval) -> PageDict:
        low, high = window
        size = self._page_size
        ask = telegram.using(timeout_seconds=CALL_SECONDS, background=True)
        # Upwards, a page of the messages just above `low` is the one that ends 100 newer.
        return await ask.acall(
            demand.session.pk,
            methods.history.read_page,
            chat_id=self.scope.peer_id,
            offset_id=high + 1 if demand.descending else low,
            add_offset=0 if demand.descending else -size,
            limit=size,
            min_id=low - 1,
            max_id=0 if demand.descending else high + 1,
        )

    async def _store(self, demand: Demand, page: PageDict, covered: Interval) -> None:
        account_id = demand.session.account_id
        assert account_id is not None
        await asyncio.wrap_future(
            store.submit(
                store.Page(
                    scope=self.scope,
                    account_id=account_id,
                    messages=page["messages"],
                    covered=covered,
                    reconcile=self.refresh,
                    count=page["count"],
                    session_id=demand.session.pk,
                )
            )
        )

    def _learn(self, window: Interval, covered: Interval, page: PageDict) -> None:
        self._page_size = _page_size()
        ids = covered[1] - covered[0] + 1
        if ids >= PAGE // 2:
            # The last few pages count, not the beginning of a chat of many years.
            self._seen_ids = self._seen_ids * 3 // 4 + ids
            self._seen_messages = self._seen_messages * 3 / 4 + max(len(page["messages"]), 0.01)

    async def _failed(self, demand: Demand, pace: Pace, error: EngineError) -> None:
        if grants.is_refusal(error):
            await grants.withdraw(demand.session, self.scope.peer_id)
            self._fail(demand.session, grants.no_such_chat())
            return
        passing = error.status in (502, 503) or isinstance(error, TooManyCalls)
        self._failures += 1
        if passing and self._failures < ATTEMPTS:
            pace.rest(0.25 * 2**self._failures)
            return
        self._failures = 0
        self._fail(demand.session, error)

    def _fail(self, session: TelegramSession, error: Exception) -> None:
        for demand in self.demands:
            if demand.session.pk == session.pk and demand.error is None:
                demand.error = error
        self.tell()

    def tell(self) -> None:
        news, self._news = self._news, asyncio.get_running_loop().create_future()
        news.set_result(None)


def _page_size() -> int:
    return min(PAGE, runtime_settings.current().telegram_batch_size)


def _covered(page: PageDict, window: Interval, descending: bool) -> Interval:
    """Return which ids of the window a page has answered."""
    low, high = window
    full = page["next_offset_id"] is not None
    oldest, newest = page["oldest_id"], page["newest_id"]
    if not full or oldest is None or newest is None:
        return window
    return (max(low, oldest), high) if descending else (low, min(high, newest))


PageListener = Callable[[TelegramSession, ChatScope, list[MessageDict]], None]

_listeners: list[PageListener] = []


def on_page(listener: PageListener) -> None:
    """Have `listener` told of each page that was stored. It runs on the scraper's loop: hurry."""
    if listener not in _listeners:
        _listeners.append(listener)


def note_page(session: TelegramSession, scope: ChatScope, messages: list[MessageDict]) -> None:
    """Tell the listeners of a page that was stored."""
    for listener in _listeners:
        listener(session, scope, messages)


_fills: dict[int, Fill] = {}
_opening: dict[int, asyncio.Lock] = {}


async def demand(
    session: TelegramSession,
    chat: Chat,
    low: int,
    high: int,
    *,
    descending: bool = False,
    refresh: bool = False,
    max_wait: float = 60.0,
    scope: ChatScope | None = None,
    done: Sequence[Interval] = (),
) -> Demand:
    """Need the ids `low` to `high` of a chat; close the demand when they are no more needed.

    `refresh` reads them again whatever is cached, but for `done`, and marks what is gone. To be
    called on the scraper's loop (`loop.here`).
    """
    scope = scope or await loop.read(store.scope_of, chat)
    assert scope is not None
    if refresh:
        fill = Fill(chat, scope, refresh=True)
        fill.covered = intervals.normalize(done)
    else:
        async with _opening.setdefault(chat.pk, asyncio.Lock()):
            known = _fills.get(chat.pk)
            if known is None or not known.demands:
                known = Fill(chat, scope, refresh=False)
                known.covered = await loop.read(coverage.load, chat.pk)
                _fills[chat.pk] = known
            fill = known
            made = Demand(fill, session, low, high, descending, max_wait)
            fill.join(made)
            return made
    made = Demand(fill, session, low, high, descending, max_wait)
    fill.join(made)
    return made


def running() -> list[Fill]:
    """Return the fills that this process knows of."""
    return list(_fills.values())


def note_covered(chat_id: int, low: int, high: int) -> None:
    """Tell the running fill of a chat what was read beside it."""
    fill = _fills.get(chat_id)
    if fill is not None:
        fill.covered = intervals.add(fill.covered, low, high)
        fill.wake()
        fill.tell()


def _forget() -> None:
    _fills.clear()
    _opening.clear()


loop.on_stop(_forget)
