"""Files that nobody asked for: fetched as the runtime settings say, behind everything else.

Begins when a session's history has been quiet for a moment, two files at a time, and waits
whenever somebody waits for another call on the session. Nothing is kept of the queue: what a
restart loses is fetched when it is asked for.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from core.errors import ApiError
from engine import telegram
from engine.errors import EngineError, FloodWait
from engine.methods.shapes import MessageDict
from scraper import (
    access,
    download,
    fill,
    fulltext,
    intervals,
    loop,
    media,
    runtime_settings,
    shelf,
)
from scraper.intervals import Interval
from scraper.models import FileState, Job, Media
from scraper.rows import ChatScope
from sessions_app.models import TelegramSession

logger = logging.getLogger(__name__)

WORKERS = 2
ROWS = 100
QUIET_SECONDS = 0.5
LONGEST_HOLD_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.1
MAX_RANGES = 10_000


class _Queue:
    """Which ids of which chats are to be looked through, for one session."""

    def __init__(self, session: TelegramSession) -> None:
        self.session = session
        self.ranges: dict[int, list[Interval]] = {}
        self.touched_at = self.began_at = asyncio.get_running_loop().time()
        self.task: asyncio.Task[None] | None = None

    def add(self, chat_id: int, ids: Sequence[int]) -> None:
        self.touched_at = asyncio.get_running_loop().time()
        if self.task is None or self.task.done():
            self.began_at = self.touched_at
            self.task = asyncio.create_task(self._run())
        known = self.ranges.get(chat_id, [])
        if len(known) < MAX_RANGES:
            self.ranges[chat_id] = intervals.add(known, min(ids), max(ids))

    async def _run(self) -> None:
        while self.ranges:
            await self._wait_for_quiet()
            chat_id, ranges = self.ranges.popitem()
            for low, high in ranges:
                try:
                    await self._chat(chat_id, low, high)
                except FloodWait as error:
                    self.add(chat_id, (low, high))
                    await asyncio.sleep(error.seconds or 1)
                except EngineError as error:
                    logger.info("Background files of a chat are left out: %s", error.code)
                    break
        _queues.pop(self.session.pk, None)

    async def _wait_for_quiet(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            until = min(self.touched_at + QUIET_SECONDS, self.began_at + LONGEST_HOLD_SECONDS)
            if clock() >= until:
                return
            await asyncio.sleep(until - clock())

    async def _chat(self, chat_id: int, low: int, high: int) -> None:
        last = (chat_id << 32) + low - 1
        end = (chat_id << 32) + high
        while rows := await loop.read(_wanted, self.session, chat_id, last, end):
            last = rows[-1].message_id
            for start in range(0, len(rows), WORKERS):
                group = [self._file(row) for row in rows[start : start + WORKERS]]
                done = await asyncio.gather(*group, return_exceptions=True)
                for error in done:
                    if isinstance(error, BaseException):
                        raise error

    async def _file(self, row: Media) -> None:
        file = row.file
        assert file is not None
        # Nobody tells when the calls of others are over.
        while telegram.waited_for(self.session.pk):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        settings = runtime_settings.current()
        limit = settings.max_media_size_bytes
        if not settings.wants(file.category) or (limit is not None and file.size > limit):
            return
        if not await loop.read(shelf.has_room, file.size):
            logger.info("The media quota is full: background files are left out")
            return
        try:
            source = await media.source_of(self.session, row)
            await download.fetch(file, source, limit)
        except FloodWait:
            raise
        except (ApiError, EngineError) as error:
            if error.status in (401, 502, 503, 507):
                raise
            logger.info("A background file is left out: %s", error.code)


_queues: dict[int, _Queue] = {}
loop.on_stop(_queues.clear)


def register() -> None:
    """Have what histories read looked through (from `AppConfig.ready()`)."""
    fill.on_page(_note_page)
    fill.on_page(fulltext.note_page)


def _note_page(session: TelegramSession, scope: ChatScope, messages: list[MessageDict]) -> None:
    ids = [each["message_id"] for each in messages if _has_file(each)]
    # The settings are asked for last: they look at their file each time.
    if ids and runtime_settings.current().download_media:
        enqueue(session, scope.pk, ids)


def enqueue(session: TelegramSession, chat_id: int, message_ids: Iterable[int]) -> None:
    """Have the files of messages fetched; to be called on the scraper's loop."""
    ids = list(message_ids)
    if not ids:
        return
    queue = _queues.get(session.pk)
    if queue is None:
        queue = _queues[session.pk] = _Queue(session)
    queue.add(chat_id, ids)


def _has_file(message: MessageDict) -> bool:
    media = message.get("private", {}).get("media") or message["media"]
    return media is not None and media.get("file") is not None


def _wanted(session: TelegramSession, chat_id: int, last: int, end: int) -> list[Media]:
    """Return what is absent; with `repair_media` also what is noted as stored and is not there."""
    if Job.objects.filter(session=session, chat_id=chat_id, state__in=("running", "waiting")):
        return []  # it fetches them itself, and counts them
    rows = (
        access.readable_media(session)
        .select_related("file", "message__chat")
        .filter(message_id__gt=last, message_id__lte=end, file__isnull=False)
        .filter(message__deleted=False, message__expires=False)
        .exclude(file__state=FileState.REFUSED)
        .order_by("message_id")
    )
    repair = runtime_settings.current().repair_media
    if not repair:
        return list(rows.exclude(file__state=FileState.PRESENT)[:ROWS])
    found: list[Media] = []
    for row in rows.iterator(chunk_size=ROWS):
        if row.file is not None and not is_here(row):
            found.append(row)
            if len(found) == ROWS:
                break
    return found


def is_here(row: Media) -> bool:
    """Tell whether a media's file is stored, and whole."""
    stored = shelf.open_file(row.file) if row.file is not None else None
    if stored is None:
        return False
    stored.close()
    return True
