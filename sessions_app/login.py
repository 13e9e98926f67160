"""Log in by phone: code, then where Telegram asks for it the password."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from core import limits
from core.errors import BadRequest, Conflict, TooManyRequests
from core.fields import field_of
from engine import telegram
from engine.errors import EngineError, FloodWait
from engine.methods import auth
from engine.methods.answers import LoginDict, SentCodeDict
from sessions_app.authorization import finish_login, forget_key
from sessions_app.login_row import (
    LIFETIME,
    drop,
    give_back,
    login_of,
    lost,
    mine,
    no_login,
    open_login,
    reload,
    settled,
    take,
    under_way,
)
from sessions_app.models import LoginState, LoginStep, SessionState, TelegramSession
from sessions_app.purge import forget_peers
from sessions_app.text import clean

logger = logging.getLogger(__name__)


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
        session = reload(session)
        if session.is_ready:
            return LoginAnswer(session, None)
        login = settled(session)
        if login is None:
            fresh = reload(session)
            if fresh.pk != session.pk or fresh.is_ready:
                continue  # what a dead process or a lapsed login had left is settled now
            login = open_login(fresh, phone)
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
    login = under_way(session, LoginStep.WAIT_CODE)
    if login is None:
        return LoginAnswer(reload(session), None)
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
    login = under_way(session, LoginStep.WAIT_PASSWORD)
    if login is None:
        return LoginAnswer(reload(session), None)
    limits.hit("try_password", *_who(session))
    limits.hit("try_password", "phone", login.phone)

    def check_password() -> LoginDict:
        return telegram.call(session.pk, auth.check_password, password=password)

    return _step(session, login, check_password)


def resend_code(session: TelegramSession) -> LoginAnswer:
    """Have the code sent again, by the next way that Telegram offers.

    Raises TooManyRequests before `resend_at`, NotFound when no login waits for a code.
    """
    login = under_way(session, LoginStep.WAIT_CODE)
    if login is None:
        return LoginAnswer(reload(session), None)
    if login.resend_at is not None and login.resend_at > timezone.now():
        wait = (login.resend_at - timezone.now()).total_seconds()
        raise TooManyRequests(
            "The code may not be sent again yet.", code="resend_too_early", retry_after=wait
        )
    limits.hit("send_code", "phone", login.phone)
    take(login)
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
        give_back(login, LoginStep.WAIT_CODE)
        raise
    _keep_code(session, login, sent)
    return LoginAnswer(reload(session), login_of(session))


def cancel_login(session: TelegramSession) -> None:
    """End the login under way; raises NotFound when there is none."""
    login = settled(session)
    if login is None:
        raise no_login()
    take(login)
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
    drop(session, login)


# The steps


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
        drop(session, login, keep_session=isinstance(exc, FloodWait))
        raise
    _keep_code(session, login, sent)
    logger.info("Session %s: a login code is on its way (%s)", session.pk, sent["type"])
    return LoginAnswer(reload(session), login_of(session))


def _keep_code(session: TelegramSession, login: LoginState, sent: SentCodeDict) -> None:
    now = timezone.now()
    timeout = sent["timeout_seconds"]
    with transaction.atomic():
        kept = mine(login).update(
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
            raise lost()
        TelegramSession.objects.filter(pk=session.pk).update(state=SessionState.WAIT_CODE)


def _step(session: TelegramSession, login: LoginState, ask: Callable[[], LoginDict]) -> LoginAnswer:
    """Take the login, ask Telegram, and note what came of it."""
    take(login)
    try:
        answer = ask()
    except EngineError as exc:
        _settle_failure(session, login, exc)
        raise
    except BaseException:
        give_back(login, login.step)
        raise
    return _settle_success(session, login, answer)


def _settle_success(session: TelegramSession, login: LoginState, answer: LoginDict) -> LoginAnswer:
    if answer["state"] == "wait_password":
        with transaction.atomic():
            kept = mine(login).update(
                step=LoginStep.WAIT_PASSWORD,
                process="",
                step_at=timezone.now(),
                hint=clean(answer["hint"], 256),
                expires_at=timezone.now() + LIFETIME,
            )
            if not kept:
                raise lost()
            TelegramSession.objects.filter(pk=session.pk).update(state=SessionState.WAIT_PASSWORD)
        return LoginAnswer(reload(session), login_of(session))
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
        drop(session, login)
    else:
        give_back(login, login.step)


def _who(session: TelegramSession) -> tuple[str, int, str]:
    """Return what limits count for a name, whatever becomes of its row."""
    return "session", session.owner_id, session.name
