"""Deleting what is cached of a chat: messages, coverage, and files that nothing else carries."""

import logging
import threading
from typing import TypedDict

from django.db import transaction
from django.db.models import Exists, OuterRef

from core.writer import writer
from scraper import shelf
from scraper.models import Chat, Coverage, DatePoint, File, Media, Message, MessagePrivate
from sessions_app.chores import register_chore
from sessions_app.purge import Purge, register_purge_handler

logger = logging.getLogger(__name__)

BATCH = 1000


class ForgottenDict(TypedDict):
    """How much is gone; `bytes_freed` counts files."""

    dialog_id: int
    messages_deleted: int
    files_deleted: int
    bytes_freed: int


def forget_chat(chat: Chat) -> ForgottenDict:
    """Delete a chat's cache; who may read the chat, and jobs, stay. To be called on any thread.

    First it is forgotten what was read, so that a reader in between asks Telegram.
    """
    pk = chat.pk
    writer.submit(lambda: _uncover(pk)).result(60)
    messages = files = freed = 0
    while True:
        deleted, file_ids = writer.submit(lambda: _delete_some(pk)).result(60)
        if not deleted:
            break
        messages += deleted
        orphans = _orphans(file_ids)
        freed += shelf.drop(orphans)
        files += len(orphans)
        writer.submit(lambda ids=orphans: _delete_files(ids)).result(60)  # type: ignore[misc]
    logger.info("The cache of chat %s is deleted: %d messages", chat.peer_id, messages)
    return {
        "dialog_id": chat.peer_id,
        "messages_deleted": messages,
        "files_deleted": files,
        "bytes_freed": freed,
    }


_swept = threading.Event()
_swept.set()


def register() -> None:
    """Delete files soon after the last message that carried them went with its account."""
    register_purge_handler(_note_purge)
    register_chore(sweep)


def _note_purge(purge: Purge) -> None:
    _swept.clear()


def sweep() -> None:
    """Delete files that no message carries, when there may be some."""
    if _swept.is_set():
        return
    _swept.set()
    carried = Media.objects.filter(file=OuterRef("pk"))
    while ids := list(File.objects.filter(~Exists(carried)).values_list("pk", flat=True)[:BATCH]):
        shelf.drop(ids)
        writer.submit(lambda ids=ids: _delete_files(ids)).result(60)  # type: ignore[misc]


def _uncover(chat_id: int) -> None:
    Coverage.objects.filter(chat_id=chat_id).delete()
    DatePoint.objects.filter(chat_id=chat_id).delete()


def _delete_some(chat_id: int) -> tuple[int, list[int]]:
    """Delete some messages; return how many, and the files that they carried."""
    with transaction.atomic():
        keys = list(
            Message.objects.filter(id__gte=chat_id << 32, id__lt=(chat_id + 1) << 32).values_list(
                "pk", flat=True
            )[:BATCH]
        )
        media = Media.objects.filter(message_id__in=keys)
        files = list(media.exclude(file=None).values_list("file_id", flat=True).distinct())
        media.delete()
        MessagePrivate.objects.filter(message_id__in=keys).delete()
        Message.objects.filter(pk__in=keys).delete()
        # A stream that runs meanwhile may have covered some of it again.
        Coverage.objects.filter(chat_id=chat_id).delete()
    return len(keys), [number for number in files if number is not None]


def _orphans(file_ids: list[int]) -> list[int]:
    carried = Media.objects.filter(file=OuterRef("pk"))
    return list(File.objects.filter(~Exists(carried), pk__in=file_ids).values_list("pk", flat=True))


def _delete_files(file_ids: list[int]) -> None:
    carried = Media.objects.filter(file=OuterRef("pk"))
    File.objects.filter(~Exists(carried), pk__in=file_ids).delete()
