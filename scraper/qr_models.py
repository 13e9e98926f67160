"""A login by QR code under way."""

from django.conf import settings
from django.db import models

from sessions_app.models import TelegramSession


class QrStatus(models.TextChoices):
    PENDING = "pending", "waiting for the scan"
    PASSWORD_REQUIRED = "password_required", "waiting for the password"
    FINISHING = "finishing", "moving the new key to the session"
    SUCCESS = "success", "logged in"
    EXPIRED = "expired", "lapsed"
    ERROR = "error", "failed"


class QrLogin(models.Model):
    """A login by QR code, and for ten minutes what came of it.

    The code is shown by a session of its own (`session`, which no list names), whose key moves
    to the session called `name` when the login is done: until then the old one goes on working.
    The token is what the caller asks by; only its hash is kept.
    """

    token_sha256 = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.ForeignKey(
        "accounts.ApiKey", null=True, on_delete=models.CASCADE, related_name="+"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="qr_logins"
    )
    name = models.CharField(max_length=64, help_text="of the session that is to be logged in")
    force = models.BooleanField(default=False)
    session = models.OneToOneField(
        TelegramSession, null=True, on_delete=models.SET_NULL, related_name="qr_login"
    )
    status = models.CharField(max_length=24, choices=QrStatus.choices, default=QrStatus.PENDING)
    # The process that finishes it: that of a dead one is taken over.
    process = models.CharField(max_length=80, blank=True, editable=False)
    step_at = models.DateTimeField(auto_now_add=True)
    hint = models.CharField(max_length=256, blank=True)
    error = models.CharField(max_length=200, blank=True)
    expires_at = models.DateTimeField(db_index=True, help_text="of the login, then of its row")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"QR login of {self.name}"
