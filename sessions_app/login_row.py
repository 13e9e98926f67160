"""The row of a login under way, moved by compare-and-set: of two callers one wins.

A step that asks Telegram first marks the row as busy with this process's token; when
the process dies, whoever comes next sees that and goes on.
"""

import logging
import threading
import time
from datetime import timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.errors import Conflict, NotFound
from engine import telegram
from engine.errors import EngineError
from engine.methods import sessions as session_methods
from sessions_app.authorization import finish_login, forget_key
from sessions_app.lookup import get_or_create_session
from sessions_app.models import LoginState, LoginStep, SessionState, TelegramSession
from sessions_app.process import is_alive, process_token

logger = logging.getLogger(__name__)

LIFETIME = timedelta(minutes=10)
# How long a second caller waits for the first one's step before it is told to come again.
PATIENCE_SECONDS = 20.0
# A step of a process that cannot be seen from here is given up after that.
FOREIGN_STEP = timedelta(seconds=90)
WAITING = (LoginStep.WAIT_CODE, LoginStep.WAIT_PASSWORD)


def login_of(session: TelegramSession) -> LoginState | None:
    return LoginState.objects.filter(session=session).first()


def under_way(session: TelegramSession, step: LoginStep) -> LoginState | None:
    """Return the login that waits at `step`, None when it turns out to be through already.

    Raises NotFound when there is none, Conflict when it waits for something else.
    """
    login = settled(session)
    if login is None:
        ready = TelegramSession.objects.filter(pk=session.pk, state=SessionState.READY)
        if not session.is_ready and ready.exists():
            return None
        raise no_login()
    if login.step != step:
        wanted = "the password" if login.step == LoginStep.WAIT_PASSWORD else "the code"
        raise Conflict(f"The login waits for {wanted}.", code=f"login_{login.step}")
    return login


def settled(session: TelegramSession) -> LoginState | None:
    """Return the login when nobody is at work on it, None when there is none.

    Waits for another caller's step, takes over what a dead process left behind, and
    ends a login whose time is over. Raises Conflict when the other one takes too long.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while True:
        login = login_of(session)
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


def no_login() -> NotFound:
    return NotFound("No login is under way for this session.", code="no_login")


def open_login(session: TelegramSession, phone: str) -> LoginState | None:
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


def take(login: LoginState) -> None:
    """Mark a waiting login as busy with this process; raises Conflict when it moved."""
    if not _cas(login, step=LoginStep.CHECKING, step_before=login.step):
        raise lost()


def mine(login: LoginState) -> QuerySet[LoginState]:
    """Return the row as long as this very step still holds it."""
    return LoginState.objects.filter(pk=login.pk, process=process_token(), step_at=login.step_at)


def give_back(login: LoginState, step: str) -> None:
    mine(login).update(step=step, process="", step_at=timezone.now())


def lost() -> Conflict:
    return Conflict("Another request has moved this login on.", code="login_in_progress")


def drop(session: TelegramSession, login: LoginState, *, keep_session: bool = False) -> None:
    """End a login that this process holds; a session that was only made for it goes, too."""
    try:
        forget_key(session)
    except EngineError as exc:
        logger.info("Session %s: its client stays: %s", session.pk, exc.code)
    with transaction.atomic():
        if not mine(login).delete()[0]:
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


def reload(session: TelegramSession) -> TelegramSession:
    """Return the row as it is now, made anew when a cancelled login took it along."""
    found = TelegramSession.objects.select_related("owner", "account").filter(pk=session.pk).first()
    return found or get_or_create_session(session.owner, session.name)


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
        drop(session, login)
        return
    try:
        user = telegram.call(session.pk, session_methods.get_me)
    except BaseException as exc:
        give_back(login, login.step_before)
        if isinstance(exc, EngineError) and exc.status == 401:
            return
        raise
    finish_login(session.pk, user)


def _cas(login: LoginState, *, step: str, step_before: str) -> bool:
    """Move the row from where `login` saw it to this process's own step."""
    now = timezone.now()
    moved = LoginState.objects.filter(
        pk=login.pk, step=login.step, process=login.process, step_at=login.step_at
    ).update(step=step, step_before=step_before, process=process_token(), step_at=now)
    if moved:
        login.process, login.step_at = process_token(), now
    return bool(moved)


def _lapse(session: TelegramSession, login: LoginState) -> bool:
    if not _cas(login, step=LoginStep.CHECKING, step_before=login.step):
        return False
    logger.info("Session %s: the login lapsed", session.pk)
    drop(session, login)
    return True
