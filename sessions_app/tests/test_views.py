"""The hub surface to the field, with a Telegram that answers as told."""

import pytest
from django.db import connection

from accounts.models import AuditEvent
from core import health
from engine.errors import FloodWait, NotAuthorized
from engine.methods import auth, messages, sessions
from engine.testing import FakeTransport
from sessions_app.models import TelegramSession
from sessions_app.tests.helpers import (
    PHONE,
    make_client,
    make_session,
    make_user,
    telegram_user,
    wait_password,
)

pytestmark = pytest.mark.django_db

USER_INFO = {
    "id": 1001,
    "first_name": "John",
    "last_name": "Doe",
    "username": "johndoe",
    "phone": PHONE,
}


def test_the_root_tells_what_runs(client) -> None:
    body = client.get("/").json()
    assert body["status"] == "running"
    assert list(body) == ["status", "message", "version", "endpoints"]


@pytest.mark.django_db(transaction=True)
async def test_health(async_client) -> None:
    answer = await async_client.get("/health")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "healthy", "active_sessions": 0},
    )


@pytest.mark.django_db(transaction=True)
async def test_a_lost_connection_is_no_broken_database() -> None:
    def lose() -> None:
        connection.ensure_connection()
        connection.connection.close()

    # Facts are asked in the thread whose connection it is.
    health.register_fact("lost", lose)
    try:
        for _ in range(2):
            assert (await health.report())[0] == 200
    finally:
        health.register_fact("lost", lambda: connection.close())
        await health.report()
        health.unregister("lost")


def test_a_login_from_start_to_end(fake: FakeTransport) -> None:
    client = make_client()
    start = {"session_id": "user123", "phone_number": "+1 (555) 000-0001"}
    answer = client.post("/login/start", start, format="json")
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "status": "success",
        "message": "Verification code sent to your phone",
        "phone_code_hash": "hash",
        "type": "app",
        "next_type": "sms",
        "timeout": None,
    }
    assert fake.called(auth.send_code)[0].kwargs == {"phone": PHONE}
    assert client.get("/sessions").json() == {
        "status": "success",
        "total_sessions": 1,
        "sessions": [
            {
                "session_id": "user123",
                "is_connected": False,
                "is_authenticated": False,
                "user_info": None,
                "in_login_cache": True,
            }
        ],
    }
    code = {"session_id": "user123", "phone_code": "12345", "phone_code_hash": "hash"}
    answer = client.post("/login/code", code, format="json")
    assert answer.json() == {
        "status": "success",
        "message": "Login successful",
        "user": USER_INFO,
    }
    status = client.get("/session/user123/status").json()
    assert status == {
        "session_id": "user123",
        "is_authenticated": True,
        "is_active": True,
        "is_connected": True,
        "user_info": USER_INFO,
        "in_login_cache": False,
    }
    assert list(status)[:2] == ["session_id", "is_authenticated"]
    again = client.post("/login/start", start, format="json").json()
    assert again["status"] == "already_logged_in"
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"login.started", "session.login"} <= actions


def test_two_factor(fake: FakeTransport) -> None:
    client = make_client()
    fake.answer(auth.sign_in, wait_password())
    client.post("/login/start", {"session_id": "a", "phone_number": PHONE}, format="json")
    body = {"session_id": "a", "phone_code": "12345"}
    assert client.post("/login/code", body, format="json").json() == {
        "status": "2fa_required",
        "message": "Two-factor authentication is enabled. Please provide your password",
    }
    body = {"session_id": "a", "password": " secret "}
    assert client.post("/login/password", body, format="json").json()["status"] == "success"
    assert fake.called(auth.check_password)[0].kwargs == {"password": " secret "}


def test_no_login_under_way_is_404(fake: FakeTransport) -> None:
    client = make_client()
    make_session("idle", ready=False)
    for name in ("idle", "unknown"):
        for path, extra in (
            ("code", {"phone_code": "1"}),
            ("password", {"password": "x"}),
            ("resend", {}),
            ("cancel", {}),
        ):
            answer = client.post(f"/login/{path}", {"session_id": name, **extra}, format="json")
            assert answer.status_code == 404, (name, path)


def test_logout_keeps_the_row(fake: FakeTransport) -> None:
    client, session = make_client(), make_session()
    answer = client.post("/logout", {"session_id": "user123"}, format="json")
    assert answer.json() == {"status": "success", "message": "Logged out successfully"}
    assert fake.called(auth.log_out)
    session.refresh_from_db()
    assert session.state == "logged_out" and session.auth_key is None
    answer = client.post("/logout", {"session_id": "user123"}, format="json")
    assert answer.status_code == 401
    assert client.get("/session/user123/status").json()["user_info"] is None


def test_logout_of_a_revoked_session(fake: FakeTransport) -> None:
    client = make_client()
    make_session()
    fake.answer(auth.log_out, NotAuthorized("auth_key_unregistered"))
    answer = client.post("/logout", {"session_id": "user123"}, format="json")
    assert answer.status_code == 200


def test_destroy_leaves_no_trace(fake: FakeTransport) -> None:
    client = make_client()
    make_session()
    assert client.delete("/session/user123").json() == {
        "status": "success",
        "message": "Session user123 destroyed completely",
    }
    assert not TelegramSession.objects.exists()
    assert client.get("/session/user123/status").status_code == 404


def test_reconnect(fake: FakeTransport) -> None:
    client = make_client()
    make_session()
    path = "/session/user123/reconnect"
    assert client.post(path).json() == {
        "status": "success",
        "message": "Session reconnected successfully",
    }
    fake.answer(sessions.reconnect, {"was_connected": True, "user": telegram_user()})
    assert client.post(path).json()["message"] == "Session is already connected"


def test_send_a_message(fake: FakeTransport) -> None:
    client = make_client()
    make_session()
    body = {"session_id": "user123", "chat_id": "@username", "message": "Hello, World!"}
    answer = client.post("/message/send", body, format="json")
    assert answer.json() == {
        "status": "success",
        "message": "Message sent successfully",
        "message_id": 42,
        "chat_id": 1002,
        "date": "2026-11-20 12:00:00",
    }
    [call] = fake.called(messages.send_message)
    assert call.kwargs["chat_id"] == "@username" and call.kwargs["text"] == "Hello, World!"
    assert call.kwargs["random_id"] > 0


def test_a_flood_wait_is_429(fake: FakeTransport) -> None:
    client = make_client()
    make_session()
    fake.answer(messages.send_message, FloodWait("flood_wait", seconds=30))
    body = {"session_id": "user123", "chat_id": 7, "message": "x"}
    answer = client.post("/message/send", body, format="json")
    assert answer.status_code == 429
    assert answer.json()["code"] == "flood_wait"
    assert answer.headers["Retry-After"] == "30"


@pytest.mark.parametrize("chat", [True, 1.5, "", None, [], {}, "a\nb", 2**64])
def test_bad_chat_references(fake: FakeTransport, chat: object) -> None:
    client = make_client()
    make_session()
    body = {"session_id": "user123", "chat_id": chat, "message": "x"}
    answer = client.post("/message/send", body, format="json")
    assert answer.status_code == 400
    assert "chat_id" in answer.json()["errors"]


def test_sending_needs_a_known_session_that_is_logged_in(fake: FakeTransport) -> None:
    client = make_client()
    make_session("idle", ready=False)
    make_session("gone", state="expired")
    for name, status in (("unknown", 404), ("idle", 401), ("gone", 401)):
        body = {"session_id": name, "chat_id": 7, "message": "x"}
        assert client.post("/message/send", body, format="json").status_code == status


@pytest.mark.django_db(transaction=True)
def test_restore_sessions(fake: FakeTransport) -> None:
    client = make_client()
    make_session("a")
    make_session("b", make_user("bob"))
    make_session("c", ready=False)
    assert client.post("/admin/restore-sessions").json() == {
        "status": "success",
        "message": "Restored 2 sessions from database",
        "restored_count": 2,
    }


def test_me(fake: FakeTransport) -> None:
    make_session()
    body = make_client(make_user(), "read").get("/api/v3/me").json()
    assert body["user"] == "alice"
    assert body["scopes"] == ["read"]
    assert [session["session_id"] for session in body["sessions"]] == ["user123"]
    assert body["default_session"] is None


SCOPES = [
    ("post", "/login/start", "sessions"),
    ("post", "/login/code", "sessions"),
    ("post", "/login/password", "sessions"),
    ("post", "/login/resend", "sessions"),
    ("post", "/login/cancel", "sessions"),
    ("post", "/logout", "sessions"),
    ("get", "/sessions", "read"),
    ("get", "/session/a/status", "read"),
    ("delete", "/session/a", "sessions"),
    ("post", "/session/a/reconnect", "sessions"),
    ("post", "/message/send", "send"),
    ("post", "/admin/restore-sessions", "admin"),
    ("get", "/api/v3/me", "read"),
]


@pytest.mark.parametrize(("method", "path", "scope"), SCOPES)
def test_each_call_asks_for_its_scope(
    fake: FakeTransport, client, method: str, path: str, scope: str
) -> None:
    assert getattr(client, method)(path).status_code == 401
    for other in {"read", "send", "sessions"} - {scope}:
        answer = getattr(make_client(make_user(), other), method)(path)
        assert answer.status_code == 403
        assert scope in answer.json()["detail"]
    assert getattr(make_client(make_user(), scope), method)(path).status_code != 403


def test_another_users_session_does_not_exist(fake: FakeTransport) -> None:
    make_session("hers", make_user("alice"))
    bob = make_client(make_user("bob"), "read", "send", "sessions")
    body = {"session_id": "hers", "chat_id": 7, "message": "x", "phone_code": "1"}
    theirs = [
        bob.get("/session/hers/status"),
        bob.delete("/session/hers"),
        bob.post("/session/hers/reconnect"),
        bob.post("/message/send", body, format="json"),
        bob.post("/logout", body, format="json"),
        bob.post("/login/code", body, format="json"),
    ]
    nobodys = bob.get("/session/nobodys/status")
    for answer in theirs:
        assert (answer.status_code, answer.json()) == (404, nobodys.json())
    assert bob.get("/sessions").json()["total_sessions"] == 0
    assert bob.get("/session/hers/status?user=alice").status_code == 403
    admin = make_client(make_user("root"), "admin")
    assert admin.get("/session/hers/status?user=alice").status_code == 200
    assert admin.get("/sessions?user=alice").json()["total_sessions"] == 1
    assert admin.get("/sessions?user=nobody").status_code == 404


@pytest.mark.parametrize("name", ["_john", "+49 151", "Анна", "a" * 64, "a.b@c"])
def test_good_names(fake: FakeTransport, name: str) -> None:
    client = make_client()
    body = {"session_id": name, "phone_number": PHONE}
    assert client.post("/login/start", body, format="json").status_code == 200
    assert client.get("/sessions").json()["sessions"][0]["session_id"] == name


@pytest.mark.parametrize("name", ["", " a", "a ", "a/b", "a" * 65, "a\nb", 5, None])
def test_bad_names(fake: FakeTransport, name: object) -> None:
    body = {"session_id": name, "phone_number": PHONE}
    answer = make_client().post("/login/start", body, format="json")
    assert answer.status_code == 400
    assert "session_id" in answer.json()["errors"]


def test_the_schema_knows_every_route(client) -> None:
    from sessions_app.urls import urlpatterns

    schema = client.get("/api/schema", HTTP_ACCEPT="application/vnd.oai.openapi+json").json()
    known = {path.replace("{", "<str:").replace("}", ">") for path in schema["paths"]}
    assert {f"/{pattern.pattern}" for pattern in urlpatterns} <= known
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if path not in ("/", "/health", "/skill.md") and not path.startswith("/api/schema"):
                assert {"401", "403", "429", "503"} <= set(operation["responses"]), (path, method)


def test_the_schema_names_every_operation(client) -> None:
    schema = client.get("/api/schema", HTTP_ACCEPT="application/vnd.oai.openapi+json").json()
    assert schema["paths"]["/message/send"]["post"]["summary"]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert 0 < len(operation["summary"]) <= 100, (path, method)
