"""Find a caller's session by its name. Another user's session does not exist."""

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.callers import Caller, owner_for
from accounts.models import User
from core.errors import BadRequest, Forbidden, NotFound, Unauthorized
from core.validation import is_session_name
from engine.store import Device
from sessions_app.models import KeyGrant, SessionState, TelegramSession


def check_name(name: str) -> str:
    """Return a valid session name; raises BadRequest for any other."""
    if not is_session_name(name):
        raise BadRequest(
            "A session name has 1 to 64 printable characters, no '/' and no blank at either end.",
            code="bad_session_name",
        )
    return name


def visible_sessions(caller: Caller, username: str | None = None) -> QuerySet[TelegramSession]:
    """Return the sessions that the caller may use: their own, or `username`'s for an admin.

    What shows a QR code is none: its name is nobody's, and its key moves on after the scan.
    """
    sessions = TelegramSession.objects.filter(owner=owner_for(caller, username)).exclude(
        state=SessionState.WAIT_OTHER_DEVICE
    )
    if caller.key is None:
        return sessions
    grants = KeyGrant.objects.filter(api_key=caller.key, limits=True)
    return sessions.filter(Q(~Exists(grants)) | Q(Exists(grants.filter(session=OuterRef("pk")))))


def is_limited(caller: Caller) -> bool:
    """Tell whether the caller's key may use some sessions only."""
    return (
        caller.key is not None and KeyGrant.objects.filter(api_key=caller.key, limits=True).exists()
    )


def find_session(caller: Caller, name: str, username: str | None = None) -> TelegramSession:
    """Return the session; raises BadRequest for a bad name, NotFound."""
    session = (
        visible_sessions(caller, username)
        .select_related("account", "owner", "login")
        .filter(name=check_name(name))
        .first()
    )
    if session is None:
        raise NotFound("There is no such session.", code="session_not_found")
    return session


def find_ready_session(caller: Caller, name: str, username: str | None = None) -> TelegramSession:
    """Return the session when it is logged in; raises NotFound, Unauthorized."""
    session = find_session(caller, name, username)
    require_ready(session)
    return session


def require_ready(session: TelegramSession) -> None:
    """Raise Unauthorized unless the session is logged in."""
    if session.state == SessionState.EXPIRED:
        raise Unauthorized(
            "Telegram has revoked this session; log in again.", code="session_expired"
        )
    if session.state == SessionState.PAUSED:
        raise Unauthorized(
            "The session was exported; import it again to use it here.", code="session_paused"
        )
    if not session.is_ready:
        raise Unauthorized("The session is not logged in.", code="session_not_logged_in")


def default_session_name(caller: Caller) -> str | None:
    """Return the name of the key's default session, None when it has none."""
    if caller.key is None:
        return None
    return (
        KeyGrant.objects.filter(api_key=caller.key, is_default=True, session__isnull=False)
        .values_list("session__name", flat=True)
        .first()
    )


def get_or_create_session(owner: User, name: str) -> TelegramSession:
    """Return the owner's session of that name, made when there is none.

    Its device is written down now: it stays the same for the session's whole life.
    """
    device = Device()
    session, _ = TelegramSession.objects.select_related("account", "owner").get_or_create(
        owner=owner,
        name=check_name(name),
        defaults={
            "device_model": device.device_model,
            "system_version": device.system_version,
            "app_version": device.app_version,
            "lang_code": device.lang_code,
            "system_lang_code": device.system_lang_code,
        },
    )
    return session


def session_for_login(caller: Caller, name: str, username: str | None = None) -> TelegramSession:
    """Return the session that a login is for, made when there is none.

    Raises BadRequest for a bad name, Forbidden when the key is limited to other sessions.
    """
    owner = owner_for(caller, username)
    check_name(name)
    if is_limited(caller) and not visible_sessions(caller, username).filter(name=name).exists():
        raise Forbidden("The key is limited to other sessions.", code="session_not_allowed")
    return get_or_create_session(owner, name)
