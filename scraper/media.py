"""A message's file: who may have it, and how a session fetches it from Telegram.

The rows are written with the messages (`scraper.store`); a file's name exists from then on.
"""

import asyncio
import uuid
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q

from core import json
from core.errors import NotFound
from core.writer import writer
from engine import methods, telegram
from engine.errors import EngineError
from engine.methods.shapes import FileDict
from scraper import access, grants, loop
from scraper.models import ChatAccess, File, FileRef, Media
from sessions_app.models import TelegramSession

_STILL = f"""
SELECT 1 FROM {access.STANDS} AND access.chat_id = %s AND access.min_id <= %s AND EXISTS (
    SELECT 1 FROM scraper_media media WHERE media.uuid = %s AND media.file_id IS NOT NULL
    AND (media.account_id IS NULL OR media.account_id = access.account_id)
)
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A file as one session fetches it."""

    session_id: int
    file: FileDict


def no_such_file() -> NotFound:
    return NotFound(
        "There is no such file, or this session may not see it.", code="media_not_found"
    )


async def find(session: TelegramSession, name: uuid.UUID) -> Media:
    """Return the media that the session may see, with its file, message and chat.

    Telegram is asked when the chat's grant is not confirmed. Raises NotFound, EngineError.
    """
    media: Media | None = await loop.read(readable, session, name)
    if media is None:
        peer_id = await loop.read(_unconfirmed_peer, session, name)
        if peer_id is None:
            raise no_such_file()
        try:
            await grants.confirm(session, peer_id)
        except NotFound:
            raise no_such_file() from None
        media = await loop.read(readable, session, name)
    if media is None or media.file is None:
        raise no_such_file()
    return media


def readable(session: TelegramSession, name: uuid.UUID) -> Media | None:
    """Return the media if a confirmed grant shows it to the session."""
    return (
        access.readable_media(session)
        .select_related("file", "message__chat")
        .filter(pk=name, file__isnull=False)
        .first()
    )


def still_readable(session: TelegramSession, media: Media) -> bool:
    """Tell whether the session may see what `readable` returned for it.

    Asked again and again while a file is sent.
    """
    key = Media._meta.pk.get_db_prep_value(media.pk, connection)
    message = media.message
    with connection.cursor() as cursor:
        cursor.execute(
            _STILL,
            [session.pk, session.account_id, message.chat_id, message.message_id, key],
        )
        return cursor.fetchone() is not None


def _unconfirmed_peer(session: TelegramSession, name: uuid.UUID) -> int | None:
    """Return the chat of a media if the session's account has, or had, a grant there."""
    media = Media.objects.select_related("message__chat").filter(pk=name).first()
    if media is None or session.account_id is None:
        return None
    chat = media.message.chat
    granted = ChatAccess.objects.filter(
        Q(chat__account__isnull=True) | Q(chat__account=session.account_id),
        account_id=session.account_id,
        chat=chat,
    )
    return chat.peer_id if granted.exists() else None


async def source_of(session: TelegramSession, media: Media) -> Source:
    """Return how the session fetches the file; its account's first time asks Telegram.

    Raises NotFound when the message holds the file no more.
    """
    file = media.file
    assert file is not None
    known = await loop.read(_known_source, session, file)
    if known is not None:
        return Source(session.pk, known)
    chat, message_id = media.message.chat, media.message.message_id
    try:
        told = await telegram.acall(
            session.pk, methods.media.file_info, chat_id=chat.peer_id, message_id=message_id
        )
    except EngineError as error:
        if grants.is_refusal(error):
            raise no_such_file() from None
        raise
    fresh = told.get("file")
    if fresh is None or (fresh["kind"], fresh["id"]) != (file.kind, file.telegram_id):
        raise no_such_file()
    account_id, file_id = session.account_id, file.pk
    assert account_id is not None
    await asyncio.wrap_future(writer.submit(lambda: save_ref(account_id, file_id, fresh)))
    return Source(session.pk, fresh)


def save_ref(account_id: int, file_id: int, fresh: FileDict) -> None:
    """Keep how an account fetches a file. Runs in the writer."""
    FileRef.objects.update_or_create(
        account_id=account_id,
        file_id=file_id,
        defaults={
            "access_hash": fresh["access_hash"],
            "file_reference": fresh["file_reference"],
            "chat_id": fresh["chat_id"],
            "message_id": fresh["message_id"],
        },
    )


def _known_source(session: TelegramSession, file: File) -> FileDict | None:
    ref = FileRef.objects.filter(account=session.account, file=file).first()
    return None if ref is None else file_dict(file, ref)


def file_dict(file: File, ref: FileRef) -> FileDict:
    """Return a file as the engine takes it."""
    return {
        "id": file.telegram_id,
        "kind": file.kind,  # type: ignore[typeddict-item]
        "category": file.category,  # type: ignore[typeddict-item]
        "dc_id": file.dc_id,
        "access_hash": ref.access_hash,
        "file_reference": ref.file_reference,
        "thumb": file.thumb,
        "size": file.size,
        "mime_type": file.mime_type,
        "width": file.width,
        "height": file.height,
        "duration_seconds": file.duration_seconds,
        "thumbs": json.loads(file.thumbs) if file.thumbs else [],
        "chat_id": ref.chat_id,
        "message_id": ref.message_id,
    }
