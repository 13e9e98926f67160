"""Where the engine's sessions live: the ORM behind its `SessionStore` protocol.

Reading happens in the calling worker's database thread; all writing goes through the
process's one writer.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db import IntegrityError, connection
from django.utils import timezone

from core import events
from core.crypto import fingerprint
from core.fields import field_of
from core.upserts import upsert
from core.writer import writer
from engine.errors import Conflict, EngineError, NotFound
from engine.store import (
    BoxState,
    Device,
    EntityRow,
    Proxy,
    SessionRecord,
    SessionReport,
    SessionState,
)
from sessions_app import models
from sessions_app.lease import Lease, claim_session
from sessions_app.text import clean

logger = logging.getLogger(__name__)

T = TypeVar("T")

WRITE_SECONDS = 60.0

LIVE_STATES = {
    "connected": models.LiveState.CONNECTED,
    "healed": models.LiveState.CONNECTED,
    "disconnected": models.LiveState.DISCONNECTED,
    "expired": models.LiveState.DISCONNECTED,
    "retrying": models.LiveState.RETRYING,
    "degraded": models.LiveState.DEGRADED,
}

# Asked before each call of a carried session. What was exported is used from outside now.
_HOLDER = "SELECT id FROM sessions_app_telegramsession WHERE key_fingerprint = %s AND state <> %s"


def key_fingerprint(auth_key: bytes) -> str:
    """Return what an auth key is known by: unique, and telling nothing of it."""
    return fingerprint("auth_key", auth_key)


class OrmStore:
    """Implements `engine.store.SessionStore`."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def load(self, session_id: int) -> SessionRecord:
        row = models.TelegramSession.objects.select_related("account").filter(pk=session_id).first()
        if row is None:
            raise _no_session()
        return to_record(row)

    def claim(self, session_id: int) -> int:
        return claim_session(session_id, self._lease)

    def find_key(self, auth_key: bytes) -> int | None:
        with connection.cursor() as cursor:
            cursor.execute(_HOLDER, [key_fingerprint(auth_key), models.SessionState.PAUSED])
            row = cursor.fetchone()
        return None if row is None else int(row[0])

    def save_key(
        self, session_id: int, *, dc_id: int, host: str, port: int, auth_key: bytes | None
    ) -> None:
        mark = None if auth_key is None else key_fingerprint(auth_key)

        def save() -> None:
            save_key(session_id, dc_id, host, port, auth_key, mark)

        _write(save)

    def save_entities(self, session_id: int, rows: list[EntityRow]) -> None:
        def save() -> None:
            if models.TelegramSession.objects.filter(pk=session_id).exists():
                upsert_entities([(session_id, row) for row in rows])

        _write(save)

    def save_flood(self, session_id: int, method: str, until: float) -> None:
        def save() -> None:
            if models.TelegramSession.objects.filter(pk=session_id).exists():
                models.FloodDeadline.objects.update_or_create(
                    session_id=session_id, method=method, defaults={"until": until}
                )

        _write(save)

    def report(self, session_id: int, report: SessionReport) -> None:
        def save() -> None:
            owned = models.TelegramSession.objects.filter(
                pk=session_id, owner_node=self._lease.name
            )
            # What another node made of it since then is that node's to tell.
            if owned.exists():
                note_report(session_id, report)

        future = writer.submit(save)
        if report.kind == "expired":
            # Whoever asks after a refused call sees why.
            future.result(WRITE_SECONDS)


def _write(job: Callable[[], T]) -> T:
    return writer.submit(job).result(WRITE_SECONDS)


def _no_session() -> NotFound:
    return NotFound("session_not_found", "There is no such session.")


def to_record(row: models.TelegramSession) -> SessionRecord:
    """Return the row as the engine takes it; raises EngineError without API credentials."""
    api_id = row.api_id or settings.TELEGRAM["API_ID"]
    api_hash = row.api_hash if row.api_id else settings.TELEGRAM["API_HASH"]
    if not api_id or not api_hash:
        raise EngineError(
            "api_id_missing",
            "TELEGRAM_API_ID and TELEGRAM_API_HASH are not set (https://my.telegram.org/apps).",
            503,
        )
    device = Device()
    state: str = row.state
    return SessionRecord(
        session_id=row.pk,
        api_id=api_id,
        api_hash=api_hash,
        dc_id=row.dc_id or 0,
        host=row.server_address,
        port=row.port or 0,
        auth_key=row.auth_key,
        device=Device(
            device_model=row.device_model or device.device_model,
            system_version=row.system_version or device.system_version,
            app_version=row.app_version or device.app_version,
            lang_code=row.lang_code or device.lang_code,
            system_lang_code=row.system_lang_code or device.system_lang_code,
        ),
        proxy=Proxy(**row.proxy) if row.proxy else None,
        # Between two logins the row keeps its account, which the new key does not have.
        account_id=row.account.user_id if row.account and row.is_ready else None,
        state=cast(SessionState, "closed" if state == models.SessionState.PAUSED else state),
        entities=[
            EntityRow(peer_id, access_hash, username or None, phone or None, name or None)
            for peer_id, access_hash, username, phone, name in row.entities.values_list(
                "peer_id", "access_hash", "username", "phone", "name"
            )
        ],
        boxes=[
            BoxState(*values)
            for values in row.box_states.values_list(
                "chat_id", "pts", "qts", "date", "seq", "top_message_id"
            )
            if row.is_ready
        ],
        floods=dict(
            row.floods.filter(until__gt=timezone.now().timestamp()).values_list("method", "until")
        ),
    )


def save_key(
    session_id: int,
    dc_id: int,
    host: str,
    port: int,
    auth_key: bytes | None,
    mark: str | None,
) -> None:
    """Keep the key; raises Conflict when another session holds it, NotFound."""
    sessions = models.TelegramSession.objects
    uid = sessions.filter(pk=session_id).values_list("uid", flat=True).first()
    if uid is None:
        raise _no_session()
    in_use = Conflict("auth_key_in_use", "Another session of this hub holds this auth key.")
    if mark and sessions.filter(key_fingerprint=mark).exclude(pk=session_id).exists():
        raise in_use
    sealed = None
    if auth_key is not None:
        sealed = field_of(models.TelegramSession, "auth_key").seal(uid, auth_key)
    try:
        sessions.filter(pk=session_id).update(
            dc_id=dc_id or None,
            server_address=host,
            port=port or None,
            auth_key=sealed,
            key_fingerprint=mark,
        )
    except IntegrityError:
        raise in_use from None


def upsert_entities(rows: Sequence[tuple[int, EntityRow]]) -> None:
    """Insert or replace entities of sessions; a known access hash is never lost to a null."""
    newest = {(session_id, row.id): row for session_id, row in rows}
    table = models.Entity._meta.db_table
    upsert(
        table,
        ("session_id", "peer_id", "access_hash", "username", "phone", "name"),
        [
            (
                *key,
                row.access_hash,
                clean(row.username, 64),
                clean(row.phone, 32),
                clean(row.name, 256),
            )
            for key, row in newest.items()
        ],
        conflict="session_id, peer_id",
        update=(
            "username",
            "phone",
            "name",
            f"access_hash = COALESCE(excluded.access_hash, {table}.access_hash)",
        ),
    )


def upsert_boxes(rows: Sequence[tuple[int, BoxState]]) -> None:
    """Insert or replace how far the boxes of sessions are stored; of two rows the later holds."""
    newest = {(session_id, row.chat_id): row for session_id, row in rows}
    facts = ("pts", "qts", "date", "seq", "top_message_id")
    upsert(
        models.BoxState._meta.db_table,
        ("session_id", "chat_id", *facts),
        [
            (*key, row.pts, row.qts, row.date, row.seq, row.top_message_id)
            for key, row in newest.items()
        ],
        conflict="session_id, chat_id",
        update=facts,
    )


def note_report(session_id: int, report: SessionReport) -> None:
    """Write down what became of a connection, and say so as an event when it is news."""
    live_state = LIVE_STATES[report.kind]
    changes: dict[str, Any] = {
        "live_state": live_state,
        "retry_at": None
        if report.retry_at is None
        else datetime.fromtimestamp(report.retry_at, UTC),
    }
    if report.kind in ("connected", "healed"):
        changes["last_error"] = ""
        changes["connected_at"] = timezone.now()
    elif report.error:
        changes["last_error"] = clean(report.error, 200)
    sessions = models.TelegramSession.objects.filter(pk=session_id)
    before = sessions.values_list("state", "live_state").first()
    if before is None:
        return
    state, live_before = before
    if report.kind == "expired" and state == models.SessionState.READY:
        # The key is dead at Telegram: nothing will ever use it.
        state = models.SessionState.EXPIRED
        changes |= {"state": state, "auth_key": None, "key_fingerprint": None}
        logger.warning("Session %s expired: %s", session_id, report.error)
    sessions.update(**changes)
    if (state, live_state) != before:
        events.append(
            [
                events.NewEvent(
                    "session.state",
                    {
                        "state": str(state),
                        "connection": live_state.value,
                        "error": report.error or None,
                    },
                    session_id=session_id,
                )
            ]
        )
