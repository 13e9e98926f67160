"""How fast and how much a session may send: the hub's own limits, beside Telegram's.

They hold across processes and restarts: what was sent is counted in the session's row.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from django.conf import settings

from core.errors import TooManyRequests
from sessions_app.models import SendingLimit


class Limits(TypedDict):
    """The limits that hold for a session, and how much of them is used; 0 is no limit."""

    interval_seconds: float
    daily_cap: int
    sent_today: int


def limits_of(session_id: int) -> Limits:
    """Return what holds for a session: its own limits, else those of the settings."""
    row = SendingLimit.objects.filter(session_id=session_id).first()
    return _limits(row, _today())


def set_limits(session_id: int, **changes: float | int | None) -> Limits:
    """Set `interval_seconds` or `daily_cap` of a session; null goes back to the settings'."""
    if "interval_seconds" in changes:
        # Nobody waits for the end of a pace that no longer holds.
        changes["next_at"] = 0
    row, _ = SendingLimit.objects.update_or_create(session_id=session_id, defaults=changes)
    return _limits(row, _today())


def reserve(session_id: int, count: int = 1) -> None:
    """Count `count` messages that are about to be sent; raises TooManyRequests.

    Codes: `sending_too_fast` until the interval is over, `daily_cap_reached` until midnight UTC.
    """
    while True:
        row = SendingLimit.objects.filter(session_id=session_id).first()
        today = _today()
        limits = _limits(row, today)
        if not limits["interval_seconds"] and not limits["daily_cap"]:
            return
        if row is None:
            row, _ = SendingLimit.objects.get_or_create(session_id=session_id)
        now = time.time()
        if row.next_at > now:
            raise TooManyRequests(
                "This session sends too fast for its pace.",
                code="sending_too_fast",
                retry_after=row.next_at - now,
            )
        sent = limits["sent_today"] + count
        if limits["daily_cap"] and sent > limits["daily_cap"]:
            raise TooManyRequests(
                "This session has sent what it may in a day.",
                code="daily_cap_reached",
                retry_after=_until_midnight(),
            )
        unchanged = SendingLimit.objects.filter(
            pk=row.pk, next_at=row.next_at, day=row.day, sent=row.sent
        )
        next_at = now + limits["interval_seconds"] * count
        # Of two senders one finds the row changed, and looks again.
        if unchanged.update(next_at=next_at, day=today, sent=sent):
            return


def _limits(row: SendingLimit | None, today: object) -> Limits:
    interval, cap = settings.TGHUB_SEND_INTERVAL_SECONDS, settings.TGHUB_SEND_DAILY_CAP
    if row is not None and row.interval_seconds is not None:
        interval = row.interval_seconds
    if row is not None and row.daily_cap is not None:
        cap = row.daily_cap
    sent = row.sent if row is not None and row.day == today else 0
    return {"interval_seconds": interval, "daily_cap": cap, "sent_today": sent}


def _today() -> object:
    return datetime.now(UTC).date()


def _until_midnight() -> float:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - now).total_seconds()
