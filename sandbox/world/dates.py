"""Unix seconds as the datetimes that Telethon's TL classes take."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
