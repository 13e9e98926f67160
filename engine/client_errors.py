"""Telethon's exceptions as ours.

Telethon keeps Telegram's type string only in the name of the class that it picked for it, so the
string is looked up again; `engine.errors` decides by the string.
"""

from __future__ import annotations

import re
from typing import Any

from telethon import errors
from telethon.errors import rpcerrorlist

from engine.errors import BadGateway, EngineError, NotFound, from_rpc, timed_out

_NAMES: dict[type, str] = {kind: name for name, kind in rpcerrorlist.rpc_errors_dict.items()}
_PATTERNS: dict[type, str] = {kind: pattern for pattern, kind in rpcerrorlist.rpc_errors_re}


def type_string(error: errors.RPCError) -> str:
    """Return Telegram's own name of an error, its number included: `FLOOD_WAIT_30`."""
    pattern = _PATTERNS.get(type(error))
    if pattern is not None:
        number = next((v for k, v in vars(error).items() if isinstance(v, int) and k != "code"), 0)
        return re.sub(r"\(.*?\)", str(number), pattern)
    return _NAMES.get(type(error)) or str(error.message or "UNKNOWN")


def translate(error: BaseException, method: str = "") -> EngineError | None:
    """Return our error for one that Telethon or the network raised, None for a stranger."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, errors.MultiError):
        first: Any = next(each for each in error.exceptions if each is not None)
        return translate(first, method)
    if isinstance(error, errors.RPCError):
        return from_rpc(error.code or 500, type_string(error), method)
    if isinstance(error, errors.AuthKeyNotFound):
        # Often a passing state of Telegram's; the supervisor counts before it believes it.
        return BadGateway("auth_key_unknown", "Telegram does not know the session's key.")
    if isinstance(error, TimeoutError):
        return timed_out()
    if isinstance(error, OSError | EOFError):
        return BadGateway()
    if isinstance(
        error,
        errors.TypeNotFoundError
        | errors.SecurityError
        | errors.InvalidBufferError
        | errors.BadMessageError,
    ):
        return BadGateway("bad_answer", "Telegram's answer could not be read.")
    if isinstance(error, ValueError) and "input entity" in str(error):
        return NotFound("peer_id_invalid", "No such chat or user is known to this session.")
    return None
