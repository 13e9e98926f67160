"""Who is calling: one answer for REST, WebSocket and event streams."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import ALL_SCOPES, KEY_PATTERN, ApiKey, Scope, User
from core import limits
from core.errors import Forbidden, NotFound, Unauthorized
from core.network import LOOPBACK_HOSTS, client_address, is_loopback

logger = logging.getLogger(__name__)

LOCAL_USERNAME = "local"
_KEY = re.compile(KEY_PATTERN)
_FORWARDING = frozenset({"forwarded", "via", "x-real-ip", "true-client-ip", "x-client-ip"})
_FORWARDING_PREFIXES = ("x-forwarded", "cf-connecting", "x-original-")
# Compared with when no key has the prefix, so that both refusals do the same work.
_NOBODY = ApiKey(secret_sha256=bytes(32))


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, the key that they came with (none in open mode), and what it allows."""

    user: User
    key: ApiKey | None
    scopes: frozenset[str]

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN.value in self.scopes

    def allows(self, scope: str) -> bool:
        """Tell whether the caller has `scope`; `admin` includes the others."""
        return scope in self.scopes or self.is_admin

    def require(self, scope: str) -> None:
        """Raise Forbidden, naming the scope, unless the caller has it."""
        if not self.allows(scope):
            raise Forbidden(f"The key lacks the scope '{scope}'.", code="missing_scope")


def identify(headers: Mapping[str, str], peer: str | None, host: str, origin: str | None) -> Caller:
    """Return who sends a request with these headers.

    `headers` have lower-case names; `peer` is the address at the other end of the
    connection, `host` the `Host` header. Touches the database.
    Raises Unauthorized (no key, a wrong, expired or revoked one), Forbidden (open
    mode, but not from this machine), TooManyRequests (too many wrong keys).
    """
    if settings.TGHUB_AUTH == "open":
        refuse_strangers(headers, peer, host, origin)
        return local_caller()
    plaintext = presented_key(headers)
    if plaintext is None:
        raise Unauthorized("An API key is needed.", code="missing_key", headers=CHALLENGE)
    return authenticate(plaintext, client_address(peer, headers.get("x-forwarded-for")))


CHALLENGE = {"WWW-Authenticate": "Bearer"}


def presented_key(headers: Mapping[str, str]) -> str | None:
    """Return what stands in `Authorization: Bearer` or `X-API-Key`."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key", "").strip() or None


def authenticate(plaintext: str, ip: str | None = None) -> Caller:
    """Return the caller who owns the key `plaintext` (as a WebSocket's `login` brings it).

    Raises Unauthorized; TooManyRequests instead, after many wrong keys from `ip`.
    """
    key = find_key(plaintext)
    if key is None:
        limits.hit("failed_key", ip or "unknown")
        raise Unauthorized("The API key is wrong.", code="wrong_key", headers=CHALLENGE)
    check_usable(key)
    key.note_use()
    return Caller(key.user, key, frozenset(key.scopes) & ALL_SCOPES)


def find_key(plaintext: str) -> ApiKey | None:
    """Return the key with this plaintext, also an expired or revoked one."""
    if not _KEY.fullmatch(plaintext):
        return None
    prefix = plaintext.split("_", 2)[1]
    key = ApiKey.objects.select_related("user").filter(prefix=prefix).first()
    return key if (key or _NOBODY).matches(plaintext) else None


def check_usable(key: ApiKey) -> None:
    """Raise Unauthorized when the key is revoked or expired, or its user inactive."""
    if key.revoked_at is not None:
        raise Unauthorized("The API key is revoked.", code="revoked_key", headers=CHALLENGE)
    if key.expires_at is not None and key.expires_at <= timezone.now():
        raise Unauthorized("The API key has expired.", code="expired_key", headers=CHALLENGE)
    if not key.user.is_active:
        raise Unauthorized("The user is inactive.", code="inactive_user", headers=CHALLENGE)


def recheck(caller: Caller) -> Caller:
    """Return the caller as of now, for connections that stay open; raises Unauthorized."""
    if caller.key is None:
        return caller
    key = ApiKey.objects.select_related("user").filter(pk=caller.key.pk).first()
    if key is None:
        raise Unauthorized("The API key is revoked.", code="revoked_key", headers=CHALLENGE)
    check_usable(key)
    return Caller(key.user, key, frozenset(key.scopes) & ALL_SCOPES)


def local_caller() -> Caller:
    """Return the user `local`, who has every scope in open mode."""
    user, created = User.objects.get_or_create(username=LOCAL_USERNAME)
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return Caller(user, None, ALL_SCOPES)


def refuse_strangers(
    headers: Mapping[str, str], peer: str | None, host: str, origin: str | None
) -> None:
    """Raise Forbidden unless the request comes from this machine and from no web page elsewhere.

    With TGHUB_OPEN_ANYWHERE other machines may call too; web pages elsewhere still may not.
    """
    reason = ""
    anywhere = settings.TGHUB_OPEN_ANYWHERE
    if not anywhere and not is_loopback(peer):
        reason = "this machine only"
    elif not anywhere and host_name(host) not in LOOPBACK_HOSTS:
        reason = "a Host of localhost, 127.0.0.1 or [::1] only"
    elif any(n in _FORWARDING or n.startswith(_FORWARDING_PREFIXES) for n in headers):
        reason = "requests that no proxy forwarded only"
    elif origin and not is_own_origin(origin, host):
        reason = "its own pages only"
    if reason:
        raise Forbidden(f"In open mode the hub answers {reason}.", code="open_mode_is_local")


def host_name(host: str) -> str:
    """Return a `Host` header without its port."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d+)?", host.strip().lower())
    return match.group(1) if match else ""


def is_own_origin(origin: str, host: str) -> bool:
    """Tell whether a page of `origin` is the hub's own, or one that CORS_ORIGINS allows."""
    if origin in settings.CORS_ALLOWED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.strip().lower()


def client_ip(request: HttpRequest) -> str | None:
    """Return the address of the client, seen through TRUSTED_PROXIES alone."""
    return client_address(
        request.META.get("REMOTE_ADDR") or None, request.META.get("HTTP_X_FORWARDED_FOR")
    )


def caller_of(request: Any) -> Caller:
    """Return the caller of a DRF request; raises Unauthorized when nobody was identified."""
    caller = getattr(request, "auth", None)
    if not isinstance(caller, Caller):
        raise Unauthorized("An API key is needed.", code="missing_key", headers=CHALLENGE)
    return caller


def owner_for(caller: Caller, username: str | None) -> User:
    """Return whose sessions the call is about: the caller's, or with `admin` those of `?user=`.

    Raises Forbidden without the scope, NotFound for an unknown user.
    """
    if not username or username == caller.user.get_username():
        return caller.user
    caller.require(Scope.ADMIN.value)
    user = User.objects.filter(username=username).first()
    if user is None:
        raise NotFound("There is no such user.", code="user_not_found")
    return user
