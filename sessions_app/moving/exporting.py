"""Hand a stored session out: as strings, or as a `.session` file. It is paused here from then on.

Two owners of one auth key can end in `AUTH_KEY_DUPLICATED`, which kills the session.
"""

import contextlib
import ipaddress
import logging
import socket
import sqlite3
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction

from core import events
from core.errors import Conflict
from engine import telegram
from engine.methods import sessions as session_methods
from engine.wire import Carried
from sessions_app.lookup import require_ready
from sessions_app.models import LiveState, SessionState, TelegramSession
from sessions_app.seeds import KEY_BYTES
from sessions_app.stateless.token import Token, mint
from sessions_app.store import to_record
from sessions_app.strings import PRODUCTION, pyrogram_string, telethon_string

logger = logging.getLogger(__name__)

DEFAULT_DC = 2


@dataclass(frozen=True, slots=True)
class Exported:
    """A session for use elsewhere, in every form that is read there."""

    api_id: int
    dc_id: int
    host: str
    port: int
    auth_key: bytes = field(repr=False)
    session_string: str = field(repr=False)
    telethon: str = field(repr=False)
    pyrogram: str | None = field(repr=False)


def export_session(session: TelegramSession) -> Exported:
    """Close the session's connection, pause it, and return what another program needs.

    Raises Unauthorized when it is not logged in, EngineError when its owner cannot be reached
    (and then nothing has changed).
    """
    require_ready(session)
    rows = TelegramSession.objects.filter(pk=session.pk)
    if not rows.filter(state=SessionState.READY).update(state=SessionState.PAUSED):
        raise Conflict("The session has changed meanwhile.", code="session_changed")
    try:
        telegram.call(session.pk, session_methods.disconnect)
        exported = _exported(rows.select_related("account").get())
    except BaseException:
        rows.filter(state=SessionState.PAUSED).update(state=SessionState.READY)
        raise
    with transaction.atomic():
        rows.update(live_state=LiveState.DISCONNECTED, retry_at=None)
        events.append(
            [
                events.NewEvent(
                    "session.state", {"state": SessionState.PAUSED.value}, session_id=session.pk
                )
            ]
        )
    logger.info("Session %s is exported and paused", session.pk)
    return exported


def _exported(session: TelegramSession) -> Exported:
    record = to_record(session)
    if record.auth_key is None or len(record.auth_key) != KEY_BYTES:
        raise Conflict("The session has no auth key.", code="session_changed")
    dc_id, host, port = record.dc_id, record.host, record.port
    if not host:
        dc_id, host, port = default_server()
    user_id = session.account.user_id if session.account is not None else 0
    carried = Carried(
        record.api_id, record.api_hash, dc_id, host, port, record.auth_key, record.device
    )
    return Exported(
        api_id=record.api_id,
        dc_id=dc_id,
        host=host,
        port=port,
        auth_key=record.auth_key,
        session_string=mint(Token(carried)),
        telethon=telethon_string(
            dc_id=dc_id, host=_address(host), port=port, auth_key=record.auth_key
        ),
        pyrogram=pyrogram_string(
            dc_id=dc_id, api_id=record.api_id, user_id=user_id, auth_key=record.auth_key
        )
        if user_id
        else None,
    )


def default_server() -> tuple[int, str, int]:
    """Return DC, host and port of the server that new sessions begin with."""
    text: str = settings.TELEGRAM["DC"]
    if not text:
        return DEFAULT_DC, *PRODUCTION[DEFAULT_DC]
    dc_id, _, address = text.rpartition("@")
    host, _, port = address.rpartition(":")
    return int(dc_id), host.strip("[]"), int(port)


def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return socket.gethostbyname(host)


def session_file(exported: Exported) -> bytes:
    """Return a Telethon `.session` file (SQLite, its layout 7, which later ones upgrade).

    Source: telethon/sessions/sqlite.py
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_LAYOUT)
        row: tuple[Any, ...] = (
            exported.dc_id,
            _address(exported.host),
            exported.port,
            exported.auth_key,
        )
        database.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, NULL)", row)
        database.commit()
        return bytes(database.serialize())


_LAYOUT = """
CREATE TABLE version (version integer primary key);
INSERT INTO version VALUES (7);
CREATE TABLE sessions (
    dc_id integer primary key, server_address text, port integer, auth_key blob,
    takeout_id integer
);
CREATE TABLE entities (
    id integer primary key, hash integer not null, username text, phone integer, name text,
    date integer
);
CREATE TABLE sent_files (
    md5_digest blob, file_size integer, type integer, id integer, hash integer,
    primary key (md5_digest, file_size, type)
);
CREATE TABLE update_state (
    id integer primary key, pts integer, qts integer, date integer, seq integer
);
"""
