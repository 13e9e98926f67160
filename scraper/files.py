"""`GET /api/v3/files/{uuid}`: a file from the store, or from Telegram while it downloads.

A consumer beside Django, because Django's answers know neither ranges nor clients that leave.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs

from django.utils import timezone

from accounts.callers import Caller, identify, recheck
from accounts.models import Scope
from core import limits
from core.asgi import Message, Receive, Send, header_dict, surface
from core.asgi import Scope as AsgiScope
from core.errors import ApiError, NotFound, to_response_parts
from core.threads import DatabaseThreads
from engine import methods, telegram
from engine.errors import EngineError
from scraper import download, loop, shelf, thumbs
from scraper import media as media_rows
from scraper.base import HEADER, own_session
from scraper.file_headers import (
    ByteRange,
    RangeNotSatisfiable,
    content_type,
    disposition,
    matches,
    parse_range,
    safe_name,
)
from scraper.models import FileState, Media
from scraper.storage import Stored
from sessions_app.models import TelegramSession

logger = logging.getLogger(__name__)

CHUNK_BYTES = 512 * 1024
PIECE_BYTES = 256 * 1024
"""What comes from the engine at once, except at the end of a file."""
RECHECK_SECONDS = 0.7
USE_NOTED_SECONDS = 600
# A session that nobody knows yet is asked who it is: that takes its time.
_orders = DatabaseThreads("files", 4)
loop.on_stop(_orders.close_connections)

_HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Body(Protocol):
    """Bytes of a file in order, from where the range begins."""

    async def next(self) -> bytes: ...

    async def total(self) -> int: ...

    @property
    def known_total(self) -> int | None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """Who asks for which file, and how."""

    caller: Caller
    session: TelegramSession
    name: uuid.UUID
    headers: dict[str, str]
    head: bool
    thumb: bool


async def files(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """Serve one file; ends when the client leaves or may not see the file any more."""
    serving = asyncio.create_task(_serve(scope, send))
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        for task in (serving, leaving):
            task.cancel()
        await asyncio.gather(serving, leaving, return_exceptions=True)


async def application(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """Do as `files`, behind the house rules; knows HEAD, which fetches nothing."""
    await _surface({**scope, "head": scope.get("method") == "HEAD"}, receive, send)


_surface = surface(files)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _serve(scope: AsgiScope, send: Send) -> None:
    order, media = await _orders.run(_look_up, scope)
    if media is None:
        media = await media_rows.find(order.session, order.name)
    if order.thumb:
        await _send_thumb(order, media, send)
        return
    assert media.file is not None
    stored: Stored | None = None
    if media.file.state == FileState.PRESENT:
        stored = await asyncio.to_thread(shelf.open_file, media.file)
    try:
        if stored is not None:
            _note_use(media)
        await _send_file(order, media, stored, send)
    finally:
        if stored is not None:
            stored.close()


def _look_up(scope: AsgiScope) -> tuple[Order, Media | None]:
    """Return the order and, where no grant is to be confirmed first, what it is for."""
    order = _order(scope)
    return order, media_rows.readable(order.session, order.name)


def _order(scope: AsgiScope) -> Order:
    headers = header_dict(scope)
    peer = scope["client"][0] if scope.get("client") else None
    caller = identify(headers, peer, headers.get("host", ""), headers.get("origin"))
    caller.require(Scope.READ.value)
    who = ("user", caller.user.pk) if caller.key is None else ("key", caller.key.pk)
    limits.hit("call", *who)
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    session = own_session(caller, headers.get(HEADER.lower()), (query.get("user") or [None])[-1])
    text = str(scope["url_route"]["kwargs"]["name"])
    try:
        name = uuid.UUID(text)
    except ValueError:
        raise media_rows.no_such_file() from None
    thumb = (query.get("thumb") or [""])[-1].lower() in ("1", "true", "yes")
    return Order(caller, session, name, headers, bool(scope.get("head")), thumb)


def _note_use(media: Media) -> None:
    file = media.file
    assert file is not None
    used = file.used_at
    if used is None or (timezone.now() - used).total_seconds() > USE_NOTED_SECONDS:
        shelf.note_use(file.pk)


# Answers


def _etag(media: Media, size: int) -> str:
    file = media.file
    assert file is not None
    return f'"{file.kind}-{file.telegram_id & (1 << 64) - 1:x}-{size}"'


def _file_headers(media: Media, etag: str) -> dict[str, str]:
    file = media.file
    assert file is not None
    kind = content_type(file.mime_type)
    name = safe_name(media.name, f"file_{media.message.message_id}")
    return {
        **_HEADERS,
        "Content-Type": kind,
        "Content-Disposition": disposition(name, kind),
        "ETag": etag,
    }


def _wanted_range(order: Order, etag: str, size: int | None) -> ByteRange | None:
    wanted = order.headers.get("range")
    condition = order.headers.get("if-range", "").strip()
    # Dates are no validators here: there is no Last-Modified to compare them with.
    if wanted is None or (condition and condition != etag):
        return None
    return parse_range(wanted, size)


async def _send_file(order: Order, media: Media, stored: Stored | None, send: Send) -> None:
    file = media.file
    assert file is not None
    size: int | None = stored.size if stored is not None else file.size
    while True:
        etag = _etag(media, file.size if size is None else size)
        headers = _file_headers(media, etag)
        if matches(order.headers.get("if-none-match", ""), etag):
            await _start(send, 304, headers)
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            wanted = _wanted_range(order, etag, size)
        except RangeNotSatisfiable:
            await _refuse_range(send, size)
            return
        start, end = (wanted.start, wanted.end) if wanted else (0, size)
        if order.head:
            await _send_headers(send, headers, wanted, start, end, size)
            return
        stop = None if wanted is None else end
        body, first = await _open(order, media, stored, start, stop)
        try:
            if body is None:  # it has just been finished
                stored = await loop.read(_open_again, media)
                if stored is None:
                    raise NotFound("The file is gone.", code="media_not_found")
                size = stored.size
                continue
            total, came = body.known_total, len(first)
            if total is None and wanted is None and came != size and came % PIECE_BYTES:
                total = await body.total()  # a piece this short is the last one
            if total is not None and total != size:
                size = total
                continue
            if total is None and size is not None and start + len(first) > size:
                size = None  # the declared size is not true, and the true one not known yet
                continue
            if not first and start:
                await _refuse_range(send, size)
                return
            await _send_headers(send, headers, wanted, start, end, size)
            async with _watched(order, media, send):
                await _send_body(send, body, first, start, end, size)
            return
        finally:
            if body is not None:
                body.close()


def _open_again(media: Media) -> Stored | None:
    file = media.file
    assert file is not None
    file.refresh_from_db()
    return shelf.open_file(file)


async def _open(
    order: Order, media: Media, stored: Stored | None, start: int, end: int | None
) -> tuple[Body | None, bytes]:
    """Return what gives the bytes, and the first of them: until then errors are plain answers."""
    file = media.file
    assert file is not None
    body: Body | None
    if stored is not None:
        body = _StoredBody(stored, start, stored.size if end is None else end)
    else:
        source = await media_rows.source_of(order.session, media)
        if media.message.expires:
            body = _PassingBody(source, start, end)
        else:
            body = await download.open_reader(file, source, start, end)
    if body is None:
        return None, b""
    try:
        return body, await body.next()
    except BaseException:
        body.close()
        raise


async def _send_headers(
    send: Send,
    headers: dict[str, str],
    wanted: ByteRange | None,
    start: int,
    end: int | None,
    size: int | None,
) -> None:
    headers = dict(headers)
    if end is not None:
        headers["Content-Length"] = str(end - start)
    if wanted is None or (end is None and size is None):
        await _start(send, 200, headers)
        return
    last = "" if end is None else str(end - 1)
    headers["Content-Range"] = f"bytes {start}-{last}/{'*' if size is None else size}"
    await _start(send, 206, headers)


async def _send_body(
    send: Send, body: Body, chunk: bytes, start: int, end: int | None, size: int | None
) -> None:
    """Send the bytes; a file that turns out shorter or longer than was said breaks off."""
    left = None if end is None else end - start
    while chunk:
        if left is not None:
            chunk = chunk[:left]
            left -= len(chunk)
            at_end = left == 0 and end == size and body.known_total != size
            if at_end and await body.total() != size:
                raise _Broken
        await _send_chunk(send, chunk)
        if left == 0:
            break
        chunk = await body.next()
    if left:
        raise _Broken
    await send({"type": "http.response.body", "body": b""})


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


class _Broken(Exception):
    """The answer cannot be what its headers said."""


@contextlib.asynccontextmanager
async def _watched(order: Order, media: Media, send: Send) -> AsyncIterator[None]:
    """Cut the connection when the file may not be seen any more, or cannot be had whole."""
    sending = asyncio.current_task()
    assert sending is not None
    lost = False

    async def watch() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            if not await loop.read(_may_still, order, media):
                lost = True
                sending.cancel()
                return

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not lost:
            raise
        sending.uncancel()
        await _cut(send)
    except (_Broken, EngineError, ApiError, OSError) as error:
        reason = "" if isinstance(error, _Broken) else to_response_parts(error).body["code"]
        logger.info("A file broke off: %s", reason or "its size is not what was declared")
        await _cut(send)
    finally:
        watching.cancel()


async def _cut(send: Send) -> None:
    """End the connection itself: a client must not take what it has for the whole."""
    message: Message = {"type": "http.response.body", "body": b"", "abort": True}
    await send(message)


def _may_still(order: Order, media: Media) -> bool:
    try:
        recheck(order.caller).require(Scope.READ.value)
    except ApiError:
        return False
    return media_rows.still_readable(order.session, media)


async def _send_thumb(order: Order, media: Media, send: Send) -> None:
    content, content_name = await thumbs.thumbnail(order.session, media)
    etag = f'"{content_name}"'
    kind = "image/webp" if content[8:12] == b"WEBP" else "image/jpeg"
    stem = safe_name(media.name, f"file_{media.message.message_id}").rpartition(".")[0]
    name = f"{stem or 'file'}_thumb.{kind.rpartition('/')[2]}"
    headers = {
        **_HEADERS,
        "Content-Type": kind,
        "Content-Disposition": disposition(name, kind),
        "ETag": etag,
    }
    if matches(order.headers.get("if-none-match", ""), etag):
        await _start(send, 304, headers)
        await send({"type": "http.response.body", "body": b""})
        return
    await _start(send, 200, {**headers, "Content-Length": str(len(content))})
    await send({"type": "http.response.body", "body": content})


async def _refuse_range(send: Send, size: int | None) -> None:
    raise ApiError(
        "The range lies behind the end of the file.",
        status=416,
        headers={"Content-Range": f"bytes */{'*' if size is None else size}"},
    )


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


# Where the bytes come from


class _StoredBody:
    """A finished file."""

    def __init__(self, stored: Stored, start: int, end: int) -> None:
        self._stored, self._position, self._end = stored, start, end

    async def next(self) -> bytes:
        wanted = min(CHUNK_BYTES, self._end - self._position)
        chunk = await asyncio.to_thread(self._stored.read, self._position, wanted)
        self._position += len(chunk)
        return chunk

    async def total(self) -> int:
        return self._stored.size

    @property
    def known_total(self) -> int | None:
        return self._stored.size

    def close(self) -> None:
        """Leave it open: whoever opened it closes it."""


class _PassingBody:
    """A file that destroys itself: passed on from Telegram, never kept."""

    def __init__(self, source: media_rows.Source, start: int, end: int | None) -> None:
        self._stream = telegram.using(timeout_seconds=60, flood="wait").stream(
            source.session_id,
            methods.media.read_file,
            file=source.file,
            offset=start,
            length=None if end is None else end - start,
        )
        self._position, self._whole = start, end is None
        self.known_total: int | None = None

    async def next(self) -> bytes:
        async for chunk in self._stream:
            self._position += len(chunk)
            return chunk
        if self._whole:
            self.known_total = self._position
        return b""

    async def total(self) -> int:
        while self.known_total is None and await self.next():
            pass
        return self._position

    def close(self) -> None:
        asyncio.get_running_loop().create_task(self._stream.aclose())  # type: ignore[attr-defined]
