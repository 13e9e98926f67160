"""Reading and moving the cursors behind `latest`.

Everything goes through the process's one writer, in order: who asks after a confirmation came in
finds the cursor moved.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import QuerySet

from core.writer import writer
from realtime.models import SentCursor, SentKind, SentMember
from sessions_app.models import TelegramSession
from sessions_app.purge import Purge, register_purge_handler

T = TypeVar("T")

CHANNEL_BASE = -1_000_000_000_000
BATCH_ROWS = 500


@dataclass(frozen=True, slots=True)
class CursorKey:
    """Whose cursor of which chat; `account_id` is the Account row behind the session."""

    user_id: int
    account_id: int
    kind: SentKind
    chat_id: int

    @property
    def scope(self) -> int:
        return 0 if self.chat_id < CHANNEL_BASE else self.account_id


async def last_sent(key: CursorKey) -> int:
    """Return the newest message of the chat that the user has confirmed, 0 for none."""

    def find() -> int:
        row = _rows(key).values_list("last_message_id", flat=True).first()
        return row or 0

    return await _ordered(find)


async def members_sent(key: CursorKey) -> set[int]:
    """Return the members of the group that the user was told of and has confirmed."""

    def find() -> set[int]:
        rows = SentMember.objects.filter(cursor__in=_rows(key))
        return set(rows.values_list("member_id", flat=True))

    return await _ordered(find)


def move(moves: Iterable[tuple[CursorKey, list[int]]]) -> None:
    """Have noted what was confirmed: ids of messages or of members, by what the cursor counts."""
    todo = [(key, ids) for key, ids in moves if ids]
    if todo:
        writer.submit(lambda: _move(todo))


def _move(moves: list[tuple[CursorKey, list[int]]]) -> None:
    for key, ids in moves:
        cursor, _ = SentCursor.objects.update_or_create(
            user_id=key.user_id,
            kind=key.kind,
            chat_id=key.chat_id,
            scope=key.scope,
            defaults={"account_id": key.account_id},
        )
        if key.kind == SentKind.CHATS:
            _rows(key).filter(last_message_id__lt=max(ids)).update(last_message_id=max(ids))
        else:
            SentMember.objects.bulk_create(
                [SentMember(cursor=cursor, member_id=member_id) for member_id in ids],
                batch_size=BATCH_ROWS,
                ignore_conflicts=True,
            )


def _rows(key: CursorKey) -> QuerySet[SentCursor]:
    return SentCursor.objects.filter(
        user_id=key.user_id, kind=key.kind, chat_id=key.chat_id, scope=key.scope
    )


async def _ordered(job: Callable[[], T]) -> T:
    return await asyncio.shield(asyncio.wrap_future(writer.submit(job)))


def register() -> None:
    """Take part when a session lets go of its account."""
    register_purge_handler(forget_account)


def forget_account(purge: Purge) -> None:
    """Another account under the same name is told everything anew."""
    owners = TelegramSession.objects.filter(pk=purge.session_id)
    owner_id = owners.values_list("owner_id", flat=True).first()
    if purge.account_id is None or owner_id is None:
        return
    others = TelegramSession.objects.filter(owner_id=owner_id, account_id=purge.account_id).exclude(
        pk=purge.session_id
    )
    if not others.exists():
        SentCursor.objects.filter(user_id=owner_id, account_id=purge.account_id).delete()
