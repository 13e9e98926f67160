"""Frames of the WebSocket protocol: `{"event": …, "data": {"status": …, "message": …}}`."""

from typing import Any, Literal

from core import json
from core.errors import close_code, to_response_parts

Status = Literal["success", "failed"]

BAD_REQUEST = 4400
UNAUTHORIZED = 4401
NOT_FOUND = 4404
TIMED_OUT = 4408
TOO_MANY = 4429
RESTARTING = 1012


class Failed(Exception):
    """What was asked fails, in these words; with `close` the socket is closed then."""

    def __init__(
        self, message: str, *, close: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.close = close
        self.retry_after = retry_after


class Malformed(Exception):
    """A frame that is none of the protocol: answered by the event `error`, and closed."""


def frame(event: str, status: Status, message: Any, **more: Any) -> str:
    """Return a frame as JSON."""
    return text({"event": event, "data": {"status": status, "message": message, **more}})


def text(value: Any) -> str:
    return json.dumps(value).decode()


def failure_of(error: Exception) -> Failed:
    """Return how a client is told of an error: whoever may not go on is closed."""
    if isinstance(error, Failed):
        return error
    parts = to_response_parts(error)
    return Failed(
        parts.body["detail"],
        close=close_code(error) if parts.status == 401 else None,
        retry_after=parts.body.get("retry_after"),
    )


def given(data: dict[str, Any], name: str) -> Any:
    """Return what must be there; raises Malformed."""
    if name not in data:
        raise Malformed(f"missing key '{name}'")
    return data[name]


def text_of(data: dict[str, Any], name: str) -> str:
    """Return a text, or the number that stands for one; raises Malformed."""
    value = given(data, name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Malformed(f"'{name}' is not a text")
    return str(value)
