"""What was sent to whom: the cursors behind `latest`."""

from django.conf import settings
from django.db import models

from realtime.webhooks.models import Delivery, WebhookEndpoint
from sessions_app.models import Account

__all__ = ["Delivery", "SentCursor", "SentKind", "SentMember", "WebhookEndpoint"]


class SentKind(models.TextChoices):
    USERS = "users", "members of a group"
    CHATS = "chats", "messages of a chat"


class SentCursor(models.Model):
    """How far a user was told of a chat, and confirmed it.

    `scope` is 0 for channels and supergroups, whose message ids are the same for everybody; for
    private chats and basic groups it is the account, as these ids are its own. `account` is the
    one that moved the cursor last: it goes when a session lets go of that account.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=SentKind.choices)
    chat_id = models.BigIntegerField(help_text="marked id")
    scope = models.BigIntegerField(default=0)
    last_message_id = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "kind", "chat_id", "scope"], name="sent_cursor_per_user"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.chat_id} to {self.user_id}"


class SentMember(models.Model):
    """A member of a group whom the user of a cursor was told of."""

    cursor = models.ForeignKey(SentCursor, models.CASCADE, related_name="members", db_index=False)
    member_id = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cursor", "member_id"], name="sent_member_once"),
        ]

    def __str__(self) -> str:
        return str(self.member_id)
