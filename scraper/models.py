"""What was read from Telegram: chats, messages, files, and how far.

Channels and supergroups are shared by all accounts; private chats and basic groups belong to
one, because their message ids do. Who may read what hangs on `ChatAccess`; every read goes
through `scraper.access`.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q

from scraper.qr_models import QrLogin  # noqa: F401 - Django looks for models here
from sessions_app.models import Account, TelegramSession

MESSAGE_KEY_BITS = 32
"""Telegram's message ids have 31 bits; the chat's number stands above them in the key."""


class MessageKeyField(models.BigIntegerField):  # type: ignore[type-arg]
    """A 64-bit key that is SQLite's own rowid, so that a chat's messages lie side by side."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "integer" if connection.vendor == "sqlite" else super().db_type(connection)


class Chat(models.Model):
    """A dialog's history. `account` is null for channels and supergroups, which are shared."""

    account = models.ForeignKey(
        Account, null=True, blank=True, on_delete=models.CASCADE, related_name="chats"
    )
    peer_id = models.BigIntegerField(help_text="marked id")
    type = models.CharField(max_length=16)
    title = models.CharField(max_length=256, blank=True)
    username = models.CharField(max_length=64, blank=True)
    # A basic group that became a supergroup is two chats.
    migrated_to = models.BigIntegerField(null=True, blank=True, help_text="marked id")
    migrated_from = models.BigIntegerField(null=True, blank=True, help_text="marked id")
    migrated_from_max_id = models.BigIntegerField(null=True, blank=True)
    created_date = models.DateTimeField(null=True, blank=True)
    count = models.BigIntegerField(
        null=True, blank=True, help_text="messages, as Telegram last told with a page"
    )
    top_message_id = models.BigIntegerField(default=0)
    document = models.TextField(blank=True, help_text="the shared facts of the dialog, as JSON")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["peer_id"], condition=Q(account__isnull=True), name="shared_chat"
            ),
            models.UniqueConstraint(
                fields=["account", "peer_id"],
                condition=Q(account__isnull=False),
                name="chat_of_account",
            ),
        ]

    def __str__(self) -> str:
        return self.title or str(self.peer_id)

    @property
    def is_shared(self) -> bool:
        return self.account_id is None

    def key(self, message_id: int) -> int:
        """Return the primary key of a message of this chat."""
        return (self.pk << MESSAGE_KEY_BITS) + message_id


class ChatAccess(models.Model):
    """Telegram grants an account the reading of a chat, from `min_id` on; no row, no access.

    `checked_at` is null when the grant is to be asked for again before it is used.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="chat_access")
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="access")
    min_id = models.BigIntegerField(default=0, help_text="first message that may be seen")
    member = models.BooleanField(default=False)
    checked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "chat"], name="access_per_account"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} → {self.chat_id}"


class Message(models.Model):
    """A message, once. `id` is `chat << 32 | message_id`: keyset pages go by it alone.

    `document` is the history's JSON as every reader may see it, without what changes all the
    time (`volatile`: `,"views":1,"reactions":[…]`, appended before the closing brace) and
    without what belongs to one account (`MessagePrivate`). It is empty for a message that was
    deleted before it was seen. `account` repeats the chat's.
    """

    id = MessageKeyField(primary_key=True)
    # Checked by the writer once per page, not by the database once per row.
    chat = models.ForeignKey(
        Chat,
        on_delete=models.CASCADE,
        related_name="messages",
        db_index=False,
        db_constraint=False,
    )
    account = models.ForeignKey(
        Account,
        null=True,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    message_id = models.BigIntegerField()
    date = models.BigIntegerField(null=True, help_text="Unix seconds")
    edit_date = models.BigIntegerField(default=0, help_text="Unix seconds, 0: never")
    sender_id = models.BigIntegerField(null=True, help_text="marked id")
    text = models.TextField(blank=True)
    media_type = models.CharField(max_length=64, blank=True, help_text="Telethon's class name")
    category = models.CharField(max_length=16, blank=True, help_text="of the file, as in settings")
    action = models.CharField(max_length=64, blank=True)
    reply_to = models.BigIntegerField(null=True)
    topic_id = models.BigIntegerField(null=True)
    grouped_id = models.BigIntegerField(null=True)
    is_forwarded = models.BooleanField(default=False)
    expires = models.BooleanField(default=False, help_text="self-destructs: not to be kept")
    deleted = models.BooleanField(default=False)
    views = models.BigIntegerField(null=True)
    reactions = models.TextField(blank=True, help_text="JSON list")
    volatile = models.TextField(blank=True)
    document = models.TextField(blank=True)
    raw = models.BinaryField(null=True, help_text="what this layer of the schema cannot read")

    class Meta:
        indexes = [
            # Dates to ids; search within a chat by date.
            models.Index(fields=["chat", "date"], name="message_by_date"),
            # `updateDeleteMessages` names no chat.
            models.Index(
                fields=["account", "message_id"],
                condition=Q(account__isnull=False),
                name="message_of_account",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chat_id}/{self.message_id}"


class MessagePrivate(models.Model):
    """What one account alone sees in a shared message: `PrivateDict` of the engine, as JSON."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="private")
    document = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "message"], name="private_per_account"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.message_id}"


class Tombstone(models.Model):
    """A deletion in a private chat or basic group whose message was not stored yet."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    message_id = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "message_id"], name="tombstone"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.message_id}"


class FileState(models.TextChoices):
    ABSENT = "absent", "not fetched"
    PARTIAL = "partial", "partly fetched"
    PRESENT = "present", "stored"
    REFUSED = "refused", "not to be had"


class File(models.Model):
    """One file at Telegram, stored once however many messages carry it.

    `size` is what Telegram declares; `path` is relative to the media storage and made by us.
    """

    kind = models.CharField(max_length=16)
    telegram_id = models.BigIntegerField()
    category = models.CharField(max_length=16, blank=True)
    dc_id = models.IntegerField(default=0)
    thumb = models.CharField(max_length=8, blank=True, help_text="size letter of a photo")
    size = models.BigIntegerField(default=0)
    mime_type = models.CharField(max_length=255, blank=True)
    width = models.IntegerField(null=True)
    height = models.IntegerField(null=True)
    duration_seconds = models.FloatField(null=True)
    thumbs = models.TextField(blank=True, help_text="JSON list of ThumbDict")
    state = models.CharField(max_length=16, choices=FileState.choices, default=FileState.ABSENT)
    stored_bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    path = models.CharField(max_length=255, blank=True)
    error = models.CharField(max_length=200, blank=True)
    used_at = models.DateTimeField(null=True, db_index=True)
    stored_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "telegram_id"], name="file_at_telegram"),
        ]
        indexes = [
            # Content that is already here under another id.
            models.Index(fields=["sha256"], name="file_by_content", condition=~Q(sha256="")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.telegram_id}"


class FileRef(models.Model):
    """How one account fetches a file: its access hash, and a reference that expires.

    `chat_id` (marked) and `message_id` name the message that a fresh reference comes from.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="refs")
    access_hash = models.BigIntegerField()
    file_reference = models.TextField(blank=True, help_text="base64")
    chat_id = models.BigIntegerField()
    message_id = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "file"], name="file_ref"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.file_id}"


class Media(models.Model):
    """The file that a message carries, under the name that clients know it by.

    `account` is set for what one account alone sees (paid media).
    """

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="media")
    file = models.ForeignKey(File, null=True, on_delete=models.SET_NULL, related_name="media")
    account = models.ForeignKey(Account, null=True, on_delete=models.CASCADE, related_name="+")
    type = models.CharField(max_length=64, help_text="Telethon's class name")
    name = models.TextField(blank=True, help_text="as its sender gave it: never a path")
    size = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return str(self.uuid)


class Coverage(models.Model):
    """Ids of a chat that were read completely: `low` to `high`, both included.

    Intervals of a chat never overlap or touch. `open_session` is set on the newest one while
    that session's updates carry it on; it holds for as long as the session stays connected.
    """

    chat = models.ForeignKey(
        Chat, on_delete=models.CASCADE, related_name="coverage", db_index=False
    )
    low = models.BigIntegerField()
    high = models.BigIntegerField()
    open_session = models.ForeignKey(
        TelegramSession, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    opened_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chat", "high"], name="coverage_by_high"),
        ]

    def __str__(self) -> str:
        return f"{self.chat_id}: {self.low}-{self.high}"


class DatePoint(models.Model):
    """Telegram told once which message of a chat was the newest before a moment that is past."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="+", db_index=False)
    date = models.BigIntegerField(help_text="Unix seconds")
    message_id = models.BigIntegerField(help_text="0: none")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chat", "date"], name="date_point"),
        ]

    def __str__(self) -> str:
        return f"{self.chat_id}: {self.message_id} before {self.date}"


class Dialog(models.Model):
    """A chat in one account's list of dialogs: `DialogDict` of the engine, and what is sorted by.

    `document` has no `extra`; `extra` is kept beside it.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="dialogs")
    peer_id = models.BigIntegerField(help_text="marked id")
    type = models.CharField(max_length=16)
    title = models.TextField(blank=True)
    username = models.CharField(max_length=64, blank=True)
    message_count = models.BigIntegerField(null=True)
    participants_count = models.BigIntegerField(null=True)
    unread_count = models.BigIntegerField(default=0)
    last_message_date = models.BigIntegerField(null=True, help_text="Unix seconds")
    created_date = models.BigIntegerField(null=True, help_text="Unix seconds")
    is_archived = models.BooleanField(default=False)
    document = models.TextField()
    extra = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "peer_id"], name="dialog_of_account"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.peer_id}"


class DialogList(models.Model):
    """When an account's dialogs and folders were last read whole; null: never, or not any more."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="dialog_list")
    dialogs_at = models.DateTimeField(null=True)
    folders_at = models.DateTimeField(null=True)
    stale = models.JSONField(default=list, help_text="marked ids to be read again")

    def __str__(self) -> str:
        return str(self.account_id)


class FolderRow(models.Model):
    """A chat folder of an account: `FolderDict` of the engine, in Telegram's order."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="folders")
    folder_id = models.BigIntegerField()
    position = models.IntegerField(default=0)
    title = models.TextField(blank=True)
    document = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "folder_id"], name="folder_of_account"),
        ]

    def __str__(self) -> str:
        return self.title


class JobState(models.TextChoices):
    QUEUED = "queued", "queued"
    RUNNING = "running", "running"
    WAITING = "waiting", "waiting for Telegram"
    PAUSED = "paused", "paused"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


class Job(models.Model):
    """A download that outlives the request and the process: what, for whom, how far.

    The messages themselves and their coverage are the checkpoint: a job that begins again asks
    for what is not covered. Dates are Unix seconds, both ends included.
    """

    session = models.ForeignKey(TelegramSession, on_delete=models.CASCADE, related_name="jobs")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # Another account under the session's name must not go on with it.
    account = models.ForeignKey(Account, null=True, on_delete=models.CASCADE, related_name="+")
    dialog = models.CharField(max_length=256, help_text="chat reference as it was given")
    chat = models.ForeignKey(Chat, null=True, on_delete=models.SET_NULL, related_name="jobs")
    kind = models.CharField(max_length=16, default="backfill")
    start = models.BigIntegerField(null=True)
    end = models.BigIntegerField(null=True)
    force_refresh = models.BooleanField(default=False)
    media = models.BooleanField(null=True, help_text="null: as the settings say")
    state = models.CharField(max_length=16, choices=JobState.choices, default=JobState.QUEUED)
    # What the next run is to do; set by pause, resume and cancel while another process runs it.
    wanted = models.CharField(max_length=16, blank=True)
    process = models.CharField(max_length=80, blank=True)
    low = models.BigIntegerField(null=True, help_text="first id asked for")
    high = models.BigIntegerField(null=True, help_text="last id asked for")
    done_ids = models.BigIntegerField(default=0)
    # Where a re-reading that was cut off goes on: intervals already read, as JSON.
    checkpoint = models.TextField(blank=True)
    # What it did not bring: intervals cached when it first began, as JSON; blank before that.
    before = models.TextField(blank=True)
    messages_downloaded = models.BigIntegerField(default=0)
    messages_with_media = models.BigIntegerField(default=0)
    media_downloaded = models.BigIntegerField(default=0)
    media_skipped = models.BigIntegerField(default=0)
    skipped = models.TextField(blank=True, help_text="JSON list of {message_id, reason}")
    rate = models.FloatField(default=0, help_text="messages a second")
    flood_until = models.FloatField(null=True, help_text="Unix seconds")
    code = models.CharField(max_length=64, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    status = models.PositiveSmallIntegerField(default=0, help_text="HTTP's, of what it failed by")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [
            # What is to be run.
            models.Index(
                fields=["state"],
                name="job_open",
                condition=Q(state__in=["queued", "running", "waiting"]),
            ),
            models.Index(fields=["user", "-id"], name="job_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
