"""Log in by phone: code, then where Telegram asks for it the password.

Where a login stands is a row, moved by compare-and-set: of two callers one wins. A step
that asks Telegram first marks the row as busy with this process's token; when the
process dies, whoever comes next sees that and goes on.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from core import events, limits
from core.errors import BadRequest, Conflict, NotFound, TooManyRequests
from core.fields import field_of
from engine import telegram
from engine.errors import EngineError, FloodWait
from engine.methods import auth
from engine.methods import sessions as session_methods
from engine.methods.shapes import LoginDict, SentCodeDict, UserDict
from sessions_app.lookup import get_or_create_session
from sessions_app.models import (
    Account,
    LiveState,
    LoginState,
    LoginStep,
    SessionState,
    TelegramSession,
)
from sessions_app.process import is_alive, process_token
from sessions_app.purge import forget_peers, let_go
from sessions_app.text import clean

logger = logging.getLogger(__name__)

LIFETIME = timedelta(minutes=10)
# How long a second caller waits for the first one's step before it is told to come again.
PATIENCE_SECONDS = 20.0
# A step of a process that cannot be seen from here is given up after that.
FOREIGN_STEP = timedelta(seconds=90)
WAITING = (LoginStep.WAIT_CODE, LoginStep.WAIT_PASSWORD)


@dataclass(frozen=True, slots=True)
class LoginAnswer:
    """Where the login stands: `login` is None when the session is logged in."""

    session: TelegramSession
    login: LoginState | None


def start_login(session: TelegramSession, *, phone: str, resend: bool = False) -> LoginAnswer:
    """Have a code sent to `phone` (E.164), or go on with the login that is under way.

    Raises Conflict while a login with another phone is under way, BadRequest for a phone
    that Telegram does not take, FloodWait.
    """
    while True:
        session = _reload(session)
        if session.is_ready:
            return LoginAnswer(session, None)
        login = _settled(session)
        if login is None:
            login = _open(session, phone)
            if login is None:
                continue
            return _send_first_code(session, login)
        if login.phone != phone:
            raise Conflict(
                "A login with another phone number is under way; cancel it first.",
                code="login_in_progress",
            )
        if resend and login.step == LoginStep.WAIT_CODE:
            return resend_code(session)
        return LoginAnswer(session, login)


def submit_code(
    session: TelegramSession, *, code: str, phone_code_hash: str | None = None
) -> LoginAnswer:
    """Log in with the code; the answer's login waits for the password when there is one.

    Raises BadRequest for a wrong code (the login stays open) and an expired one (the
    login is over), NotFound when no login waits for a code.
    """
    login = _under_way(session, LoginStep.WAIT_CODE)
    known_hash: str = login.phone_code_hash or ""
    if phone_code_hash and phone_code_hash != known_hash:
        raise BadRequest(
            "This phone_code_hash is not the one of the login under way.",
            code="phone_code_hash_invalid",
        )

    limits.hit("try_code", *_who(session))
    limits.hit("try_code", "phone", login.phone)

    def sign_in() -> LoginDict:
        return telegram.call(
            session.pk, auth.sign_in, phone=login.phone, code=code, phone_code_hash=known_hash
        )

    return _step(session, login, sign_in)


def submit_password(session: TelegramSession, *, password: str) -> LoginAnswer:
    """Finish the login with the cloud password.

    Raises BadRequest for a wrong one (the login stays open), NotFound when no login
    waits for a password.
    """
    login = _under_way(session, LoginStep.WAIT_PASSWORD)
    limits.hit("try_password", *_who(session))
    limits.hit("try_password", "phone", login.phone)

    def check_password() -> LoginDict:
        return telegram.call(session.pk, auth.check_password, password=password)

    return _step(session, login, check_password)


def resend_code(session: TelegramSession) -> LoginAnswer:
    """Have the code sent again, by the next way that Telegram offers.

    Raises TooManyRequests before `resend_at`, NotFound when no login waits for a code.
    """
    login = _under_way(session, LoginStep.WAIT_CODE)
    if login.resend_at is not None and login.resend_at > timezone.now():
        wait = (login.resend_at - timezone.now()).total_seconds()
        raise TooManyRequests(
            "The code may not be sent again yet.", code="resend_too_early", retry_after=wait
        )
    limits.hit("send_code", "phone", login.phone)
    _take(login)
    try:
        sent = telegram.call(
            session.pk,
            auth.resend_code,
            phone=login.phone,
            phone_code_hash=login.phone_code_hash or "",
        )
    except EngineError as exc:
        _settle_failure(session, login, exc)
        raise
    except BaseException:
        _give_back(login, LoginStep.WAIT_CODE)
        raise
    _keep_code(session, login, sent)
    return LoginAnswer(_reload(session), _login_of(session))


def cancel_login(session: TelegramSession) -> None:
    """End the login under way; raises NotFound when there is none."""
    login = _settled(session)
    if login is None:
        raise no_login()
    _take(login)
    if login.step == LoginStep.WAIT_CODE and login.phone_code_hash:
        try:
            telegram.call(
                session.pk,
                auth.cancel_code,
                phone=login.phone,
                phone_code_hash=login.phone_code_hash,
            )
        except EngineError as exc:
            logger.info("Session %s: the code was not cancelled: %s", session.pk, exc.code)
    _drop(session, login)


def finish_login(session_id: int, user: UserDict) -> TelegramSession:
    """Note that the session is logged in as `user`, by whichever way.

    When another account was logged in under this name before, everything that it had
    been granted is purged. Returns the session.
    """
    with transaction.atomic():
        session = TelegramSession.objects.select_related("owner", "account").get(pk=session_id)
        former = session.account
        if former is not None and former.user_id != user["id"]:
            let_go(session, "account_changed")
        session.account = save_account(user)
        session.state = SessionState.READY
        session.live_state = LiveState.CONNECTED
        session.logged_in_at = session.connected_at = timezone.now()
        session.last_error = ""
        session.retry_at = None
        session.save(
            update_fields=[
                "account",
                "state",
                "live_state",
                "logged_in_at",
                "connected_at",
                "last_error",
                "retry_at",
                "updated_at",
            ]
        )
        LoginState.objects.filter(session_id=session_id).delete()
        events.append(
            [
                events.NewEvent(
                    "session.state", {"state": SessionState.READY.value}, session_id=session_id
                )
            ]
        )
    logger.info("Session %s is logged in", session_id)
    return session


def save_account(user: UserDict) -> Account:
    """Keep what is known of the Telegram user who is logged in."""
    facts = {
        "first_name": clean(user["first_name"], 256),
        "last_name": clean(user["last_name"], 256),
        "username": clean(user["username"], 64),
        "phone": _with_plus(clean(user["phone"], 31)),
    }
    known = Account.objects.filter(user_id=user["id"], **facts).first()
    if known is not None:
        return known
    return Account.objects.update_or_create(user_id=user["id"], defaults=facts)[0]


def drop_lapsed_logins() -> int:
    """End the logins whose ten minutes are over; return how many."""
    dropped = 0
    for login in LoginState.objects.filter(expires_at__lte=timezone.now()).select_related(
        "session__owner", "session__account"
    ):
        try:
            dropped += _lapse(login.session, login)
        except EngineError as exc:
            logger.info("Session %s: login not ended yet: %s", login.session_id, exc.code)
    return dropped


def no_login() -> NotFound:
    return NotFound("No login is under way for this session.", code="no_login")


# The steps


def _open(session: TelegramSession, phone: str) -> LoginState | None:
    """Begin a login as the only one on this session; None when another one was faster."""
    now = timezone.now()
    try:
        with transaction.atomic():
            return LoginState.objects.create(
                session=session,
                step=LoginStep.SENDING,
                step_before=LoginStep.SENDING,
                step_at=now,
                process=process_token(),
                phone=phone,
                expires_at=now + LIFETIME,
            )
    except IntegrityError:
        # Somebody else began, or the session was destroyed meanwhile.
        if not TelegramSession.objects.filter(pk=session.pk).exists():
            raise NotFound("There is no such session.", code="session_not_found") from None
        return None


def _send_first_code(session: TelegramSession, login: LoginState) -> LoginAnswer:
    try:
        limits.hit("send_code", "phone", login.phone)
        limits.hit("send_code", *_who(session))
        if session.state != SessionState.WAIT_PHONE_NUMBER or session.auth_key is not None:
            forget_key(session)
        if session.account is not None and session.account.phone != login.phone:
            forget_peers(session.pk)
        sent = telegram.call(session.pk, auth.send_code, phone=login.phone)
    except BaseException as exc:
        # The row keeps the deadline that Telegram has set.
        _drop(session, login, keep_session=isinstance(exc, FloodWait))
        raise
    _keep_code(session, login, sent)
    logger.info("Session %s: a login code is on its way (%s)", session.pk, sent["type"])
    return LoginAnswer(_reload(session), _login_of(session))


def _keep_code(session: TelegramSession, login: LoginState, sent: SentCodeDict) -> None:
    now = timezone.now()
    timeout = sent["timeout_seconds"]
    with transaction.atomic():
        kept = _mine(login).update(
            step=LoginStep.WAIT_CODE,
            process="",
            step_at=now,
            phone_code_hash=field_of(LoginState, "phone_code_hash").seal(
                login.uid, sent["phone_code_hash"]
            ),
            type=sent["type"],
            next_type=sent["next_type"] or "",
            code_length=sent["length"],
            resend_at=None if timeout is None else now + timedelta(seconds=timeout),
            expires_at=now + LIFETIME,
        )
        if not kept:
            raise _lost()
        TelegramSession.objects.filter(pk=session.pk).update(state=SessionState.WAIT_CODE)


def _step(session: TelegramSession, login: LoginState, ask: Callable[[], LoginDict]) -> LoginAnswer:
    """Take the login, ask Telegram, and note what came of it."""
    _take(login)
    try:
        answer = ask()
    except EngineError as exc:
        _settle_failure(session, login, exc)
        raise
    except BaseException:
        _give_back(login, login.step)
        raise
    return _settle_success(session, login, answer)


def _settle_success(session: TelegramSession, login: LoginState, answer: LoginDict) -> LoginAnswer:
    if answer["state"] == "wait_password":
        with transaction.atomic():
            kept = _mine(login).update(
                step=LoginStep.WAIT_PASSWORD,
                process="",
                step_at=timezone.now(),
                hint=clean(answer["hint"], 256),
                expires_at=timezone.now() + LIFETIME,
            )
            if not kept:
                raise _lost()
            TelegramSession.objects.filter(pk=session.pk).update(state=SessionState.WAIT_PASSWORD)
        return LoginAnswer(_reload(session), _login_of(session))
    user = answer["user"]
    assert user is not None
    for limit in ("send_code", "try_code", "try_password"):
        limits.forget(limit, *_who(session))
        limits.forget(limit, "phone", login.phone)
    return LoginAnswer(finish_login(session.pk, user), None)


# What ends a login at Telegram: nothing can be made of its code or key any more.
FATAL = frozenset(
    {
        "phone_code_expired",
        "phone_number_unoccupied",
        "phone_number_banned",
        "phone_number_invalid",
        "auth_restart",
    }
)


def _settle_failure(session: TelegramSession, login: LoginState, exc: EngineError) -> None:
    if exc.code.lower() in FATAL or exc.status == 401:
        _drop(session, login)
    else:
        _give_back(login, login.step)


# The row


def _login_of(session: TelegramSession) -> LoginState | None:
    return LoginState.objects.filter(session=session).first()


def _under_way(session: TelegramSession, step: LoginStep) -> LoginState:
    login = _settled(session)
    if login is None:
        raise no_login()
    if login.step != step:
        wanted = "the password" if login.step == LoginStep.WAIT_PASSWORD else "the code"
        raise Conflict(f"The login waits for {wanted}.", code=f"login_{login.step}")
    return login


def _settled(session: TelegramSession) -> LoginState | None:
    """Return the login when nobody is at work on it, None when there is none.

    Waits for another caller's step, takes over what a dead process left behind, and
    ends a login whose time is over. Raises Conflict when the other one takes too long.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while True:
        login = _login_of(session)
        if login is None:
            return None
        if login.step in WAITING:
            if login.expires_at > timezone.now():
                return login
            _lapse(session, login)
        elif _is_abandoned(login):
            _recover(session, login)
        elif time.monotonic() > deadline:
            raise Conflict(
                "Another request is at work on this login; try again.", code="login_in_progress"
            )
        else:
            if not connection.in_atomic_block:
                connection.close()
            pause.wait(0.1)


def _is_abandoned(login: LoginState) -> bool:
    alive = is_alive(login.process)
    if alive is None:
        return login.step_at < timezone.now() - FOREIGN_STEP
    return not alive


def _recover(session: TelegramSession, login: LoginState) -> None:
    """Go on after a process that died at work: maybe Telegram has let it in already."""
    if not _cas(login, step=login.step, step_before=login.step_before):
        return
    if login.step_before == LoginStep.SENDING:
        _drop(session, login)
        return
    try:
        user = telegram.call(session.pk, session_methods.get_me)
    except BaseException as exc:
        _give_back(login, login.step_before)
        if isinstance(exc, EngineError) and exc.status == 401:
            return
        raise
    finish_login(session.pk, user)


def _take(login: LoginState) -> None:
    """Mark a waiting login as busy with this process; raises Conflict when it moved."""
    if not _cas(login, step=LoginStep.CHECKING, step_before=login.step):
        raise _lost()


def _cas(login: LoginState, *, step: str, step_before: str) -> bool:
    """Move the row from where `login` saw it to this process's own step."""
    now = timezone.now()
    moved = LoginState.objects.filter(
        pk=login.pk, step=login.step, process=login.process, step_at=login.step_at
    ).update(step=step, step_before=step_before, process=process_token(), step_at=now)
    if moved:
        login.process, login.step_at = process_token(), now
    return bool(moved)


def _mine(login: LoginState) -> Any:
    """Return the row as long as this very step still holds it."""
    return LoginState.objects.filter(pk=login.pk, process=process_token(), step_at=login.step_at)


def _give_back(login: LoginState, step: str) -> None:
    _mine(login).update(step=step, process="", step_at=timezone.now())


def _lost() -> Conflict:
    return Conflict("Another request has moved this login on.", code="login_in_progress")


def _lapse(session: TelegramSession, login: LoginState) -> bool:
    if not _cas(login, step=LoginStep.CHECKING, step_before=login.step):
        return False
    logger.info("Session %s: the login lapsed", session.pk)
    _drop(session, login)
    return True


def _drop(session: TelegramSession, login: LoginState, *, keep_session: bool = False) -> None:
    """End a login that this process holds; a session that was only made for it goes, too."""
    try:
        forget_key(session)
    except EngineError as exc:
        logger.info("Session %s: its client stays: %s", session.pk, exc.code)
    with transaction.atomic():
        if not _mine(login).delete()[0]:
            return
        unused = TelegramSession.objects.filter(
            pk=session.pk,
            account=None,
            key_grants=None,
            proxy=None,
            api_id=None,
            login=None,
        )
        if not keep_session and unused.delete()[0]:
            return
        TelegramSession.objects.filter(pk=session.pk).exclude(state=SessionState.READY).update(
            state=SessionState.WAIT_PHONE_NUMBER
            if session.account_id is None
            else SessionState.LOGGED_OUT
        )


def forget_key(session: TelegramSession) -> None:
    """Close the session's client and delete its auth key, which nobody uses from now on."""
    telegram.call(session.pk, session_methods.disconnect)
    TelegramSession.objects.filter(pk=session.pk).update(
        auth_key=None,
        key_fingerprint=None,
        dc_id=None,
        server_address="",
        port=None,
        live_state=LiveState.DISCONNECTED,
        retry_at=None,
    )


def _reload(session: TelegramSession) -> TelegramSession:
    """Return the row as it is now, made anew when a cancelled login took it along."""
    found = TelegramSession.objects.select_related("owner", "account").filter(pk=session.pk).first()
    return found or get_or_create_session(session.owner, session.name)


def _who(session: TelegramSession) -> tuple[str, int, str]:
    """Return what limits count for a name, whatever becomes of its row."""
    return "session", session.owner_id, session.name


def _with_plus(phone: str) -> str:
    return f"+{phone}" if phone and not phone.startswith("+") else phone
