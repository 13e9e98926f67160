import re
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.callers import authenticate
from accounts.models import KEY_PATTERN, ApiKey, AuditEvent, record
from accounts.tests.helpers import make_key, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.urls")]


@pytest.fixture
def admin(client):
    client.force_login(
        make_user("root", is_staff=True, is_superuser=True),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


def add_key(admin, **fields):
    form = {"user": make_user().pk, "name": "laptop", "scopes": ["read", "send"], **fields}
    return admin.post("/admin/accounts/apikey/add/", form, follow=True)


def test_it_works(admin):
    response = add_key(admin)
    (plaintext,) = set(re.findall(KEY_PATTERN, response.content.decode()))
    caller = authenticate(plaintext)
    assert (caller.user.get_username(), caller.scopes) == ("alice", {"read", "send"})
    assert caller.key is not None and caller.key.name == "laptop"


def test_the_key_is_shown_once(admin):
    response = add_key(admin)
    plaintext = re.search(KEY_PATTERN, response.content.decode()).group()
    key = ApiKey.objects.get()
    pages = [
        "/admin/accounts/apikey/",
        f"/admin/accounts/apikey/{key.pk}/change/",
        f"/admin/accounts/apikey/{key.pk}/history/",
        f"/admin/accounts/user/{key.user_id}/change/",
        "/admin/accounts/auditevent/",
        "/admin/",
    ]
    for page in pages:
        response = admin.get(page)
        assert response.status_code == 200
        text = response.content.decode()
        assert plaintext not in text
        assert plaintext.split("_", 2)[2] not in text
        assert bytes(key.secret_sha256).hex() not in text
        assert repr(bytes(key.secret_sha256)) not in text
    assert f"tgh_{key.prefix}" in admin.get(pages[0]).content.decode()


def test_creation_leaves_one_audit_event(admin):
    add_key(admin)
    event = AuditEvent.objects.get()
    assert (event.action, event.username, event.ip) == ("api_key.created", "root", "127.0.0.1")


def test_it_refuses_a_key_that_has_expired(admin):
    past = timezone.now() - timedelta(days=1)
    response = add_key(admin, expires_at_0=past.date().isoformat(), expires_at_1="00:00:00")
    assert response.status_code == 200
    assert ApiKey.objects.count() == 0


def test_it_refuses_unknown_scopes(admin):
    add_key(admin, scopes=["fly"])
    assert ApiKey.objects.count() == 0


def test_scopes_are_settled(admin):
    key, _ = make_key(scopes=["read"])
    admin.post(
        f"/admin/accounts/apikey/{key.pk}/change/",
        {"name": "renamed", "scopes": ["admin"], "user": make_user("bob").pk},
    )
    key.refresh_from_db()
    assert (key.name, key.scopes, key.user.get_username()) == ("renamed", ["read"], "alice")


def test_revoking(admin):
    key, plaintext = make_key()
    other, _ = make_key()
    response = admin.post(
        "/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [key.pk]}, follow=True
    )
    assert "1 keys revoked" in response.content.decode()
    key.refresh_from_db()
    other.refresh_from_db()
    assert key.revoked_at is not None and other.revoked_at is None
    assert [e.action for e in AuditEvent.objects.all()] == ["api_key.revoked"]
    assert "revoked" in admin.get("/admin/accounts/apikey/").content.decode()


@pytest.mark.parametrize("state", ["active", "expired", "revoked"])
def test_keys_are_found_by_their_state(admin, state):
    past = timezone.now() - timedelta(days=1)
    made = {
        "active": make_key(expires_at=timezone.now() + timedelta(days=1))[0],
        "expired": make_key(make_user("bob"), expires_at=past)[0],
        "revoked": make_key(make_user("carl"), expires_at=past)[0],
    }
    made["revoked"].revoke()
    page = admin.get(f"/admin/accounts/apikey/?state={state}").content.decode()
    assert {name for name, key in made.items() if key.prefix in page} == {state}


def test_keys_are_not_deleted(admin):
    key, _ = make_key()
    assert (
        admin.post(f"/admin/accounts/apikey/{key.pk}/delete/", {"post": "yes"}).status_code == 403
    )
    assert ApiKey.objects.count() == 1


def test_the_audit_trail_is_only_read(admin):
    row = record("x", target="y")
    base = "/admin/accounts/auditevent/"
    assert admin.get(base).status_code == 200
    assert admin.get(f"{base}{row.pk}/change/").status_code == 200
    assert admin.post(f"{base}{row.pk}/change/", {"action": "z"}).status_code == 403
    assert admin.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin.get(f"{base}add/").status_code == 403
    assert AuditEvent.objects.get().action == "x"


def test_it_needs_permission(client):
    client.force_login(
        make_user("staff", is_staff=True), backend="django.contrib.auth.backends.ModelBackend"
    )
    for page in ("apikey", "apikey/add", "auditevent", "user"):
        assert client.get(f"/admin/accounts/{page}/").status_code == 403
