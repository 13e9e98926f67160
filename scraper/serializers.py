"""Shapes of `/api/v3`: what comes in, and what goes out for the schema."""

import math
from typing import Any

from rest_framework import serializers

from core.validation import Int64Field, MomentField, PeriodSerializer, SessionNameField
from scraper.dialogs import SORTS, TYPES

# QR login


class StartQrInput(serializers.Serializer[Any]):
    username = SessionNameField(help_text="the session's name, chosen freely")
    force = serializers.BooleanField(
        default=False, help_text="Log in again although the session is logged in."
    )


class QrPasswordInput(serializers.Serializer[Any]):
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class QrStartedOutput(serializers.Serializer[Any]):
    token = serializers.CharField()
    qr_url = serializers.CharField(help_text="tg://login?token=…, to be shown as a QR code")
    message = serializers.CharField()


class QrStatusOutput(serializers.Serializer[Any]):
    status = serializers.ChoiceField(
        choices=["pending", "password_required", "success", "expired", "error"]
    )
    username = serializers.CharField()
    qr_url = serializers.CharField(allow_null=True, help_text="fresh, while it is pending")
    error = serializers.CharField(allow_null=True)
    message = serializers.CharField()


class QrCancelledOutput(serializers.Serializer[Any]):
    status = serializers.CharField(help_text="cancelled")


# Dialogs and folders


class ScoreField(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        # NaN passes every comparison.
        if math.isnan(value):
            self.fail("invalid")
        return value


class CountField(Int64Field):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, required=False, **kwargs)


class DialogTypeField(serializers.ChoiceField):
    """A kind of dialog; `me` is another word for `saved`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[*TYPES, "me"], **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        return "saved" if value == "me" else value


class DialogSearchInput(serializers.Serializer[Any]):
    q = serializers.CharField(
        required=False, allow_blank=True, max_length=256, help_text="what the title is to match"
    )
    match = serializers.ChoiceField(
        choices=["fuzzy", "exact"],
        default="fuzzy",
        help_text="scored, or containing `q`; the case does not count",
    )
    min_score = ScoreField(
        default=0.8, min_value=0, max_value=1, help_text="with `match=fuzzy` alone"
    )
    type = serializers.ListField(
        child=DialogTypeField(), required=False, help_text="may be given several times"
    )
    folder = serializers.CharField(
        required=False, allow_blank=True, max_length=256, help_text="title or id"
    )
    is_archived = serializers.BooleanField(required=False)
    min_messages = CountField()
    max_messages = CountField()
    min_participants = CountField()
    max_participants = CountField()
    last_message_after = MomentField(required=False)
    last_message_before = MomentField(required=False, end=True)
    created_after = MomentField(required=False)
    created_before = MomentField(required=False, end=True)
    is_creator = serializers.BooleanField(required=False)
    has_username = serializers.BooleanField(required=False)
    is_verified = serializers.BooleanField(required=False)
    sort = serializers.ChoiceField(choices=list(SORTS), default="last_message")
    order = serializers.ChoiceField(choices=["asc", "desc"], default="desc")
    limit = serializers.IntegerField(default=50, min_value=1, max_value=500)
    offset = Int64Field(default=0, min_value=0)
    refresh = serializers.BooleanField(
        default=False, help_text="Read the whole list from Telegram again."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for start, end in (
            ("last_message_after", "last_message_before"),
            ("created_after", "created_before"),
        ):
            if start in attrs and end in attrs and attrs[start] > attrs[end]:
                raise serializers.ValidationError({start: f"{start} is after {end}."})
        return attrs


class DialogOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField(help_text="marked: users positive, channels -100…")
    type = serializers.ChoiceField(choices=list(TYPES))
    title = serializers.CharField()
    username = serializers.CharField(allow_null=True)
    is_creator = serializers.BooleanField()
    is_verified = serializers.BooleanField()
    is_archived = serializers.BooleanField()
    message_count = serializers.IntegerField(allow_null=True, help_text="about")
    unread_count = serializers.IntegerField()
    participants_count = serializers.IntegerField(allow_null=True)
    last_message_date = serializers.DateTimeField(allow_null=True)
    last_message_preview = serializers.CharField(allow_null=True)
    created_date = serializers.DateTimeField(allow_null=True)


class DialogPageOutput(serializers.Serializer[Any]):
    total = serializers.IntegerField(help_text="of all that match")
    offset = serializers.IntegerField()
    limit = serializers.IntegerField()
    results = DialogOutput(many=True)


class FoldersInput(serializers.Serializer[Any]):
    include_dialogs = serializers.BooleanField(default=False)
    refresh = serializers.BooleanField(
        default=False, help_text="Read the folders from Telegram again."
    )


class FolderDialogOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()


class FolderOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()
    is_default = serializers.BooleanField()
    dialogs = FolderDialogOutput(many=True, required=False, help_text="with `include_dialogs`")


# Search


class MessageSearchInput(PeriodSerializer):
    q = serializers.CharField(max_length=1024)
    limit = serializers.IntegerField(default=100, min_value=1, max_value=500)


class DialogMessageSearchInput(PeriodSerializer):
    q = serializers.CharField(
        max_length=1024,
        required=False,
        allow_blank=True,
        help_text="may be left out with `from_user`",
    )
    from_user = serializers.CharField(
        required=False, max_length=256, help_text="id, `@username` or `me`"
    )
    limit = serializers.IntegerField(default=100, min_value=1, max_value=500)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if not attrs.get("q") and not attrs.get("from_user"):
            raise serializers.ValidationError({"q": "This field is required."})
        return attrs


class MediaOutput(serializers.Serializer[Any]):
    type = serializers.CharField(help_text="Telethon's class name")
    uuid = serializers.UUIDField(allow_null=True, help_text="for GET /api/v3/files/{uuid}")
    filename = serializers.CharField(allow_null=True)
    size = serializers.IntegerField(allow_null=True)


class ReactionOutput(serializers.Serializer[Any]):
    emoji = serializers.CharField(required=False)
    custom_emoji_id = serializers.CharField(required=False)
    count = serializers.IntegerField()


class MessageOutput(serializers.Serializer[Any]):
    """A message of a history."""

    message_id = serializers.IntegerField()
    date = serializers.CharField(allow_null=True, help_text="YYYY-MM-DD HH:MM:SS, UTC")
    sender_id = serializers.IntegerField(allow_null=True)
    first_name = serializers.CharField(allow_null=True)
    last_name = serializers.CharField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    message = serializers.CharField(allow_blank=True)
    media = MediaOutput(allow_null=True)
    reply_to = serializers.IntegerField(allow_null=True)
    post_author = serializers.CharField(allow_null=True)
    is_forwarded = serializers.ChoiceField(choices=[0, 1])
    forwarded_from_channel_id = serializers.IntegerField(allow_null=True)
    edit_date = serializers.CharField(required=False)
    deleted = serializers.BooleanField(required=False)
    views = serializers.IntegerField(required=False)
    reactions = ReactionOutput(many=True, required=False)
    topic_id = serializers.IntegerField(required=False)
    grouped_id = serializers.IntegerField(required=False)
    action = serializers.CharField(required=False, help_text="of a service message")


class MessageHitOutput(MessageOutput):
    """A message that was found, and where."""

    dialog_id = serializers.IntegerField()
    dialog_name = serializers.CharField()


class MessageSearchOutput(serializers.Serializer[Any]):
    query = serializers.CharField()
    total = serializers.IntegerField(help_text="Telegram's count of all hits")
    limit = serializers.IntegerField()
    results = MessageHitOutput(many=True)


# Settings


class FileTypesOutput(serializers.Serializer[Any]):
    photos = serializers.BooleanField()
    videos = serializers.BooleanField()
    voice_messages = serializers.BooleanField()
    video_messages = serializers.BooleanField()
    stickers = serializers.BooleanField()
    gifs = serializers.BooleanField()
    files = serializers.BooleanField()


class SettingsOutput(serializers.Serializer[Any]):
    download_media = serializers.BooleanField()
    max_media_size_mb = serializers.FloatField(allow_null=True)
    telegram_batch_size = serializers.IntegerField()
    repair_media = serializers.BooleanField()
    download_file_types = FileTypesOutput()
