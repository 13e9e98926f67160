"""End and mend sessions: log out, destroy, reconnect."""

import logging

from django.db import transaction

from core import events
from engine import telegram
from engine.errors import EngineError
from engine.methods import auth
from engine.methods import sessions as session_methods
from sessions_app.authorization import forget_key, note_account
from sessions_app.lookup import require_ready
from sessions_app.models import LoginState, SessionState, TelegramSession
from sessions_app.purge import let_go

logger = logging.getLogger(__name__)


def log_out(session: TelegramSession) -> None:
    """Log out at Telegram, where the auth key dies, and keep the row, logged out.

    Raises Unauthorized when the session is not logged in, EngineError when Telegram
    cannot be reached: the key would live on there.
    """
    require_ready(session)
    _kill_key(session)
    with transaction.atomic():
        TelegramSession.objects.filter(pk=session.pk).update(
            state=SessionState.LOGGED_OUT, last_error=""
        )
        LoginState.objects.filter(session_id=session.pk).delete()
        events.append(
            [
                events.NewEvent(
                    "session.state",
                    {"state": SessionState.LOGGED_OUT.value},
                    session_id=session.pk,
                )
            ]
        )
    logger.info("Session %s is logged out", session.pk)


def destroy(session: TelegramSession) -> None:
    """Log out at Telegram where it is logged in, and delete every trace.

    Raises EngineError when Telegram cannot be reached, and then deletes nothing.
    """
    if session.is_ready:
        _kill_key(session)
    else:
        forget_key(session)
    with transaction.atomic():
        let_go(session, "destroyed")
        TelegramSession.objects.filter(pk=session.pk).delete()
    logger.info("Session %s is destroyed", session.pk)


def reconnect(session: TelegramSession) -> bool:
    """Connect the session again; False when it was connected.

    Raises Unauthorized when the session is not logged in, EngineError.
    """
    require_ready(session)
    answer = telegram.call(session.pk, session_methods.reconnect)
    if answer["user"] is not None:
        note_account(session, answer["user"])
    return not answer["was_connected"]


def _kill_key(session: TelegramSession) -> None:
    try:
        telegram.call(session.pk, auth.log_out)
    except EngineError as exc:
        # Telegram has revoked it before us.
        if exc.status != 401:
            raise
    forget_key(session)
