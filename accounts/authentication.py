"""API keys for DRF views: `request.user` is the user, `request.auth` the Caller."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.callers import Caller, identify
from accounts.models import User


class KeyAuthentication(BaseAuthentication):
    """Identifies the caller by key, or in open mode by where they call from."""

    def authenticate(self, request: Request) -> tuple[User, Caller]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        caller = identify(
            headers,
            request.META.get("REMOTE_ADDR") or None,
            headers.get("host", ""),
            headers.get("origin"),
        )
        return caller.user, caller

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
