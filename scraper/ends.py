"""Where a range of history begins and ends: the newest message, and what dates mean as ids."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from django.utils import timezone

from core.writer import writer
from engine import methods, telegram
from engine.errors import EngineError
from engine.methods.answers import PageDict
from scraper import coverage, fill, grants, intervals, loop, store
from scraper.coverage import Opening
from scraper.models import Chat, ChatAccess, DatePoint, Message
from scraper.rows import ChatScope
from sessions_app.models import TelegramSession

T = TypeVar("T")

PAST_SECONDS = 5
"""Messages of the last moments may still be on their way: what is older stays as it is."""


@dataclass(frozen=True, slots=True)
class Source:
    """A chat as one session reads it. `wait` is how floods are met: "wait" sits them out."""

    session: TelegramSession
    chat: Chat
    access: ChatAccess
    scope: ChatScope
    max_wait: float

    @property
    def account_id(self) -> int:
        assert self.session.account_id is not None
        return self.session.account_id


async def make_source(
    session: TelegramSession, chat: Chat, access: ChatAccess, max_wait: float
) -> Source:
    scope = await loop.read(store.scope_of, chat)
    return Source(session, chat, access, scope, max_wait)


_asked: dict[tuple[int, int, int | None], "tuple[int, asyncio.Task[int]]"] = {}
"""(chat, first id that may be seen, date) → the account that asks at the moment, and its task."""
loop.on_stop(_asked.clear)


async def newest(source: Source) -> int:
    """Return the id of the chat's newest message, 0 in an empty chat; to be called on the loop.

    Updates of a live session tell it; otherwise the newest page is asked for, by one for all
    who want to know.
    """
    end = await loop.read(coverage.live_end, source.chat)
    if end is not None:
        return int(end)
    return await _once(source, None, lambda: _ask_newest(source))


async def id_before(source: Source, date: int) -> int:
    """Return the newest id of a message sent before `date` (Unix seconds), 0 when there is none.

    Known from the cache, or asked of Telegram once. To be called on the loop.
    """
    known, cached = await loop.read(known_id_before, source, date)
    if known is not None:
        return int(known)
    return await _once(source, date, lambda: _ask_id_before(source, date, cached))


async def _once(source: Source, date: int | None, ask: Callable[[], Awaitable[int]]) -> int:
    """Ask once for all who ask the same at the same time; who leaves does not stop the others.

    They see equally much of the chat. Another account's refusal says nothing of this one's.
    """
    key = (source.chat.pk, source.access.min_id, date)
    while True:
        account_id, task = _asked.get(key, (source.account_id, None))
        if task is None:

            async def run() -> int:
                try:
                    return await ask()
                finally:
                    del _asked[key]

            task = asyncio.create_task(run())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            _asked[key] = account_id, task
        try:
            return await asyncio.shield(task)
        except Exception:
            if account_id == source.account_id:
                raise


async def _ask_newest(source: Source) -> int:
    session, chat = source.session, source.chat
    covered = await loop.read(coverage.load, chat.pk)
    top = covered[-1][1] if covered else 0
    opens = await loop.read(coverage.may_open, session, chat)
    opening = Opening(session.pk, timezone.now()) if opens else None
    page = await _read(source, limit=fill.PAGE, min_id=top)
    floor = source.access.min_id
    oldest, end = page["oldest_id"], page["newest_id"]
    if page["next_offset_id"] is not None and oldest is not None and end is not None:
        low, high = oldest, end
    else:
        low, high = max(top, floor), max(end or 0, top)
    if low <= high:  # else nothing can be seen yet, and who sees more has to read it
        await _save(source, page, low, high, opening)
    chat.top_message_id = high
    if page["count"] is not None:
        chat.count = page["count"]
    return end or top


async def _ask_id_before(source: Source, date: int, cached: int) -> int:
    """Ask for a message between `cached`, which is one before the date, and the date."""
    asked_at = time.time()
    page = await _read(source, limit=1, offset_date=max(date, 1), min_id=cached)
    newest = page["newest_id"]
    if newest is not None:
        await _save(source, page, newest, newest, None)
    found = newest or cached
    past = date < asked_at - PAST_SECONDS
    # Where the past is hidden, nothing found means that nothing may be seen.
    if past and (source.access.min_id <= 1 or found >= source.access.min_id):
        job = writer.submit(
            lambda: DatePoint.objects.update_or_create(
                chat=source.chat, date=date, defaults={"message_id": found}
            )
        )
        await asyncio.wrap_future(job)
    return found


async def _read(source: Source, *, limit: int, min_id: int = 0, offset_date: int = 0) -> PageDict:
    ask = telegram.using(timeout_seconds=fill.CALL_SECONDS)
    if source.max_wait > 0:
        # The wait itself is the caller's to announce; a longer pause is an error at once.
        ask = telegram.using(timeout_seconds=fill.CALL_SECONDS + source.max_wait, flood="raise")
    try:
        return await ask.acall(
            source.session.pk,
            methods.history.read_page,
            chat_id=source.scope.peer_id,
            limit=limit,
            min_id=min_id,
            offset_date=offset_date,
        )
    except EngineError as error:
        if not grants.is_refusal(error):
            raise
        await grants.withdraw(source.session, source.scope.peer_id)
        raise grants.no_such_chat() from None


async def _save(
    source: Source, page: PageDict, low: int, high: int, opening: Opening | None
) -> None:
    future = store.submit(
        store.Page(
            scope=source.scope,
            account_id=source.account_id,
            messages=page["messages"],
            covered=(low, high),
            count=page["count"],
            opening=opening,
            session_id=source.session.pk,
        )
    )
    await asyncio.wrap_future(future)
    fill.note_covered(source.scope.pk, low, high)
    fill.note_page(source.session, source.scope, page["messages"])


def known_id_before(source: Source, date: int) -> tuple[int | None, int]:
    """Return what the cache knows for sure, and the newest id before the date that it has.

    It is sure when the message before the date lies beside the one after it.
    """
    point = DatePoint.objects.filter(chat=source.chat, date=date).first()
    if point is not None:
        return point.message_id, point.message_id
    dated = Message.objects.filter(chat=source.chat)
    before = (
        dated.filter(date__lt=date).order_by("-date", "-id").values_list("message_id", flat=True)
    ).first()
    after = (
        dated.filter(date__gte=date).order_by("date", "id").values_list("message_id", flat=True)
    ).first()
    if after is None:
        return None, before or 0
    low = before if before is not None else max(source.access.min_id, 1)
    if low > after or not intervals.covers(coverage.load(source.chat.pk), low, after):
        return None, before if before is not None and before < after else 0
    return before or 0, before or 0
