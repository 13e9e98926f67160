"""Webhooks in the admin: shown, tested, made; no secret is readable."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, User
from realtime.webhooks.models import Delivery, DeliveryState, WebhookEndpoint
from realtime.webhooks.tests.helpers import happen, make_endpoint
from sessions_app.tests.helpers import make_session, make_user
from tests.receiver import receiving

pytestmark = pytest.mark.django_db

LIST = "/admin/realtime/webhookendpoint/"
LOG = "/admin/realtime/delivery/"


@pytest.fixture
def admin(client: Client) -> Client:
    root = User.objects.create_superuser("root", password="x")
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def endpoint() -> WebhookEndpoint:
    return make_endpoint(make_user("alice"), "https://example.com/T0KEN", description="Orders")


def act(admin: Client, url: str, action: str, *pks: int) -> str:
    body = {"action": action, "_selected_action": list(pks)}
    return admin.post(url, body, follow=True).content.decode()


def test_the_list(admin: Client, endpoint: WebhookEndpoint) -> None:
    page = admin.get(LIST).content.decode()
    for text in ("alice", "https://example.com", "Orders", "well"):
        assert text in page
    # The path is often the receiver's secret.
    assert "T0KEN" not in page
    WebhookEndpoint.objects.update(enabled=False, paused_reason="gone")
    assert "answered 410" in admin.get(LIST + "?enabled__exact=0&q=alice").content.decode()


def test_no_secret_is_on_any_page(admin: Client, endpoint: WebhookEndpoint) -> None:
    key = endpoint.secret.removeprefix("whsec_")
    for url in (LIST, f"{LIST}{endpoint.pk}/change/", f"{LIST}{endpoint.pk}/history/", LOG):
        page = admin.get(url)
        assert page.status_code == 200
        assert "whsec_" not in page.content.decode() and key not in page.content.decode()


def test_a_webhook_is_made_and_changed(admin: Client) -> None:
    alice = make_user("alice")
    make_session("a", alice)
    body: dict[str, Any] = {
        "owner": alice.pk,
        "url": "https://example.com/x",
        "sessions": "a\n",
        "chats": "-1001\n5",
        "kinds": ["message.new"],
        "description": "d",
    }
    for field, value in (
        ("url", "https://127.0.0.1/"),
        ("sessions", "nobodys"),
        ("chats", "x"),
        ("kinds", ["x"]),
    ):
        assert admin.post(f"{LIST}add/", {**body, field: value}).status_code == 200
    assert not WebhookEndpoint.objects.exists()
    page = admin.post(f"{LIST}add/", body, follow=True).content.decode()
    endpoint = WebhookEndpoint.objects.get()
    assert f"The secret, shown this once: {endpoint.secret}" in page
    assert endpoint.secret not in admin.get(f"{LIST}{endpoint.pk}/change/").content.decode()
    assert (endpoint.sessions, endpoint.chats) == (["a"], [-1001, 5])
    assert endpoint.kinds == ["message.new"] and endpoint.key_prefix == ""
    secret = endpoint.secret
    body |= {"chats": "", "url": "https://example.com/y"}
    assert admin.post(f"{LIST}{endpoint.pk}/change/", body).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.chats, endpoint.url) == ([], "https://example.com/y")
    assert (endpoint.enabled, endpoint.paused_reason) == (False, "user")
    assert endpoint.secret == secret
    assert admin.post(f"{LIST}{endpoint.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not WebhookEndpoint.objects.exists()
    assert {"webhook.created", "webhook.changed", "webhook.deleted"} <= set(
        AuditEvent.objects.values_list("action", flat=True)
    )


def test_the_actions(admin: Client, endpoint: WebhookEndpoint) -> None:
    secret = endpoint.secret
    act(admin, LIST, "pause", endpoint.pk)
    endpoint.refresh_from_db()
    assert not endpoint.enabled
    act(admin, LIST, "resume", endpoint.pk)
    page = act(admin, LIST, "rotate_secret", endpoint.pk)
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.enabled and endpoint.secret != secret
    assert endpoint.secret in page and endpoint.previous_secret == secret


def test_going_on_does_not_free_a_webhook_of_its_key(
    admin: Client, endpoint: WebhookEndpoint
) -> None:
    WebhookEndpoint.objects.update(key_prefix="gone", enabled=False, paused_reason="key")
    act(admin, LIST, "resume", endpoint.pk)
    endpoint.refresh_from_db()
    assert endpoint.key_prefix == "gone"


def test_the_test_button(admin: Client, endpoint: WebhookEndpoint, settings: Any) -> None:
    url = f"{LIST}{endpoint.pk}/test/"
    assert url in admin.get(f"{LIST}{endpoint.pk}/change/").content.decode()
    assert admin.get(url).status_code == 405
    settings.TGHUB_WEBHOOK_ALLOW_NETS = ["127.0.0.0/8"]
    with receiving() as receiver:
        WebhookEndpoint.objects.update(url=receiver.url)
        page = admin.post(url, follow=True).content.decode()
        assert f"Webhook {endpoint.pk} answered 204." in page
        receiver.posts[0].verify(endpoint.secret)
    page = act(admin, LIST, "send_test", endpoint.pk)
    assert "The receiver could not be reached." in page


def test_who_may_only_look_may_not_test(client: Client, endpoint: WebhookEndpoint) -> None:
    from django.contrib.auth.models import Permission

    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_webhookendpoint"))
    client.force_login(viewer, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"{LIST}{endpoint.pk}/change/")
    assert page.status_code == 200 and "Send a test" not in page.content.decode()
    assert client.post(f"{LIST}{endpoint.pk}/test/").status_code == 403
    assert not Delivery.objects.exists()


def test_the_log_of_deliveries(admin: Client, endpoint: WebhookEndpoint) -> None:
    now = timezone.now()
    delivery = Delivery.objects.create(
        endpoint=endpoint,
        event_id=happen(make_session("a", make_user("alice")))[0],
        kind="message.new",
        state=DeliveryState.DEAD,
        status_code=503,
        created_at=now,
        next_attempt_at=now,
        expires_at=now,
        finished_at=now,
    )
    page = admin.get(f"{LOG}?endpoint__id__exact={endpoint.pk}&state__exact=dead")
    assert "503" in page.content.decode()
    assert admin.get(f"{LOG}add/").status_code == 403
    for state in DeliveryState:
        Delivery.objects.update(state=state)
        shown = admin.get(f"{LOG}{delivery.pk}/change/").content.decode()
        assert "Expires at" in shown
        assert ("Next attempt at" in shown) is (state == DeliveryState.PENDING)
    Delivery.objects.update(state=DeliveryState.DEAD)
    assert "Posted again: 1." in act(admin, LOG, "redeliver", delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == "pending"
    assert "still under way" in act(admin, LOG, "redeliver", delivery.pk)
