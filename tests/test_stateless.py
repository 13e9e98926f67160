"""Sessions that travel with the request, from end to end, over hubs that share only their keys."""

import base64
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest

from sandbox import Sandbox
from sandbox.world import World
from tests.carried import (
    ALICE,
    API_HASH,
    BOB,
    DORA,
    MESSAGE_FIELDS,
    PASSWORD,
    REFUSALS,
    Zeros,
    begin,
    is_error,
    log_in,
    user,
)
from tests.hub import Hub, auth_keys, wait_until

KEY = base64.b64encode(b"s" * 32).decode()
OTHER_KEY = base64.b64encode(b"t" * 32).decode()
MB = 1024 * 1024


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    world = World()
    world.add_user("Alice", phone=ALICE, username="alice_800")
    world.add_user("Bob", phone=BOB, username="bob_800", password=PASSWORD)
    world.add_user("Dora", phone=DORA, username="dora_800", dc=1)
    with Sandbox(world=world) as sandbox:
        yield sandbox
        assert sandbox.server.crashes == []


@pytest.fixture(scope="module")
def rig(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Two hubs in keys mode, with databases of their own and the same encryption keys."""
    hubs = []
    for name in ("one", "two"):
        directory = tmp_path_factory.mktemp(name)
        directory.chmod(0o700)
        shutil.copy(migrated, directory / "tghub.sqlite3")
        rates = {"TGHUB_AUTH": "keys", "TGHUB_ENCRYPTION_KEYS": KEY}
        hubs.append(Hub(directory, telegram, **rates).start())
    made = hubs[0].manage("create_api_key", "ann", "--name", "k", "--scopes", "sessions")
    yield SimpleNamespace(
        one=hubs[0], two=hubs[1], api_key={"Authorization": f"Bearer {made.stdout.split()[-1]}"}
    )
    for hub in hubs:
        log = hub.log()
        hub.close()
        assert "Traceback" not in log


@pytest.fixture(scope="module")
def alice(rig: Any, telegram: Sandbox) -> dict[str, str]:
    return log_in(rig, telegram, ALICE)


def test_the_document_from_either_hub_with_restarts(
    rig: Any, telegram: Sandbox, count: Callable[[int, int], int]
) -> None:
    """Each call goes to the other hub; the one that answered is killed and started again."""
    calls = 0

    def call(method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        nonlocal calls
        hub = (rig.one, rig.two)[calls % 2]
        calls += 1
        answer = hub.http.request(method, path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        if calls <= count(2, 100):
            hub.kill()
            hub.start()
        return answer.json()

    telegram.world.add_channel(creator=user(telegram, ALICE), title="News", username="news_800")
    start = {"phone": BOB, "api_id": 12345, "api_hash": API_HASH}
    answer = call("POST", "/auth/send_code", start, rig.api_key)
    assert set(answer) == {"message", "next_step", "session_string"}
    assert answer["next_step"] == "verify_code"
    headers = {"X-Session-String": answer["session_string"]}
    answer = call("POST", "/auth/verify_code", {"code": telegram.login_code(BOB)}, headers)
    assert answer["next_step"] == "verify_password"
    headers = {"X-Session-String": answer["session_string"]}
    answer = call("POST", "/auth/verify_password", {"password": PASSWORD}, headers)
    assert answer["next_step"] == "completed"
    headers = {"X-Session-String": answer["session_string"]}
    body = {"chat_id": "@alice_800", "text": "Привет, мир!"}
    sent = call("POST", "/messages/send", body, headers)
    assert set(sent) == {"success", "message_id", "date"} and sent["success"] is True
    page = call("GET", f"/messages/?chat_id={user(telegram, ALICE).id}&limit=100", None, headers)
    assert [m["text"] for m in page["messages"]] == ["Привет, мир!"]
    joined = call("POST", "/groups/join", {"group_identifier": "@news_800"}, headers)
    assert (joined["success"], joined["title"], joined["username"]) == (True, "News", "news_800")
    assert set(joined) == {
        *("success", "message", "id", "title", "username", "description", "photo_url")
    }
    chats = call("GET", "/chats", None, headers)
    assert {chat["name"] for chat in chats["chats"]} >= {"News", "Alice"}
    assert call("DELETE", "/auth/logout", None, headers)["message"]
    for refused in (
        rig.one.get("/chats", headers=headers),
        rig.two.delete("/auth/logout", headers=headers),
    ):
        assert is_error(refused, 401, "auth_key_unregistered")


def test_an_account_of_another_data_centre(rig: Any, telegram: Sandbox) -> None:
    headers = log_in(rig, telegram, DORA)
    assert rig.one.get("/chats", headers=headers).status_code == 200
    assert rig.two.delete("/auth/logout", headers=headers).status_code == 200


def test_the_shape_of_a_chat_and_of_a_message(
    rig: Any, telegram: Sandbox, alice: dict[str, str]
) -> None:
    world = telegram.world
    bob = user(telegram, BOB)
    first = world.post(bob.id, user(telegram, ALICE).id, "first")
    world.post(bob.id, user(telegram, ALICE).id, "second", reply_to=first)
    page = rig.one.get(f"/messages/?chat_id={bob.id}&limit=1", headers=alice).json()
    assert page["total_count"] == 1
    assert page["has_more"] is True
    message = page["messages"][0]
    assert list(message) == MESSAGE_FIELDS
    assert (message["text"], message["sender_id"], message["sender_name"]) == (
        "second",
        bob.id,
        "Bob",
    )
    assert page["next_offset"] == message["id"]
    older = rig.one.get(
        f"/messages/?chat_id={bob.id}&offset_id={page['next_offset']}", headers=alice
    ).json()
    assert older["messages"][0]["text"] == "first"
    assert message["reply_to_msg_id"] == older["messages"][0]["id"]
    assert (older["has_more"], older["next_offset"]) == (False, None)
    chat = next(
        chat
        for chat in rig.one.get("/chats", headers=alice).json()["chats"]
        if chat["id"] == bob.id
    )
    assert chat == {
        "name": "Bob",
        "id": bob.id,
        "type": "private",
        "members_count": None,
        "is_private": True,
        "username": "bob_800",
    }


def test_messages_are_searched_and_filtered_by_date(
    rig: Any, telegram: Sandbox, alice: dict[str, str]
) -> None:
    world, me = telegram.world, user(telegram, ALICE)
    march = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())
    group = world.add_group("Dated", me, [user(telegram, BOB)], date=march - 86400)
    for day in range(1, 8):
        world.post(me.id, group, f"day {day}", date=march + (day - 1) * 86400)

    def days(query: str) -> list[str]:
        answer = rig.one.get(f"/messages/?chat_id={-group.id}&{query}", headers=alice)
        assert answer.status_code == 200, answer.text
        return [m["text"] for m in answer.json()["messages"] if m["text"].startswith("day")]

    assert days("from_date=2026-03-03&to_date=2026-03-05") == ["day 5", "day 4", "day 3"]
    assert days("to_date=2026-03-02") == ["day 2", "day 1"]
    assert days("search=day 4") == ["day 4"]
    assert days("search=day&to_date=2026-03-02") == ["day 2", "day 1"]
    reversed_dates = f"/messages/?chat_id={-group.id}&from_date=2026-03-05&to_date=2026-03-03"
    assert is_error(rig.one.get(reversed_dates, headers=alice), 400)


def test_write_edit_forward_delete(rig: Any, telegram: Sandbox, alice: dict[str, str]) -> None:
    hub = rig.two
    body = {"chat_id": "me", "text": "<b>bold</b>", "parse_mode": "html"}
    sent = hub.post("/messages/send", body, headers=alice).json()
    me = user(telegram, ALICE)
    assert me.messages.get(sent["message_id"]).text == "bold"
    assert len(me.messages.get(sent["message_id"]).entities) == 1
    body = {"chat_id": "me", "text": "re", "reply_to_message_id": sent["message_id"]}
    reply = hub.post("/messages/send", body, headers=alice).json()
    page = hub.get("/messages/?chat_id=me&limit=1", headers=alice).json()
    assert page["messages"][0]["reply_to_msg_id"] == sent["message_id"]
    body = {"chat_id": "me", "message_id": sent["message_id"], "new_text": "new"}
    edited = hub.post("/messages/edit", body, headers=alice).json()
    assert (edited["success"], edited["message_id"]) == (True, sent["message_id"])
    body = {"from_chat_id": "me", "to_chat_id": "@bob_800", "message_id": sent["message_id"]}
    forwarded = hub.post("/messages/forward", body, headers=alice).json()
    assert set(forwarded) == {"success", "message_id", "date"}
    body = {"chat_id": "me", "message_ids": [sent["message_id"], reply["message_id"]]}
    deleted = hub.http.request("DELETE", "/messages/delete", json=body, headers=alice).json()
    assert deleted == {"success": True, "deleted_messages": 2}
    # A body of DELETE is not everybody's: the query string will do.
    again = hub.delete(
        f"/messages/delete?chat_id=me&message_ids={sent['message_id']}", headers=alice
    )
    assert again.json() == {"success": True, "deleted_messages": 0}


def test_a_key_sends_once_wherever_it_is_asked(
    rig: Any, telegram: Sandbox, alice: dict[str, str]
) -> None:
    headers = {**alice, "Idempotency-Key": "order-7"}
    body = {"chat_id": "me", "text": "exactly once"}
    first = rig.one.post("/messages/send", body, headers=headers).json()
    second = rig.two.post("/messages/send", body, headers=headers).json()
    assert first["message_id"] == second["message_id"]
    texts = [message.text for message in user(telegram, ALICE).messages.values()]
    assert texts.count("exactly once") == 1


def test_files_go_up_and_come_down(rig: Any, telegram: Sandbox, alice: dict[str, str]) -> None:
    content = os.urandom(3 * MB + 17)
    sent = rig.one.http.post(
        "/messages/send_with_file",
        data={"chat_id": "me", "text": "a caption", "reply_to_message_id": ""},
        files={"file": ("отчёт 1.bin", content, "application/octet-stream")},
        headers=alice,
    )
    assert set(sent.json()) == {"success", "message_id", "date"}, sent.text
    message_id = sent.json()["message_id"]
    got = rig.two.get(f"/messages/media/{message_id}?chat_id=me", headers=alice)
    assert got.content == content
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert (
        "filename*=UTF-8''%D0%BE%D1%82%D1%87%D1%91%D1%82%201.bin"
        in (got.headers["Content-Disposition"])
    )
    page = rig.one.get("/messages/?chat_id=me&limit=1", headers=alice).json()
    assert page["messages"][0]["text"] == "a caption"
    assert page["messages"][0]["media_type"] == "MessageMediaDocument"
    head = rig.one.http.head(f"/messages/media/{message_id}?chat_id=me", headers=alice)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(content)))


def test_large_files_in_flat_memory(
    rig: Any, telegram: Sandbox, alice: dict[str, str], count: Callable[[int, int], int]
) -> None:
    size = count(12, 50) * MB
    hub = rig.one
    process = psutil.Process(hub.process.pid)

    def up(length: int) -> int:
        files: Any = {"file": ("large.bin", Zeros(length), "application/octet-stream")}
        sent = hub.http.post(
            "/messages/send_with_file", data={"chat_id": "me"}, files=files, headers=alice
        )
        return int(sent.json()["message_id"])

    def down(message_id: int) -> int:
        path = f"/messages/media/{message_id}?chat_id=me"
        with hub.http.stream("GET", path, headers=alice) as answer:
            return sum(len(chunk) for chunk in answer.iter_bytes())

    down(up(3 * MB))  # What is made once is made now.
    before, peak, done = process.memory_info().rss, 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert down(up(size)) == size
    finally:
        done.set()
        watcher.join()
    assert peak - before < 20 * MB
    named = [path for path in process.open_files() if "(deleted)" not in path.path]
    assert not [each for each in named if each.path.startswith("/tmp/tmp")]
    assert not [path for path in hub.data_dir.rglob("*") if path.stat().st_size > 3 * MB]


def test_a_client_that_breaks_off_leaves_nothing(
    rig: Any, telegram: Sandbox, alice: dict[str, str]
) -> None:
    files: Any = {"file": ("large.bin", Zeros(12 * MB), "application/octet-stream")}
    sent = rig.one.http.post(
        "/messages/send_with_file", data={"chat_id": "me"}, files=files, headers=alice
    ).json()
    process = psutil.Process(rig.one.process.pid)
    port = httpx.URL(rig.one.url).port

    def clients() -> int:
        """How many connections the hub has to its clients."""
        found = process.net_connections("tcp")
        return sum(c.laddr.port == port and c.status == "ESTABLISHED" for c in found)

    before, at_telegram = clients(), len(telegram.server.connections)
    telegram.faults.latency(0.2, method="upload.getFile")
    telegram.calls.clear()
    try:
        for _ in range(3):
            path = f"{rig.one.url}/messages/media/{sent['message_id']}?chat_id=me"
            with httpx.Client() as client, client.stream("GET", path, headers=alice) as answer:
                next(answer.iter_bytes(1024))
        asked = telegram.calls.count("upload.getFile")
        assert asked < 3 * 24
        wait_until(lambda: clients() <= before)
        wait_until(lambda: len(telegram.server.connections) <= at_telegram)
        # Nobody goes on reading for those who have left.
        quiet = threading.Event()
        quiet.wait(0.5)
        settled = telegram.calls.count("upload.getFile")
        quiet.wait(0.5)
        assert telegram.calls.count("upload.getFile") == settled
    finally:
        telegram.faults.clear()
    assert rig.one.get("/chats?limit=1", headers=alice).status_code == 200


def test_who_may_call(rig: Any, alice: dict[str, str], telegram: Sandbox) -> None:
    start = {"phone": ALICE, "api_id": 1, "api_hash": "x"}
    assert is_error(rig.one.post("/auth/send_code", start), 401, "missing_key")
    assert is_error(rig.one.post("/auth/send_code", start, headers=alice), 401)
    assert is_error(rig.one.get("/chats"), 401, "missing_session_string")
    assert is_error(rig.one.get("/chats", headers=rig.api_key), 401)
    text = alice["X-Session-String"]
    for bad in (text[:-1], text[:40], "x", "tgs0" + text[4:], text[:50] + "A" + text[51:], "1BV"):
        if bad != text:
            refused = rig.one.get("/chats", headers={"X-Session-String": bad})
            assert is_error(refused, 401, "bad_session_string")
    under_way = begin(rig, ALICE)
    assert is_error(rig.one.get("/chats", headers=under_way), 401, "session_not_logged_in")
    done = rig.one.post("/auth/verify_code", {"code": "1"}, headers=alice)
    assert is_error(done, 409, "already_logged_in")
    early = rig.one.post("/auth/verify_password", {"password": "x"}, headers=under_way)
    assert is_error(early, 409, "wrong_login_step")


def test_errors_in_russian(rig: Any, alice: dict[str, str]) -> None:
    russian = {"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.5"}
    missing = rig.one.get("/chats", headers=russian)
    assert is_error(missing, 401, "missing_session_string")
    assert missing.json()["detail"] == "Отсутствует X-Session-String."
    assert missing.headers["Content-Language"] == "ru"
    unknown = rig.one.get("/messages/?chat_id=@nobody_has_it", headers={**alice, **russian})
    assert unknown.json()["detail"] == "Такого имени пользователя ни у кого нет."
    invalid = rig.one.get("/messages/?chat_id=me&limit=x", headers={**alice, **russian}).json()
    assert invalid["errors"] == {"limit": ["Введите правильное число."]}
    assert rig.one.get("/no/such/route", headers=russian).json()["detail"] == "Не найдено."
    large = rig.one.http.post("/message/send", content=b"x" * 2_000_000, headers=russian)
    assert large.json()["detail"] == "Тело запроса слишком велико."
    assert rig.one.get("/chats").json()["detail"] == "X-Session-String is missing."


def test_wrong_codes_and_passwords_leave_the_login_open(rig: Any, telegram: Sandbox) -> None:
    headers = begin(rig, BOB)
    wrong = rig.two.post("/auth/verify_code", {"code": "00000"}, headers=headers)
    assert is_error(wrong, 400, "phone_code_invalid")
    body = {"code": telegram.login_code(BOB)}
    answer = rig.one.post("/auth/verify_code", body, headers=headers).json()
    headers = {"X-Session-String": answer["session_string"]}
    wrong = rig.one.post("/auth/verify_password", {"password": "wrong"}, headers=headers)
    assert is_error(wrong, 400, "password_hash_invalid")
    right = rig.two.post("/auth/verify_password", {"password": PASSWORD}, headers=headers)
    headers = {"X-Session-String": right.json()["session_string"]}
    change = {"current_password": "wrong", "new_password": "another"}
    assert is_error(rig.one.post("/auth/2fa", change, headers=headers), 400)
    change = {"current_password": PASSWORD, "new_password": "another one", "hint": "new"}
    assert rig.one.post("/auth/2fa", change, headers=headers).json()["state"] == "set"
    change = {"current_password": "another one"}
    assert rig.two.post("/auth/2fa", change, headers=headers).json()["state"] == "none"
    assert is_error(rig.two.post("/auth/2fa", {}, headers=headers), 409, "password_not_set")
    change = {"new_password": PASSWORD}
    assert rig.two.post("/auth/2fa", change, headers=headers).json()["state"] == "set"
    rig.one.delete("/auth/logout", headers=headers)


@pytest.mark.parametrize(("path", "body", "method", "error", "status"), REFUSALS)
def test_telegrams_refusals(
    rig: Any,
    telegram: Sandbox,
    alice: dict[str, str],
    path: str,
    body: dict[str, Any],
    method: str,
    error: tuple[int, str],
    status: int,
) -> None:
    common = {"chat_id": "@bob_800", "message_id": 1, "message_ids": [1]}
    common |= {"from_chat_id": "me", "to_chat_id": "@bob_800"}
    telegram.faults.fail(method, *error, times=20)
    try:
        verb = "DELETE" if path == "delete" else "POST"
        url = f"/messages/{path}"
        refused = rig.two.http.request(verb, url, json={**common, **body}, headers=alice)
        assert is_error(refused, status, error[1].lower())
    finally:
        telegram.faults.clear()


def test_floods_say_when_to_come_back(rig: Any, telegram: Sandbox) -> None:
    dora = log_in(rig, telegram, DORA)
    body = {"chat_id": "me", "text": "too fast"}
    for hub, error in ((rig.one, "FLOOD_WAIT_9"), (rig.two, "SLOWMODE_WAIT_9")):
        telegram.faults.fail("messages.sendMessage", 420, error, times=1)
        refused = hub.post("/messages/send", body, headers=dora)
        assert is_error(refused, 429, error.lower().removesuffix("_9"))
        assert refused.headers["Retry-After"] == "9"


def test_what_is_not_there(rig: Any, alice: dict[str, str]) -> None:
    hub = rig.two
    assert is_error(hub.get("/messages/?chat_id=@nobody_has_it", headers=alice), 404)
    assert is_error(hub.get("/messages/", headers=alice), 400)
    assert is_error(hub.get("/messages/?chat_id=me&limit=0", headers=alice), 400)
    assert is_error(hub.get("/messages/?chat_id=me&from_date=never", headers=alice), 400)
    assert is_error(hub.get("/messages/media/999999?chat_id=me", headers=alice), 404)
    assert is_error(hub.get("/messages/media/99999999999?chat_id=me", headers=alice), 404)
    no_file = hub.post("/messages/send", {"chat_id": "me", "text": "x"}, headers=alice).json()
    path = f"/messages/media/{no_file['message_id']}?chat_id=me"
    assert is_error(hub.get(path, headers=alice), 404, "media_not_found")
    body = {"group_identifier": "https://t.me/+AAAAAAAAAAAAAAAA"}
    refused = hub.post("/groups/join", body, headers=alice)
    assert is_error(refused, 404, "invite_hash_expired")
    empty = hub.http.post(
        "/messages/send_with_file",
        data={"chat_id": "me"},
        files={"file": ("empty.txt", b"")},
        headers=alice,
    )
    assert is_error(empty, 400, "file_empty")


def test_no_trace_is_left(rig: Any, telegram: Sandbox, alice: dict[str, str]) -> None:
    secret = "the nightingale sings at nine"
    rig.one.post("/messages/send", {"chat_id": "me", "text": secret}, headers=alice)
    rig.one.http.post(
        "/messages/send_with_file",
        data={"chat_id": "me"},
        files={"file": ("nightingale.txt", secret.encode() * 200_000)},
        headers=alice,
    )
    rig.one.stop()
    needles = [secret.encode(), API_HASH.encode(), ALICE.encode(), PASSWORD.encode()]
    needles += [ALICE[1:].encode(), b"nightingale", b"alice_800", b"Alice"]
    needles += [alice["X-Session-String"].encode()[20:60]]
    for key in auth_keys(telegram, ALICE):
        needles += [key, key.hex().encode(), base64.b64encode(key)[:-4]]
        needles += [base64.urlsafe_b64encode(key)[:-4], key[:32]]
    for path in rig.one.data_dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for needle in needles:
                assert needle not in content, f"{needle!r} lies in {path.name}"


def test_the_answer_is_the_same_with_the_pool_off(
    rig: Any, telegram: Sandbox, alice: dict[str, str]
) -> None:
    """With another key in front, too: what was sealed with the former one still opens."""
    paths = ["/chats", "/messages/?chat_id=me&limit=5"]
    answers = [rig.two.get(path, headers=alice).json() for path in paths]
    rig.two.stop()
    wait_until(lambda: not telegram.server.connections)
    rig.two.environment["TGHUB_WARM_SESSIONS"] = "0"
    rig.two.environment["TGHUB_ENCRYPTION_KEYS"] = f"{OTHER_KEY},{KEY}"
    rig.two.start()
    assert [rig.two.get(path, headers=alice).json() for path in paths] == answers
    wait_until(lambda: not telegram.server.connections)
    sent = rig.two.post("/messages/send", {"chat_id": "me", "text": "cold"}, headers=alice)
    assert sent.json()["success"] is True
    wait_until(lambda: not telegram.server.connections)


def test_the_keys_rotate(rig: Any, migrated: Path, alice: dict[str, str]) -> None:
    answer = rig.two.get("/chats?limit=1", headers=alice)
    renewed = {"X-Session-String": answer.headers["X-Session-String"]}
    rig.two.stop()
    rig.two.environment["TGHUB_ENCRYPTION_KEYS"] = OTHER_KEY
    # What the database holds was sealed with the key that is gone.
    for kept in rig.two.data_dir.glob("tghub.sqlite3*"):
        kept.unlink()
    shutil.copy(migrated, rig.two.data_dir / "tghub.sqlite3")
    rig.two.start()
    answer = rig.two.get("/chats?limit=1", headers=renewed)
    assert answer.status_code == 200
    assert "X-Session-String" not in answer.headers
    assert is_error(rig.two.get("/chats", headers=alice), 401, "bad_session_string")
