"""Shapes of the webhook calls: what comes in, and what goes out."""

from typing import Any

from rest_framework import serializers

from core.validation import Int64Field, SessionNameField
from realtime.eventlog import KINDS
from realtime.webhooks.models import DeliveryState, PauseReason, WebhookEndpoint
from realtime.webhooks.safety import MAX_URL

MAX_FILTER = 1000


class WebhookFields(serializers.Serializer[Any]):
    url = serializers.CharField(max_length=MAX_URL, help_text="https, port 443 or 8443")
    sessions = serializers.ListField(
        child=SessionNameField(),
        max_length=MAX_FILTER,
        allow_null=True,
        required=False,
        help_text="Names; empty: all that the caller may use, also those to come.",
    )
    chats = serializers.ListField(
        child=Int64Field(),
        max_length=MAX_FILTER,
        allow_null=True,
        required=False,
        help_text="Marked ids; empty: all.",
    )
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=KINDS),
        allow_null=True,
        required=False,
        help_text="Empty: all.",
    )
    description = serializers.CharField(
        max_length=500, allow_blank=True, allow_null=True, required=False
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name in ("sessions", "chats", "kinds"):
            if name in attrs:
                attrs[name] = attrs[name] or []
        if "description" in attrs:
            attrs["description"] = attrs["description"] or ""
        return attrs


class WebhookInput(WebhookFields):
    """A new endpoint."""


class WebhookChangesInput(WebhookFields):
    """What is left out stays as it is."""

    url = serializers.CharField(
        max_length=MAX_URL, required=False, help_text="https, port 443 or 8443"
    )
    enabled = serializers.BooleanField(
        required=False, help_text="true goes on where the webhook stopped"
    )


class DeliveriesQuery(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=DeliveryState.values, required=False)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=100)
    before = serializers.IntegerField(
        min_value=1,
        max_value=2**63 - 1,
        required=False,
        help_text="Only older deliveries than this; `next` of the page before.",
    )


# What goes out


class WebhookOutput(serializers.ModelSerializer[WebhookEndpoint]):
    sessions = serializers.ListField(child=serializers.CharField())
    chats = serializers.ListField(child=serializers.IntegerField())
    kinds = serializers.ListField(child=serializers.CharField())
    paused_reason = serializers.ChoiceField(choices=PauseReason.choices, allow_null=True)

    class Meta:
        model = WebhookEndpoint
        fields = (
            "id",
            "url",
            "description",
            "sessions",
            "chats",
            "kinds",
            "enabled",
            "paused_reason",
            "failing_since",
            "resume_at",
            "created_at",
            "updated_at",
        )

    def to_representation(self, instance: WebhookEndpoint) -> dict[str, Any]:
        facts = super().to_representation(instance)
        facts["paused_reason"] = facts["paused_reason"] or None
        return facts


class NewWebhookOutput(WebhookOutput):
    """With the secret, which is shown this once."""

    secret = serializers.CharField(help_text="whsec_…; shown this once")

    class Meta:
        model = WebhookEndpoint
        fields = (*WebhookOutput.Meta.fields, "secret")


class WebhookListOutput(serializers.Serializer[Any]):
    webhooks = WebhookOutput(many=True)


class RotatedSecretOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    secret = serializers.CharField(help_text="whsec_…; shown this once")
    previous_until = serializers.DateTimeField(help_text="The old secret signs, too, until then.")


class DeliveryOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    message_id = serializers.CharField(help_text="The `webhook-id` header, same at each attempt")
    event_id = serializers.IntegerField(allow_null=True, help_text="null for a test")
    kind = serializers.CharField()
    session = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    attempts = serializers.IntegerField()
    status_code = serializers.IntegerField(allow_null=True, help_text="Of the last attempt")
    error = serializers.CharField(allow_blank=True)
    duration_ms = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(help_text="It is tried until then.")
    finished_at = serializers.DateTimeField(allow_null=True)


class DeliveryListOutput(serializers.Serializer[Any]):
    next = serializers.IntegerField(allow_null=True)
    results = DeliveryOutput(many=True)
