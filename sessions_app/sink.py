"""Where the engine's updates go: one transaction for what they say and how far they reach.

Rooms above take part through `register_update_handler`: they store messages in the
transaction in which the event is appended and, last, the update state that covers it.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from django.db import connection, transaction

from core import events
from core.writer import writer
from engine.methods.shapes import MessageDict, with_private, without_login_code
from engine.store import EngineEvent, UpdateBatch
from sessions_app.store import upsert_boxes, upsert_entities

logger = logging.getLogger(__name__)

UpdateHandler = Callable[[Sequence[UpdateBatch]], None]
"""Stores what it needs of the batches, with the ORM, and may be run again after a rollback.

It may complete `event.data` (a media's uuid) before the event is appended.
"""

_handlers: list[UpdateHandler] = []


class Account(NamedTuple):
    """An account's row and its id at Telegram."""

    pk: int
    user_id: int


def register_update_handler(handler: UpdateHandler) -> None:
    """Have `handler` called with each group of batches (from `AppConfig.ready()`)."""
    if handler not in _handlers:
        _handlers.append(handler)


class WriterSink:
    """Implements `engine.store.UpdateSink` over the process's one writer."""

    def submit(self, batch: UpdateBatch) -> "Future[None]":
        return writer.submit_item(store_batches, batch)


def store_batches(batches: Sequence[UpdateBatch]) -> None:
    """Store batches of any sessions; the caller's transaction makes it all or nothing."""
    living = accounts_of({batch.session_id for batch in batches})
    batches = [batch for batch in batches if batch.session_id in living]
    for batch in batches:
        for event in batch.events:
            message = event.data.get("message")
            if isinstance(message, dict) and "message_id" in message:
                event.data["message"] = without_login_code(cast(MessageDict, message))
    for handler in _handlers:
        handler(batches)
    upsert_entities([(batch.session_id, row) for batch in batches for row in batch.entities])
    events.append(
        [
            events.NewEvent(
                kind=event.kind,
                data=_for_clients(event),
                session_id=batch.session_id,
                chat_id=event.chat_id,
                date=datetime.fromtimestamp(event.date, UTC),
            )
            for batch in batches
            for event in batch.events
        ]
    )
    upsert_boxes([(batch.session_id, state) for batch in batches for state in batch.states])
    transaction.on_commit(lambda: _log(batches), robust=True)


def accounts_of(session_ids: Collection[int]) -> dict[int, Account | None]:
    """Return whose account each session has, of those that exist; None: nobody's yet.

    By hand, as what else is asked at each update: the ORM takes longer to write it than the
    database to answer.
    """
    if not session_ids:
        return {}
    marks = ", ".join(["%s"] * len(session_ids))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.id, a.id, a.user_id FROM sessions_app_telegramsession s "
            f"LEFT JOIN sessions_app_account a ON a.id = s.account_id WHERE s.id IN ({marks})",
            [*session_ids],
        )
        return {
            session_id: None if pk is None else Account(pk, user_id)
            for session_id, pk, user_id in cursor.fetchall()
        }


def _for_clients(event: EngineEvent) -> dict[str, Any]:
    """Return the event's data as its own account's client may see it."""
    message = event.data.get("message")
    if isinstance(message, dict) and "message_id" in message:
        return {**event.data, "message": with_private(cast(MessageDict, message))}
    return event.data


def _log(batches: Sequence[UpdateBatch]) -> None:
    """Say who wrote where, not what."""
    if not logger.isEnabledFor(logging.INFO):
        return
    for batch in batches:
        for event in batch.events:
            if event.kind != "message.new":
                continue
            message: dict[str, Any] = event.data.get("message", event.data)
            # What an account says to itself, Telegram does not call outgoing.
            own = batch.account_id is not None and message.get("sender_id") == batch.account_id
            if own or message.get("extra", {}).get("is_outgoing"):
                continue
            logger.info(
                "Session %s: message %s from %s in chat %s",
                batch.session_id,
                message.get("message_id"),
                message.get("sender_id"),
                event.chat_id,
            )
