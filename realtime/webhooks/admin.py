"""Admin pages of webhooks: their state, a test button, the log of deliveries."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from accounts.callers import client_ip
from accounts.models import User, record
from core.errors import ApiError
from realtime.eventlog import KINDS
from realtime.webhooks import endpoints
from realtime.webhooks.models import Delivery, DeliveryState, PauseReason, WebhookEndpoint
from realtime.webhooks.safety import UnsafeUrl, parse_url
from sessions_app.models import TelegramSession

if TYPE_CHECKING:
    EndpointModelForm = forms.ModelForm[WebhookEndpoint]
    EndpointModelAdmin = admin.ModelAdmin[WebhookEndpoint]
    DeliveryModelAdmin = admin.ModelAdmin[Delivery]
else:
    EndpointModelForm = forms.ModelForm
    EndpointModelAdmin = DeliveryModelAdmin = admin.ModelAdmin


class EndpointForm(EndpointModelForm):
    """What a user may set by the API, with lists as lines."""

    kinds = forms.MultipleChoiceField(
        choices=[(kind, kind) for kind in KINDS],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all.",
    )
    sessions = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Names of the user's sessions, one per line; empty: all.",
    )
    chats = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Marked ids, one per line; empty: all.",
    )

    class Meta:
        model = WebhookEndpoint
        fields: ClassVar[list[str]] = ["owner", "url", "description", "enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance = kwargs.get("instance")
        if instance is not None:
            lines = {
                name: "\n".join(map(str, getattr(instance, name))) for name in ("sessions", "chats")
            }
            kwargs["initial"] = {
                **lines,
                "kinds": instance.kinds,
                **(kwargs.get("initial") or {}),
            }
        super().__init__(*args, **kwargs)

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            parse_url(url)
        except UnsafeUrl as exc:
            raise forms.ValidationError(str(exc)) from None
        return url

    def clean_chats(self) -> list[int]:
        try:
            return [int(line) for line in self.cleaned_data["chats"].split()]
        except ValueError:
            raise forms.ValidationError("A chat is a whole number.") from None

    def clean_sessions(self) -> list[str]:
        lines = self.cleaned_data["sessions"].splitlines()
        return [line for line in lines if line.strip()]

    def clean(self) -> dict[str, Any]:
        super().clean()
        fields = self.cleaned_data
        owner = fields.get("owner") or getattr(self.instance, "owner", None)
        names = set(fields.get("sessions", ()))
        known = TelegramSession.objects.filter(owner=owner, name__in=names)
        if missing := names - set(known.values_list("name", flat=True)):
            self.add_error("sessions", f"The user has no session {min(missing)!r}.")
        return fields


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(EndpointModelAdmin):
    form = EndpointForm
    change_form_template = "admin/realtime/webhookendpoint/change_form.html"
    list_display = (
        "id",
        "owner",
        "host",
        "description",
        "state",
        "failing_since",
        "waiting",
    )
    list_display_links = ("id", "host")
    list_filter = ("enabled", "paused_reason", "owner")
    list_select_related = ("owner",)
    search_fields = ("owner__username", "description", "url")
    autocomplete_fields = ("owner",)
    actions = ("send_test", "pause", "resume", "rotate_secret")

    FACTS = (
        "state",
        "key",
        "failing_since",
        "resume_at",
        "cursor",
        "previous_until",
        "created_at",
        "log",
    )
    FIELDS = ("owner", "url", "description", "sessions", "chats", "kinds")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.FIELDS if obj is None else (*self.FIELDS, "enabled", *self.FACTS)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else ("owner", *self.FACTS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        # Each by its index; a join would walk the whole log of deliveries.
        waiting = Delivery.objects.filter(endpoint=OuterRef("pk"), state=DeliveryState.PENDING)
        counted = waiting.order_by().values("endpoint").annotate(n=Count("pk")).values("n")
        rows = super().get_queryset(request).defer("secret", "previous_secret")
        return rows.annotate(pending_count=Coalesce(Subquery(counted), 0))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        lists = {name: form.cleaned_data[name] for name in ("sessions", "chats", "kinds")}
        if change:
            fields = {name: form.cleaned_data[name] for name in ("url", "description", "enabled")}
            stored = WebhookEndpoint.objects.select_related("owner").get(pk=obj.pk)
            endpoints.update_endpoint(stored, None, {**fields, **lists})
            record("webhook.changed", **_actor(request), target=obj.pk, fields=form.changed_data)
            return
        endpoint, secret = endpoints.create_endpoint(
            obj.owner, url=obj.url, description=obj.description, **lists
        )
        # The admin goes on with the object that it was given.
        obj.__dict__.update(endpoint.__dict__)
        record("webhook.created", **_actor(request), target=endpoint.pk)
        messages.warning(request, f"The secret, shown this once: {secret}")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        record("webhook.deleted", **_actor(request), target=obj.pk)
        endpoints.delete_endpoint(obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for endpoint in queryset:
            self.delete_model(request, endpoint)

    # Columns

    @admin.display(description="host")
    def host(self, endpoint: WebhookEndpoint) -> str:
        """Without the path, which often carries a secret of the receiver's."""
        try:
            target = parse_url(endpoint.url)
        except UnsafeUrl:
            return "not allowed"
        return f"{target.scheme}://{target.host_header}"

    @admin.display(description="state")
    def state(self, endpoint: WebhookEndpoint) -> str:
        if not endpoint.enabled:
            return str(PauseReason(endpoint.paused_reason or PauseReason.USER).label)
        return "failing" if endpoint.failing_since else "well"

    @admin.display(description="API key")
    def key(self, endpoint: WebhookEndpoint) -> str:
        return f"tgh_{endpoint.key_prefix}_…" if endpoint.key_prefix else "none"

    @admin.display(description="waiting", ordering="pending_count")
    def waiting(self, endpoint: Any) -> int:
        return int(endpoint.pending_count)

    @admin.display(description="deliveries")
    def log(self, endpoint: WebhookEndpoint) -> str:
        url = reverse("admin:realtime_delivery_changelist")
        return format_html(
            '<a href="{}?endpoint__id__exact={}">the log of deliveries</a>', url, endpoint.pk
        )

    # Actions

    @admin.action(description="Send a test", permissions=["change"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in queryset:
            self._test(request, endpoint)

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        self._each(
            request, queryset, lambda e: endpoints.update_endpoint(e, None, {"enabled": False})
        )

    @admin.action(description="Go on", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        self._each(
            request, queryset, lambda e: endpoints.update_endpoint(e, None, {"enabled": True})
        )

    @admin.action(description="Rotate the secret", permissions=["change"])
    def rotate_secret(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in queryset:
            secret = endpoints.rotate_secret(endpoint)
            record("webhook.secret_rotated", **_actor(request), target=endpoint.pk)
            messages.warning(
                request, f"The new secret of webhook {endpoint.pk}, shown this once: {secret}"
            )

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[WebhookEndpoint],
        act: Callable[[WebhookEndpoint], object],
    ) -> None:
        for endpoint in queryset.select_related("owner"):
            act(endpoint)
            record("webhook.changed", **_actor(request), target=endpoint.pk, fields=["enabled"])

    # The test button

    def get_urls(self) -> list[URLPattern]:
        test = path(
            "<int:number>/test/",
            self.admin_site.admin_view(self.test_view),
            name="realtime_webhookendpoint_test",
        )
        return [test, *super().get_urls()]

    def test_view(self, request: HttpRequest, number: int) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        endpoint = WebhookEndpoint.objects.filter(pk=number).first()
        if endpoint is None or not self.has_change_permission(request, endpoint):
            return HttpResponse(status=403)
        self._test(request, endpoint)
        page = reverse("admin:realtime_webhookendpoint_change", args=[number])
        return HttpResponseRedirect(page)

    def _test(self, request: HttpRequest, endpoint: WebhookEndpoint) -> None:
        delivery = endpoints.send_test(endpoint)
        record("webhook.tested", **_actor(request), target=endpoint.pk)
        if delivery.state == DeliveryState.DELIVERED:
            messages.success(request, f"Webhook {endpoint.pk} answered {delivery.status_code}.")
            return
        what = delivery.error or f"It answered {delivery.status_code}."
        messages.error(request, f"Webhook {endpoint.pk}: {what}")


@admin.register(Delivery)
class DeliveryAdmin(DeliveryModelAdmin):
    """What was posted, and how that went; only redelivering changes anything."""

    list_display = (
        "id",
        "endpoint",
        "kind",
        "session_id",
        "event_id",
        "state",
        "attempts",
        "status_code",
        "error",
        "duration_ms",
        "created_at",
        "finished_at",
    )
    list_filter = ("state", "kind", "endpoint")
    list_select_related = ("endpoint",)
    ordering = ("-id",)
    show_full_result_count = False
    actions = ("redeliver",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # A delivery that is over keeps the time of its last attempt.
        over = obj is not None and obj.state != DeliveryState.PENDING
        names = super().get_fields(request, obj)
        return [name for name in names if not (over and name == "next_attempt_at")]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_redeliver_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("realtime.change_delivery")

    @admin.action(description="Deliver again", permissions=["redeliver"])
    def redeliver(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        done = 0
        for delivery in queryset:
            try:
                endpoints.redeliver(delivery)
            except ApiError as exc:
                messages.error(request, f"Delivery {delivery.pk}: {exc.detail}")
                continue
            record(
                "webhook.redelivered",
                **_actor(request),
                target=delivery.endpoint_id,
                delivery=delivery.pk,
            )
            done += 1
        if done:
            messages.success(request, f"Posted again: {done}.")


def _actor(request: HttpRequest) -> dict[str, Any]:
    user = request.user
    return {"user": user if isinstance(user, User) else None, "ip": client_ip(request)}
