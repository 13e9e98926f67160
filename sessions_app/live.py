"""What is known of sessions without asking Telegram."""

from typing import TypedDict

from django.utils import timezone

from engine import telegram
from sessions_app.models import Account, LiveState, SessionState, TelegramSession

CONNECTED = (LiveState.CONNECTED, LiveState.DEGRADED)


class UserInfo(TypedDict):
    """The Telegram user behind a session, in the order of the hub's wire format."""

    id: int
    first_name: str | None
    last_name: str | None
    username: str | None
    phone: str | None


def user_info(account: Account) -> UserInfo:
    return UserInfo(
        id=account.user_id,
        first_name=account.first_name or None,
        last_name=account.last_name or None,
        username=account.username or None,
        phone=account.phone or None,
    )


class SessionFacts(TypedDict):
    """A session as the list shows it."""

    session_id: str
    is_connected: bool
    is_authenticated: bool
    user_info: UserInfo | None
    in_login_cache: bool


class SessionStatus(TypedDict):
    """A session as its status shows it."""

    session_id: str
    is_authenticated: bool
    is_active: bool
    is_connected: bool
    user_info: UserInfo | None
    in_login_cache: bool


def session_facts(
    session: TelegramSession, connected: "frozenset[int] | None" = None
) -> SessionFacts:
    """Return the facts of a session; `connected` saves asking the engine for each of many."""
    return SessionFacts(
        session_id=session.name,
        is_connected=is_connected(session, connected),
        is_authenticated=session.is_ready,
        user_info=_info_of(session),
        in_login_cache=in_login(session),
    )


def session_status(session: TelegramSession) -> SessionStatus:
    """Return the status of a session."""
    connected = is_connected(session)
    return SessionStatus(
        session_id=session.name,
        is_authenticated=session.is_ready,
        is_active=session.is_ready and (connected or session.live_state != LiveState.DISCONNECTED),
        is_connected=connected,
        user_info=_info_of(session),
        in_login_cache=in_login(session),
    )


def in_login(session: TelegramSession) -> bool:
    """Tell whether a login is under way, its ten minutes not over."""
    login = getattr(session, "login", None)
    return login is not None and login.expires_at > timezone.now()


def is_connected(session: TelegramSession, connected: "frozenset[int] | None" = None) -> bool:
    """Tell whether a logged-in session's client is connected.

    As the engine here knows, else by its row. The link of a login under way does not count.
    """
    if not session.is_ready:
        return False
    known = connected_sessions() if connected is None else connected
    if known is None:
        return session.live_state in CONNECTED
    return session.pk in known


def _info_of(session: TelegramSession) -> UserInfo | None:
    if not session.is_ready or session.account is None:
        return None
    return user_info(session.account)


def active_sessions() -> int:
    """Count the sessions that are logged in and connected (`/health`)."""
    ready = TelegramSession.objects.filter(state=SessionState.READY)
    connected = connected_sessions()
    if connected is None:
        return ready.filter(live_state__in=CONNECTED).count()
    return len(connected.intersection(ready.values_list("pk", flat=True)))


def connected_sessions() -> frozenset[int] | None:
    """Return the sessions whose clients are connected; None when no engine runs here."""
    status = telegram.status()
    if not status["running"] or status.get("transport") != "local":
        return None
    return frozenset(
        int(number)
        for worker in status["workers"]
        for number, client in worker["clients"].get("sessions", {}).items()
        if client["state"] in ("connected", "degraded")
    )
