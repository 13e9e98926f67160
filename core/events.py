"""The event log: one global id in the order of commits, so that one cursor misses nothing.

Writers append inside their transaction; readers ask for what came after their cursor.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from core import json
from core.models import Event, EventClock
from core.upserts import insert

logger = logging.getLogger(__name__)

MAX_PAGE = 1000
PRUNE_BATCH = 5000
_COLUMNS = ("id", "kind", "session_id", "chat_id", "document", "date")


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. `session_id` is the row's number, `chat_id` is marked.

    `date` is when it happened, now unless said.
    """

    kind: str
    data: Any = None
    session_id: int | None = None
    chat_id: int | None = None
    date: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the log; `document` is its data as JSON text."""

    id: int
    kind: str
    session_id: int | None
    chat_id: int | None
    document: str
    date: datetime

    @property
    def data(self) -> Any:
        return json.loads(self.document)


@dataclass(frozen=True, slots=True)
class Page:
    """What follows a cursor. `next` is the cursor to go on with.

    `reset` says that events after the cursor were pruned (or that the log was never
    that far): nothing is returned, and `oldest` is the first id that can still be read.
    """

    events: list[StoredEvent]
    next: int
    oldest: int
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """`last` is the newest id, 0 before the first; `oldest` the first one that is kept."""

    oldest: int
    last: int


_collected: ContextVar[list[NewEvent] | None] = ContextVar("collected_events", default=None)
_listeners: list[Callable[[int], None]] = []


def append(events: Sequence[NewEvent]) -> None:
    """Append `events` in the caller's transaction, as the last thing that it does.

    The log's clock stays locked until the transaction ends, which keeps ids in commit
    order and other writers waiting: nothing slow, and no other write, may follow.
    Inside `collecting()` (as in a writer's job) this moment is chosen for the caller.
    """
    if not events:
        return
    collected = _collected.get()
    if collected is not None:
        collected.extend(events)
        return
    _write(events)


@contextmanager
def collecting() -> Iterator[None]:
    """Append what is appended in this block at its end; opened inside `atomic`."""
    if _collected.get() is not None:
        yield
        return
    events: list[NewEvent] = []
    token = _collected.set(events)
    try:
        yield
    finally:
        _collected.reset(token)
    _write(events)


def _write(events: Sequence[NewEvent]) -> None:
    if not events:
        return
    documents = [json.dumps(event.data).decode() for event in events]
    # Retention goes by age in the log, which follows the ids, not by when it happened.
    now = timezone.now()
    with transaction.atomic(savepoint=False):
        last = _advance(len(events))
        first = last - len(events) + 1
        adapt = connection.ops.adapt_datetimefield_value
        insert(
            Event._meta.db_table,
            (*_COLUMNS, "created_at"),
            [
                (
                    first + n,
                    event.kind,
                    event.session_id,
                    event.chat_id,
                    document,
                    adapt(event.date or now),
                    adapt(now),
                )
                for n, (event, document) in enumerate(zip(events, documents, strict=True))
            ],
        )
    transaction.on_commit(lambda: _notify(last), robust=True)


def _advance(n: int) -> int:
    """Move the clock by `n`, lock it until the transaction ends, return where it stands."""
    statement = (
        f"UPDATE {EventClock._meta.db_table} SET last = last + %s WHERE id = 1 RETURNING last"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [n])
        row = cursor.fetchone()
        if row is None:  # a database that was emptied
            EventClock.objects.bulk_create([EventClock(pk=1)], ignore_conflicts=True)
            cursor.execute(statement, [n])
            row = cursor.fetchone()
    return int(row[0])


def on_append(listener: Callable[[int], None]) -> Callable[[], None]:
    """Call `listener(newest id)` after each commit that appended; return how to stop it.

    It runs in the writing thread and must not block: hop to your own loop.
    """
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def _notify(last: int) -> None:
    for listener in list(_listeners):
        try:
            listener(last)
        except Exception:
            logger.exception("a listener of the event log failed")


def bounds() -> Bounds:
    """Return the ids between which the log can be read."""
    last, pruned = _clock()
    return Bounds(oldest=pruned + 1, last=last)


def _clock() -> tuple[int, int]:
    # Asked twice for each page: the ORM would take longer to write it than the database to answer.
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT last, pruned FROM {EventClock._meta.db_table} WHERE id = 1")
        row = cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def read(
    since: int,
    *,
    session_ids: Collection[int] | None = None,
    chat_ids: Collection[int] | None = None,
    kinds: Collection[str] | None = None,
    limit: int = 100,
) -> Page:
    """Return up to `limit` events after the cursor `since`, oldest first.

    Each filter that is not None must hold; `session_ids` also leaves out events
    that belong to no session. Who may see a session is for the caller to check.
    """
    last, pruned = _clock()
    if since > last or since < pruned:
        return Page([], next=last, oldest=pruned + 1, reset=True)
    limit = max(1, min(limit, MAX_PAGE))
    wanted = {"session_id": session_ids, "chat_id": chat_ids, "kind": kinds}
    events = _read(since, last, {k: v for k, v in wanted.items() if v is not None}, limit)
    # Rows may have been pruned while they were being read.
    pruned = _clock()[1]
    if since < pruned:
        return Page([], next=last, oldest=pruned + 1, reset=True)
    full = len(events) == limit
    return Page(events, next=events[-1].id if full else last, oldest=pruned + 1)


def _read(
    since: int, last: int, wanted: Mapping[str, Collection[Any]], limit: int
) -> list[StoredEvent]:
    """Return the rows; by hand, for live events are read one by one."""
    if not all(wanted.values()):
        return []
    conditions = ["id > %s", "id <= %s"]
    values: list[Any] = [since, last]
    for column, those in wanted.items():
        conditions.append(f"{column} IN ({', '.join(['%s'] * len(those))})")
        values += those
    statement = (
        f"SELECT {', '.join(_COLUMNS)} FROM {Event._meta.db_table} "
        f"WHERE {' AND '.join(conditions)} ORDER BY id LIMIT %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, limit])
        rows = cursor.fetchall()
    # SQLite keeps UTC without saying so.
    return [
        StoredEvent(
            number,
            kind,
            session_id,
            chat_id,
            document,
            date if date.tzinfo else date.replace(tzinfo=UTC),
        )
        for number, kind, session_id, chat_id, document, date in rows
    ]


def prune(*, before: datetime | None = None) -> int:
    """Remove events older than `before` (`EVENT_RETENTION_DAYS` ago); return how many.

    Works in short transactions, so that writers and readers wait for none of them.
    """
    if before is None:
        before = datetime.now(UTC) - timedelta(days=settings.EVENT_RETENTION_DAYS)
    end = (
        Event.objects.filter(created_at__lt=before).order_by("-id").values_list("id", flat=True)
    ).first()
    removed = 0
    while end is not None:
        pruned = _clock()[1]
        step = min(end, pruned + PRUNE_BATCH)
        if step <= pruned:
            break
        with transaction.atomic():
            count, _ = Event.objects.filter(id__lte=step).delete()
            EventClock.objects.filter(pk=1, pruned__lt=step).update(pruned=step)
        removed += count
    return removed


def forget_session(session_id: int) -> int:
    """Remove every event of a session that is destroyed; return how many.

    The ids stay used: readers find nothing there, and need no reset.
    """
    return Event.objects.filter(session_id=session_id).delete()[0]
