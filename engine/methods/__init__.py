"""Every operation on Telegram, as a typed signature to hand to `telegram.call`."""

from engine.methods import (
    auth,
    dialogs,
    groups,
    history,
    media,
    messages,
    search,
    sessions,
    users,
)
from engine.methods.registry import Method, describe, lookup, method, registered

__all__ = [
    "Method",
    "auth",
    "describe",
    "dialogs",
    "groups",
    "history",
    "lookup",
    "media",
    "messages",
    "method",
    "registered",
    "search",
    "sessions",
    "users",
]
