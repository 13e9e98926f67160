"""`telegram login`: phone, then code, then where Telegram asks for it the password."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from accounts.models import Scope, record
from core.network import client_address
from core.validation import normalize_phone
from engine.errors import EngineError
from realtime.eventlog import Access
from realtime.socket.frames import BAD_REQUEST, UNAUTHORIZED, Failed, Malformed, text_of
from realtime.threads import step
from sessions_app import login
from sessions_app.lookup import find_session, session_for_login
from sessions_app.models import LoginStep, TelegramSession

if TYPE_CHECKING:
    from realtime.consumers import TelegramConsumer

EVENT = "telegram login"

# To the letter of the protocol.
EXISTS = "session alreay exists, call 'users'"
SEND_CODE = "send code"
SEND_PASSWORD = "send password"
DONE = "logged in successfully"
VERIFY_FIRST = "verify your api key first"
WRONG_PHONE = "invalid phone number"
WRONG_CODE = "invalid code provided"
WRONG_PASSWORD = "invalid password provided"

# Telegram's names of what is wrong, by how they begin.
_WRONG = {
    "phone_number": WRONG_PHONE,
    "phone_code": WRONG_CODE,
    "password": WRONG_PASSWORD,
}


async def telegram_login(socket: "TelegramConsumer", data: dict[str, Any]) -> None:
    """Answer `{"phone"}`, `{"code"}` or `{"password"}`, one of which a frame brings."""
    if socket.access is None:
        raise Failed(VERIFY_FIRST, close=UNAUTHORIZED)
    name = next((name for name in _STEPS if data.get(name) is not None), None)
    if name is None:
        raise Malformed("missing key 'phone', 'code' or 'password'")
    value = text_of(data, name)
    access = socket.access
    access.caller.require(Scope.SESSIONS.value)
    client = socket.scope.get("client")
    ip = client_address(client[0] if client else None, socket.headers.get("x-forwarded-for"))
    try:
        message = await step(_STEPS[name], access, socket.session_name, value, ip)
    except EngineError as error:
        for beginning, text in _WRONG.items():
            if error.status == 400 and error.code.lower().startswith(beginning):
                raise Failed(text, close=BAD_REQUEST) from None
        raise
    await socket.reply(EVENT, message)


def _take_phone(access: Access, name: str, phone: str, ip: str | None) -> str:
    session = session_for_login(access.caller, name)
    if session.is_ready:
        return EXISTS
    number = normalize_phone(phone)
    if number is None:
        raise Failed(WRONG_PHONE, close=BAD_REQUEST)
    answer = login.start_login(session, phone=number)
    if answer.login is None:
        return EXISTS
    _note("login.started", access, session, ip)
    return SEND_PASSWORD if answer.login.step == LoginStep.WAIT_PASSWORD else SEND_CODE


def _take_code(access: Access, name: str, code: str, ip: str | None) -> str:
    session = find_session(access.caller, name)
    if session.is_ready:
        return EXISTS
    return _finished(access, login.submit_code(session, code=code), ip)


def _take_password(access: Access, name: str, password: str, ip: str | None) -> str:
    session = find_session(access.caller, name)
    if session.is_ready:
        return EXISTS
    return _finished(access, login.submit_password(session, password=password), ip)


def _finished(access: Access, answer: login.LoginAnswer, ip: str | None) -> str:
    if answer.login is not None:
        return SEND_PASSWORD
    _note("session.login", access, answer.session, ip)
    return DONE


def _note(action: str, access: Access, session: TelegramSession, ip: str | None) -> None:
    caller = access.caller
    record(action, user=caller.user, key=caller.key, target=session.name, ip=ip)


_STEPS: dict[str, Callable[[Access, str, str, str | None], str]] = {
    "password": _take_password,
    "code": _take_code,
    "phone": _take_phone,
}
