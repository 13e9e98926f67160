"""The history of a dialog as server-sent events, from the cache and from Telegram.

frames = await history.stream(session, "-1001234567890", HistoryQuery(chunk_size=250))
async with aclosing(frames):
    async for frame in frames:
        await send(frame)
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from core import json
from core.errors import to_response_parts
from engine.errors import FloodWait
from scraper import coverage, ends, fill, grants, intervals, loop, store
from scraper.ends import Source
from scraper.fill import Demand
from scraper.intervals import Interval
from scraper.pages import Frames, Viewer
from sessions_app.models import TelegramSession

T = TypeVar("T")

CHUNK_SIZE = 100
MAX_CHUNK_SIZE = 10_000
CLUMP_SECONDS = 0.05
"""How long what comes from Telegram waits for more: to pass it on costs as much as to store it."""
KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = b": keep-alive\n\n"


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """What a client asks for.

    `start` and `end` are Unix seconds, both included; None is the beginning, and now. `after_id`
    is the `Last-Event-ID`: the last message that the client has, in the order of the stream (0:
    none). `max_wait` is for how many seconds of a flood wait the client is kept waiting.
    """

    start: int | None = None
    end: int | None = None
    chunk_size: int = CHUNK_SIZE
    reverse: bool = True
    force_refresh: bool = False
    include_deleted: bool = False
    after_id: int = 0
    max_wait: float = 60.0


@dataclass(frozen=True, slots=True)
class Range:
    """What a query comes to: ids of a chat, and which of them were cached before it came.

    With `complete` all of them are cached by now.
    """

    source: Source
    low: int
    high: int
    cached: list[Interval]
    complete: bool


async def stream(
    session: TelegramSession, dialog: str, query: HistoryQuery, known: Range | None = None
) -> AsyncGenerator[bytes, None]:
    """Return the frames of a dialog's history, ready to be sent; each item is whole SSE events.

    `known` is what `known_range` has just told.

    What goes wrong here, before the first byte, is raised: NotFound (unknown, or not to be
    read), FloodWait (longer than `max_wait`), other ApiErrors and EngineErrors. What goes wrong
    later is a last frame `event: error`. A whole stream ends with `event: end`; while Telegram
    is waited for, `KEEP_ALIVE` comes every 15 seconds. Close the generator (`aclosing`) or let
    its task be cancelled to stop the work.
    """
    try:
        found = known if known else await loop.here(find_range(session, dialog, query))
    except FloodWait as error:
        if not error.seconds or error.seconds > query.max_wait:
            raise
        # Short enough: the client is kept waiting, and told so.
        return _told(_after_flood(session, dialog, query, error.seconds))
    return _told(_frames(found, query))


def known_range(session: TelegramSession, dialog: str, query: HistoryQuery) -> Range | None:
    """Do as `find_range`; None when Telegram must be asked for something.

    Touches the database. Where threads are busy each turn in one costs milliseconds: this is
    one instead of six, for a stream that waits for nothing else.
    """
    candidates = grants.ids_meant_by(dialog)
    found = grants.confirmed_among(session, candidates) if candidates else None
    if found is None:
        return None
    chat, access = found
    source = Source(session, chat, access, store.scope_of(chat), query.max_wait)
    period = _known_id_range(source, query.start, query.end)
    return None if period is None else _range(source, query, coverage.load(chat.pk), *period)


def _known_id_range(source: Source, start: int | None, end: int | None) -> tuple[int, int] | None:
    if _is_until_now(end):
        high = coverage.live_end(source.chat)
    else:
        assert end is not None
        high, _ = ends.known_id_before(source, end + 1)
    before = 0 if start is None else ends.known_id_before(source, start)[0]
    return None if high is None or before is None else (_first_id(source, before), high)


async def find_range(session: TelegramSession, dialog: str, query: HistoryQuery) -> Range:
    """Check access and find the ids that a query asks for. To be run on the scraper's loop."""
    chat, access = await grants.open_chat(session, dialog)
    source = await ends.make_source(session, chat, access, query.max_wait)
    cached = await loop.read(coverage.load, chat.pk)
    low, high = await id_range(source, query.start, query.end)
    return _range(source, query, cached, low, high, await loop.read(coverage.load, chat.pk))


def _range(
    source: Source,
    query: HistoryQuery,
    cached: list[Interval],
    low: int,
    high: int,
    covered: list[Interval] | None = None,
) -> Range:
    """Put a range together; `covered` is what is cached by now, where it may be more."""
    if query.after_id and query.reverse:
        low = max(low, query.after_id + 1)
    elif query.after_id:
        high = min(high, query.after_id - 1)
    if query.force_refresh:
        return Range(source, low, high, [], complete=low > high)
    complete = intervals.covers(cached if covered is None else covered, low, high)
    return Range(source, low, high, intervals.clip(cached, low, high), complete)


async def id_range(source: Source, start: int | None, end: int | None) -> tuple[int, int]:
    """Return the first and last id of a period that the session may see."""
    high, before = await asyncio.gather(
        ends.newest(source)
        if end is None or _is_until_now(end)
        else ends.id_before(source, end + 1),
        ends.id_before(source, start) if start is not None else _nothing(),
    )
    return _first_id(source, before), high


def _is_until_now(end: int | None) -> bool:
    return end is None or end >= int(time.time())


def _first_id(source: Source, before: int) -> int:
    return max(before + 1, source.access.min_id, 1)


async def _nothing() -> int:
    return 0


async def _after_flood(
    session: TelegramSession, dialog: str, query: HistoryQuery, seconds: float
) -> AsyncGenerator[bytes, None]:
    """Sit a short pause out, then stream; a further pause counts against the same patience."""
    until = time.monotonic() + query.max_wait
    found: Range | None = None
    while found is None:
        async with aclosing(_waiting(asyncio.sleep(seconds))) as waiting:
            async for frame, _ in waiting:
                if frame:
                    yield frame
        try:
            found = await loop.here(find_range(session, dialog, query))
        except FloodWait as error:
            seconds = error.seconds or 1
            if time.monotonic() + seconds > until:
                raise
    async with aclosing(_frames(found, query)) as frames:
        async for frame in frames:
            yield frame


async def _told(frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Turn what goes wrong in mid-stream into the last frame."""
    try:
        async with aclosing(frames):
            async for frame in frames:
                yield frame
    except Exception as error:
        parts = to_response_parts(error)
        body = {"messages": [], **parts.body}
        yield b"event: error\ndata: " + json.dumps(body) + b"\n\n"


async def _frames(found: Range, query: HistoryQuery) -> AsyncGenerator[bytes, None]:
    source = found.source
    descending = not query.reverse
    frames = Frames(
        Viewer(source.session.pk, source.account_id, source.scope),
        max(1, min(query.chunk_size, MAX_CHUNK_SIZE)),
        descending,
        query.include_deleted,
        found.cached,
    )
    demand: Demand | None = None
    position, last = (found.high, found.low) if descending else (found.low, found.high)
    try:
        if not found.complete:
            demand = await loop.here(
                fill.demand(
                    source.session,
                    source.chat,
                    found.low,
                    found.high,
                    descending=descending,
                    refresh=query.force_refresh,
                    max_wait=query.max_wait,
                    scope=source.scope,
                )
            )
        while (position >= last) if descending else (position <= last):
            end = last
            if demand is not None:
                patience = CLUMP_SECONDS if frames.total else 0.0
                async with aclosing(
                    _waiting(loop.here(demand.reach(position, patience=patience)))
                ) as waiting:
                    async for frame, reached in waiting:
                        if frame:
                            yield frame
                        elif reached is not None:
                            end = reached
            following: int | None = position
            while following is not None:
                frame, following = await _read(frames, following, end)
                if frame:
                    yield frame
            position = end - 1 if descending else end + 1
    finally:
        if demand is not None:
            loop.start().call_soon_threadsafe(demand.close)
    if frame := frames.rest():
        yield frame
    yield end_frame(frames.total, frames.from_cache)


async def _read(frames: Frames, position: int, end: int) -> tuple[bytes, int | None]:
    # The first page is short, and somebody waits for it.
    read = loop.read_page if frames.total else loop.read
    try:
        result: tuple[bytes, int | None] = await read(frames.read, position, end)
    except LookupError:
        raise grants.no_such_chat() from None
    return result


def end_frame(total: int, from_cache: int) -> bytes:
    """Return the last frame of a whole stream."""
    body = {
        "messages": [],
        "total": total,
        "from_cache": from_cache,
        "from_telegram": total - from_cache,
    }
    return b"event: end\ndata: " + json.dumps(body) + b"\n\n"


async def _waiting(work: Awaitable[T]) -> AsyncGenerator[tuple[bytes, T | None], None]:
    """Wait for `work`: keep-alives while it takes, then (nothing, its result)."""
    task = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=KEEP_ALIVE_SECONDS)
            if done:
                yield b"", task.result()
                return
            yield KEEP_ALIVE, None
    finally:
        task.cancel()
