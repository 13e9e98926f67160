"""An account's dialogs as rows: read whole from Telegram once, then kept by live updates.

What an update does not tell in full (a chat that is new, a title that changed) is put on the
account's list of stale dialogs, and read again with the next question, a hundred in one call.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.utils import timezone

from core import json
from core.validation import parse_moment, unix_seconds
from core.writer import writer
from engine import telegram
from engine.errors import EngineError
from engine.methods import dialogs as methods
from engine.methods.shapes import DialogDict
from scraper.models import Dialog, DialogList
from scraper.rows import plain
from sessions_app.models import TelegramSession
from sessions_app.text import clean

PAGE = 100
MAX_AGE = timedelta(hours=6)
"""Then the list is read anew: no update tells of members that come to a channel, for example."""
WRITE_SECONDS = 60.0
FIELDS = [
    "type",
    "title",
    "username",
    "message_count",
    "participants_count",
    "unread_count",
    "last_message_date",
    "created_date",
    "is_archived",
    "document",
    "extra",
    "updated_at",
]

_guard = threading.Lock()
_reading: dict[int, threading.Lock] = {}


def account_of(session: TelegramSession) -> int:
    """Return the number of the account that a session is logged in as."""
    assert session.account_id is not None, "a session that is logged in has an account"
    return int(session.account_id)


def ensure_fresh(session: TelegramSession, *, refresh: bool = False) -> None:
    """See to it that the rows of the session's account are current; raises EngineError.

    Telegram is asked for the whole list when there is none, it is old or `refresh` says so,
    else only for what is stale.
    """
    account_id = account_of(session)
    asked_at = timezone.now()
    with _lock_of(account_id):
        known = DialogList.objects.filter(account_id=account_id).first()
        read_at = known.dialogs_at if known is not None else None
        # Somebody else may have read it while this caller waited for the lock.
        due = read_at is None or read_at < asked_at - MAX_AGE or (refresh and read_at < asked_at)
        if due:
            _read_all(session, account_id)
        elif known is not None and known.stale:
            _read_stale(session, account_id)


def list_dialogs(session: TelegramSession) -> list[DialogDict]:
    """Return all dialogs of the session's account with their `extra`, newest message first."""
    ensure_fresh(session)
    rows = Dialog.objects.filter(account_id=account_of(session)).order_by(
        "-last_message_date", "pk"
    )
    return [to_dict(row) for row in rows]


def store(
    account_id: int, dialogs: Sequence[DialogDict], *, whole_at: datetime | None = None
) -> None:
    """Insert or renew rows, in the writer; with `whole_at` the others of the account go.

    A row that an update has carried further meanwhile is stale then: it is read again.
    """
    newest = {dialog["id"]: dialog for dialog in dialogs}
    tops = {
        row.peer_id: top_message_id(row)
        for row in Dialog.objects.filter(account_id=account_id, peer_id__in=newest)
    }
    ahead = [
        number
        for number, dialog in newest.items()
        if tops.get(number, 0) > dialog.get("extra", {}).get("top_message_id", 0)
        and whole_at is not None
    ]
    Dialog.objects.bulk_create(
        [to_row(account_id, dialog) for dialog in newest.values()],
        batch_size=500,
        update_conflicts=True,
        unique_fields=["account", "peer_id"],
        update_fields=FIELDS,
    )
    if whole_at is not None:
        rows = Dialog.objects.filter(account_id=account_id)
        gone = set(rows.values_list("peer_id", flat=True)) - newest.keys()
        rows.filter(peer_id__in=gone).delete()
        DialogList.objects.filter(account_id=account_id).update(dialogs_at=whole_at)
        mark_stale(account_id, ahead)


def mark_stale(account_id: int, peer_ids: Iterable[int]) -> None:
    """Have these dialogs read again with the next question; call it in the writer."""
    wanted = set(peer_ids)
    if not wanted:
        return
    known = DialogList.objects.filter(account_id=account_id, dialogs_at__isnull=False).first()
    if known is None or wanted <= set(known.stale):
        return
    known.stale = sorted({*known.stale, *wanted})
    known.save(update_fields=["stale"])


def to_row(account_id: int, dialog: DialogDict) -> Dialog:
    """Return a dialog as its row."""
    shown: dict[str, Any] = dict(dialog)
    extra = shown.pop("extra", {})
    shown["title"] = plain(shown["title"])
    if shown["last_message_preview"]:
        shown["last_message_preview"] = plain(shown["last_message_preview"])
    return Dialog(
        account_id=account_id,
        peer_id=dialog["id"],
        type=dialog["type"],
        title=shown["title"],
        username=clean(dialog["username"], 64),
        message_count=dialog["message_count"],
        participants_count=dialog["participants_count"],
        unread_count=dialog["unread_count"],
        last_message_date=_seconds(dialog["last_message_date"]),
        created_date=_seconds(dialog["created_date"]),
        is_archived=dialog["is_archived"],
        document=json.dumps(shown).decode(),
        extra=json.dumps(extra).decode(),
        updated_at=timezone.now(),
    )


def to_dict(row: Dialog) -> DialogDict:
    """Return a row as the engine gave it, with its `extra`."""
    found: DialogDict = json.loads(row.document)
    found["extra"] = json.loads(row.extra) if row.extra else {}
    return found


def top_message_id(row: Dialog) -> int:
    return int(json.loads(row.extra).get("top_message_id") or 0) if row.extra else 0


def _seconds(date: str | None) -> int | None:
    return unix_seconds(parse_moment(date)) if date else None


def _lock_of(account_id: int) -> threading.Lock:
    with _guard:
        return _reading.setdefault(account_id, threading.Lock())


def _read_all(session: TelegramSession, account_id: int) -> None:
    """Read the whole list, archive included. What updates mark stale meanwhile stays so."""
    writer.submit(lambda: _begin(account_id)).result(WRITE_SECONDS)
    verbs = telegram.using(timeout_seconds=60, flood="wait")
    page = verbs.call(session.pk, methods.list_page, limit=PAGE)
    found = page["dialogs"]
    while page["next"] is not None:
        page = verbs.call(session.pk, methods.list_page, offset=page["next"], limit=PAGE)
        found += page["dialogs"]
    moment = timezone.now()
    writer.submit(lambda: store(account_id, found, whole_at=moment)).result(WRITE_SECONDS)


def _begin(account_id: int) -> None:
    """From here on updates carry rows on, or mark them stale; the list counts as old."""
    DialogList.objects.update_or_create(
        account_id=account_id, defaults={"dialogs_at": timezone.now() - MAX_AGE, "stale": []}
    )


def _read_stale(session: TelegramSession, account_id: int) -> None:
    for asked in batched(writer.submit(lambda: _take_stale(account_id)).result(WRITE_SECONDS)):
        try:
            found = _ask(session, asked)
        except BaseException:
            writer.submit(partial(mark_stale, account_id, asked)).result(WRITE_SECONDS)
            raise
        writer.submit(partial(_store_stale, account_id, asked, found)).result(WRITE_SECONDS)


def batched(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), PAGE):
        yield numbers[start : start + PAGE]


def _take_stale(account_id: int) -> list[int]:
    """Empty the list before asking: what an update adds meanwhile is asked for once more."""
    known = DialogList.objects.get(account_id=account_id)
    taken: list[int] = known.stale
    DialogList.objects.filter(pk=known.pk).update(stale=[])
    return taken


def _ask(session: TelegramSession, asked: list[int]) -> list[DialogDict]:
    """Return these dialogs; those that the account sees no more are left out."""
    try:
        found = telegram.call(session.pk, methods.get_dialogs, chat_ids=[*asked])
    except EngineError as exc:
        if exc.status not in (400, 404):
            raise
        if len(asked) == 1:
            return []
        # One that cannot be seen refuses them all.
        half = len(asked) // 2
        return [*_ask(session, asked[:half]), *_ask(session, asked[half:])]
    return [each for each in found if not _is_left(each)]


def _store_stale(account_id: int, asked: list[int], found: list[DialogDict]) -> None:
    store(account_id, found)
    gone = set(asked) - {dialog["id"] for dialog in found}
    Dialog.objects.filter(account_id=account_id, peer_id__in=gone).delete()


def _is_left(dialog: DialogDict) -> bool:
    """Tell whether a channel is in the list no more: Telegram describes it all the same."""
    if dialog["type"] not in ("channel", "supergroup"):
        return False
    return not dialog.get("extra", {}).get("is_member", True)
