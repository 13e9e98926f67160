"""A dialog as files: messages as JSON lines, CSV or a page, what they carry, and their sums.

Everything is streamed, in constant memory: `export` yields (name, bytes) in the order of the
files, `packed` makes a ZIP archive of that, `write_to` a directory.
"""

import asyncio
import csv
import hashlib
import html
import io
import re
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import json
from core.errors import ApiError, NotFound
from engine.errors import EngineError
from scraper import access, download, grants, history, loop, shelf
from scraper import media as media_rows
from scraper.file_headers import safe_name
from scraper.history import HistoryQuery
from scraper.models import Chat, Media
from sessions_app.models import TelegramSession

FORMATS = ("jsonl", "csv", "html")
MEDIA_ROWS = 100
CHUNK_BYTES = 512 * 1024
MANIFEST = "manifest.json"

Piece = tuple[str, bytes]
"""A file's name and some of its bytes; the pieces of one file follow one another."""


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """What is exported; `start` and `end` are Unix seconds, both included."""

    format: str = "jsonl"
    media: bool = False
    start: int | None = None
    end: int | None = None
    include_deleted: bool = False
    max_wait: float = 3600.0


@dataclass(slots=True)
class _Sums:
    """What went into each file."""

    files: list[dict[str, Any]] = field(default_factory=list)
    _name: str = ""
    _hash: Any = None
    _size: int = 0

    def add(self, name: str, chunk: bytes) -> None:
        if name != self._name:
            self.close()
            self._name, self._hash, self._size = name, hashlib.sha256(), 0
        self._hash.update(chunk)
        self._size += len(chunk)

    def close(self) -> None:
        if self._name:
            digest = self._hash.hexdigest()
            self.files.append({"name": self._name, "size": self._size, "sha256": digest})
        self._name = ""


async def export(
    session: TelegramSession, dialog: str, query: ExportQuery
) -> AsyncGenerator[Piece, None]:
    """Yield the pieces of `messages.*`, of `media/*` and, last, of `manifest.json`.

    What is not cached is read from Telegram as a history is. What goes wrong before the first
    piece is raised; later it is told in the manifest, which then is not `complete`.
    """
    chat, _ = await loop.here(grants.open_chat(session, dialog))
    frames = await history.stream(
        session,
        str(chat.peer_id),
        HistoryQuery(
            start=query.start,
            end=query.end,
            chunk_size=500,
            include_deleted=query.include_deleted,
            max_wait=query.max_wait,
        ),
    )
    return _pieces(session, chat, query, frames)


async def _pieces(
    session: TelegramSession,
    chat: Chat,
    query: ExportQuery,
    frames: AsyncGenerator[bytes, None],
) -> AsyncGenerator[Piece, None]:
    sums = _Sums()
    name = f"messages.{query.format}"
    manifest: dict[str, Any] = {
        "dialog_id": chat.peer_id,
        "title": chat.title,
        "format": query.format,
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "messages": 0,
        "complete": False,
    }
    head = head_of(query.format, chat.title)
    sums.add(name, head)
    yield name, head
    first = last = 0
    async with aclosing(frames):
        async for frame in frames:
            for event, body in events_of(frame):
                if event == "error":
                    manifest["error"] = {key: body.get(key) for key in ("code", "detail")}
                elif event == "end":
                    manifest["complete"] = True
                elif body["messages"]:
                    chunk = rendered(query.format, body["messages"], media=query.media)
                    ids = [message["message_id"] for message in body["messages"]]
                    first, last = first or min(ids), max(ids)
                    manifest["messages"] += len(ids)
                    sums.add(name, chunk)
                    yield name, chunk
    tail = b"</main></html>\n" if query.format == "html" else b""
    if tail:
        sums.add(name, tail)
        yield name, tail
    missing: list[dict[str, Any]] = []
    if query.media and first:
        async with aclosing(_files(session, chat, first, last, missing)) as files:
            async for piece in files:
                sums.add(*piece)
                yield piece
        manifest["missing_media"] = missing
    sums.close()
    manifest["files"] = sums.files
    yield MANIFEST, json.dumps(manifest) + b"\n"


def events_of(frame: bytes) -> list[tuple[str, Any]]:
    """Return the (event, body) of server-sent events; comments are left out."""
    found: list[tuple[str, Any]] = []
    for block in frame.split(b"\n\n"):
        event, body = "message", None
        for line in block.split(b"\n"):
            if line.startswith(b"event: "):
                event = line[7:].decode()
            elif line.startswith(b"data: "):
                body = json.loads(line[6:])
        if body is not None:
            found.append((event, body))
    return found


# Messages

COLUMNS = (
    "message_id",
    "date",
    "sender_id",
    "first_name",
    "last_name",
    "username",
    "message",
    "media_type",
    "media_uuid",
    "media_filename",
    "media_size",
    "reply_to",
    "post_author",
    "is_forwarded",
    "forwarded_from_channel_id",
    "edit_date",
    "deleted",
    "views",
    "reactions",
    "action",
)


def head_of(kind: str, title: str) -> bytes:
    if kind == "csv":
        return _csv([COLUMNS])
    if kind == "html":
        return _PAGE.format(title=html.escape(title)).encode("utf-8", "replace")
    return b""


def rendered(kind: str, messages: list[dict[str, Any]], *, media: bool) -> bytes:
    """Return messages in a format; `media` says that their files lie beside."""
    if kind == "csv":
        return _csv([_row(message) for message in messages])
    if kind == "html":
        page = "".join(_html(message, media=media) for message in messages)
        return page.encode("utf-8", "replace")
    return b"".join(json.dumps(message) + b"\n" for message in messages)


def _csv(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().replace("\0", "\ufffd").encode("utf-8", "replace")


def _row(message: dict[str, Any]) -> list[Any]:
    media = message.get("media") or {}
    values = {
        **message,
        "media_type": media.get("type"),
        "media_uuid": media.get("uuid"),
        "media_filename": media.get("filename"),
        "media_size": media.get("size"),
        "reactions": json.dumps(message["reactions"]).decode() if message.get("reactions") else "",
    }
    return [_cell(values.get(column)) for column in COLUMNS]


def _cell(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


_PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file:">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
 color: #1c1c1e; background: #f4f4f6 }}
article {{ background: #fff; border-radius: .6rem; padding: .6rem 1rem; margin: .5rem 0 }}
header {{ color: #6b6b70; font-size: .85rem }}
p {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0 }}
img {{ max-width: 100%; border-radius: .4rem }}
.deleted {{ opacity: .5 }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #eee }}
 article {{ background: #1e1e20 }} }}
</style>
<main><h1>{title}</h1>
"""


def _html(message: dict[str, Any], *, media: bool) -> str:
    names = (message.get("first_name"), message.get("last_name"))
    who = " ".join(name for name in names if name) or message.get("username") or ""
    classes = ' class="deleted"' if message.get("deleted") else ""
    number = int(message["message_id"])
    parts = [
        f'<article id="m{number}"{classes}><header><b>{html.escape(str(who))}</b> ',
        f"<time>{html.escape(message['date'] or '')}</time> #{number}</header>",
    ]
    if message.get("reply_to"):
        parts.append(f'<header>↩ <a href="#m{int(message["reply_to"])}">reply</a></header>')
    if message.get("action"):
        parts.append(f"<p><i>{html.escape(message['action'])}</i></p>")
    if message["message"]:
        parts.append(f"<p>{html.escape(message['message'])}</p>")
    carried = message.get("media")
    if carried:
        label = html.escape(carried["filename"] or carried["type"])
        if media and carried["uuid"]:
            path = html.escape(file_name(carried["uuid"], carried["filename"] or ""))
            if path.endswith((".jpg", ".jpeg", ".png", ".gif", ".webp")):
                parts.append(
                    f'<a href="{path}"><img src="{path}" alt="{label}" loading="lazy"></a>'
                )
            else:
                parts.append(f'<p>📎 <a href="{path}" download>{label}</a></p>')
        else:
            parts.append(f"<p>📎 {label}</p>")
    return "".join([*parts, "</article>\n"])


# Files


def file_name(uuid: str, name: str) -> str:
    """Return where a media's file lies in the export: its uuid, and a harmless extension."""
    extension = safe_name(name, "").rpartition(".")[2].lower() if "." in name else ""
    if not re.fullmatch(r"[a-z0-9]{1,8}", extension) or extension in _RUNS:
        extension = "bin"
    return f"media/{uuid}.{extension}"


_RUNS = frozenset(
    {"html", "htm", "xhtml", "shtml", "svg", "svgz", "xml", "xsl", "js", "mjs", "hta", "exe"}
    | {"bat", "cmd", "com", "scr", "ps1", "vbs", "lnk", "jar"}
)


async def _files(
    session: TelegramSession, chat: Chat, first: int, last: int, missing: list[dict[str, Any]]
) -> AsyncGenerator[Piece, None]:
    at = chat.key(first) - 1
    while rows := await loop.read(_media_after, session, at, chat.key(last)):
        for row in rows:
            at = row.message_id
            name = file_name(str(row.uuid), row.name)
            came = False
            try:
                async with aclosing(content_of(session, row)) as chunks:
                    async for chunk in chunks:
                        came = True
                        yield name, chunk
            except (ApiError, EngineError, OSError) as error:
                code = getattr(error, "code", "unreadable")
                missing.append({"uuid": str(row.uuid), "code": code, "cut": came})


def _media_after(session: TelegramSession, at: int, end: int) -> list[Media]:
    """Return the next messages' media; one message may hold two (paid media), never cut apart."""
    rows = (
        access.readable_media(session)
        .select_related("file", "message__chat")
        .filter(message_id__gt=at, message_id__lte=end, file__isnull=False)
        .filter(message__deleted=False, message__expires=False)
        .order_by("message_id", "uuid")
    )
    found = list(rows[:MEDIA_ROWS])
    if len(found) == MEDIA_ROWS:
        whole = [row for row in found if row.message_id != found[-1].message_id]
        found = whole or found
    return found


async def content_of(session: TelegramSession, row: Media) -> AsyncGenerator[bytes, None]:
    """Yield a file's bytes, from the store or from Telegram. Raises NotFound, EngineError."""
    assert row.file is not None
    stored = await asyncio.to_thread(shelf.open_file, row.file)
    if stored is None:
        source = await media_rows.source_of(session, row)
        reader = await download.open_reader(row.file, source)
        if reader is not None:
            try:
                while chunk := await reader.next():
                    yield chunk
            finally:
                reader.close()
            return
        await loop.read(row.file.refresh_from_db)
        stored = await asyncio.to_thread(shelf.open_file, row.file)
    if stored is None:
        raise NotFound("The file is gone.", code="media_not_found")
    try:
        position = 0
        while chunk := await asyncio.to_thread(stored.read, position, CHUNK_BYTES):
            position += len(chunk)
            yield chunk
    finally:
        stored.close()


# Packing


class _Out(io.RawIOBase):
    """Takes what the archive writes; `take` gives it on."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, chunk: Any) -> int:
        self._pieces.append(bytes(chunk))
        self._written += len(chunk)
        return len(chunk)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


async def packed(pieces: AsyncIterator[Piece]) -> AsyncGenerator[bytes, None]:
    """Yield a ZIP archive of the pieces while they come."""
    out = _Out()
    archive = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)
    member: Any = None
    current = ""
    async for name, chunk in pieces:
        if name != current:
            if member is not None:
                member.close()
            about = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
            packs = not name.startswith("media/")
            about.compress_type = zipfile.ZIP_DEFLATED if packs else zipfile.ZIP_STORED
            about.external_attr = 0o600 << 16
            member, current = archive.open(about, "w", force_zip64=True), name
        await asyncio.to_thread(member.write, chunk)
        if ready := out.take():
            yield ready
    if member is not None:
        member.close()
    archive.close()
    yield out.take()


async def write_to(directory: Path, pieces: AsyncIterator[Piece]) -> dict[str, Any]:
    """Write the pieces below a directory and return the manifest."""
    manifest = b""
    file: Any = None
    current = ""
    try:
        async for name, chunk in pieces:
            if name != current:
                if file is not None:
                    file.close()
                path = directory / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file, current = await asyncio.to_thread(path.open, "wb"), name
            await asyncio.to_thread(file.write, chunk)
            if name == MANIFEST:
                manifest += chunk
    finally:
        if file is not None:
            file.close()
    found: dict[str, Any] = json.loads(manifest)
    return found
