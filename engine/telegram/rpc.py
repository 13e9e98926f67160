"""Telegram's refusals by their type string, whichever layer raises them."""

from telethon.errors import RPCError

from engine.client_errors import type_string
from engine.errors import EngineError, split

Refusal = (RPCError, EngineError)
"""What a request may raise: Telethon's error, or ours where the client translated it."""


def refused_with(error: BaseException, *names: str) -> bool:
    """Tell whether Telegram refused with one of these type strings, numbers left out."""
    return refusal_name(error) in names


def refusal_name(error: BaseException) -> str:
    """Return Telegram's type string without its number: `FILE_MIGRATE`; "" for a stranger."""
    if isinstance(error, EngineError):
        return error.code.upper()
    return split(type_string(error))[0] if isinstance(error, RPCError) else ""


def number_in(error: BaseException) -> int:
    """Return the number in a refusal's type string (`FILE_MIGRATE_2` → 2), 0 without one."""
    if isinstance(error, EngineError):
        return error.argument or 0
    return (split(type_string(error))[1] or 0) if isinstance(error, RPCError) else 0
