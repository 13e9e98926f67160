"""Shapes of the stateless surface: what comes in, and what goes out for the schema."""

from typing import Any

from rest_framework import serializers

from core.validation import Int64Field, MomentField, PhoneField
from sessions_app.messages.serializers import MESSAGE_ID
from sessions_app.serializers import ChatReferenceField


class SendCodeInput(serializers.Serializer[Any]):
    phone = PhoneField()
    api_id = Int64Field(min_value=1, max_value=2**31 - 1)
    api_hash = serializers.RegexField(r"^[0-9A-Za-z]{1,64}$")


class VerifyCodeInput(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=64)


class VerifyPasswordInput(serializers.Serializer[Any]):
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class TwoFactorInput(serializers.Serializer[Any]):
    """Without `new_password` the cloud password is removed."""

    current_password = serializers.CharField(
        max_length=1024, trim_whitespace=False, required=False, allow_null=True, default=None
    )
    new_password = serializers.CharField(
        max_length=1024, trim_whitespace=False, required=False, allow_null=True, default=None
    )
    hint = serializers.CharField(
        max_length=255, required=False, allow_blank=True, allow_null=True, default=""
    )
    email = serializers.EmailField(required=False, allow_null=True, default=None)


class ChatsQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=1000, default=100)


class MessagesQuery(serializers.Serializer[Any]):
    chat_id = ChatReferenceField()
    limit = serializers.IntegerField(min_value=1, max_value=1000, default=100)
    offset_id = Int64Field(
        min_value=0, max_value=MESSAGE_ID, default=0, help_text="Messages older than this one."
    )
    search = serializers.CharField(required=False, allow_blank=True, default="", max_length=256)
    from_date = MomentField(required=False, allow_null=True, default=None)
    to_date = MomentField(required=False, allow_null=True, default=None, end=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        first, last = attrs.get("from_date"), attrs.get("to_date")
        if first is not None and last is not None and first > last:
            raise serializers.ValidationError({"from_date": "from_date is after to_date."})
        return attrs


# What goes out


class LoginStepOutput(serializers.Serializer[Any]):
    message = serializers.CharField()
    next_step = serializers.ChoiceField(choices=["verify_code", "verify_password", "completed"])
    session_string = serializers.CharField()


class TwoFactorOutput(serializers.Serializer[Any]):
    message = serializers.CharField()
    state = serializers.ChoiceField(
        choices=["set", "none", "wait_email_code"],
        help_text="wait_email_code: Telegram wrote to the address, which waits to be confirmed.",
    )


class MessageOutput(serializers.Serializer[Any]):
    message = serializers.CharField()


class StatelessChatOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    id = serializers.IntegerField(help_text="marked")
    type = serializers.ChoiceField(choices=["private", "group", "supergroup", "channel"])
    members_count = serializers.IntegerField(allow_null=True)
    is_private = serializers.BooleanField()
    username = serializers.CharField(allow_null=True)


class StatelessChatsOutput(serializers.Serializer[Any]):
    chats = StatelessChatOutput(many=True)
    total_count = serializers.IntegerField()


class StatelessMessageOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    text = serializers.CharField()
    date = serializers.CharField(allow_null=True, help_text="ISO 8601, UTC.")
    sender_id = serializers.IntegerField(allow_null=True)
    sender_username = serializers.CharField(allow_null=True)
    sender_name = serializers.CharField(allow_null=True)
    reply_to_msg_id = serializers.IntegerField(allow_null=True)
    forward_from = serializers.CharField(allow_null=True)
    media_type = serializers.CharField(allow_null=True, help_text="MessageMediaPhoto, …")
    is_pinned = serializers.BooleanField()


class StatelessMessagesOutput(serializers.Serializer[Any]):
    messages = StatelessMessageOutput(many=True)
    total_count = serializers.IntegerField(help_text="The number in this answer.")
    has_more = serializers.BooleanField()
    next_offset = serializers.IntegerField(allow_null=True, help_text="The next `offset_id`.")
