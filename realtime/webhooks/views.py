"""`/api/v3/webhooks`: endpoints that events are posted to, and how posting them went.

A webhook hands out what `read` may read, so `read` is the scope for all of it.
"""

from collections.abc import Iterable
from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import owner_for
from accounts.models import Scope
from core.pagination import cursor_page
from core.validation import validated
from realtime.webhooks import endpoints, serializers
from realtime.webhooks.models import Delivery, DeliveryState, WebhookEndpoint
from sessions_app.models import TelegramSession
from sessions_app.schema import USER, responses
from sessions_app.serializers import ErrorOutput
from sessions_app.views import HubView


def answers(status: int, output: Any, *errors: int) -> dict[int, Any]:
    """Return the `responses` of an operation that answers with `status`."""
    found = responses(output, *errors)
    return {status: found.pop(200), **found}


class WebhookViewBase(HubView):
    required_scope = Scope.READ.value

    def endpoint(self, number: int) -> WebhookEndpoint:
        return endpoints.find_endpoint(self.caller, number, self.username)


class WebhookListView(WebhookViewBase):
    @extend_schema(
        operation_id="api_v3_webhooks_list",
        tags=["webhooks"],
        parameters=[USER],
        responses=responses(serializers.WebhookListOutput),
    )
    def get(self, request: Request) -> Response:
        """List the webhooks. A key that is limited to sessions sees those that it made."""
        found = endpoints.visible_endpoints(self.caller, self.username).order_by("pk")
        return Response({"webhooks": serializers.WebhookOutput(found, many=True).data})

    @extend_schema(
        tags=["webhooks"],
        parameters=[USER],
        request=serializers.WebhookInput,
        responses=answers(201, serializers.NewWebhookOutput, 400, 404, 409),
    )
    def post(self, request: Request) -> Response:
        """Have what happens from now on posted to a URL; the answer shows the secret, once."""
        body = validated(serializers.WebhookInput, request.data)
        owner = owner_for(self.caller, self.username)
        endpoint, secret = endpoints.create_endpoint(owner, caller=self.caller, **body)
        self.audit("webhook.created", str(endpoint.pk))
        facts = serializers.WebhookOutput(endpoint).data
        return Response({**facts, "secret": secret}, status=201)


class WebhookView(WebhookViewBase):
    @extend_schema(
        tags=["webhooks"],
        parameters=[USER],
        responses=responses(serializers.WebhookOutput, 404),
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        """Tell how a webhook stands."""
        return Response(serializers.WebhookOutput(self.endpoint(webhook_id)).data)

    @extend_schema(
        tags=["webhooks"],
        parameters=[USER],
        request=serializers.WebhookChangesInput,
        responses=responses(serializers.WebhookOutput, 400, 404),
    )
    def patch(self, request: Request, webhook_id: int) -> Response:
        """Change a webhook, pause it or let it go on."""
        endpoint = self.endpoint(webhook_id)
        body = validated(serializers.WebhookChangesInput, request.data)
        endpoints.update_endpoint(endpoint, self.caller, body)
        self.audit("webhook.changed", str(webhook_id), fields=sorted(body))
        return Response(serializers.WebhookOutput(endpoint).data)

    @extend_schema(
        tags=["webhooks"],
        parameters=[USER],
        responses=answers(204, None, 404),
    )
    def delete(self, request: Request, webhook_id: int) -> Response:
        """Delete a webhook and the log of its deliveries."""
        endpoints.delete_endpoint(self.endpoint(webhook_id))
        self.audit("webhook.deleted", str(webhook_id))
        return Response(status=204)


class WebhookTestView(WebhookViewBase):
    @extend_schema(
        tags=["webhooks"],
        parameters=[USER],
        request=None,
        responses=responses(serializers.DeliveryOutput, 404),
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        """Post a `webhook.test` now and tell how it went."""
        delivery = endpoints.send_test(self.endpoint(webhook_id))
        self.audit("webhook.tested", str(webhook_id))
        return Response(shown([delivery])[0])


class WebhookRotateSecretView(WebhookViewBase):
    @extend_schema(
        tags=["webhooks"],
        parameters=[USER],
        request=None,
        responses=responses(serializers.RotatedSecretOutput, 404),
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        """Make a new secret and show it, once; for 24 hours the old one signs, too."""
        endpoint = self.endpoint(webhook_id)
        secret = endpoints.rotate_secret(endpoint)
        self.audit("webhook.secret_rotated", str(webhook_id))
        facts = {"id": endpoint.pk, "secret": secret, "previous_until": endpoint.previous_until}
        return Response(serializers.RotatedSecretOutput(facts).data)


class DeliveryListView(WebhookViewBase):
    @extend_schema(
        operation_id="api_v3_webhooks_deliveries_list",
        tags=["webhooks"],
        parameters=[USER, serializers.DeliveriesQuery],
        responses=responses(serializers.DeliveryListOutput, 400, 404),
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        """List the deliveries of a webhook, newest first."""
        endpoint = self.endpoint(webhook_id)
        query = validated(serializers.DeliveriesQuery, request.query_params.dict())
        found = endpoint.deliveries.all()
        if "state" in query:
            found = found.filter(state=query["state"])
        page = cursor_page(found, limit=query["limit"], before=query.get("before"))
        return Response({**page, "results": shown(page["results"])})


class RedeliverView(WebhookViewBase):
    @extend_schema(
        tags=["webhooks"],
        parameters=[USER],
        request=None,
        responses={
            **answers(202, serializers.DeliveryOutput, 404, 409),
            410: OpenApiResponse(ErrorOutput, description="The event is not kept any more"),
        },
    )
    def post(self, request: Request, webhook_id: int, delivery_id: int) -> Response:
        """Have a delivery that is over posted again, for up to another 24 hours."""
        delivery = endpoints.find_delivery(self.endpoint(webhook_id), delivery_id)
        endpoints.redeliver(delivery)
        self.audit("webhook.redelivered", str(webhook_id), delivery=delivery_id)
        return Response(shown([delivery])[0], status=202)


def shown(deliveries: Iterable[Delivery]) -> list[Any]:
    """Return deliveries as JSON, sessions by name; those of others are none of the reader's."""
    deliveries = list(deliveries)
    wanted = {d.session_id for d in deliveries if d.session_id is not None}
    names = dict(TelegramSession.objects.filter(pk__in=wanted).values_list("pk", "name"))
    return [
        serializers.DeliveryOutput(
            {
                **{name: getattr(delivery, name) for name in _DELIVERY_FIELDS},
                "session": names.get(delivery.session_id or 0),
                "next_attempt_at": (
                    delivery.next_attempt_at if delivery.state == DeliveryState.PENDING else None
                ),
            }
        ).data
        for delivery in deliveries
    ]


_DELIVERY_FIELDS = (
    "id",
    "message_id",
    "event_id",
    "kind",
    "state",
    "attempts",
    "status_code",
    "error",
    "duration_ms",
    "created_at",
    "expires_at",
    "finished_at",
)
