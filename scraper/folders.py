"""An account's chat folders: read once, and again after an update has told of a change."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from core import json
from core.errors import NotFound
from core.writer import writer
from engine import telegram
from engine.folders import folder_holds
from engine.methods import dialogs as methods
from engine.methods.shapes import FolderDict
from scraper import dialog_cache
from scraper.matching import folded
from scraper.models import DialogList, FolderRow
from scraper.rows import plain
from sessions_app.models import TelegramSession

MAX_AGE = timedelta(hours=6)
WRITE_SECONDS = 60.0


def list_folders(session: TelegramSession, *, refresh: bool = False) -> list[FolderDict]:
    """Return the folders with their rules, `All Chats` first; raises EngineError."""
    account_id = dialog_cache.account_of(session)
    known = DialogList.objects.filter(account_id=account_id).first()
    read_at = known.folders_at if known is not None else None
    if not refresh and read_at is not None and read_at > timezone.now() - MAX_AGE:
        rows = FolderRow.objects.filter(account_id=account_id).order_by("position")
        return [json.loads(row.document) for row in rows]
    writer.submit(lambda: _begin(account_id)).result(WRITE_SECONDS)
    found = telegram.call(session.pk, methods.list_folders)
    writer.submit(lambda: _store(account_id, found)).result(WRITE_SECONDS)
    return found


def show_folders(
    session: TelegramSession, *, include_dialogs: bool = False, refresh: bool = False
) -> list[dict[str, Any]]:
    """Return the folders as clients see them, with their dialogs (`id`, `title`) if asked."""
    found = list_folders(session, refresh=refresh)
    shown: list[dict[str, Any]] = [
        {"id": each["id"], "title": each["title"], "is_default": each["is_default"]}
        for each in found
    ]
    if include_dialogs:
        known = dialog_cache.list_dialogs(session)
        for folder, rules in zip(shown, found, strict=True):
            folder["dialogs"] = [
                {"id": dialog["id"], "title": dialog["title"]}
                for dialog in known
                if folder_holds(rules, dialog)
            ]
    return shown


def find(session: TelegramSession, name: str, *, refresh: bool = False) -> FolderDict:
    """Return a folder by its number or its title, whatever the case; raises NotFound."""
    found = list_folders(session, refresh=refresh)
    wanted = folded(name)
    for folder in found:
        if str(folder["id"]) == wanted:
            return folder
    for folder in found:
        if folded(folder["title"]) == wanted:
            return folder
    raise NotFound("There is no such folder.", code="folder_not_found")


def _begin(account_id: int) -> None:
    """From here on an update that tells of a change clears the date."""
    DialogList.objects.update_or_create(
        account_id=account_id, defaults={"folders_at": timezone.now() - MAX_AGE}
    )


def _store(account_id: int, found: list[FolderDict]) -> None:
    DialogList.objects.filter(account_id=account_id, folders_at__isnull=False).update(
        folders_at=timezone.now()
    )
    FolderRow.objects.filter(account_id=account_id).delete()
    FolderRow.objects.bulk_create(
        [
            FolderRow(
                account_id=account_id,
                folder_id=folder["id"],
                position=position,
                title=plain(folder["title"]),
                document=json.dumps({**folder, "title": plain(folder["title"])}).decode(),
            )
            for position, folder in enumerate(found)
        ]
    )
