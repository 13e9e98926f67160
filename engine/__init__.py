"""The engine: Telegram sessions on threads of their own, behind one façade.

`telegram` is the door; `methods` names everything that can be asked. Importing this package
imports neither Telethon nor Django.
"""

import importlib

from engine import methods
from engine.errors import (
    BadGateway,
    BadRequest,
    Conflict,
    EngineError,
    FloodWait,
    Forbidden,
    NotAuthorized,
    NotFound,
    PasswordNeeded,
    TooLarge,
    TooManyCalls,
    Unavailable,
)
from engine.facade import Engine
from engine.wire import Carried, Ref

# Loaded now: an import of the subpackage later would put it in the façade's place.
importlib.import_module("engine.telegram")
telegram = Engine()

__all__ = [
    "BadGateway",
    "BadRequest",
    "Carried",
    "Conflict",
    "Engine",
    "EngineError",
    "FloodWait",
    "Forbidden",
    "NotAuthorized",
    "NotFound",
    "PasswordNeeded",
    "Ref",
    "TooLarge",
    "TooManyCalls",
    "Unavailable",
    "methods",
    "telegram",
]
