"""The id by which an answer, its log lines and its audit events name one request."""

import re
import uuid
from contextvars import ContextVar

HEADER = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}\Z")

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """Return the id of the request that is being served here, or ""."""
    return _request_id.get()


def enter_request(request_id: str) -> None:
    """Name the request that this task or thread serves from now on."""
    _request_id.set(request_id)


def choose_request_id(offered: str | None) -> str:
    """Return the client's own id when it is a sane one, else a new one."""
    if offered and SANE_ID.match(offered):
        return offered
    return str(uuid.uuid4())
