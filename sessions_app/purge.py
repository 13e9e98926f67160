"""Forget what an account was granted, when its session is used for another or destroyed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from core import events
from sessions_app.models import Account, BoxState, Entity, FloodDeadline, TelegramSession

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Purge:
    """A session lets go of an account. `account_id` is the Account row's number.

    `account_left` tells that no other session of the hub is logged in as this account,
    so that what only the account may read can go, too.
    """

    session_id: int
    account_id: int | None
    reason: Literal["account_changed", "destroyed"]
    account_left: bool


PurgeHandler = Callable[[Purge], None]

_handlers: list[PurgeHandler] = []


def register_purge_handler(handler: PurgeHandler) -> None:
    """Have `handler` called inside the transaction that lets go (from `AppConfig.ready()`)."""
    if handler not in _handlers:
        _handlers.append(handler)


def forget_peers(session_id: int) -> None:
    """Delete what belongs to the session's present account: peers, update states, floods."""
    Entity.objects.filter(session_id=session_id).delete()
    BoxState.objects.filter(session_id=session_id).delete()
    FloodDeadline.objects.filter(session_id=session_id).delete()


def let_go(session: TelegramSession, reason: Literal["account_changed", "destroyed"]) -> None:
    """Run the handlers; call it in the transaction, before the session's row changes.

    An account that no session is left of is deleted with them.
    """
    account_id = session.account_id
    left = (
        account_id is not None
        and not TelegramSession.objects.filter(account_id=account_id)
        .exclude(pk=session.pk)
        .exists()
    )
    purge = Purge(session.pk, account_id, reason, left)
    for handler in _handlers:
        handler(purge)
    forget_peers(session.pk)
    events.forget_session(session.pk)
    if left and account_id is not None:
        session.account = None
        session.save(update_fields=["account"])
        Account.objects.filter(pk=account_id).delete()
