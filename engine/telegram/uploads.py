"""Uploading: parts of 512 KB, several in flight, while the bytes still arrive.

Source: https://core.telegram.org/api/files#uploading-files
"""

import asyncio
import hashlib
import mimetypes
import secrets
from collections.abc import AsyncIterator
from typing import Any

from telethon import TelegramClient, types
from telethon.tl.functions import upload as requests

from engine.errors import BadRequest, TooLarge
from engine.methods.answers import UploadedFileDict

PART_BYTES = 512 * 1024
BIG_BYTES = 10 * 1024 * 1024
"""Above this Telegram wants `saveBigFilePart`, which knows no checksum."""

MAX_PARTS = 8_000
"""4 GB, what Telegram takes of a premium account; it refuses the rest itself."""

UNKNOWN_PARTS = -1
PARALLEL = 4


async def send_parts(
    client: TelegramClient,
    upload: AsyncIterator[bytes],
    *,
    filename: str,
    size: int | None,
    max_bytes: int | None,
    mime_type: str | None,
    parallel: int,
) -> UploadedFileDict:
    """Upload what `upload` yields; see `engine.methods.media.upload_file`."""
    if size is not None and max_bytes is not None and size > max_bytes:
        raise TooLarge("file_too_large", f"The file is larger than {max_bytes} bytes.")
    window = _Window(client, parallel)
    total, md5, index = 0, hashlib.md5(usedforsecurity=False), 0
    first: list[bytes] = []
    big = size is not None and size > BIG_BYTES
    announced = -(-size // PART_BYTES) if big and size is not None else UNKNOWN_PARTS
    held: bytes | None = None
    try:
        async for part in _parts(upload):
            total += len(part)
            if max_bytes is not None and total > max_bytes:
                raise TooLarge("file_too_large", f"The file is larger than {max_bytes} bytes.")
            if index >= MAX_PARTS:
                raise TooLarge("file_parts_invalid", "Telegram takes no file of this size.")
            if size is not None and total > size:
                raise BadRequest("file_size_wrong", "More bytes came than were announced.")
            index += 1
            if not big:
                # Small files need their kind, and thus their size, to be known: they wait here.
                first.append(part)
                md5.update(part)
                if total > BIG_BYTES:
                    big, held = True, first.pop()
                    for number, each in enumerate(first):
                        await window.save_big(number, announced, each)
                    first = []
                continue
            # The last part of a stream names how many there are: one is always held back.
            if held is not None:
                await window.save_big(index - 2, announced, held)
            held = part
        if size is not None and total != size:
            raise BadRequest("file_size_wrong", "Fewer bytes came than were announced.")
        if not total:
            raise BadRequest("file_empty", "The file is empty.")
        if big and held is not None:
            await window.drain()
            await window.save_big(index - 1, index, held)
        for number, each in enumerate(first):
            await window.save_small(number, each)
        await window.drain()
    except BaseException:
        await window.abandon()
        raise
    return {
        "id": window.file_id,
        "parts": index,
        "name": filename,
        "size": total,
        "md5": "" if big else md5.hexdigest(),
        "mime_type": mime_type or guess_mime(filename),
    }


class _Window:
    """Parts of one file on their way; at most `parallel` at once."""

    def __init__(self, client: TelegramClient, parallel: int) -> None:
        self.file_id = secrets.randbits(63) or 1
        self._client = client
        self._slots = asyncio.Semaphore(max(1, min(parallel, 16)))
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    async def save_big(self, number: int, total: int, part: bytes) -> None:
        await self._send(requests.SaveBigFilePartRequest(self.file_id, number, total, part))

    async def save_small(self, number: int, part: bytes) -> None:
        await self._send(requests.SaveFilePartRequest(self.file_id, number, part))

    async def _send(self, request: Any) -> None:
        await self._slots.acquire()
        if self._error is not None:
            self._slots.release()
            raise self._error
        task = asyncio.create_task(self._save(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _save(self, request: Any) -> None:
        try:
            if not await self._client(request):
                raise BadRequest("file_part_invalid", "Telegram did not take a part of the file.")
        except Exception as error:
            self._error = self._error or error
        finally:
            self._slots.release()

    async def drain(self) -> None:
        """Wait for every part; raises what one of them met."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._error is not None:
            raise self._error

    async def abandon(self) -> None:
        """Send no more; nothing of this upload keeps running."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _parts(upload: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a stream into parts of `PART_BYTES`, the last one shorter."""
    buffer = bytearray()
    async for chunk in upload:
        buffer += chunk
        while len(buffer) >= PART_BYTES:
            yield bytes(buffer[:PART_BYTES])
            del buffer[:PART_BYTES]
    if buffer:
        yield bytes(buffer)


def guess_mime(filename: str) -> str:
    """Return the MIME type that a name suggests."""
    return mimetypes.guess_type(filename)[0] or "application/octet-stream"


def input_file(file: UploadedFileDict) -> Any:
    """Return an uploaded file as Telegram takes it."""
    if file["md5"]:
        return types.InputFile(file["id"], file["parts"], file["name"], file["md5"])
    return types.InputFileBig(file["id"], file["parts"], file["name"])


def input_media(file: UploadedFileDict, *, as_document: bool) -> Any:
    """Return an uploaded file as new media: a photo, a video, music, or a plain file."""
    mime_type = file["mime_type"]
    # Larger pictures are refused as photos: https://core.telegram.org/api/files
    picture = mime_type in ("image/jpeg", "image/png") and file["size"] <= BIG_BYTES
    if picture and not as_document:
        return types.InputMediaUploadedPhoto(input_file(file))
    attributes: list[Any] = [types.DocumentAttributeFilename(file["name"])]
    if not as_document and mime_type.startswith("video/"):
        # Telegram measures the video itself; these only say that it is one.
        attributes.append(
            types.DocumentAttributeVideo(duration=0, w=1, h=1, supports_streaming=True)
        )
    elif not as_document and mime_type.startswith("audio/"):
        attributes.append(types.DocumentAttributeAudio(duration=0))
    return types.InputMediaUploadedDocument(
        file=input_file(file),
        mime_type=mime_type,
        attributes=attributes,
        force_file=as_document or None,
    )
