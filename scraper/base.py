"""What the views of `/api/v3` share: the caller's own session, by `X-Telegram-Username`."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.callers import Caller, caller_of, client_ip
from accounts.models import Scope, record
from core.errors import Unauthorized
from core.validation import is_session_name
from engine import telegram
from engine.methods import sessions as session_methods
from sessions_app.authorization import note_account
from sessions_app.lookup import require_ready, visible_sessions
from sessions_app.models import TelegramSession
from sessions_app.schema import USER, responses

__all__ = [
    "HEADER",
    "SESSION",
    "USER",
    "CallerView",
    "SessionView",
    "own_session",
    "query_of",
    "refusals",
    "responses",
]

HEADER = "X-Telegram-Username"
SESSION = [
    OpenApiParameter(
        HEADER, str, OpenApiParameter.HEADER, required=True, description="The session's name."
    ),
    USER,
]
"""Parameters that every operation of a `SessionView` has."""


def own_session(caller: Caller, name: str | None, username: str | None = None) -> TelegramSession:
    """Return the caller's logged-in session that the header names, for views and consumers.

    `name` is the header's value as ASGI gives it (latin-1 of UTF-8 bytes). Raises Unauthorized
    when it is missing, no name, unknown, another user's or not logged in.
    """
    if not name:
        raise Unauthorized(f"Missing {HEADER} header", code="missing_username")
    name = header_text(name)
    session = None
    if is_session_name(name):
        sessions = visible_sessions(caller, username).select_related("account", "owner")
        session = sessions.filter(name=name).first()
    if session is None:
        raise Unauthorized(
            "User not authenticated: there is no such session.", code="session_not_found"
        )
    require_ready(session)
    if session.account is None:
        # It was imported, and nobody has asked yet whose it is.
        note_account(session, telegram.call(session.pk, session_methods.get_me))
        session.refresh_from_db()
    return session


def header_text(value: str) -> str:
    """Return a header's text: HTTP carries bytes, which every client sends as UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def refusals(*errors: int) -> dict[Any, Any]:
    """Return the error `responses` of an operation whose answer is not JSON."""
    return {status: shape for status, shape in responses(None, *errors).items() if status != 200}


def query_of(request: Request, *lists: str) -> dict[str, Any]:
    """Return the query parameters as a plain dict: the last of each, all of those in `lists`.

    Serializers take a QueryDict for a form, in which a box that is not ticked is false.
    """
    given: dict[str, Any] = dict(request.query_params.items())
    return given | {name: request.query_params.getlist(name) for name in lists if name in given}


class CallerView(APIView):
    """A view of `/api/v3`; `self.caller` is who asks, `self.username` whose sessions."""

    required_scope: ClassVar[str | dict[str, str]]

    @property
    def caller(self) -> Caller:
        return caller_of(self.request)

    @property
    def username(self) -> str | None:
        return self.request.query_params.get("user")

    def audit(self, action: str, target: str, **details: Any) -> None:
        record(
            action,
            user=self.caller.user,
            key=self.caller.key,
            target=target,
            ip=client_ip(self.request._request),
            **details,
        )


class SessionView(CallerView):
    """A view over one session: `self.session`, the caller's own, logged in.

    Found before the method runs, so that no session at all is said before what else is wrong.
    """

    required_scope: ClassVar[str | dict[str, str]] = Scope.READ.value
    session: TelegramSession

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.session = own_session(self.caller, request.headers.get(HEADER), self.username)
