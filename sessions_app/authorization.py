"""What being logged in means for a session's row: its account, its state, its key."""

import logging

from django.db import transaction
from django.utils import timezone

from core import events
from engine import telegram
from engine.methods import sessions as session_methods
from engine.methods.shapes import UserDict
from sessions_app.models import Account, LiveState, LoginState, SessionState, TelegramSession
from sessions_app.purge import let_go
from sessions_app.text import clean

logger = logging.getLogger(__name__)


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


def note_account(session: TelegramSession, user: UserDict) -> None:
    """Keep what Telegram tells of the user of a session that is logged in already."""
    account = save_account(user)
    if session.account_id != account.pk:
        # An imported session, of which nobody knew whose it was.
        TelegramSession.objects.filter(pk=session.pk).update(account=account)


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


def _with_plus(phone: str) -> str:
    return f"+{phone}" if phone and not phone.startswith("+") else phone
