"""Telegram sessions, what they know, and who may use them.

Access hashes and update states belong to one session and go with it; what was
granted to an account hangs on `Account`, so that another account logged in under
an old name finds nothing of the former one.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.fields import EncryptedBinaryField, EncryptedJSONField, EncryptedTextField


class Account(models.Model):
    """A Telegram user, as one of its own sessions last saw it."""

    user_id = models.BigIntegerField(unique=True)
    first_name = models.CharField(max_length=256, blank=True)
    last_name = models.CharField(max_length=256, blank=True)
    username = models.CharField(max_length=64, blank=True)
    phone = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or str(self.user_id)


class SessionState(models.TextChoices):
    """Where a session stands, in TDLib's words where it has one.

    https://core.telegram.org/tdlib/docs/classtd_1_1td__api_1_1_authorization_state.html
    """

    WAIT_PHONE_NUMBER = "wait_phone_number", "waiting for a phone number"
    WAIT_CODE = "wait_code", "waiting for the code"
    WAIT_PASSWORD = "wait_password", "waiting for the password"
    WAIT_OTHER_DEVICE = "wait_other_device_confirmation", "waiting for a QR scan"
    READY = "ready", "logged in"
    LOGGED_OUT = "logged_out", "logged out"
    EXPIRED = "expired", "revoked by Telegram"
    PAUSED = "paused", "paused"


class LiveState(models.TextChoices):
    """The connection, as the owning engine last reported it."""

    DISCONNECTED = "disconnected", "disconnected"
    CONNECTED = "connected", "connected"
    RETRYING = "retrying", "retrying"
    DEGRADED = "degraded", "degraded"


class TelegramSession(models.Model):
    """One Telegram authorization: a name of its owner's, and the auth key behind it."""

    # Encrypted values are bound to it: a value copied to another row does not decrypt.
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="telegram_sessions"
    )
    name = models.CharField(max_length=64)
    account = models.ForeignKey(
        Account, null=True, blank=True, on_delete=models.SET_NULL, related_name="sessions"
    )
    state = models.CharField(
        max_length=32, choices=SessionState.choices, default=SessionState.WAIT_PHONE_NUMBER
    )

    dc_id = models.PositiveSmallIntegerField(null=True, blank=True)
    server_address = models.CharField(max_length=255, blank=True)
    port = models.PositiveIntegerField(null=True, blank=True)
    auth_key = EncryptedBinaryField(null=True, editable=False)
    key_fingerprint = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001 - null is "no key"
    api_id = models.PositiveBigIntegerField(null=True, blank=True)
    api_hash = EncryptedTextField(null=True, editable=False)

    device_model = models.CharField(max_length=64, blank=True)
    system_version = models.CharField(max_length=64, blank=True)
    app_version = models.CharField(max_length=64, blank=True)
    lang_code = models.CharField(max_length=16, blank=True)
    system_lang_code = models.CharField(max_length=16, blank=True)
    proxy = EncryptedJSONField(null=True, editable=False)

    owner_node = models.CharField(max_length=64, blank=True, editable=False)
    owner_epoch = models.BigIntegerField(default=0, editable=False)
    live_state = models.CharField(
        max_length=16, choices=LiveState.choices, default=LiveState.DISCONNECTED, editable=False
    )
    last_error = models.CharField(max_length=200, blank=True, editable=False)
    retry_at = models.DateTimeField(null=True, blank=True, editable=False)
    connected_at = models.DateTimeField(null=True, blank=True, editable=False)
    logged_in_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="session_name_per_owner"),
        ]
        indexes = [
            # Restoring: every logged-in session.
            models.Index(fields=["state"], name="session_state"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_ready(self) -> bool:
        return self.state == SessionState.READY


class LoginStep(models.TextChoices):
    SENDING = "sending", "asking Telegram for a code"
    WAIT_CODE = "wait_code", "waiting for the code"
    CHECKING = "checking", "checking a code or password"
    WAIT_PASSWORD = "wait_password", "waiting for the password"


class LoginState(models.Model):
    """A login under way; its row is the lock that two logins on one name meet at."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    session = models.OneToOneField(TelegramSession, on_delete=models.CASCADE, related_name="login")
    step = models.CharField(max_length=16, choices=LoginStep.choices, default=LoginStep.SENDING)
    # Where a step that was cut off by a crash goes back to.
    step_before = models.CharField(max_length=16, choices=LoginStep.choices, blank=True)
    step_at = models.DateTimeField()
    # The process that does the step: `sending` and `checking` of a dead one are free at once.
    process = models.CharField(max_length=80, blank=True, editable=False)
    phone = models.CharField(max_length=32)
    phone_code_hash = EncryptedTextField(null=True, editable=False)
    type = models.CharField(max_length=32, blank=True)
    next_type = models.CharField(max_length=32, blank=True)
    code_length = models.PositiveSmallIntegerField(null=True, blank=True)
    resend_at = models.DateTimeField(null=True, blank=True)
    hint = models.CharField(max_length=256, blank=True)
    expires_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"login of {self.session_id}"


class Entity(models.Model):
    """A peer that a session has seen; the access hash holds for that session alone."""

    session = models.ForeignKey(TelegramSession, on_delete=models.CASCADE, related_name="entities")
    peer_id = models.BigIntegerField(help_text="marked id")
    access_hash = models.BigIntegerField(null=True)
    username = models.CharField(max_length=64, blank=True)
    phone = models.CharField(max_length=32, blank=True)
    name = models.CharField(max_length=256, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "peer_id"], name="entity_per_session"),
        ]

    def __str__(self) -> str:
        return str(self.peer_id)


class BoxState(models.Model):
    """How far the updates of one message box are stored; chat 0 is the account's own box."""

    session = models.ForeignKey(
        TelegramSession, on_delete=models.CASCADE, related_name="box_states"
    )
    chat_id = models.BigIntegerField(default=0)
    pts = models.BigIntegerField(default=0)
    qts = models.BigIntegerField(default=0)
    date = models.BigIntegerField(default=0, help_text="Unix seconds")
    seq = models.BigIntegerField(default=0)
    top_message_id = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "chat_id"], name="box_per_session"),
        ]

    def __str__(self) -> str:
        return f"{self.session_id}/{self.chat_id}: {self.pts}"


class FloodDeadline(models.Model):
    """Telegram asked this session to leave a method alone until then."""

    session = models.ForeignKey(TelegramSession, on_delete=models.CASCADE, related_name="floods")
    method = models.CharField(max_length=128)
    until = models.FloatField(help_text="Unix seconds")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "method"], name="flood_per_method"),
        ]

    def __str__(self) -> str:
        return f"{self.session_id} {self.method}"


class SendingLimit(models.Model):
    """How fast and how much a session may send; what is null is as the settings say."""

    session = models.OneToOneField(
        TelegramSession, on_delete=models.CASCADE, related_name="sending_limit"
    )
    interval_seconds = models.FloatField(null=True, blank=True)
    daily_cap = models.PositiveIntegerField(null=True, blank=True)
    next_at = models.FloatField(default=0, help_text="Unix seconds", editable=False)
    day = models.DateField(null=True, editable=False)
    sent = models.PositiveIntegerField(default=0, help_text="on that day", editable=False)

    def __str__(self) -> str:
        return f"limits of {self.session_id}"


class Node(models.Model):
    """The lease of one engine: it may use its sessions until `expires_at`, under `epoch`."""

    name = models.CharField(max_length=64, unique=True)
    epoch = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField()
    pid = models.BigIntegerField(default=0)
    host = models.CharField(max_length=255, blank=True)
    # Machine boot and inode of the lock file: only where both are ours does the flock speak.
    lock_id = models.CharField(max_length=128, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} #{self.epoch}"


class KeyGrant(models.Model):
    """Which session an API key uses by default, and to which ones it is limited.

    A key without a limiting row may use all sessions of its user. When a session is
    destroyed the row stays, without the session: a limited key never widens.
    """

    api_key = models.ForeignKey(
        "accounts.ApiKey", on_delete=models.CASCADE, related_name="session_grants"
    )
    session = models.ForeignKey(
        TelegramSession, null=True, on_delete=models.SET_NULL, related_name="key_grants"
    )
    limits = models.BooleanField(default=True)
    is_default = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["api_key", "session"], name="grant_per_key"),
            models.UniqueConstraint(
                fields=["api_key"], condition=Q(is_default=True), name="one_default_per_key"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.api_key_id} → {self.session_id}"


class IdempotencyRecord(models.Model):
    """One send that is done once: committed before sending, answered afterwards.

    Without an answer, whoever asks again sends again with the same `random_id`,
    which Telegram accepts once.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="idempotency_records"
    )
    key = models.CharField(max_length=255)
    body_hash = models.CharField(max_length=64)
    process = models.CharField(max_length=80, blank=True, editable=False)
    claimed_at = models.DateTimeField()
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(db_index=True)
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_per_user"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.pk}"
