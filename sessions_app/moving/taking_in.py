"""Take a session in: from a Telethon or Pyrogram string, a `.session` file, a session string."""

import ipaddress
import logging
from dataclasses import replace

from django.conf import settings
from django.db import transaction

from accounts.models import User
from core.errors import BadRequest, Conflict, Unauthorized
from engine import telegram
from engine.errors import EngineError
from engine.methods import sessions as session_methods
from engine.wire import Carried
from sessions_app.authorization import finish_login, forget_key
from sessions_app.importing import import_session
from sessions_app.models import SessionState, TelegramSession
from sessions_app.moving.exporting import default_server
from sessions_app.seeds import FoundSession, Unreadable, read_session_bytes
from sessions_app.stateless import token
from sessions_app.store import key_fingerprint
from sessions_app.strings import PRODUCTION, parse

logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 64 * 1024 * 1024
PORTS = (443, 80, 5222)


def from_string(text: str) -> tuple[FoundSession, Carried | None]:
    """Return the session in a string; with a session string of a hub, also what it carried.

    Raises BadRequest, Unauthorized for a session string that is not valid.
    """
    if text.strip().startswith(f"{token.VERSION}."):
        held = token.read(text.strip())
        if held.login is not None:
            raise Unauthorized(
                "The login of this session string is not complete.", code="session_not_logged_in"
            )
        carried = held.carried
        found = FoundSession("", carried.dc_id, carried.host, carried.port, carried.auth_key)
        return found, carried
    try:
        known = parse(text)
    except Unreadable:
        raise unreadable() from None
    found = FoundSession("", known.dc_id, known.host, known.port, known.auth_key)
    return _placed(found, by_number=known.user_id is not None), None


def from_file(content: bytes) -> FoundSession:
    """Return the session in a `.session` file; raises BadRequest."""
    try:
        found = read_session_bytes(content, "")
    except Unreadable:
        raise unreadable() from None
    if found.auth_key is None:
        raise BadRequest("The file holds no session that is logged in.", code="bad_session_file")
    return _placed(found)


def unreadable() -> BadRequest:
    return BadRequest(
        "This is neither a Telethon nor a Pyrogram session.", code="bad_session_string"
    )


def _placed(found: FoundSession, *, by_number: bool = False) -> FoundSession:
    """Return the session at a server that this hub may connect to; raises BadRequest.

    A string may name any address: only Telegram's own are believed, or the one server that
    the settings name.
    """
    dc_id, host, _ = default_server()
    if settings.TELEGRAM["DC"]:
        if found.host == host and not by_number:
            return found
        if found.dc_id == dc_id and (by_number or not found.host):
            return replace(found, dc_id=0, host="", port=0)
        raise BadRequest(
            "The session belongs to another Telegram server than this hub's.", code="foreign_dc"
        )
    if not found.host and found.dc_id in PRODUCTION:
        address, port = PRODUCTION[found.dc_id]
        return replace(found, host=address, port=port)
    try:
        is_public = ipaddress.ip_address(found.host).is_global
    except ValueError:
        is_public = False
    if not is_public or found.port not in PORTS:
        raise BadRequest("The session names no server of Telegram's.", code="foreign_dc")
    return found


def take_in(
    owner: User,
    name: str,
    found: FoundSession,
    *,
    api_id: int | None = None,
    api_hash: str | None = None,
    carried: Carried | None = None,
) -> TelegramSession:
    """Store a session that was found elsewhere, connect it, and return it, logged in.

    One that was exported from here goes on under its name. Raises Conflict when the name, or
    the key, is in use here; Unauthorized when Telegram has ended the session; EngineError. After
    a failure everything is as it was.
    """
    assert found.auth_key is not None
    resumed = _resumable(owner, name, found.auth_key)
    _let_go_of_warm(found)
    if resumed is None:
        session = _store(owner, name, found)
        _set_origin(session, api_id, api_hash, carried)
    else:
        session = resumed
        TelegramSession.objects.filter(pk=session.pk).update(state=SessionState.READY)
    try:
        user = telegram.call(session.pk, session_methods.reconnect)["user"]
        if user is None:
            raise Unauthorized("Telegram has ended this session.", code="session_expired")
    except Exception as exc:
        _undo(session, resumed is not None, ended=getattr(exc, "status", 0) == 401)
        raise
    logger.info("Session %s is imported", session.pk)
    return finish_login(session.pk, user)


def _resumable(owner: User, name: str, auth_key: bytes) -> TelegramSession | None:
    holder = TelegramSession.objects.filter(key_fingerprint=key_fingerprint(auth_key)).first()
    if holder is not None:
        own = holder.owner_id == owner.pk and holder.name == name
        if own and holder.state == SessionState.PAUSED:
            return holder
        raise Conflict("This session is stored here already.", code="session_exists")
    if TelegramSession.objects.filter(owner=owner, name=name).exists():
        raise Conflict("There is a session of this name already.", code="session_exists")
    return None


def _let_go_of_warm(found: FoundSession) -> None:
    """Close the connection that a stateless caller may have left: one key, one connection."""
    carried = Carried(1, "", found.dc_id, found.host, found.port, found.auth_key)
    telegram.call(carried, session_methods.disconnect)


def _store(owner: User, name: str, found: FoundSession) -> TelegramSession:
    problem = import_session(owner, replace(found, name=name))
    if problem:
        # Another caller was faster.
        raise Conflict("This session is stored here already.", code="session_exists")
    return TelegramSession.objects.get(owner=owner, name=name)


def _set_origin(
    session: TelegramSession, api_id: int | None, api_hash: str | None, carried: Carried | None
) -> None:
    """Keep the application and the device that the session was made with."""
    if carried is not None:
        api_id, api_hash = carried.api_id, carried.api_hash
        if (device := carried.device) is not None:
            session.device_model = device.device_model
            session.system_version = device.system_version
            session.app_version = device.app_version
            session.lang_code = device.lang_code
            session.system_lang_code = device.system_lang_code
    session.api_id, session.api_hash = (api_id, api_hash) if api_id and api_hash else (None, None)
    session.save()


def _undo(session: TelegramSession, resumed: bool, *, ended: bool) -> None:
    """Leave no half of an import behind; a dead key that was exported once is forgotten."""
    rows = TelegramSession.objects.filter(pk=session.pk)
    if resumed and not ended:
        rows.update(state=SessionState.PAUSED)
    try:
        if ended or not resumed:
            forget_key(session)
        else:
            telegram.call(session.pk, session_methods.disconnect)
    except EngineError as exc:
        logger.warning("Session %s could not be closed: %s", session.pk, exc.code)
    if not resumed:
        with transaction.atomic():
            rows.delete()
