"""Previews: small pictures that Telegram made of a photo, video or document."""

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from core import json
from core.errors import NotFound, TooLarge
from engine import methods, telegram
from engine.errors import EngineError
from engine.methods.shapes import ThumbDict
from scraper import media as media_rows
from scraper import storage
from scraper.grants import is_refusal
from scraper.models import File, Media
from sessions_app.models import TelegramSession

MAX_THUMB_BYTES = 4 * 1024 * 1024
WANTED_PIXELS = 400


def choose(file: File) -> ThumbDict | None:
    """Return the largest preview that is still small, else the smallest one."""
    thumbs: list[ThumbDict] = json.loads(file.thumbs) if file.thumbs else []
    small = [each for each in thumbs if max(each["width"], each["height"]) <= WANTED_PIXELS]
    if small:
        return max(small, key=lambda each: each["width"] * each["height"])
    return min(thumbs, key=lambda each: each["width"] * each["height"], default=None)


async def thumbnail(session: TelegramSession, media: Media) -> tuple[bytes, str]:
    """Return a preview's bytes and a name for its content.

    Kept on disk from the first time on. Raises NotFound when there is none, EngineError.
    """
    file = media.file
    assert file is not None
    thumb = choose(file)
    if thumb is None:
        raise NotFound("The file has no preview.", code="thumb_not_found")
    name = storage.thumb_name(file.kind, file.telegram_id, thumb["type"])
    content = await asyncio.to_thread(_read, name)
    if content is None:
        source = await media_rows.source_of(session, media)
        content = await _fetch(source, thumb["type"])
        if not media.message.expires:
            await asyncio.to_thread(_keep, name, content)
    return content, f"{file.kind}-{file.telegram_id & (1 << 64) - 1:x}-{thumb['type']}"


async def _fetch(source: media_rows.Source, letter: str) -> bytes:
    found = bytearray()
    stream: Any = telegram.using(timeout_seconds=30, flood="wait").stream(
        source.session_id, methods.media.read_file, file=source.file, thumb=letter, parallel=2
    )
    try:
        async with contextlib.aclosing(stream) as chunks:
            async for chunk in chunks:
                found += chunk
                if len(found) > MAX_THUMB_BYTES:
                    raise TooLarge("The preview is too large.")
    except EngineError as error:
        if is_refusal(error):
            raise NotFound("The file has no preview.", code="thumb_not_found") from None
        raise
    return bytes(found)


def _read(name: str) -> bytes | None:
    stored = storage.open_stored(name)
    if stored is None:
        return None
    try:
        return stored.read(0, min(stored.size, MAX_THUMB_BYTES))
    finally:
        stored.close()


def _keep(name: str, content: bytes) -> None:
    """Store a preview; without room on the disk it is fetched again next time."""
    parts = storage.media_dir() / "parts"
    with contextlib.suppress(OSError):
        parts.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, path = tempfile.mkstemp(dir=parts, prefix="thumb-")
        with os.fdopen(number, "wb") as file:
            file.write(content)
        storage.move_in(Path(path), name)
