"""Admin pages of users, API keys (shown once, never readable) and the audit trail."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import admin as auth_admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.callers import client_ip
from accounts.models import ApiKey, AuditEvent, Scope, User, create_key, record

if TYPE_CHECKING:
    KeyInline = admin.TabularInline[ApiKey, User]
    KeyAdmin = admin.ModelAdmin[ApiKey]
    KeyForm = forms.ModelForm[ApiKey]
    AuditAdmin = admin.ModelAdmin[AuditEvent]
    DjangoUserAdmin = auth_admin.UserAdmin[User]
else:
    DjangoUserAdmin = auth_admin.UserAdmin
    KeyInline, KeyForm = admin.TabularInline, forms.ModelForm
    KeyAdmin = AuditAdmin = admin.ModelAdmin


class ApiKeyInline(KeyInline):
    model = ApiKey
    fields = readonly_fields = ("shown_key", "name", "shown_scopes", "expires_at", "revoked_at")
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="key")
    def shown_key(self, key: ApiKey) -> str:
        return str(key)

    @admin.display(description="scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ("username", "email", "is_active", "is_staff", "last_login")
    inlines = (ApiKeyInline,)


class ApiKeyForm(KeyForm):
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, initial=[Scope.READ], widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = ApiKey
        fields: ClassVar[list[str]] = ["user", "name", "scopes", "expires_at"]

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError("This lies in the past.")
        return expires_at


class StateFilter(admin.SimpleListFilter):
    """Keys that work, and those that no longer do, by why."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in ("active", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        over = Q(expires_at__lte=timezone.now())
        if self.value() == "active":
            return queryset.exclude(over).filter(revoked_at=None)
        if self.value() == "expired":
            return queryset.filter(over, revoked_at=None)
        return queryset.exclude(revoked_at=None) if self.value() == "revoked" else queryset


@admin.register(ApiKey)
class ApiKeyAdmin(KeyAdmin):
    form = ApiKeyForm
    list_display = ("shown_key", "name", "user", "shown_scopes", "state", "last_used_at")
    list_filter = (StateFilter,)
    list_select_related = ("user",)
    search_fields = ("prefix", "name", "user__username")
    autocomplete_fields = ("user",)
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        if obj is None:
            return ["user", "name", "scopes", "expires_at"]
        facts = ["created_at", "last_used_at", "revoked_at"]
        return ["shown_key", "user", "name", "shown_scopes", "expires_at", *facts]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return [] if obj is None else [f for f in self.get_fields(request, obj) if f != "name"]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is not None:
            # What a key allows is settled when it is made.
            kwargs["form"] = forms.ModelForm
            kwargs["fields"] = ["name"]
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name"])
            return
        key, plaintext = create_key(
            user=obj.user, name=obj.name, scopes=obj.scopes, expires_at=obj.expires_at
        )
        # The admin goes on with the object that it was given.
        obj.__dict__.update(key.__dict__)
        record("api_key.created", **_actor(request), target=key, owner=key.user.get_username())
        messages.warning(request, f"The key, shown this once: {plaintext}")

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        revoked = 0
        for key in queryset:
            if key.revoke():
                revoked += 1
                record("api_key.revoked", **_actor(request), target=key)
        messages.success(request, f"{revoked} keys revoked.")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a revoked key stays, so that its prefix tells who it was

    @admin.display(description="key", ordering="prefix")
    def shown_key(self, key: ApiKey) -> str:
        return str(key)

    @admin.display(description="scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        if key.revoked_at is not None:
            return "revoked"
        return "active" if key.is_active else "expired"


@admin.register(AuditEvent)
class AuditEventAdmin(AuditAdmin):
    list_display = ("at", "username", "key_prefix", "action", "target", "ip")
    list_filter = ("action",)
    search_fields = ("username", "key_prefix", "target", "request_id")
    date_hierarchy = "at"
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _actor(request: HttpRequest) -> dict[str, Any]:
    user = request.user
    return {"user": user if isinstance(user, User) else None, "ip": client_ip(request)}
