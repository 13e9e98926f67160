"""`login`: binds the socket to a key's user and to one session."""

from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.callers import Caller, authenticate, identify
from core.errors import Forbidden, TooManyRequests, Unauthorized
from core.network import client_address
from realtime.eventlog import Access, access_of
from realtime.socket.frames import UNAUTHORIZED, Failed, text_of
from realtime.threads import look_up
from sessions_app.lookup import check_name, default_session_name, is_limited, visible_sessions

if TYPE_CHECKING:
    from realtime.consumers import TelegramConsumer

EVENT = "login"
TRIES = 3
DEFAULT_SESSION = "default"

ALREADY = "Already verified. Send data to 'telegram login' or 'users'."
EXISTS = "session already exists, call 'users'."
SEND_PHONE = "send phone number"


async def login(socket: "TelegramConsumer", data: dict[str, Any]) -> None:
    """Answer `{"apiKey": …, "session"?: name}`."""
    if socket.access is not None:
        await socket.reply(EVENT, ALREADY)
        return
    key = text_of(data, "apiKey")
    wanted = text_of(data, "session") if data.get("session") is not None else None
    try:
        access, name, ready = await look_up(_verify, socket, key, wanted)
    except (Unauthorized, Forbidden, TooManyRequests) as error:
        socket.failed_logins += 1
        close = UNAUTHORIZED if socket.failed_logins >= TRIES else None
        retry_after = getattr(error, "retry_after", None)
        wait = None if retry_after is None else max(1, round(retry_after))
        raise Failed("unauthorized", close=close, retry_after=wait) from None
    await socket.verified(access, name)
    await socket.reply(EVENT, EXISTS if ready else SEND_PHONE)


def _verify(socket: "TelegramConsumer", key: str, wanted: str | None) -> tuple[Access, str, bool]:
    caller = _caller(socket, key)
    name = check_name(wanted) if wanted is not None else _default_name(caller)
    session = visible_sessions(caller).filter(name=name).first()
    return access_of(caller), name, session is not None and session.is_ready


def _caller(socket: "TelegramConsumer", key: str) -> Caller:
    client = socket.scope.get("client")
    peer = client[0] if client else None
    if settings.TGHUB_AUTH == "open":
        host, origin = socket.headers.get("host", ""), socket.headers.get("origin")
        return identify(socket.headers, peer, host, origin)
    return authenticate(key, client_address(peer, socket.headers.get("x-forwarded-for")))


def _default_name(caller: Caller) -> str:
    name = default_session_name(caller)
    if name is None and is_limited(caller):
        names = list(visible_sessions(caller).values_list("name", flat=True)[:2])
        name = names[0] if len(names) == 1 else None
    return name or DEFAULT_SESSION
