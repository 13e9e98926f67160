"""Storing what was read: messages with their files and the coverage that they make up, at once.

Everything here runs in the process's one writer. An upsert never clears `deleted` and never
replaces a newer edit; views and reactions are the latest that were seen.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Max

from core import json
from core.errors import Unauthorized
from core.upserts import upsert
from core.writer import writer
from engine.methods.shapes import MessageDict, ReactionDict
from scraper import coverage, fulltext, rows
from scraper.coverage import Opening
from scraper.models import Chat, File, Media, Message, Tombstone
from scraper.rows import ChatScope, MediaRow, Rows
from sessions_app.models import Account

_MESSAGES = Message._meta.db_table
_KEPT = ("id", "chat_id", "account_id", "message_id", "deleted")


@dataclass(frozen=True, slots=True)
class Page:
    """Messages that an account has read, and what that covers of the chat's ids.

    `covered` is (low, high), None when the messages came singly. With `reconcile` cached
    messages of that range that are not among them are marked deleted. `count` is Telegram's size
    of the history. `opening` says that the range reaches the chat's end. `session_id` is the
    session that read them, where it may have become another account's since.
    """

    scope: ChatScope
    account_id: int
    messages: list[MessageDict]
    covered: tuple[int, int] | None = None
    reconcile: bool = False
    count: int | None = None
    opening: Opening | None = None
    session_id: int | None = None


def scope_of(chat: Chat, user_id: int | None = None) -> ChatScope:
    """Return what storing needs to know of a chat; `user_id` is its account's at Telegram."""
    name = str(chat.peer_id)
    if chat.account_id is not None:
        owner = user_id or Account.objects.values_list("user_id", flat=True).get(pk=chat.account_id)
        name = f"{owner}:{name}"
    return ChatScope(chat.pk, chat.peer_id, chat.account_id, name)


def submit(page: Page) -> "Future[None]":
    """Have a page stored; the future is done when it is committed, and fails as `store_pages`."""
    return writer.submit_item(store_pages, page)


def store_pages(pages: Sequence[Page]) -> None:
    """Store pages of any chats in the caller's transaction.

    Raises Unauthorized for a page whose session is not its account's any more: what it read may
    be the next account's.
    """
    _refuse_strangers(pages)
    living = _living({page.scope.pk for page in pages}) if pages else set()
    pages = [page for page in pages if page.scope.pk in living]
    if not pages:
        return
    built = [rows.build(page.scope, page.messages, page.account_id) for page in pages]
    upsert_messages([row for each in built for row in each.messages])
    _upsert_private(pages, built)
    _upsert_media(pages, built)
    for page in pages:
        if page.reconcile and page.covered is not None:
            _reconcile(page)
    _cover(pages)


def _refuse_strangers(pages: Sequence[Page]) -> None:
    read = {(page.session_id, page.account_id) for page in pages if page.session_id is not None}
    if not read:
        return
    marks = ", ".join(["%s"] * len(read))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, account_id FROM sessions_app_telegramsession "
            f"WHERE state IN ('ready', 'paused') AND id IN ({marks})",
            [session_id for session_id, _ in read],
        )
        if not read <= set(cursor.fetchall()):
            raise Unauthorized("The session is logged out by now.", code="not_authorized")


def _living(chats: set[int]) -> set[int]:
    """Return which of the chats are still there."""
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(chats))
        cursor.execute(f"SELECT id FROM scraper_chat WHERE id IN ({marks})", [*chats])
        return {row[0] for row in cursor.fetchall()}


def upsert_messages(incoming: Iterable[tuple[Any, ...]]) -> None:
    """Insert or renew message rows (`rows.MESSAGE_COLUMNS`)."""
    newest: dict[int, tuple[Any, ...]] = {}
    for row in incoming:
        other = newest.get(row[0])
        if other is None or other[rows.EDIT_DATE] <= row[rows.EDIT_DATE]:
            newest[row[0]] = row
    fulltext.note_new([row[0] for row in newest.values() if row[rows.TEXT]])
    upsert(
        _MESSAGES,
        rows.MESSAGE_COLUMNS,
        _with_tombstones(list(newest.values())),
        conflict="id",
        update=[name for name in rows.MESSAGE_COLUMNS if name not in _KEPT],
        where=f"excluded.edit_date >= {_MESSAGES}.edit_date OR {_MESSAGES}.document = ''",
    )


def _with_tombstones(incoming: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Mark what was deleted before it was seen, in private chats and basic groups."""
    ids: dict[int, set[int]] = defaultdict(set)
    for row in incoming:
        if row[2] is not None:
            ids[row[2]].add(row[3])
    dead: set[tuple[int, int]] = set()
    for account_id, message_ids in ids.items():
        marks = ", ".join(["%s"] * len(message_ids))
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT account_id, message_id FROM {Tombstone._meta.db_table} "
                f"WHERE account_id = %s AND message_id IN ({marks})",
                [account_id, *message_ids],
            )
            dead.update(cursor.fetchall())
    if not dead:
        return incoming
    at = rows.DELETED
    return [
        (*row[:at], True, *row[at + 1 :]) if (row[2], row[3]) in dead else row for row in incoming
    ]


def _upsert_private(pages: Sequence[Page], built: Sequence[Rows]) -> None:
    newest = {
        (page.account_id, key): document
        for page, each in zip(pages, built, strict=True)
        for key, document in each.private
    }
    upsert(
        "scraper_messageprivate",
        ("account_id", "message_id", "document"),
        [(*key, document.decode()) for key, document in newest.items()],
        conflict="account_id, message_id",
        update=("document",),
    )


def _upsert_media(pages: Sequence[Page], built: Sequence[Rows]) -> None:
    """Store the files that messages carry: the file once, the name per message."""
    found = [
        (page.account_id, row)
        for page, each in zip(pages, built, strict=True)
        for row in each.media
    ]
    if not found:
        return
    files = {(row.file["kind"], row.file["id"]): row for _, row in found}
    upsert(
        "scraper_file",
        _FILE_COLUMNS,
        [_file_row(row) for row in files.values()],
        conflict="kind, telegram_id",
        update=("dc_id",),
    )
    numbers = _file_numbers(files)
    upsert(
        Media._meta.db_table,
        ("uuid", "message_id", "file_id", "account_id", "type", "name", "size"),
        [
            (
                row.uuid if connection.vendor == "postgresql" else row.uuid.hex,
                row.key,
                numbers[row.file["kind"], row.file["id"]],
                row.account_id,
                row.type,
                row.name,
                row.size,
            )
            for row in {row.uuid: row for _, row in found}.values()
        ],
        conflict="uuid",
        update=("file_id",),
    )
    refs = {
        (account_id, numbers[row.file["kind"], row.file["id"]]): row.file
        for account_id, row in found
    }
    upsert(
        "scraper_fileref",
        ("account_id", "file_id", "access_hash", "file_reference", "chat_id", "message_id"),
        [
            (
                *key,
                file["access_hash"],
                file["file_reference"],
                file["chat_id"],
                file["message_id"],
            )
            for key, file in refs.items()
        ],
        conflict="account_id, file_id",
        update=("access_hash", "file_reference", "chat_id", "message_id"),
    )


_FILE_COLUMNS = (
    "kind",
    "telegram_id",
    "category",
    "dc_id",
    "thumb",
    "size",
    "mime_type",
    "width",
    "height",
    "duration_seconds",
    "thumbs",
    "state",
    "stored_bytes",
    "sha256",
    "path",
    "error",
)


def _file_row(row: MediaRow) -> tuple[Any, ...]:
    file = row.file
    return (
        file["kind"],
        file["id"],
        file["category"],
        file["dc_id"],
        file["thumb"],
        file["size"],
        rows.plain(file["mime_type"])[:255],
        file["width"],
        file["height"],
        file["duration_seconds"],
        json.dumps(file["thumbs"]).decode(),
        "absent",
        0,
        "",
        "",
        "",
    )


def _file_numbers(files: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = {}
    for kind in {kind for kind, _ in files}:
        ids = [number for of_kind, number in files if of_kind == kind]
        for pk, number in File.objects.filter(kind=kind, telegram_id__in=ids).values_list(
            "pk", "telegram_id"
        ):
            found[kind, number] = pk
    return found


def _reconcile(page: Page) -> None:
    """Mark what Telegram does not have any more among what was just read."""
    assert page.covered is not None
    low, high = page.covered
    there = {message["message_id"] for message in page.messages}
    cached = Message.objects.filter(
        id__gte=page.scope.key(low), id__lte=page.scope.key(high), deleted=False
    ).values_list("message_id", flat=True)
    gone = [page.scope.key(message_id) for message_id in cached if message_id not in there]
    if gone:
        Message.objects.filter(pk__in=gone).update(deleted=True)


def _cover(pages: Sequence[Page]) -> None:
    read: dict[int, list[tuple[int, int]]] = defaultdict(list)
    openings: dict[int, Opening] = {}
    counts: dict[int, int] = {}
    for page in pages:
        pk = page.scope.pk
        if page.covered is not None:
            low, high = page.covered
            if page.opening is not None:
                openings[pk] = page.opening
                # What came as an update meanwhile belongs to it.
                high = max(high, newest_id(page.scope))
            read[pk].append((low, high))
        if page.count is not None:
            counts[pk] = page.count
    for pk, intervals in read.items():
        coverage.add(pk, intervals, openings.get(pk))
        if pk in openings:
            Chat.objects.filter(pk=pk).update(top_message_id=max(high for _, high in intervals))
    with connection.cursor() as cursor:
        for pk, count in counts.items():
            cursor.execute(
                "UPDATE scraper_chat SET count = %s "
                "WHERE id = %s AND (count IS NULL OR count <> %s)",
                [count, pk, count],
            )


def newest_id(scope: ChatScope) -> int:
    """Return the newest id that is stored of a chat, 0 when there is none."""
    newest = Message.objects.filter(
        id__gte=scope.key(0), id__lt=scope.key(0) + (1 << 32)
    ).aggregate(newest=Max("id"))["newest"]
    return int(newest) - scope.key(0) if newest is not None else 0


def mark_deleted(scope: ChatScope, message_ids: Iterable[int]) -> None:
    """Leave tombstones, also for messages that were never seen."""
    blank = {"deleted": True, "edit_date": 0, "is_forwarded": False, "expires": False}
    empty = ("text", "media_type", "category", "action", "reactions", "volatile", "document")
    fields: dict[str, Any] = blank | dict.fromkeys(empty, "")
    upsert(
        _MESSAGES,
        rows.MESSAGE_COLUMNS,
        [
            tuple(
                {
                    **fields,
                    "id": scope.key(message_id),
                    "chat_id": scope.pk,
                    "account_id": scope.account_id,
                    "message_id": message_id,
                }.get(column)
                for column in rows.MESSAGE_COLUMNS
            )
            for message_id in sorted(set(message_ids))
        ],
        conflict="id",
        update=("deleted",),
    )


def mark_deleted_of_account(account_id: int, message_ids: Iterable[int]) -> None:
    """Leave tombstones where the deletion names no chat: private chats and basic groups."""
    wanted = set(message_ids)
    cached = Message.objects.filter(account_id=account_id, message_id__in=wanted)
    known = set(cached.values_list("message_id", flat=True))
    cached.update(deleted=True)
    upsert(
        "scraper_tombstone",
        ("account_id", "message_id", "created_at"),
        [(account_id, message_id, _now()) for message_id in sorted(wanted - known)],
        conflict="account_id, message_id",
    )


def _now() -> Any:
    from django.utils import timezone

    now = timezone.now()
    return now if connection.vendor == "postgresql" else now.replace(tzinfo=None).isoformat(" ")


def set_reactions(scope: ChatScope, message_id: int, reactions: list[ReactionDict]) -> None:
    """Keep the latest reactions to a message that is cached."""
    message = Message.objects.filter(pk=scope.key(message_id)).only("views").first()
    if message is None:
        return
    text = json.dumps(reactions).decode()
    Message.objects.filter(pk=message.pk).update(
        reactions=text, volatile=rows.volatile_of(message.views, text)
    )
