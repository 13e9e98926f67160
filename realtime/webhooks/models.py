"""Where events are posted to, and what became of each post."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.fields import EncryptedTextField


class PauseReason(models.TextChoices):
    USER = "user", "paused by its user"
    KEY = "key", "its API key is revoked, expired or lacks the scope"
    GONE = "gone", "its receiver answered 410 for a day"


class WebhookEndpoint(models.Model):
    """A URL of a user's that gets the events of their sessions.

    An empty filter holds for everything. `cursor` is the last event of the log that was
    looked at for it; what was to be posted up to there stands in `Delivery`.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook_endpoints"
    )
    # The key that it was made with, and whose sessions bound it. Not a foreign key: when
    # the key's row is gone the endpoint may do less, not more. Empty: made without a key.
    key_prefix = models.CharField(max_length=8, blank=True, editable=False)
    url = models.CharField(max_length=2048)
    description = models.CharField(max_length=500, blank=True)
    sessions = models.JSONField(default=list, blank=True, help_text="names; empty: all")
    chats = models.JSONField(default=list, blank=True, help_text="marked ids; empty: all")
    kinds = models.JSONField(default=list, blank=True, help_text="kinds of events; empty: all")

    secret = EncryptedTextField()
    # Signs beside the new one until then, so that receivers can change over.
    previous_secret = EncryptedTextField(null=True)
    previous_until = models.DateTimeField(null=True, editable=False)

    enabled = models.BooleanField(default=True)
    paused_reason = models.CharField(max_length=8, choices=PauseReason.choices, blank=True)
    cursor = models.BigIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    gone_since = models.DateTimeField(null=True, blank=True, editable=False)
    # What the receiver asked for by Retry-After.
    resume_at = models.DateTimeField(null=True, blank=True, editable=False)

    # The node that posts for it, as a session is owned: under this epoch of its lease.
    owner_node = models.CharField(max_length=64, blank=True, editable=False)
    owner_epoch = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"webhook {self.pk}"


class DeliveryState(models.TextChoices):
    PENDING = "pending", "waiting or under way"
    DELIVERED = "delivered", "delivered"
    DEAD = "dead", "given up"
    DROPPED = "dropped", "dropped: not the endpoint's to see any more"


class Delivery(models.Model):
    """One event for one endpoint, and how its posting went. What was said stays in the log."""

    # The `webhook-id`: the same at each attempt.
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries"
    )
    event_id = models.BigIntegerField(null=True)
    kind = models.CharField(max_length=64)
    session_id = models.BigIntegerField(null=True)
    # What it says when it is no event of the log: a test, a reset.
    own_data = models.JSONField(null=True, editable=False)
    state = models.CharField(
        max_length=16, choices=DeliveryState.choices, default=DeliveryState.PENDING
    )
    attempts = models.PositiveIntegerField(default=0)
    # Of the last attempt: the answer, or why there was none.
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=200, blank=True)
    duration_ms = models.PositiveIntegerField(null=True)
    # Asked for again by hand: outside of the order, holding up nothing.
    is_redelivery = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            # However often a page of the log is read, an event is posted once.
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="delivery_per_event"),
        ]
        indexes = [
            # What the outbox works on.
            models.Index(
                fields=["endpoint", "id"],
                condition=Q(state=DeliveryState.PENDING),
                name="delivery_pending",
            ),
            # The delivery log, newest first.
            models.Index(fields=["endpoint", "-id"], name="delivery_log"),
            # Retention.
            models.Index(fields=["finished_at"], name="delivery_by_end"),
            # A session is destroyed.
            models.Index(fields=["session_id"], name="delivery_by_session"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"

    @property
    def message_id(self) -> str:
        """The `webhook-id` header."""
        return f"msg_{self.uid.hex}"
