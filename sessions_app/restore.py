"""Bring every logged-in session back to Telegram."""

import contextlib
import logging
import random
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from django.db import close_old_connections, connections
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from core.writer import writer
from engine import telegram
from engine.errors import EngineError, Unavailable
from engine.methods import sessions as session_methods
from engine.store import SessionReport
from sessions_app.authorization import note_account
from sessions_app.models import Node, SessionState, TelegramSession
from sessions_app.store import note_report

logger = logging.getLogger(__name__)

PARALLEL = 16
# Logins are spread over so many seconds per session, lest Telegram sees them all at once.
SPREAD_SECONDS = 0.02
CALL_SECONDS = 30.0

Outcome = Literal["restored", "expired", "unreachable", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of one session; `error` is a code, empty when it was restored."""

    session_id: int
    name: str
    owner: str
    outcome: Outcome
    user: str = ""
    error: str = ""

    @property
    def restored(self) -> bool:
        return self.outcome == "restored"


def restore_all(
    *,
    progress: Callable[[Restored], None] | None = None,
    parallel: int = PARALLEL,
    stopping: threading.Event | None = None,
) -> list[Restored]:
    """Connect every logged-in session, some at a time; return what became of each.

    A session that Telegram refuses is marked expired, one that cannot be reached stays
    as it is and is tried again by the engine. `progress` is called in this thread.
    """
    logger.info("🔄 Restoring sessions from database...")
    rows = TelegramSession.objects.filter(state=SessionState.READY).order_by("pk")
    results = list(_restore(rows.select_related("owner"), parallel, progress, stopping))
    restored = sum(result.restored for result in results)
    logger.info("✅ Session restoration complete: %d sessions restored", restored)
    return results


def restore_orphans(*, node: str, epoch: int, stopping: threading.Event) -> list[Restored]:
    """Connect the logged-in sessions that no living node owns."""
    return list(_restore(list(orphans(node, epoch)), PARALLEL, None, stopping))


def orphans(node: str, epoch: int) -> Iterable[TelegramSession]:
    """Return the logged-in sessions that neither this node nor another living one owns."""
    living = Node.objects.filter(
        name=OuterRef("owner_node"), epoch=OuterRef("owner_epoch"), expires_at__gt=Now()
    )
    return (
        TelegramSession.objects.filter(~Exists(living), state=SessionState.READY)
        .exclude(Q(owner_node=node) & Q(owner_epoch=epoch))
        .select_related("owner")
        .order_by(F("pk"))
    )


def restore_session(session: TelegramSession) -> Restored:
    """Connect one session and ask Telegram who it is."""

    def result(outcome: Outcome, *, user: str = "", error: str = "") -> Restored:
        return Restored(
            session.pk, session.name, session.owner.get_username(), outcome, user, error
        )

    calls = telegram.using(timeout_seconds=CALL_SECONDS, background=True)
    try:
        answer = calls.call(session.pk, session_methods.reconnect)
    except Unavailable as exc:
        with contextlib.suppress(EngineError):
            calls.call(session.pk, session_methods.disconnect)
        return result("elsewhere", error=exc.code)
    except EngineError as exc:
        if exc.status == 401:
            _expire(session, exc.code)
            return result("expired", error=exc.code)
        return result("unreachable", error=exc.code)
    user = answer["user"]
    if user is None:
        _expire(session, "auth_key_unregistered")
        return result("expired", error="auth_key_unregistered")
    # Many at once: they would meet in the database.
    writer.submit(lambda: note_account(session, user)).result()
    return result("restored", user=user["first_name"] or str(user["id"]))


def log_result(result: Restored) -> None:
    """Say in the log what became of a session."""
    if result.outcome == "restored":
        logger.info("✅ Session %s restored successfully - User: %s", result.name, result.user)
    elif result.outcome == "expired":
        logger.warning("❌ Session %s has expired: %s", result.name, result.error)
    elif result.outcome == "elsewhere":
        logger.info("⏳ Session %s waits for its owner: %s", result.name, result.error)
    else:
        logger.warning(
            "⚠️ Session %s could not be reached, trying again: %s", result.name, result.error
        )


def _expire(session: TelegramSession, code: str) -> None:
    writer.submit(lambda: note_report(session.pk, SessionReport("expired", error=code))).result()


def _restore(
    sessions: Iterable[TelegramSession],
    parallel: int,
    progress: Callable[[Restored], None] | None,
    stopping: threading.Event | None,
) -> Iterable[Restored]:
    found = list(sessions)
    if not found:
        return
    stop = stopping or threading.Event()
    spread = SPREAD_SECONDS * len(found) / parallel

    def one(session: TelegramSession) -> Restored | None:
        if stop.wait(random.uniform(0, 2 * spread) if len(found) > parallel else 0):
            return None
        close_old_connections()
        try:
            return restore_session(session)
        except Exception:
            logger.exception("Session %s could not be restored", session.pk)
            return Restored(
                session.pk, session.name, session.owner.get_username(), "unreachable", "", "error"
            )
        finally:
            connections.close_all()

    with ThreadPoolExecutor(min(parallel, len(found)), thread_name_prefix="restore") as pool:
        for result in pool.map(one, found):
            if result is None:
                continue
            log_result(result)
            if progress is not None:
                progress(result)
            yield result
