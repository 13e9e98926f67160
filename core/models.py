"""What every room shares in the database: the event log, its clock, the hub's own secrets."""

import uuid
from typing import Any

from django.db import models
from django.utils import timezone

from core import json
from core.fields import EncryptedBinaryField


class EventClock(models.Model):
    """One row: the id of the newest event, and of the newest one that was pruned."""

    last = models.BigIntegerField(default=0)
    pruned = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pruned}..{self.last}"


class Event(models.Model):
    """Something that happened. `id` follows the order of commits, without holes.

    Rooms above own sessions and users, so both are numbers here.
    """

    id = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=64)
    session_id = models.BigIntegerField(null=True)
    chat_id = models.BigIntegerField(null=True)
    # JSON as text: NUL characters and lone surrogates survive in both databases.
    document = models.TextField()
    # When it happened, and when it came into the log.
    date = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            # Readers of some sessions: `session_id IN (..) AND id > cursor ORDER BY id`.
            models.Index(fields=["session_id", "id"], name="event_by_session"),
            # Retention: the newest event older than the limit.
            models.Index(fields=["created_at"], name="event_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.kind}"

    @property
    def data(self) -> Any:
        return json.loads(self.document)


class Secret(models.Model):
    """A secret that the hub made for itself and keeps for ever, such as its HMAC key."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=64, unique=True)
    value = EncryptedBinaryField()

    def __str__(self) -> str:
        return self.name
