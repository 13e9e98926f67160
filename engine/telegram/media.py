"""Bodies of `engine.methods.media`."""

from collections.abc import AsyncIterator

from telethon import TelegramClient

from engine.errors import NotFound
from engine.methods.answers import UploadedFileDict
from engine.methods.shapes import ChatRef, FileDict, MediaDict
from engine.telegram import downloads, uploads
from engine.telegram.history import get_messages


async def file_info(client: TelegramClient, *, chat_id: ChatRef, message_id: int) -> MediaDict:
    found = await get_messages(client, chat_id=chat_id, message_ids=[message_id])
    if not found:
        raise NotFound("message_id_invalid", "There is no such message.")
    message = found[0]
    media = message.get("private", {}).get("media") or message["media"]
    if media is None or media.get("file") is None:
        raise NotFound("media_not_found", "The message holds no file.")
    return media


async def refresh_file(client: TelegramClient, *, file: FileDict) -> FileDict:
    return await downloads.refresh(client, file)


def read_file(
    client: TelegramClient,
    *,
    file: FileDict,
    offset: int = 0,
    length: int | None = None,
    thumb: str | None = None,
    parallel: int = 8,
) -> AsyncIterator[bytes]:
    return downloads.stream(
        client, file, offset=offset, length=length, thumb=thumb, parallel=parallel
    )


async def upload_file(
    client: TelegramClient,
    *,
    upload: AsyncIterator[bytes],
    filename: str,
    size: int | None = None,
    max_bytes: int | None = None,
    mime_type: str | None = None,
    parallel: int = 4,
) -> UploadedFileDict:
    return await uploads.send_parts(
        client,
        upload,
        filename=filename,
        size=size,
        max_bytes=max_bytes,
        mime_type=mime_type,
        parallel=parallel,
    )
