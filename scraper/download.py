"""Files on their way from Telegram, each fetched once whoever and however many ask for it.

    reader = await download.open_reader(file, source)
    async with closing(reader):
        while chunk := await reader.next():
            ...

A download lives on the scraper's loop and works for its readers: the bytes that one waits for
go first, whatever lies in between is filled in afterwards. Without readers it stops, unless the
background wants the file; what came so far stays on disk.
"""

import asyncio
import contextlib
import errno
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from django.db import connections

from core.errors import ApiError, TooLarge, Unavailable
from engine import methods, telegram
from engine.errors import EngineError, FloodWait
from engine.errors import Unavailable as EngineUnavailable
from scraper import loop, shelf, storage
from scraper.media import Source
from scraper.models import File, FileState
from scraper.parts import PartFile
from scraper.readers import Reader

logger = logging.getLogger(__name__)

PART_BYTES = 512 * 1024
"""Telegram's largest part: what is fetched begins at a multiple of it."""
CHUNK_BYTES = 512 * 1024
AHEAD_BYTES = 4 * 1024 * 1024
"""A reader this close behind or before a fetch waits for it instead of having its own."""
SAVE_BYTES = 4 * 1024 * 1024
MAX_FETCHES = 2
PARALLEL = 16
PARALLEL_IN_ALL = 64
RETRIES = 4
PATIENCE_SECONDS = 10
"""How long Telegram may ask for a pause before those who wait are told."""
RETRY_SECONDS = 0.5
TIMEOUT_SECONDS = 60.0

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def disk_full() -> ApiError:
    return ApiError("There is no room on the disk for this file.", status=507, code="storage_full")


@dataclass(slots=True, eq=False)
class _Fetch:
    """One stream of bytes on its way: `position` is what comes next, `stop` where it ends."""

    position: int
    stop: int | None
    task: "asyncio.Task[None] | None" = None


class Download:
    """One file of Telegram's on its way to disk. To be used on the scraper's loop."""

    def __init__(self, file: File, part: PartFile) -> None:
        self.file = file
        self.part = part
        self.total: int | None = None
        self.error: Exception | None = None
        self.sources: list[Source] = []
        self.max_bytes: int | None = None
        self.background = False
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._readers: set[Reader] = set()
        self._fetches: set[_Fetch] = set()
        self._news = asyncio.Event()
        self._bound: int | None = None
        self._failures = 0
        self._saving: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._retiring: asyncio.Task[None] | None = None
        self._closed = False

    # Readers

    def join(self, source: Source, position: int, end: int | None) -> Reader:
        self.max_bytes = None  # somebody ordered it, however large it is
        self._add_source(source)
        reader = Reader(self, position, end)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        if reader not in self._readers:
            return
        self._readers.discard(reader)
        if not self._readers and not self._closed:
            self._pause()

    async def read(self, reader: Reader) -> bytes:
        while True:
            limit = CHUNK_BYTES
            if reader.end is not None:
                limit = min(limit, reader.end - reader.position)
            present = self.part.run_from(reader.position) - reader.position
            if limit <= 0:
                return b""
            if present:
                chunk = self.part.read(reader.position, min(limit, present))
                reader.position += len(chunk)
                return chunk
            if self.total is not None and reader.position >= self.total:
                return b""
            if self._bound is not None and reader.position >= self._bound:
                return b""
            await self._wait(reader)

    async def wait_for_total(self, reader: Reader) -> int:
        while self.total is None:
            reader.position = max(reader.position, self.part.run_from(0))
            await self._wait(reader)
        return self.total

    async def _wait(self, reader: Reader) -> None:
        if self.error is not None:
            raise self.error
        if self._closed:
            raise Unavailable("The hub is stopping.")
        reader.waiting = True
        self._schedule()
        news = self._news
        try:
            await news.wait()
        finally:
            reader.waiting = False

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # The background

    def want(self, source: Source, max_bytes: int | None) -> None:
        """Have the file fetched whole though nobody reads it, up to so many bytes."""
        self._add_source(source)
        self.background = True
        if not self._readers:
            self.max_bytes = max_bytes
        self._schedule()

    def _add_source(self, source: Source) -> None:
        if all(known.session_id != source.session_id for known in self.sources):
            self.sources.append(source)

    # Fetching

    def _schedule(self) -> None:
        """Start what is waited for, and when nobody waits, what is missing from the front."""
        if self.error is not None or self._finishing is not None or self._closed:
            return
        if self.total is not None and self._is_whole():
            self._finishing = asyncio.create_task(self._finish())
            return
        waiting = [reader for reader in self._readers if reader.waiting]
        unserved = [reader for reader in waiting if not self._is_served(reader.position)]
        for reader in unserved:
            if self._is_served(reader.position):
                continue
            if len(self._fetches) >= MAX_FETCHES and not self._drop_idle():
                return
            self._start(reader.position, reader.end)
        if unserved:
            # What a reader waits for has the line for itself.
            self._drop_idle()
        elif not self._fetches and (
            self.background or any(reader.end is None for reader in self._readers)
        ):
            self._start(self.part.run_from(0), None)

    def _is_served(self, position: int) -> bool:
        return any(
            fetch.position <= position <= fetch.position + AHEAD_BYTES
            and (fetch.stop is None or position < fetch.stop)
            for fetch in self._fetches
        )

    def _drop_idle(self) -> bool:
        """Cancel a fetch that nobody waits for; whether there was one."""
        for fetch in self._fetches:
            if fetch.task is not None and self._is_idle(fetch):
                fetch.task.cancel()
                self._fetches.discard(fetch)
                return True
        return False

    def _is_idle(self, fetch: _Fetch) -> bool:
        for reader in self._readers:
            ahead = reader.position - fetch.position
            if reader.waiting and 0 <= ahead <= AHEAD_BYTES:
                return False
            # A short range is fetched to its end, also while its reader sends what has come:
            # else two readers would take the line from each other at every chunk.
            end = reader.end or 0
            if reader.position <= fetch.position < end <= reader.position + AHEAD_BYTES:
                return False
        return True

    def _start(self, position: int, end: int | None) -> None:
        start = position - position % PART_BYTES
        stop = None if end is None else -(-end // PART_BYTES) * PART_BYTES
        present = self.part.next_present(position)
        if present is not None:
            stop = present if stop is None else min(stop, present)
        fetch = _Fetch(start, stop)
        fetch.task = asyncio.create_task(self._run(fetch))
        self._fetches.add(fetch)

    async def _run(self, fetch: _Fetch) -> None:
        try:
            await self._fetch(fetch)
            self._failures = 0
        except EngineError as error:
            await self._failed(fetch, error)
        except OSError as error:
            if error.errno in _DISK_FULL:
                logger.error("The disk is full: a file could not be stored")
            else:
                logger.exception("A file could not be stored")
            self._fail(disk_full() if error.errno in _DISK_FULL else ApiError(status=500))
        except ApiError as error:
            self._fail(error)
        except Exception:
            logger.exception("A download failed")
            self._fail(ApiError(status=500))
        finally:
            self._fetches.discard(fetch)
        self._schedule()
        self._tell()

    async def _fetch(self, fetch: _Fetch) -> None:
        """Fetch from `fetch.position` on; learns the file's end when the stream ends early."""
        started_at, length = fetch.position, None
        if fetch.stop is not None:
            length = fetch.stop - fetch.position
        stream: Any = self._stream(fetch.position, length)
        async with contextlib.aclosing(stream) as chunks:
            async for chunk in chunks:
                self.part.write(fetch.position, chunk)
                fetch.position += len(chunk)
                if self.max_bytes is not None and fetch.position > self.max_bytes:
                    raise TooLarge("The file is larger than max_media_size_mb.")
                self._tell()
                if self.part.unsaved_bytes >= SAVE_BYTES:
                    self._save()
        if fetch.stop is not None and fetch.position >= fetch.stop:
            return
        if fetch.position > started_at or self.part.run_from(0) == started_at:
            self.total = fetch.position
        else:
            self._bound = min(started_at, self._bound or started_at)

    def _stream(self, offset: int, length: int | None) -> AsyncIterator[bytes]:
        source = self.sources[0]
        busy = sum(len(each._fetches) for each in _downloads.values())
        parallel = max(4, min(PARALLEL, PARALLEL_IN_ALL // max(1, busy)))
        quiet = self.background and not self._readers
        if quiet:
            parallel = 1 if telegram.waited_for(source.session_id) else min(4, parallel)
        verbs = telegram.using(timeout_seconds=TIMEOUT_SECONDS, background=quiet)
        return verbs.stream(
            source.session_id,
            methods.media.read_file,
            file=source.file,
            offset=offset,
            length=length,
            parallel=parallel,
        )

    async def _failed(self, fetch: _Fetch, error: EngineError) -> None:
        """Go on with another session, or after a pause, or give up."""
        self._failures += 1
        if len(self.sources) > 1 and self._failures <= RETRIES:
            self.sources.append(self.sources.pop(0))
        elif isinstance(error, FloodWait) and (error.seconds or 0) <= PATIENCE_SECONDS:
            await asyncio.sleep(error.seconds or 1)
        elif isinstance(error, EngineUnavailable) and self._failures <= RETRIES:
            await asyncio.sleep(RETRY_SECONDS * 2 ** (self._failures - 1))
        else:
            self._fail(error)

    # The end

    def _is_whole(self) -> bool:
        return self.total is not None and self.part.run_from(0) >= self.total

    async def _finish(self) -> None:
        """Put the file away; readers go on reading from what is open."""
        assert self.total is not None
        total = self.total
        try:
            if self._saving is not None:
                await self._saving
            sha256 = await asyncio.to_thread(self.part.digest, total)
            if self.part.is_named:
                twin = await loop.read(shelf.find_twin, self.file, sha256, total)
                await asyncio.to_thread(self._put, total, sha256, twin)
        except OSError as error:
            self._fail(disk_full() if error.errno in _DISK_FULL else ApiError(status=500))
            return
        except Exception:
            logger.exception("A file could not be put away")
            self._fail(ApiError(status=500))
            return
        _forget(self)
        if not self.done.done():
            self.done.set_result(True)
        if not self._readers:
            self._close()

    def _put(self, total: int, sha256: str, twin: str) -> None:
        shelf.put(self.file, self.part.path, total, sha256, twin)
        self.part.sidecar.unlink(missing_ok=True)
        if shelf.quota_bytes() is not None:
            try:
                shelf.make_room(self.file.pk)
            finally:
                connections.close_all()

    def _fail(self, error: Exception) -> None:
        """Tell everybody; what is too large or refused leaves nothing on disk."""
        if self.error is not None:
            return
        self.error = error
        status = getattr(error, "status", 500)
        if status in (404, 413, 507):
            self.part.discard()
            state = FileState.REFUSED if status == 404 else FileState.ABSENT
            shelf.note_state(self.file.pk, state, getattr(error, "code", ""))
        else:
            self._save()
        _forget(self)
        for fetch in list(self._fetches):
            if fetch.task is not None and fetch.task is not asyncio.current_task():
                fetch.task.cancel()
        self._tell()
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # nobody may be waiting for it
        if not self._readers:
            self._close()

    def _pause(self) -> None:
        """Stop when nobody is left; what has come stays for the next who asks."""
        if self._finishing is not None:
            if self.done.done():
                self._close()
        elif self.error is not None:
            self._close()
        elif self.background:
            self._schedule()
        else:
            for fetch in self._fetches:
                if fetch.task is not None:
                    fetch.task.cancel()
            self._fetches.clear()
            self._retiring = asyncio.create_task(self._retire())

    async def _retire(self) -> None:
        """Note how far it came, and close, unless somebody has asked again meanwhile."""
        await self._save()
        if self._readers or self.background or self._closed or self._finishing is not None:
            return
        _forget(self)
        self._close()
        if self.part.done:
            shelf.note_state(self.file.pk, FileState.PARTIAL)
        else:
            self.part.discard()
        if not self.done.done():
            self.done.cancel()

    def abandon(self) -> None:
        """Keep what is there; its loop is gone."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(OSError):
                self.part.save()
            self.part.close()

    def _save(self) -> "asyncio.Task[None]":
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save_part())
        return self._saving

    async def _save_part(self) -> None:
        try:
            await asyncio.to_thread(self.part.save)
        except OSError as error:
            logger.warning("How far a download is could not be noted: %s", error.strerror)

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._saving is None or self._saving.done():
            self.part.close()
        else:
            self._saving.add_done_callback(lambda _: self.part.close())


_downloads: dict[int, Download] = {}


def _abandon() -> None:
    """The loop has stopped: note how far everything came."""
    for download in list(_downloads.values()):
        download.abandon()
    _downloads.clear()


loop.on_stop(_abandon)


def _forget(download: Download) -> None:
    if _downloads.get(download.file.pk) is download:
        del _downloads[download.file.pk]


async def open_reader(
    file: File, source: Source, start: int = 0, end: int | None = None
) -> Reader | None:
    """Join the file's download, begun if need be; None when the file is here meanwhile.

    Close the reader. Raises ApiError 507 when the disk is full.
    """
    return await loop.here(_open(file, source, start, end))


async def _open(file: File, source: Source, start: int, end: int | None) -> Reader | None:
    download = await _get(file)
    return None if download is None else download.join(source, start, end)


async def fetch(file: File, source: Source, max_bytes: int | None) -> bool:
    """Fetch a whole file in the background; False when it was here already.

    Raises TooLarge beyond `max_bytes`, EngineError, ApiError.
    """
    return await loop.here(_fetch_whole(file, source, max_bytes))


async def _fetch_whole(file: File, source: Source, max_bytes: int | None) -> bool:
    while True:
        download = await _get(file)
        if download is None:
            return False
        download.want(source, max_bytes)
        try:
            return await asyncio.shield(download.done)
        except asyncio.CancelledError:
            if not download.done.cancelled():
                raise


async def _get(file: File) -> Download | None:
    """Return the file's download, None when there is nothing left to fetch."""
    download = _downloads.get(file.pk)
    if download is not None:
        return download
    fresh = await loop.read(File.objects.filter(pk=file.pk).first)
    if fresh is not None and await asyncio.to_thread(_is_here, fresh):
        return None
    download = _downloads.get(file.pk)
    if download is None:
        try:
            part = PartFile(storage.part_path(file.kind, file.telegram_id))
        except OSError as error:
            if error.errno in _DISK_FULL:
                raise disk_full() from None
            raise
        download = _downloads[file.pk] = Download(file, part)
    return download


def _is_here(file: File) -> bool:
    stored = shelf.open_file(file)
    if stored is not None:
        stored.close()
        return True
    return shelf.adopt(file)


def status() -> dict[str, Any]:
    """Return how much is on its way."""
    return {"downloads": len(_downloads)}
