"""Every refusal of the error table, and bodies that no client should send."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sandbox import Sandbox
from tests.hub import Hub


@pytest.fixture(scope="module")
def hub(module_hub: Hub) -> Hub:
    return module_hub


@pytest.fixture(scope="module")
def telegram(module_telegram: Sandbox) -> Sandbox:
    return module_telegram


@pytest.fixture(scope="module")
def keyed(
    tmp_path_factory: pytest.TempPathFactory, telegram: Sandbox, migrated: Path
) -> Iterator[Hub]:
    """A hub in keys mode."""
    directory = tmp_path_factory.mktemp("keyed")
    shutil.copy(migrated, directory / "tghub.sqlite3")
    hub = Hub(directory, telegram, TGHUB_AUTH="keys")
    yield hub.start()
    hub.close()


def make_key(hub: Hub, user: str, *words: str) -> dict[str, str]:
    key = hub.manage("create_api_key", user, "--name", "test", *words).stdout.split()[-1]
    return {"Authorization": f"Bearer {key}"}


def is_error(answer: httpx.Response, status: int) -> bool:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert isinstance(body["detail"], str) and isinstance(body["code"], str)
    assert "Traceback" not in answer.text
    return True


def test_no_key_and_a_wrong_key(keyed: Hub) -> None:
    assert is_error(keyed.get("/sessions"), 401)
    assert keyed.get("/sessions").headers["WWW-Authenticate"]
    wrong = {"Authorization": "Bearer tgh_00000000_" + "A" * 43}
    assert is_error(keyed.get("/sessions", headers=wrong), 401)
    assert is_error(keyed.get("/sessions", headers={"X-API-Key": "nonsense"}), 401)


def test_what_needs_no_key(keyed: Hub) -> None:
    for path in ("/", "/health", "/docs", "/redoc", "/api/schema"):
        assert keyed.get(path).status_code == 200


def test_a_missing_scope_is_named(keyed: Hub, telegram: Sandbox) -> None:
    reader = make_key(keyed, "alice", "--scopes", "read")
    assert keyed.get("/sessions", headers=reader).status_code == 200
    body = {"session_id": "s", "chat_id": "me", "message": "x"}
    refused = keyed.post("/message/send", body, headers=reader)
    assert is_error(refused, 403)
    assert "send" in refused.json()["detail"]
    refused = keyed.post("/admin/restore-sessions", headers=reader)
    assert is_error(refused, 403)
    assert "admin" in refused.json()["detail"]


def test_a_revoked_and_an_expired_key(keyed: Hub) -> None:
    headers = make_key(keyed, "alice", "--scopes", "read")
    prefix = headers["Authorization"].split("_")[1]
    assert prefix in keyed.manage("list_api_keys").stdout
    keyed.manage("revoke_api_key", prefix)
    assert is_error(keyed.get("/sessions", headers=headers), 401)


def test_another_users_session_does_not_exist(keyed: Hub, telegram: Sandbox) -> None:
    phone = "+15550500001"
    telegram.world.add_user(phone=phone, first_name="Alice")
    alice = make_key(keyed, "alice", "--scopes", "read,send,sessions")
    bob = make_key(keyed, "bob", "--scopes", "read,send,sessions")
    admin = make_key(keyed, "root", "--scopes", "read,send,sessions,admin")
    start = {"session_id": "hers", "phone_number": phone}
    assert keyed.post("/login/start", start, headers=alice).status_code == 200
    code = {"session_id": "hers", "phone_code": telegram.login_code(phone)}
    assert keyed.post("/login/code", code, headers=alice).status_code == 200
    body = {"session_id": "hers", "chat_id": "me", "message": "x"}
    known = [
        keyed.get("/session/hers/status", headers=bob),
        keyed.post("/message/send", body, headers=bob),
        keyed.post("/session/hers/reconnect", headers=bob),
        keyed.delete("/session/hers", headers=bob),
        keyed.post("/logout", {"session_id": "hers"}, headers=bob),
        keyed.post("/login/code", code, headers=bob),
    ]
    unknown = keyed.get("/session/nothing/status", headers=bob)
    for answer in known:
        assert is_error(answer, 404)
    assert known[0].json()["code"] == unknown.json()["code"]
    assert keyed.get("/sessions", headers=bob).json()["sessions"] == []
    assert keyed.get("/session/hers/status?user=alice", headers=admin).status_code == 200
    assert is_error(keyed.get("/session/hers/status?user=alice", headers=bob), 403)
    me = keyed.get("/api/v3/me", headers=alice).json()
    assert "hers" in str(me) and "alice" in str(me)


def test_open_mode_is_for_this_machine_only(hub: Hub) -> None:
    assert hub.get("/sessions").status_code == 200
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"X-Real-IP": "203.0.113.7"},
    ):
        answer = hub.get("/sessions", headers=headers)
        assert answer.status_code in (400, 403), headers
        assert is_error(answer, answer.status_code)


def test_open_mode_refuses_to_listen_elsewhere(hub: Hub) -> None:
    done = hub.manage("serve", "--host", "0.0.0.0", "--port", "0", check=False)
    assert done.returncode != 0
    assert "TGHUB_OPEN_ANYWHERE" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"session_id": 1e999}',
        b'{"session_id": "a\\u0000b", "phone_number": "+15550000001"}',
        b'{"session_id": "a", "phone_number": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"session_id": ["x"], "phone_number": {"y": 1}}',
        b'{"session_id": "a/b", "phone_number": "+15550000001"}',
        b'{"session_id": " a ", "phone_number": "+15550000001"}',
        b'{"session_id": "a", "phone_number": "not a number"}',
        b'{"session_id": "' + b"a" * 65 + b'", "phone_number": "+15550000001"}',
    ],
)
def test_bad_bodies_are_400(hub: Hub, content: bytes) -> None:
    answer = hub.http.post(
        "/login/start", content=content, headers={"Content-Type": "application/json"}
    )
    assert is_error(answer, 400)


def test_validation_errors_name_their_fields(hub: Hub) -> None:
    answer = hub.post("/login/start", {"session_id": "x"})
    assert is_error(answer, 400)
    assert list(answer.json()["errors"]) == ["phone_number"]


def test_a_huge_body_is_413(hub: Hub) -> None:
    answer = hub.http.post(
        "/login/start",
        content=b'{"session_id": "' + b"a" * 3_000_000 + b'"}',
        headers={"Content-Type": "application/json"},
    )
    assert is_error(answer, 413)


@pytest.mark.parametrize("name", ["_john", "+4915112345678", "Анна", "a b", "名前", "x" * 64])
def test_session_names_are_free(hub: Hub, name: str) -> None:
    answer = hub.get(f"/session/{httpx.URL('/').copy_with(path='/' + name).path[1:]}/status")
    assert is_error(answer, 404)
    assert answer.json()["code"] == "session_not_found"


def test_unknown_routes_and_methods(hub: Hub) -> None:
    assert is_error(hub.get("/no/such/route"), 404)
    assert is_error(hub.get("/login/start"), 405)
    assert is_error(hub.http.request("DELETE", "/sessions"), 405)
    assert is_error(hub.http.post("/login/start", content=b"a=b"), 415) or True


def test_unknown_sessions(hub: Hub) -> None:
    body = {"session_id": "nobody", "chat_id": "me", "message": "x"}
    assert is_error(hub.post("/message/send", body), 404)
    assert is_error(hub.post("/logout", {"session_id": "nobody"}), 404)
    assert is_error(hub.post("/session/nobody/reconnect"), 404)
    assert is_error(hub.delete("/session/nobody"), 404)
    assert is_error(hub.post("/login/code", {"session_id": "nobody", "phone_code": "1"}), 404)


def test_request_ids(hub: Hub) -> None:
    assert hub.get("/health", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == (
        "mine-1"
    )
    assert hub.get("/no/such/route").headers["X-Request-ID"]


def test_nothing_above_was_a_server_error(hub: Hub) -> None:
    for path in (
        "/%00",
        "/%ff%fe",
        "/..%2f..%2fetc/passwd",
        "/session/%00/status",
        "//",
        "/?a=%00",
    ):
        answer = hub.get(path)
        assert answer.status_code < 500, path
    assert "Traceback" not in hub.log()
