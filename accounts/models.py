"""Who may call: users, their API keys, and what was done in their name."""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, NoReturn

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.request_id import current_request_id

KEY_PATTERN = r"tgh_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}"
# Writing `last_used_at` at each call would make every read a write.
LAST_USE_STEP = timedelta(minutes=1)


class Scope(models.TextChoices):
    READ = "read", "read: look and scrape"
    SEND = "send", "send: write to Telegram"
    SESSIONS = "sessions", "sessions: log in, reconnect, log out, destroy"
    ADMIN = "admin", "admin: everything of every user"


ALL_SCOPES: frozenset[str] = frozenset(Scope.values)


class User(AbstractUser):
    """A customer of the hub: owns Telegram sessions and API keys."""


class ApiKey(models.Model):
    """What a client presents: `tgh_<8 prefix>_<43 secret>`, of which a SHA-256 is kept.

    A 256-bit secret needs no slow hash; the prefix finds the row.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, blank=True)
    prefix = models.CharField(max_length=8, unique=True, editable=False)
    secret_sha256 = models.BinaryField(max_length=32, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        ordering: ClassVar[Sequence[str]] = ["-created_at"]

    def __str__(self) -> str:
        return f"tgh_{self.prefix}_…"

    @property
    def is_active(self) -> bool:
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.revoked_at is None and not expired

    def matches(self, plaintext: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(bytes(self.secret_sha256), sha256(plaintext))

    def revoke(self) -> bool:
        """Make the key useless from now on; tell whether it was still usable."""
        rows = ApiKey.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())
        self.refresh_from_db(fields=["revoked_at"])
        return rows == 1

    def note_use(self) -> None:
        """Record the time of use, at most once a minute."""
        now = timezone.now()
        if self.last_used_at is not None and self.last_used_at > now - LAST_USE_STEP:
            return
        ApiKey.objects.filter(
            Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USE_STEP), pk=self.pk
        ).update(last_used_at=now)
        self.last_used_at = now


def sha256(plaintext: str) -> bytes:
    return hashlib.sha256(plaintext.encode()).digest()


def create_key(
    *,
    user: User,
    name: str = "",
    scopes: Iterable[str],
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make an API key; the plaintext in the answer exists nowhere else.

    Raises ValueError for an unknown scope.
    """
    wanted = set(scopes)
    if unknown := wanted - ALL_SCOPES:
        raise ValueError(f"unknown scope: {', '.join(sorted(unknown))}")
    prefix = secrets.token_hex(4)
    plaintext = f"tgh_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        user=user,
        name=name,
        prefix=prefix,
        secret_sha256=sha256(plaintext),
        scopes=[scope for scope in Scope.values if scope in wanted],
        expires_at=expires_at,
    )
    return key, plaintext


class AppendOnlyError(Exception):
    """An audit row was to be changed or removed."""


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("audit events are never changed")

    def delete(self) -> NoReturn:
        raise AppendOnlyError("audit events are never removed")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("audit events are never changed")


class AuditEvent(models.Model):
    """Who did what to what. Rows are only ever added.

    Names instead of foreign keys: the row outlives the user that it tells of.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    at = models.DateTimeField(default=timezone.now)
    username = models.CharField(max_length=150, blank=True)
    key_prefix = models.CharField(max_length=8, blank=True)
    action = models.CharField(max_length=64)
    target = models.CharField(max_length=200, blank=True)
    ip = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=128, blank=True)
    details = models.JSONField(default=dict)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["-at"], name="audit_newest_first")]

    def __str__(self) -> str:
        return f"{self.action} {self.target}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError("audit events are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("audit events are never removed")


def record(
    action: str,
    *,
    user: User | None = None,
    key: ApiKey | None = None,
    target: object = "",
    ip: str | None = None,
    **details: Any,
) -> AuditEvent:
    """Add an audit event; `details` are JSON and hold no secret."""
    return AuditEvent.objects.create(
        action=action,
        username=user.get_username() if user else "",
        key_prefix=key.prefix if key else "",
        target=str(target)[:200],
        ip=ip,
        request_id=current_request_id(),
        details=details,
    )
