"""What can go wrong at Telegram, as one tree of exceptions.

`from_rpc` chooses by Telegram's type string, never by a library's class: the same number means
different things (`SESSION_PASSWORD_NEEDED` is a 401 and only a login step; of the 406 errors
only `AUTH_KEY_DUPLICATED` loses the key). `status` is the HTTP status that the surfaces answer
with, `code` is Telegram's name in lower case without its numbers.
Source: https://core.telegram.org/api/errors
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from engine import errornames


class EngineError(Exception):
    """A call failed. `status` is HTTP's, `seconds` says when to try again, if that is known.

    `argument` is what Telegram put into the name (`PHONE_MIGRATE_2` → 2). The texts are safe to
    show: they hold no secret, no path and no traceback.
    """

    default_status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"
    default_detail: ClassVar[str] = "The call failed."

    def __init__(
        self,
        code: str | None = None,
        detail: str | None = None,
        status: int | None = None,
        seconds: int | None = None,
        *,
        argument: int | None = None,
    ) -> None:
        self.code = code or self.default_code
        self.status = status or self.default_status
        # Whoever is told to come back is told when.
        self.seconds = max(1, seconds or 0) if self.status in (429, 503) else seconds
        self.detail = detail or self.default_detail.format(seconds=self.seconds)
        self.argument = argument
        super().__init__(self.detail)

    @property
    def expired(self) -> bool:
        """Whether Telegram has ended this session for good."""
        return False

    def __repr__(self) -> str:
        wait = "" if self.seconds is None else f", seconds={self.seconds}"
        return f"{type(self).__name__}({self.code!r}, status={self.status}{wait})"

    def __reduce__(self) -> tuple[Any, ...]:
        return from_dict, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON; `from_dict` makes the same error of it."""
        return {
            "type": type(self).__name__,
            "code": self.code,
            "detail": self.detail,
            "status": self.status,
            "seconds": self.seconds,
            "argument": self.argument,
        }

    @classmethod
    def _from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            data["code"],
            data["detail"],
            data["status"],
            data.get("seconds"),
            argument=data.get("argument"),
        )


class BadRequest(EngineError):
    """What was asked makes no sense to Telegram, or to us."""

    default_status = 400
    default_code = "bad_request"
    default_detail = "The request is not valid."


class NotAuthorized(EngineError):
    """The session is not logged in; with `expired` it never will be again."""

    default_status = 401
    default_code = "not_authorized"
    default_detail = "The session is not logged in."

    @property
    def expired(self) -> bool:
        return self.code.upper() in errornames.EXPIRED


class Forbidden(EngineError):
    """Telegram forbids this to this account."""

    default_status = 403
    default_code = "forbidden"
    default_detail = "Telegram forbids this."


class NotFound(EngineError):
    """No such chat, message, user or file, as far as this account may know."""

    default_status = 404
    default_code = "not_found"
    default_detail = "Not found."


class Conflict(EngineError):
    """The state is another one than the call expects."""

    default_status = 409
    default_code = "conflict"
    default_detail = "The state does not allow this."


class PasswordNeeded(Conflict):
    """The login goes on with the two-step password. A step, not a failure."""

    default_code = "session_password_needed"
    default_detail = "The account has a two-step password."


class TooLarge(EngineError):
    """More bytes than Telegram, or the hub, takes."""

    default_status = 413
    default_code = "too_large"
    default_detail = "Too large."


class FloodWait(EngineError):
    """Telegram asks for a pause of `seconds`."""

    default_status = 429
    default_code = "flood_wait"
    default_detail = "Telegram asks to wait {seconds} seconds."


class TooManyCalls(EngineError):
    """The hub's own cap on calls in flight, per session or in all."""

    default_status = 429
    default_code = "too_many_calls"
    default_detail = "Too many calls are in flight."


class BadGateway(EngineError):
    """Telegram cannot be reached, failed, or did not answer in time."""

    default_status = 502
    default_code = "telegram_unreachable"
    default_detail = "Telegram cannot be reached."


class Unavailable(EngineError):
    """The engine is starting, draining, gone, or does not own the session yet."""

    default_status = 503
    default_code = "unavailable"
    default_detail = "The engine is not available."


TYPES: dict[str, type[EngineError]] = {
    cls.__name__: cls
    for cls in (
        EngineError,
        BadRequest,
        NotAuthorized,
        Forbidden,
        NotFound,
        Conflict,
        PasswordNeeded,
        TooLarge,
        FloodWait,
        TooManyCalls,
        BadGateway,
        Unavailable,
    )
}

_BY_NUMBER: dict[int, type[EngineError]] = {
    400: BadRequest,
    401: NotAuthorized,
    403: Forbidden,
    404: NotFound,
    406: BadRequest,
}


def from_dict(data: Mapping[str, Any]) -> EngineError:
    """Return the error that `EngineError.to_dict` described."""
    return TYPES.get(data["type"], EngineError)._from_dict(data)


def timed_out(detail: str = "Telegram did not answer in time.") -> BadGateway:
    """Return the error of a call whose deadline is over."""
    return BadGateway("timeout", detail)


def split(message: str) -> tuple[str, int | None]:
    """Split a type string into name and number: `FLOOD_WAIT_30` → (`FLOOD_WAIT`, 30).

    The number may stand anywhere between underscores (`FILE_PART_3_MISSING`).
    """
    argument: int | None = None
    words = []
    for word in re.sub(r"[^0-9A-Za-z]+", "_", message.strip()).strip("_").upper().split("_"):
        if word.isdecimal() and argument is None:
            argument = int(word)
        elif number := re.fullmatch(r"(\d+)(MIN)", word):  # PREVIOUS_CHAT_IMPORT_ACTIVE_WAIT_5MIN
            argument = int(number[1]) * 60
        else:
            words.append(word)
    return "_".join(words) or "UNKNOWN", argument


def from_rpc(code: int, message: str, method: str = "") -> EngineError:
    """Return the error for Telegram's `rpc_error`, e.g. (420, "FLOOD_WAIT_30", "messages.search").

    `method` is what was called, TL's name or ours; it only matters for errors that mean another
    thing when reading than when writing. `code` may be negative (-503, -404 from the transport).
    """
    name, argument = split(message)
    kind, status = _classify(code, name, method)
    seconds: int | None = None
    if kind is FloodWait:
        seconds = argument if argument is not None else errornames.UNNAMED_WAIT_SECONDS
    elif name in errornames.WITH_SECONDS:
        seconds = argument
    detail = errornames.DETAILS.get(name) or (
        None if kind is FloodWait and argument is not None else f"Telegram answered {name}."
    )
    return kind(name.lower(), detail, status, seconds, argument=argument)


def _classify(code: int, name: str, method: str) -> tuple[type[EngineError], int | None]:
    """Return the class and, where it differs from the class's own, the status."""
    if name == "SESSION_PASSWORD_NEEDED":
        return PasswordNeeded, None
    if name in errornames.EXPIRED:
        return NotAuthorized, None
    if name in errornames.HIDDEN:
        return (NotFound if errornames.reads(method) else Forbidden), None
    for kind, names in (
        (NotFound, errornames.NOT_FOUND),
        (Conflict, errornames.CONFLICT),
        (TooLarge, errornames.TOO_LARGE),
        (BadGateway, errornames.FAILING),
        (Forbidden, errornames.FORBIDDEN),
        (BadRequest, errornames.INVALID),
        (FloodWait, errornames.FLOOD),
    ):
        if name in names:
            return kind, None
    if code == 420:
        return (FloodWait if name.endswith("_WAIT") else Forbidden), None
    if code >= 500 or code < 0 or code == 303:
        return BadGateway, None
    if code in (400, 406) and errornames.FORBIDDING.search(name):
        return Forbidden, None
    return _BY_NUMBER.get(code, BadGateway), None
