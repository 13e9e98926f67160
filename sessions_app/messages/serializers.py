"""Shapes of messaging: what comes in, and what goes out for the schema."""

import json as stdlib_json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.validation import Int64Field, MomentField
from sessions_app.serializers import ChatReferenceField

MAX_TEXT = 64 * 1024
MESSAGE_ID = 2**31 - 1


class MessageIdField(Int64Field):
    """The id of a message."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": MESSAGE_ID, **kwargs})


class TextField(serializers.CharField):
    """Text to the letter: blanks and line breaks count."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "max_length": MAX_TEXT, **kwargs})


@extend_schema_field(
    {
        "oneOf": [
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 100},
            {"type": "integer"},
        ]
    }
)
class MessageIdsField(serializers.ListField):
    """One id or up to 100; in a query string or a form also `1,2,3`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=MessageIdField(), min_length=1, max_length=100, **kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, int) and not isinstance(data, bool):
            data = [data]
        if isinstance(data, str):
            data = data.split(",")
        elif isinstance(data, list) and len(data) == 1 and isinstance(data[0], str):
            data = data[0].split(",")
        # Telegram would answer for a message twice.
        return list(dict.fromkeys(super().to_internal_value(data)))


class SendingInput(serializers.Serializer[Any]):
    """What every way of sending may say."""

    chat_id = ChatReferenceField()
    reply_to_message_id = MessageIdField(required=False, allow_null=True, default=None)
    topic_id = MessageIdField(required=False, allow_null=True, default=None)
    parse_mode = serializers.ChoiceField(
        choices=["markdown", "html"], required=False, allow_null=True, default=None
    )
    silent = serializers.BooleanField(default=False)
    schedule_date = MomentField(
        required=False, allow_null=True, default=None, help_text="Sent then, not now; UTC."
    )


class SendTextInput(SendingInput):
    text = TextField()
    link_preview = serializers.BooleanField(default=True)


class SendFilesInput(SendingInput):
    """`file` may come up to ten times: then it is an album."""

    file = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        min_length=1,
        max_length=10,
        help_text="Repeated up to ten times, the files make an album.",
    )
    text = TextField(required=False, allow_blank=True, default="", help_text="The caption.")
    as_document = serializers.BooleanField(default=False)


class EditInput(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    message_id = MessageIdField()
    new_text = TextField()
    parse_mode = serializers.ChoiceField(
        choices=["markdown", "html"], required=False, allow_null=True, default=None
    )
    link_preview = serializers.BooleanField(default=True)


class ForwardInput(serializers.Serializer[Any]):
    """`message_id` is one id or several."""

    from_chat_id = ChatReferenceField()
    to_chat_id = ChatReferenceField()
    message_id = MessageIdsField()
    topic_id = MessageIdField(required=False, allow_null=True, default=None)
    drop_author = serializers.BooleanField(default=False)
    drop_captions = serializers.BooleanField(default=False)
    silent = serializers.BooleanField(default=False)
    schedule_date = MomentField(required=False, allow_null=True, default=None)


class DeleteInput(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    message_ids = MessageIdsField()
    for_all = serializers.BooleanField(
        default=True, help_text="False deletes for this account alone (users, basic groups)."
    )


class ReactInput(serializers.Serializer[Any]):
    """Without a reaction, the account's own are taken back."""

    chat_id = ChatReferenceField()
    message_id = MessageIdField()
    emoji = serializers.ListField(
        child=serializers.CharField(max_length=32), max_length=3, default=list
    )
    custom_emoji_ids = serializers.ListField(
        child=serializers.CharField(max_length=32), max_length=3, default=list
    )
    big = serializers.BooleanField(default=False)


class PinInput(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    message_id = MessageIdField()
    silent = serializers.BooleanField(default=True)
    for_all = serializers.BooleanField(default=True, help_text="Private chats: for both sides.")


class UnpinInput(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    message_id = MessageIdField(
        required=False, allow_null=True, default=None, help_text="All of the chat's when left out."
    )


class ReadInput(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    max_id = Int64Field(
        min_value=0, max_value=MESSAGE_ID, default=0, help_text="Up to this message; 0 for all."
    )


class TypingInput(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    action = serializers.ChoiceField(
        choices=[
            "typing",
            "cancel",
            "record_voice",
            "upload_photo",
            "upload_video",
            "upload_document",
        ],
        default="typing",
    )
    topic_id = MessageIdField(required=False, allow_null=True, default=None)


class JoinInput(serializers.Serializer[Any]):
    group_identifier = ChatReferenceField(
        help_text="@username, t.me link, or an invite (t.me/+…, +hash)."
    )


class ChatInput(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()


class MembersQuery(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    limit = serializers.IntegerField(min_value=1, max_value=200, default=100)
    offset = serializers.IntegerField(min_value=0, max_value=MESSAGE_ID, default=0)
    query = serializers.CharField(required=False, allow_blank=True, default="", max_length=256)
    filter = serializers.ChoiceField(
        choices=["recent", "search", "admins", "bots", "contacts", "kicked", "banned"],
        default="search",
    )


class InviteLinkInput(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    title = serializers.CharField(max_length=32, required=False, allow_null=True, default=None)
    expire_date = MomentField(required=False, allow_null=True, default=None)
    usage_limit = serializers.IntegerField(
        min_value=1, max_value=99_999, required=False, allow_null=True, default=None
    )
    request_needed = serializers.BooleanField(default=False)


class InviteLinksQuery(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    revoked = serializers.BooleanField(default=False)
    limit = serializers.IntegerField(min_value=1, max_value=100, default=100)


class RevokeInviteInput(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    link = serializers.CharField(max_length=256)


# What goes out


class SuccessOutput(serializers.Serializer[Any]):
    success = serializers.BooleanField()


class SentOutput(SuccessOutput):
    message_id = serializers.IntegerField()
    date = serializers.CharField(allow_null=True, help_text="ISO 8601, UTC.")


class SentFilesOutput(SentOutput):
    message_ids = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="Of an album, in its order."
    )


class ForwardedOutput(SentOutput):
    message_ids = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="Where several were asked for."
    )


class DeletedOutput(SuccessOutput):
    deleted_messages = serializers.IntegerField(help_text="How many existed and are gone.")


class JoinedOutput(SuccessOutput):
    message = serializers.CharField()
    id = serializers.IntegerField(allow_null=True)
    title = serializers.CharField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    description = serializers.CharField(allow_null=True)
    photo_url = serializers.CharField(allow_null=True)


class MemberOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    first_name = serializers.CharField(allow_null=True)
    last_name = serializers.CharField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    phone = serializers.CharField(allow_null=True)
    bot = serializers.BooleanField()


class MembersOutput(serializers.Serializer[Any]):
    members = MemberOutput(many=True)
    total_count = serializers.IntegerField()
    next_offset = serializers.IntegerField(allow_null=True)


class InviteLinkOutput(serializers.Serializer[Any]):
    link = serializers.CharField()
    title = serializers.CharField(allow_null=True)
    is_revoked = serializers.BooleanField()
    is_permanent = serializers.BooleanField()
    request_needed = serializers.BooleanField()
    date = serializers.CharField(allow_null=True)
    expire_date = serializers.CharField(allow_null=True)
    usage_limit = serializers.IntegerField(allow_null=True)
    usage = serializers.IntegerField()


class InviteLinksOutput(serializers.Serializer[Any]):
    invite_links = InviteLinkOutput(many=True)


def query_dict(params: Any) -> dict[str, Any]:
    """Return a query string as a body: a name that comes several times is a list."""
    return {name: values if len(values) > 1 else values[0] for name, values in params.lists()}


def as_list(value: Any) -> Any:
    """Return a list that a form brought as JSON text, else `value` as it is."""
    if isinstance(value, str) and value.startswith("["):
        try:
            return stdlib_json.loads(value)
        except ValueError:
            return value
    return value
