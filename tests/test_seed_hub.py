"""The curl lines of the hub's users, as their document prints them."""

import pytest

from sandbox import Sandbox
from tests.curl import run_curl
from tests.hub import Hub, auth_keys

PHONE = "+1234567890"

HEALTH = 'curl -X GET "http://localhost:8000/health"'
START = """curl -X POST "http://localhost:8000/login/start" \\
    -H "Content-Type: application/json" \\
    -d '{"session_id": "test123", "phone_number": "+1234567890"}'"""
SESSIONS = 'curl -X GET "http://localhost:8000/sessions"'
STATUS = 'curl -X GET "http://localhost:8000/session/test123/status"'
SEND = """curl -X POST "http://localhost:8000/message/send" \\
    -H "Content-Type: application/json" \\
    -d '{"session_id": "test123", "chat_id": "@username", "message": "Hello!"}'"""
DESTROY = 'curl -X DELETE "http://localhost:8000/session/test123"'


@pytest.fixture
def john(telegram: Sandbox) -> None:
    telegram.world.add_user(
        phone=PHONE, first_name="John", last_name="Doe", username="johndoe_seed"
    )
    telegram.world.add_user(phone="+15550700002", first_name="Some", username="username")


def test_the_document_from_top_to_bottom(hub: Hub, telegram: Sandbox, john: None) -> None:
    assert run_curl(HEALTH, base=hub.url).json() == {"status": "healthy", "active_sessions": 0}
    started = run_curl(START, base=hub.url).json()
    assert started["status"] == "success"
    assert started["message"] == "Verification code sent to your phone"
    assert set(started) >= {"status", "message", "phone_code_hash"}
    body = {
        "session_id": "test123",
        "phone_code": telegram.login_code(PHONE),
        "phone_code_hash": started["phone_code_hash"],
    }
    user = hub.post("/login/code", body).json()["user"]
    assert list(user) == ["id", "first_name", "last_name", "username", "phone"]
    assert run_curl(HEALTH, base=hub.url).json() == {"status": "healthy", "active_sessions": 1}
    listed = run_curl(SESSIONS, base=hub.url).json()
    assert listed == {
        "status": "success",
        "total_sessions": 1,
        "sessions": [
            {
                "session_id": "test123",
                "is_connected": True,
                "is_authenticated": True,
                "user_info": user,
                "in_login_cache": False,
            }
        ],
    }
    assert run_curl(STATUS, base=hub.url).json() == {
        "session_id": "test123",
        "is_authenticated": True,
        "is_active": True,
        "is_connected": True,
        "user_info": user,
        "in_login_cache": False,
    }
    sent = run_curl(SEND, base=hub.url).json()
    assert (sent["status"], sent["message"]) == ("success", "Message sent successfully")
    assert hub.post("/session/test123/reconnect").json() == {
        "status": "success",
        "message": "Session is already connected",
    }
    restored = hub.post("/admin/restore-sessions").json()
    assert restored == {
        "status": "success",
        "message": "Restored 1 sessions from database",
        "restored_count": 1,
    }
    assert run_curl(DESTROY, base=hub.url).json() == {
        "status": "success",
        "message": "Session test123 destroyed completely",
    }
    assert run_curl(SESSIONS, base=hub.url).json()["sessions"] == []
    assert run_curl(STATUS, base=hub.url).status_code == 404


def test_logout_kills_the_key_at_telegram(hub: Hub, telegram: Sandbox, john: None) -> None:
    hub.log_in("test123", PHONE, telegram.login_code)
    assert auth_keys(telegram, PHONE)
    assert hub.post("/logout", {"session_id": "test123"}).json() == {
        "status": "success",
        "message": "Logged out successfully",
    }
    assert not auth_keys(telegram, PHONE)
    assert hub.status("test123")["is_authenticated"] is False


def test_the_root_tells_what_runs(hub: Hub) -> None:
    body = hub.get("/").json()
    assert body["status"] == "running"
    assert set(body) == {"status", "message", "version", "endpoints"}
    assert "/login/start" in str(body["endpoints"])
