"""Admin pages of the fleet: sessions with their live state, accounts, nodes, grants."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import formats, timezone

from accounts.callers import client_ip
from accounts.models import User, record
from core.errors import ApiError
from core.validation import is_session_name
from engine.errors import EngineError
from sessions_app import lifecycle
from sessions_app.live import CONNECTED, connected_sessions
from sessions_app.models import Account, KeyGrant, LiveState, Node, TelegramSession
from sessions_app.proxies import parse_proxy, shown
from sessions_app.restore import restore_all

if TYPE_CHECKING:
    SessionModelForm = forms.ModelForm[TelegramSession]
    SessionModelAdmin = admin.ModelAdmin[TelegramSession]
    AccountModelAdmin = admin.ModelAdmin[Account]
    NodeModelAdmin = admin.ModelAdmin[Node]
    GrantModelAdmin = admin.ModelAdmin[KeyGrant]
else:
    SessionModelForm = forms.ModelForm
    SessionModelAdmin = AccountModelAdmin = NodeModelAdmin = GrantModelAdmin = admin.ModelAdmin

DEVICE = ("device_model", "system_version", "app_version", "lang_code", "system_lang_code")


class SessionForm(SessionModelForm):
    """What may be set before the first login; secrets go in and never come out."""

    proxy_url = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "size": 60}),
        help_text="socks5://user:password@host:port, http://… or mtproxy://secret@host:port; "
        "left empty, the proxy stays as it is.",
    )
    remove_proxy = forms.BooleanField(required=False)
    new_api_hash = forms.CharField(
        required=False,
        label="API hash",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "size": 40}),
        help_text="Of an application of its own; with its API id.",
    )

    class Meta:
        model = TelegramSession
        fields: ClassVar[list[str]] = ["owner", "name", *DEVICE, "api_id"]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not is_session_name(name):
            raise forms.ValidationError("1 to 64 printable characters, no '/', no outer blanks.")
        return name

    def clean_proxy_url(self) -> Any:
        text = self.cleaned_data["proxy_url"]
        if not text:
            return None
        try:
            return parse_proxy(text)
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from None

    def save(self, commit: bool = True) -> TelegramSession:
        session = self.instance
        if self.cleaned_data["proxy_url"]:
            session.proxy = self.cleaned_data["proxy_url"]
        elif self.cleaned_data["remove_proxy"]:
            session.proxy = None
        if self.cleaned_data["new_api_hash"]:
            session.api_hash = self.cleaned_data["new_api_hash"]
        return super().save(commit)


class LiveFilter(admin.SimpleListFilter):
    title = "connection"
    parameter_name = "live"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "connected"), ("no", "not connected")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[TelegramSession]
    ) -> QuerySet[TelegramSession]:
        if self.value() not in ("yes", "no"):
            return queryset
        connected = connected_sessions()
        if connected is None:
            found = queryset.filter(live_state__in=CONNECTED)
        else:
            found = queryset.filter(pk__in=connected)
        return found if self.value() == "yes" else queryset.exclude(pk__in=found.values("pk"))


@admin.register(TelegramSession)
class TelegramSessionAdmin(SessionModelAdmin):
    form = SessionForm
    change_list_template = "admin/sessions_app/telegramsession/change_list.html"
    list_display = ("name", "owner", "account", "phone", "state", "live", "trouble")
    list_filter = ("state", LiveFilter, "owner")
    list_select_related = ("owner", "account")
    search_fields = (
        "name",
        "owner__username",
        "account__username",
        "account__first_name",
        "account__last_name",
        "account__phone",
        "account__user_id",
    )
    autocomplete_fields = ("owner",)
    actions = ("reconnect", "log_out", "destroy")

    FACTS = (
        "account",
        "state",
        "live",
        "last_error",
        "retry_at",
        "server",
        "shown_proxy",
        "owner_node",
        "logged_in_at",
        "connected_at",
        "created_at",
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        device = (
            "Device and route",
            {
                "fields": [*DEVICE, "proxy_url", "remove_proxy", "api_id", "new_api_hash"],
                "description": "They hold from the first packet of a login; leave them alone "
                "afterwards. What is left empty is the hub's own.",
            },
        )
        facts: list[Any] = [] if obj is None else [("State", {"fields": self.FACTS})]
        return [(None, {"fields": ["owner", "name"]}), *facts, device]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else ("owner", *self.FACTS)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # destroying logs out at Telegram first

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        action = "session.changed" if change else "session.created"
        record(action, **_actor(request), target=obj.name, fields=form.changed_data)

    # Columns

    def get_queryset(self, request: HttpRequest) -> QuerySet[TelegramSession]:
        return super().get_queryset(request).defer("auth_key", "api_hash")

    @admin.display(description="phone", ordering="account__phone")
    def phone(self, session: TelegramSession) -> str:
        return session.account.phone if session.account else ""

    @admin.display(description="connection")
    def live(self, session: TelegramSession) -> str:
        connected = connected_sessions()
        if connected is not None and session.live_state != LiveState.DEGRADED:
            if session.pk in connected:
                return LiveState.CONNECTED.label
            if session.live_state == LiveState.CONNECTED:
                return LiveState.DISCONNECTED.label
        return str(LiveState(session.live_state).label)

    @admin.display(description="trouble", ordering="last_error")
    def trouble(self, session: TelegramSession) -> str:
        if session.retry_at is None:
            return session.last_error
        again = formats.localize(timezone.localtime(session.retry_at))
        return f"{session.last_error or 'waiting'}, again at {again}"

    @admin.display(description="server")
    def server(self, session: TelegramSession) -> str:
        if not session.dc_id:
            return ""
        return f"DC {session.dc_id}, {session.server_address}:{session.port}"

    @admin.display(description="proxy")
    def shown_proxy(self, session: TelegramSession) -> str:
        return shown(session.proxy)

    # Actions

    @admin.action(description="Reconnect", permissions=["change"])
    def reconnect(self, request: HttpRequest, queryset: QuerySet[TelegramSession]) -> None:
        self._each(request, queryset, lifecycle.reconnect, "session.reconnected", "Reconnected")

    @admin.action(description="Log out at Telegram", permissions=["change"])
    def log_out(
        self, request: HttpRequest, queryset: QuerySet[TelegramSession]
    ) -> HttpResponse | None:
        if not request.POST.get("confirmed"):
            return self._confirm(request, queryset, "log_out", "Log out")
        self._each(request, queryset, lifecycle.log_out, "session.logout", "Logged out")
        return None

    @admin.action(description="Destroy: log out and delete every trace", permissions=["change"])
    def destroy(
        self, request: HttpRequest, queryset: QuerySet[TelegramSession]
    ) -> HttpResponse | None:
        if not request.POST.get("confirmed"):
            return self._confirm(request, queryset, "destroy", "Destroy")
        self._each(request, queryset, lifecycle.destroy, "session.destroyed", "Destroyed")
        return None

    def _confirm(
        self, request: HttpRequest, queryset: QuerySet[TelegramSession], action: str, verb: str
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb} these sessions?",
            "verb": verb,
            "action": action,
            "sessions": queryset.select_related("owner", "account"),
            "opts": self.model._meta,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        template = "admin/sessions_app/telegramsession/confirm.html"
        return TemplateResponse(request, template, context)

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[TelegramSession],
        act: Callable[[TelegramSession], object],
        audit: str,
        done: str,
    ) -> None:
        names = []
        for session in queryset.select_related("owner", "account"):
            try:
                act(session)
            except (ApiError, EngineError) as exc:
                messages.error(request, f"Session {session.name}: {exc.detail}")
                continue
            record(
                audit, **_actor(request), target=session.name, owner=session.owner.get_username()
            )
            names.append(session.name)
        if names:
            messages.success(request, f"{done}: {', '.join(names)}.")

    # Restoring all

    def get_urls(self) -> list[URLPattern]:
        restore = path(
            "restore/",
            self.admin_site.admin_view(self.restore_view),
            name="sessions_app_telegramsession_restore",
        )
        return [restore, *super().get_urls()]

    def restore_view(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            return HttpResponse(status=403)
        results = restore_all()
        restored = sum(result.restored for result in results)
        record("sessions.restored", **_actor(request), restored=restored)
        for result in results:
            if not result.restored:
                messages.warning(
                    request, f"Session {result.name}: {result.outcome} ({result.error})"
                )
        messages.success(request, f"{restored} of {len(results)} sessions restored.")
        return HttpResponseRedirect(reverse("admin:sessions_app_telegramsession_changelist"))


class ReadOnly:
    """What the hub writes and people only look at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Account)
class AccountAdmin(ReadOnly, AccountModelAdmin):
    list_display = ("user_id", "first_name", "last_name", "username", "phone", "updated_at")
    search_fields = ("user_id", "first_name", "last_name", "username", "phone")


@admin.register(Node)
class NodeAdmin(ReadOnly, NodeModelAdmin):
    list_display = ("name", "host", "pid", "epoch", "expires_at", "started_at")


@admin.register(KeyGrant)
class KeyGrantAdmin(GrantModelAdmin):
    list_display = ("api_key", "session", "limits", "is_default")
    list_select_related = ("api_key", "session")
    list_filter = ("limits", "is_default")
    autocomplete_fields = ("api_key", "session")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        record("key_grant.changed", **_actor(request), target=obj, limits=obj.limits)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        record("key_grant.removed", **_actor(request), target=obj, limits=obj.limits)
        super().delete_model(request, obj)


def _actor(request: HttpRequest) -> dict[str, Any]:
    user = request.user
    return {"user": user if isinstance(user, User) else None, "ip": client_ip(request)}
