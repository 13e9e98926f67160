"""Which ids of a chat were read completely; changed in the transaction that stores the messages.

The newest interval may be open: the updates of one session carry it on. It holds while that
session has stayed connected since; otherwise the end of the chat is asked for again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from scraper import intervals
from scraper.intervals import Interval
from scraper.models import Chat, ChatAccess, Coverage
from sessions_app.live import connected_sessions
from sessions_app.models import BoxState, LiveState, TelegramSession

_LOAD = "SELECT low, high FROM scraper_coverage WHERE chat_id = %s ORDER BY low"
_LIVE_END = """
SELECT coverage.high, session.id FROM scraper_coverage coverage
JOIN sessions_app_telegramsession session ON session.id = coverage.open_session_id
WHERE coverage.chat_id = %s AND session.live_state = %s
AND session.connected_at <= coverage.opened_at
ORDER BY coverage.id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Opening:
    """The newest page was read through this session, whose updates go on from there."""

    session_id: int
    at: datetime


def load(chat_id: int) -> list[Interval]:
    """Return what is covered of a chat, oldest first."""
    # Asked for by every stream: the ORM takes ten times as long as the database.
    with connection.cursor() as cursor:
        cursor.execute(_LOAD, [chat_id])
        return [(low, high) for low, high in cursor.fetchall()]


def add(chat_id: int, read: Iterable[Interval], opening: Opening | None = None) -> None:
    """Add intervals to a chat; call it in the transaction that stores their messages.

    With `opening` the newest of them is left open for that session.
    """
    read = intervals.normalize(read)
    if not read:
        return
    table = Coverage._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, low, high, open_session_id IS NOT NULL FROM {table} "
            "WHERE chat_id = %s AND high >= %s AND low <= %s ORDER BY low",
            [chat_id, read[0][0] - 1, read[-1][1] + 1],
        )
        near = cursor.fetchall()
        merged: list[Interval] = [(row[1], row[2]) for row in near]
        for low, high in read:
            merged = intervals.add(merged, low, high)
        left = {(row[1], row[2]): row for row in near}
        fresh = [each for each in merged if left.pop(each, None) is None]
        # A row that grows stays the same row, and open if it was: the newest of those it joins.
        for low, high in fresh:
            inside = [row for row in left.values() if low <= row[1] and row[2] <= high]
            kept = max(inside, key=lambda row: (row[3], row[2]), default=None)
            for row in inside:
                del left[row[1], row[2]]
                if row is not kept:
                    cursor.execute(f"DELETE FROM {table} WHERE id = %s", [row[0]])
            if kept is not None:
                cursor.execute(
                    f"UPDATE {table} SET low = %s, high = %s WHERE id = %s", [low, high, kept[0]]
                )
            else:
                cursor.execute(
                    f"INSERT INTO {table} (chat_id, low, high) VALUES (%s, %s, %s)",
                    [chat_id, low, high],
                )
    if opening is not None:
        close(chat_id)
        Coverage.objects.filter(chat_id=chat_id, high=merged[-1][1]).update(
            open_session_id=opening.session_id, opened_at=opening.at
        )


def remove(chat_id: int, low: int, high: int) -> None:
    """Forget that ids were read, for what was cached of them is gone."""
    near = list(Coverage.objects.filter(chat_id=chat_id, high__gte=low, low__lte=high))
    left = intervals.remove([(row.low, row.high) for row in near], low, high)
    Coverage.objects.filter(pk__in=[row.pk for row in near]).delete()
    Coverage.objects.bulk_create(
        [Coverage(chat_id=chat_id, low=start, high=end) for start, end in left]
    )


def extend(chat_id: int, session_id: int, message_id: int) -> None:
    """Carry the open interval on to a message that came as this session's update."""
    table = Coverage._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, high FROM {table} "
            "WHERE chat_id = %s AND open_session_id = %s AND high < %s",
            [chat_id, session_id, message_id],
        )
        row = cursor.fetchone()
        if row is None:
            return
        number, high = row
        # Another reader may have been there before the update: intervals never overlap or touch.
        cursor.execute(
            f"SELECT id, high FROM {table} WHERE chat_id = %s AND low > %s AND low <= %s",
            [chat_id, high, message_id + 1],
        )
        if met := cursor.fetchall():
            marks = ", ".join(["%s"] * len(met))
            cursor.execute(f"DELETE FROM {table} WHERE id IN ({marks})", [each[0] for each in met])
        cursor.execute(
            f"UPDATE {table} SET high = %s WHERE id = %s",
            [max([message_id, *(each[1] for each in met)]), number],
        )


def close(chat_id: int) -> None:
    """End the open interval: what follows it is to be asked for."""
    Coverage.objects.filter(chat_id=chat_id, open_session__isnull=False).update(
        open_session=None, opened_at=None
    )


def close_session(session_id: int) -> None:
    """End every interval that a session carries on."""
    Coverage.objects.filter(open_session_id=session_id).update(open_session=None, opened_at=None)


def live_end(chat: Chat) -> int | None:
    """Return the chat's newest id when updates keep it, None when Telegram must be asked."""
    with connection.cursor() as cursor:
        cursor.execute(_LIVE_END, [chat.pk, LiveState.CONNECTED.value])
        row = cursor.fetchone()
    if row is None:
        return None
    connected = connected_sessions()
    return int(row[0]) if connected is None or row[1] in connected else None


def may_open(session: TelegramSession, chat: Chat) -> bool:
    """Tell whether the session's updates carry on what is read of a chat now.

    Ask before the page is read. Its box must be followed, and the account be a member.
    """
    if session.account_id is None:
        return False
    if chat.is_shared:
        box = chat.peer_id
        member = ChatAccess.objects.filter(
            account_id=session.account_id, chat=chat, member=True
        ).exists()
    else:
        box, member = 0, True
    return member and BoxState.objects.filter(session_id=session.pk, chat_id=box).exists()
