"""Live updates keep the cached list of dialogs current, in the transaction of the update.

What an update tells is taken over; what it only hints at is marked stale (`dialog_cache`).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db import connection

from core import json
from engine.methods.shapes import MessageDict
from engine.store import EngineEvent, UpdateBatch
from scraper import dialog_cache
from scraper.models import Dialog, DialogList
from scraper.rows import plain, unix_seconds
from sessions_app.sink import register_update_handler

PREVIEW_LENGTH = 100
CHANGED = ("message_count", "unread_count", "last_message_date", "document", "extra")
READ = ("id", "peer_id", "type", "is_archived", *CHANGED)


def register() -> None:
    """Take part in the transactions of updates."""
    register_update_handler(store_updates)


def store_updates(batches: Sequence[UpdateBatch]) -> None:
    """Carry the rows of dialogs on; accounts whose dialogs were never read cost one query."""
    busy = [batch for batch in batches if batch.events]
    if not busy:
        return
    accounts = _with_lists({batch.session_id for batch in busy})
    events: dict[int, list[EngineEvent]] = defaultdict(list)
    for batch in busy:
        account_id = accounts.get(batch.session_id)
        if account_id is not None:
            events[account_id] += batch.events
    for account_id, found in events.items():
        _Change(account_id, found).store()


def _with_lists(session_ids: set[int]) -> dict[int, int]:
    """Return the sessions' accounts of which a list of dialogs is kept."""
    marks = ", ".join(["%s"] * len(session_ids))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.id, s.account_id FROM sessions_app_telegramsession s "
            f"JOIN scraper_dialoglist l ON l.account_id = s.account_id WHERE s.id IN ({marks})",
            [*session_ids],
        )
        return dict(cursor.fetchall())


class _Change:
    """What some events make of the rows of one account."""

    def __init__(self, account_id: int, events: Sequence[EngineEvent]) -> None:
        self.account_id = account_id
        self.events = events
        self.rows: dict[int, Dialog] = {}
        self.extras: dict[int, dict[str, Any]] = {}
        self.changed: set[int] = set()
        self.stale: set[int] = set()

    def store(self) -> None:
        self.rows = {row.peer_id: row for row in self._load()}
        for event in self.events:
            self._apply(event)
        dialog_cache.mark_stale(self.account_id, self.stale)
        for peer_id in self.changed:
            self._render(self.rows[peer_id])
        self._write()

    def _load(self) -> list[Dialog]:
        """Return the rows that the events may change."""
        wanted = {event.chat_id for event in self.events if event.chat_id is not None}
        # Nothing is called 0.
        condition = f"peer_id IN ({', '.join(['%s'] * len(wanted)) or '0'})"
        if any(event.kind == "message.deleted" and not event.chat_id for event in self.events):
            # A deletion in a private chat or basic group does not say in which.
            condition = f"(type NOT IN ('channel', 'supergroup') OR {condition})"
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {', '.join(READ)} FROM {Dialog._meta.db_table} "
                f"WHERE account_id = %s AND {condition}",
                [self.account_id, *wanted],
            )
            return [Dialog(**dict(zip(READ, row, strict=True))) for row in cursor.fetchall()]

    def _write(self) -> None:
        assignments = ", ".join(f"{column} = %s" for column in CHANGED)
        with connection.cursor() as cursor:
            for row in (self.rows[peer_id] for peer_id in self.changed):
                cursor.execute(
                    f"UPDATE {Dialog._meta.db_table} SET {assignments} WHERE id = %s",
                    [*(getattr(row, column) for column in CHANGED), row.pk],
                )

    def _apply(self, event: EngineEvent) -> None:
        if event.kind == "folders.changed":
            DialogList.objects.filter(account_id=self.account_id).update(folders_at=None)
        elif event.kind == "message.deleted":
            self._deleted(event)
        elif event.chat_id is None:
            return
        elif event.kind == "message.new":
            self._new(event.chat_id, event.data["message"])
        elif event.kind == "message.edited":
            self._edited(event.chat_id, event.data["message"])
        elif event.kind == "message.read":
            self._read(event.chat_id, event.data)
        elif event.kind in ("chat.member", "dialog.changed"):
            self.stale.add(event.chat_id)

    def _new(self, chat_id: int, message: MessageDict) -> None:
        row = self.rows.get(chat_id)
        if row is None or message.get("action"):
            # A chat that is new to the list, or news of its title, members or standing.
            self.stale.add(chat_id)
        if row is None:
            return
        extra, message_id = self._extra(row), message["message_id"]
        # Two sessions of one account bring it twice.
        if message_id <= int(extra.get("top_message_id") or 0):
            return
        extra["top_message_id"] = message_id
        row.last_message_date = unix_seconds(message["date"])
        if row.type in ("channel", "supergroup"):
            row.message_count = message_id
        if message.get("extra", {}).get("is_outgoing"):
            # Who writes has read what stands above.
            row.unread_count = 0
        else:
            row.unread_count += 1
        if row.is_archived:
            self.stale.add(chat_id)  # a message brings it back, unless it is muted
        self._preview(row, message)

    def _edited(self, chat_id: int, message: MessageDict) -> None:
        row = self.rows.get(chat_id)
        if row is not None and message["message_id"] == self._extra(row).get("top_message_id"):
            self._preview(row, message)

    def _read(self, chat_id: int, told: dict[str, Any]) -> None:
        row = self.rows.get(chat_id)
        if row is None or told.get("outgoing"):
            return
        if told.get("unread_count") is None:
            self.stale.add(chat_id)
            return
        row.unread_count = told["unread_count"]
        self.changed.add(chat_id)

    def _deleted(self, event: EngineEvent) -> None:
        gone = set(event.data["message_ids"])
        for peer_id, row in self.rows.items():
            shared = row.type in ("channel", "supergroup")
            of_this_box = peer_id == event.chat_id if event.chat_id else not shared
            if not of_this_box:
                continue
            # The newest message went, or one that was not read yet.
            extra = self._extra(row)
            top, read = extra.get("top_message_id") or 0, extra.get("read_inbox_max_id") or 0
            if top in gone or (row.unread_count and any(read < each <= top for each in gone)):
                self.stale.add(peer_id)

    def _preview(self, row: Dialog, message: MessageDict) -> None:
        shown = json.loads(row.document)
        shown["last_message_preview"] = preview_of(message)
        if row.last_message_date is not None and message["date"]:
            shown["last_message_date"] = iso_date(message["date"])
        row.document = json.dumps(shown).decode()
        self.changed.add(row.peer_id)

    def _extra(self, row: Dialog) -> dict[str, Any]:
        if row.peer_id not in self.extras:
            self.extras[row.peer_id] = json.loads(row.extra) if row.extra else {}
        return self.extras[row.peer_id]

    def _render(self, row: Dialog) -> None:
        shown = json.loads(row.document)
        shown["message_count"] = row.message_count
        shown["unread_count"] = row.unread_count
        row.document = json.dumps(shown).decode()
        if row.peer_id in self.extras:
            row.extra = json.dumps(self.extras[row.peer_id]).decode()


def preview_of(message: MessageDict) -> str | None:
    """Return the beginning of a message's text; its kind in brackets when it has none."""
    if message["message"]:
        return plain(message["message"][:PREVIEW_LENGTH])
    if message["media"] is not None:
        return f"[{message['media']['type']}]"
    return f"[{message['action']}]" if message.get("action") else None


def iso_date(date: str) -> str:
    """Return a message's date (`YYYY-MM-DD HH:MM:SS`, UTC) as a dialog has it."""
    return f"{date[:10]}T{date[11:]}+00:00"
