"""Shapes of the hub surface: what comes in, and what goes out for the schema."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.validation import INT64, PhoneField, SessionNameField


class SessionInput(serializers.Serializer[Any]):
    session_id = SessionNameField()


class StartLoginInput(SessionInput):
    phone_number = PhoneField()
    resend = serializers.BooleanField(
        default=False, help_text="Have the code of a login under way sent again."
    )


class LoginCodeInput(SessionInput):
    phone_code = serializers.CharField(max_length=64)
    phone_code_hash = serializers.CharField(
        max_length=256,
        required=False,
        allow_blank=True,
        allow_null=True,
        help_text="May be left out: the hub remembers it.",
    )


class LoginPasswordInput(SessionInput):
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


@extend_schema_field({"oneOf": [{"type": "integer", "format": "int64"}, {"type": "string"}]})
class ChatReferenceField(serializers.Field[Any, Any, Any, Any]):
    """A marked id, `@username`, a t.me link, `+phone` or `me`; who that is, Telegram tells."""

    default_error_messages = {"reference": "A chat is named by an id, a username, a link or 'me'."}

    def to_internal_value(self, data: Any) -> int | str:
        if isinstance(data, int) and not isinstance(data, bool) and -INT64 <= data <= INT64:
            return data
        if isinstance(data, str) and 0 < len(data.strip()) <= 256 and data.isprintable():
            return data.strip()
        self.fail("reference")

    def to_representation(self, value: Any) -> Any:
        return value


class SendMessageInput(SessionInput):
    chat_id = ChatReferenceField()
    message = serializers.CharField(trim_whitespace=False, max_length=1024 * 1024)


# What goes out


class UserInfoOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    first_name = serializers.CharField(allow_null=True)
    last_name = serializers.CharField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    phone = serializers.CharField(allow_null=True)


class StatusOutput(serializers.Serializer[Any]):
    status = serializers.CharField()
    message = serializers.CharField()


class LoginStartedOutput(StatusOutput):
    """`status` is `success`, `already_logged_in`, or `2fa_required` when a resumed login waits
    for the password; what follows the message is there for `success` alone."""

    phone_code_hash = serializers.CharField(required=False)
    type = serializers.CharField(required=False, help_text="app, sms, call, email, …")
    next_type = serializers.CharField(required=False, allow_null=True)
    timeout = serializers.IntegerField(
        required=False,
        allow_null=True,
        help_text="Seconds until the code may be sent again; null when it may at once.",
    )


class LoginOutput(StatusOutput):
    """`status` is `success`, with the user, or `2fa_required`."""

    user = UserInfoOutput(required=False)


class SessionOutput(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    is_connected = serializers.BooleanField()
    is_authenticated = serializers.BooleanField()
    user_info = UserInfoOutput(allow_null=True)
    in_login_cache = serializers.BooleanField()


class SessionListOutput(serializers.Serializer[Any]):
    status = serializers.CharField()
    total_sessions = serializers.IntegerField()
    sessions = SessionOutput(many=True)


class SessionStatusOutput(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    is_authenticated = serializers.BooleanField()
    is_active = serializers.BooleanField()
    is_connected = serializers.BooleanField()
    user_info = UserInfoOutput(allow_null=True)
    in_login_cache = serializers.BooleanField()


class SentMessageOutput(StatusOutput):
    message_id = serializers.IntegerField()
    chat_id = serializers.IntegerField(help_text="marked")
    date = serializers.CharField(allow_null=True)


class RestoredOutput(StatusOutput):
    restored_count = serializers.IntegerField()


class RootOutput(StatusOutput):
    version = serializers.CharField()
    endpoints = serializers.DictField(child=serializers.CharField())


class KeyOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    prefix = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class MeOutput(serializers.Serializer[Any]):
    user = serializers.CharField()
    key = KeyOutput(allow_null=True)
    scopes = serializers.ListField(child=serializers.CharField())
    sessions = SessionOutput(many=True)
    default_session = serializers.CharField(allow_null=True)


class ErrorOutput(serializers.Serializer[Any]):
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()), required=False
    )
    retry_after = serializers.IntegerField(required=False, help_text="Seconds.")
