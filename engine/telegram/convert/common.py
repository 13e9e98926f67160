"""Dates, ids and peers: what every conversion needs."""

import functools
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from telethon import types

CHANNEL_BASE = -1_000_000_000_000


def marked(peer: Any) -> int:
    """Return the marked id of a TL peer."""
    kind = type(peer)
    if kind is types.PeerUser:
        return peer.user_id
    if kind is types.PeerChannel:
        return CHANNEL_BASE - peer.channel_id
    return -peer.chat_id


def marked_entity(entity: Any) -> int:
    """Return the marked id of a TL user or chat."""
    if isinstance(entity, types.User | types.UserEmpty):
        return entity.id
    if isinstance(entity, types.Chat | types.ChatEmpty | types.ChatForbidden):
        return -entity.id
    return CHANNEL_BASE - entity.id  # Channels, and communities, which share their ids.


def index(users: Iterable[Any], chats: Iterable[Any]) -> dict[int, Any]:
    """Return an answer's users and chats by marked id."""
    return {marked_entity(entity): entity for entity in chain(users, chats)}


def text_date(date: datetime | None) -> str | None:
    """Return `YYYY-MM-DD HH:MM:SS` in UTC; Telethon gives 1970 for a date that is not there."""
    if date is None or date.year == 1970:
        return None
    hour, second = divmod(int(date.timestamp()), 3600)
    return _hour(hour) + _WITHIN_AN_HOUR[second]


@functools.lru_cache(maxsize=4096)
def _hour(number: int) -> str:
    """Return an hour since 1970 as `YYYY-MM-DD HH`; neighbouring messages share theirs."""
    return datetime.fromtimestamp(number * 3600, UTC).strftime("%Y-%m-%d %H")


_WITHIN_AN_HOUR = [f":{second // 60:02}:{second % 60:02}" for second in range(3600)]


def iso_date(date: datetime | None) -> str | None:
    """Return `2025-12-15T10:30:00+00:00`, null for a date that is not there."""
    if date is None or date.year == 1970:
        return None
    return date.isoformat(timespec="seconds")


def unix_date(date: datetime | None) -> int:
    """Return Unix seconds, 0 for a date that is not there."""
    if date is None or date.year == 1970:
        return 0
    return int(date.timestamp())


def to_datetime(seconds: float | None) -> datetime | None:
    """Return the TL date of Unix seconds; null stays null."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def username_of(entity: Any) -> str | None:
    """Return the username that counts: the plain one, else the first active of several."""
    if name := getattr(entity, "username", None):
        return name
    for username in getattr(entity, "usernames", None) or ():
        if username.active:
            return username.username
    return None


def display_name(entity: Any) -> str:
    """Return a chat's title or a user's whole name, `""` for what is not known."""
    if isinstance(entity, types.User):
        if entity.deleted:
            return "Deleted Account"
        return " ".join(part for part in (entity.first_name, entity.last_name) if part)
    return getattr(entity, "title", None) or ""
