"""Who calls with a session string: the session itself, and nobody else."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.callers import refuse_strangers
from core import limits
from core.errors import Unauthorized
from sessions_app.stateless.token import Token, read

HEADER = "X-Session-String"


def carried_token(headers: Mapping[str, str], peer: str | None) -> Token:
    """Return what `X-Session-String` holds; `headers` have lower-case names.

    Raises Unauthorized; Forbidden in open mode for whoever does not call from this machine.
    """
    if settings.TGHUB_AUTH == "open":
        refuse_strangers(headers, peer, headers.get("host", ""), headers.get("origin"))
    text = headers.get(HEADER.lower(), "").strip()
    if not text:
        raise Unauthorized(f"{HEADER} is missing.", code="missing_session_string")
    return read(text)


def require_complete(token: Token) -> None:
    """Raise Unauthorized while the login is under way."""
    if token.login is not None:
        raise Unauthorized(
            "The login of this session string is not complete.", code="session_not_logged_in"
        )


class SessionStringAuthentication(BaseAuthentication):
    """Opens `X-Session-String`; `request.auth` is the Token. Touches no database."""

    def authenticate(self, request: Request) -> tuple[None, Token]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return None, carried_token(headers, request.META.get("REMOTE_ADDR") or None)

    def authenticate_header(self, request: Request) -> str:
        return HEADER


class HasSessionString(BasePermission):
    """Asks for a session that is logged in, or for `view.login_step` of one that is not yet."""

    def has_permission(self, request: Request, view: Any) -> bool:
        token = request.auth
        if not isinstance(token, Token):
            raise Unauthorized(f"{HEADER} is missing.", code="missing_session_string")
        if not getattr(view, "during_login", False):
            require_complete(token)
        return True


class SessionThrottle(BaseThrottle):
    """Counts the calls of one session, by its fingerprint."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, Token):
            limits.hit("call", "carried", request.auth.name)
        return True


class SessionStringScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "sessions_app.stateless.authentication.SessionStringAuthentication"
    name = "sessionString"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "header", "name": HEADER}
