"""Do a send once, however often and from wherever it is asked for.

The row (user, key) is committed before anything is sent, and the messages' `random_id`
is derived from it: when the process dies before the answer is stored, whoever asks
again sends again, and Telegram, which takes a `random_id` once, hands out the first
message.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from core import json
from core.crypto import fingerprint
from core.errors import BadRequest, Conflict, Unavailable
from sessions_app.models import IdempotencyRecord
from sessions_app.process import is_alive, process_token

logger = logging.getLogger(__name__)

KEEP = timedelta(hours=24)
MAX_KEY_LENGTH = 255
# How long a caller waits for the one who sends.
WAIT_SECONDS = 90.0
# A sender on another machine, whose death nobody here can see, is given up after that.
FOREIGN_SENDER = timedelta(seconds=120)

Answer = dict[str, Any]
RandomIds = Callable[[int], int]

_lock = threading.Lock()
_running: dict[tuple[int, str], tuple[str, "Future[Answer]"]] = {}


def send_once(*, user_id: int, key: str, body: Any, send: Callable[[RandomIds], Answer]) -> Answer:
    """Return the answer of `send`, called once for this user's key.

    `send` gets a function that makes the `random_id` of its n-th message. Callers that
    come while it runs wait for it and share what it gives or raises; later ones get the
    stored answer for 24 hours. A call that failed may be tried again.

    Raises Conflict when the key came with another body, BadRequest for a bad key.
    """
    if not key.isprintable() or not 0 < len(key) <= MAX_KEY_LENGTH:
        raise BadRequest(
            f"Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable characters.",
            code="bad_idempotency_key",
        )
    body_hash = fingerprint("idempotency", json.dumps(body))
    mine: Future[Answer] = Future()
    with _lock:
        running = _running.setdefault((user_id, key), (body_hash, mine))
    if running[1] is not mine:
        _refuse_other_body(running[0], body_hash)
        _close_connection()
        try:
            return running[1].result(WAIT_SECONDS)
        except TimeoutError:
            raise Unavailable("The first call with this key is still under way.") from None
    try:
        answer = _send_as_only_thread(user_id, key, body_hash, send)
    except BaseException as exc:
        mine.set_exception(exc)
        raise
    else:
        mine.set_result(answer)
        return answer
    finally:
        with _lock:
            del _running[user_id, key]


def _send_as_only_thread(
    user_id: int, key: str, body_hash: str, send: Callable[[RandomIds], Answer]
) -> Answer:
    record = _claim(user_id, key, body_hash)
    if record.answer is not None:
        return dict(record.answer)
    mine = IdempotencyRecord.objects.filter(
        pk=record.pk, process=process_token(), answer__isnull=True
    )
    try:
        answer = send(lambda index: random_id(str(record.uid), index))
    except BaseException:
        mine.update(process="")
        raise
    mine.update(answer=answer, answered_at=timezone.now(), process="")
    return answer


def _claim(user_id: int, key: str, body_hash: str) -> IdempotencyRecord:
    """Return the row: answered, or claimed by this process; waits while another one sends."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = threading.Event()
    rows = IdempotencyRecord.objects.filter(user_id=user_id, key=key)
    while True:
        now = timezone.now()
        record = rows.first()
        if record is not None and record.created_at < now - KEEP:
            rows.filter(pk=record.pk).delete()
            continue
        if record is None:
            try:
                with transaction.atomic():
                    return rows.create(
                        user_id=user_id,
                        key=key,
                        body_hash=body_hash,
                        process=process_token(),
                        claimed_at=now,
                        created_at=now,
                    )
            except IntegrityError:
                continue
        _refuse_other_body(record.body_hash, body_hash)
        if record.answer is not None:
            return record
        if _is_free(record) and rows.filter(
            pk=record.pk, answer__isnull=True, process=record.process, claimed_at=record.claimed_at
        ).update(process=process_token(), claimed_at=now):
            return record
        if time.monotonic() > deadline:
            raise Unavailable("The first call with this key is still under way.")
        _close_connection()
        pause.wait(0.2)


def _is_free(record: IdempotencyRecord) -> bool:
    if record.process in ("", process_token()):
        # Of this process only the thread that holds the key in `_running` comes here.
        return True
    alive = is_alive(record.process)
    return alive is False or record.claimed_at < timezone.now() - FOREIGN_SENDER


def _refuse_other_body(known: str, offered: str) -> None:
    if known != offered:
        raise Conflict(
            "This Idempotency-Key was used for another request.", code="idempotency_conflict"
        )


def random_id(purpose: str, index: int = 0) -> int:
    """Return the `random_id` of the n-th message of one send: 63 bits, the same each time."""
    digest = fingerprint("random_id", f"{purpose}:{index}".encode())
    return int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "big") >> 1 or 1


def prune() -> int:
    """Delete the rows that are older than 24 hours; return how many."""
    deleted, _ = IdempotencyRecord.objects.filter(created_at__lt=timezone.now() - KEEP).delete()
    return deleted


def _close_connection() -> None:
    """Lend nobody's database connection to a thread that only waits."""
    if not connection.in_atomic_block:
        connection.close()
