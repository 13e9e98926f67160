"""The fleet in the admin: what is shown, what is never shown, what its actions do."""

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from engine.errors import BadGateway
from engine.methods import auth, sessions
from engine.testing import FakeTransport
from sessions_app.models import TelegramSession
from sessions_app.tests.helpers import make_session, make_user

pytestmark = pytest.mark.django_db

LIST = "/admin/sessions_app/telegramsession/"


@pytest.fixture
def admin(client: Client) -> Client:
    root = User.objects.create_superuser("root", password="x")
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    return client


def act(admin: Client, action: str, *found: TelegramSession, **extra: str):
    body = {"action": action, "_selected_action": [s.pk for s in found], **extra}
    return admin.post(LIST, body, follow=True)


def test_the_list(admin: Client, fake: FakeTransport) -> None:
    make_session("a", last_error="flood_wait")
    make_session("b", ready=False)
    make_session("c", last_error="network", retry_at=datetime(2026, 11, 28, 18, 30, tzinfo=UTC))
    page = admin.get(LIST).content.decode()
    for text in ("John", "alice", "flood_wait", "logged in", "Restore all", "+15550000001"):
        assert text in page
    assert "network, again at Nov. 28, 2026, 6:30 p.m." in page
    for query in ("?q=john", "?live=yes", "?live=no", "?state=ready", "?owner__id__exact=1"):
        assert admin.get(LIST + query).status_code == 200


def test_no_secret_is_on_any_page(admin: Client, fake: FakeTransport) -> None:
    session = make_session("a", auth_key=b"KEYKEY" * 40, api_hash="HASHHASH", api_id=7)
    session.proxy = {
        "kind": "socks5",
        "host": "proxy.example",
        "port": 1080,
        "username": "pat",
        "password": "PROXYPASS",
        "secret": None,
    }
    session.save()
    for url in (LIST, f"{LIST}{session.pk}/change/", f"{LIST}{session.pk}/history/"):
        page = admin.get(url)
        assert page.status_code == 200
        text = page.content.decode()
        for secret in ("KEYKEY", "HASHHASH", "PROXYPASS", "pat"):
            assert secret not in text.replace("path", "").replace("pattern", ""), (url, secret)
    assert "socks5 proxy.example:1080" in admin.get(f"{LIST}{session.pk}/change/").content.decode()


def test_a_session_with_a_proxy_is_prepared(admin: Client) -> None:
    body = {
        "owner": make_user().pk,
        "name": "Анна",
        "device_model": "Phone",
        "proxy_url": "socks5://pat:pw@proxy.example:1080",
        "api_id": "7",
        "new_api_hash": "h" * 32,
    }
    answer = admin.post(f"{LIST}add/", body)
    assert answer.status_code == 302, answer.content.decode()
    session = TelegramSession.objects.get()
    assert session.proxy["password"] == "pw" and session.api_hash == "h" * 32
    page = {"name": "Анна", "device_model": "Phone", "api_id": "7"}
    assert admin.post(f"{LIST}{session.pk}/change/", page).status_code == 302
    session = TelegramSession.objects.get()
    assert session.proxy["password"] == "pw" and session.api_hash == "h" * 32
    page["remove_proxy"] = "on"
    admin.post(f"{LIST}{session.pk}/change/", page)
    assert TelegramSession.objects.get().proxy is None


@pytest.mark.parametrize("field", [{"name": "a/b"}, {"proxy_url": "socks5://secret-proxy"}])
def test_bad_input_is_refused(admin: Client, field: dict[str, str]) -> None:
    body = {"owner": make_user().pk, "name": "a", **field}
    page = admin.post(f"{LIST}add/", body)
    assert page.status_code == 200 and not TelegramSession.objects.exists()
    assert "secret-proxy" not in page.content.decode()


def test_reconnect(admin: Client, fake: FakeTransport) -> None:
    page = act(admin, "reconnect", make_session("a"))
    assert "Reconnected: a." in page.content.decode()
    assert AuditEvent.objects.get(action="session.reconnected").username == "root"


def test_destroy_asks_first(admin: Client, fake: FakeTransport) -> None:
    session, other = make_session("doomed"), make_session("spared")
    page = act(admin, "destroy", session).content.decode()
    assert "doomed" in page and "spared" not in page
    assert TelegramSession.objects.count() == 2 and not fake.calls
    act(admin, "destroy", session, confirmed="yes")
    assert list(TelegramSession.objects.all()) == [other]
    assert fake.called(auth.log_out)
    assert AuditEvent.objects.get(action="session.destroyed").target == "doomed"


def test_log_out_asks_first(admin: Client, fake: FakeTransport) -> None:
    session = make_session("a")
    act(admin, "log_out", session)
    assert not fake.called(auth.log_out)
    act(admin, "log_out", session, confirmed="yes")
    session.refresh_from_db()
    assert session.state == "logged_out"


def test_what_fails_is_said(admin: Client, fake: FakeTransport) -> None:
    fake.answer(sessions.reconnect, BadGateway())
    page = act(admin, "reconnect", make_session("a"))
    assert "Session a: Telegram cannot be reached." in page.content.decode()
    assert not AuditEvent.objects.filter(action="session.reconnected").exists()


@pytest.mark.django_db(transaction=True)
def test_restore_all(admin: Client, fake: FakeTransport) -> None:
    make_session("a")
    url = reverse("admin:sessions_app_telegramsession_restore")
    assert admin.get(url).status_code == 405
    page = admin.post(url, follow=True)
    assert "1 of 1 sessions restored." in page.content.decode()
    assert AuditEvent.objects.get(action="sessions.restored")


def test_others_may_not(client: Client, fake: FakeTransport) -> None:
    make_session("a")
    assert client.get(LIST).status_code == 302
    staff = User.objects.create_user("staff", is_staff=True)
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(LIST).status_code == 403
    assert client.post(reverse("admin:sessions_app_telegramsession_restore")).status_code == 403
