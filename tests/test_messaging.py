"""Messaging on stored sessions: every call, every refusal, once for each key, at its pace."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from sandbox import Sandbox
from sandbox.world import World
from tests.hub import Hub, wait_until

ALICE, BOB = "+15550810001", "+15550810002"
NAME = {"X-Telegram-Username": "Алиса".encode()}


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    world = World()
    world.add_user("Alice", phone=ALICE, username="alice_810")
    world.add_user("Bob", phone=BOB, username="bob_810")
    with Sandbox(world=world) as sandbox:
        yield sandbox
        assert sandbox.server.crashes == []


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("hub")
    directory.chmod(0o700)
    shutil.copy(migrated, directory / "tghub.sqlite3")
    hub = Hub(directory, telegram).start()
    hub.log_in("Алиса", ALICE, telegram.login_code)
    yield hub
    log = hub.log()
    hub.close()
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def people(telegram: Sandbox) -> Any:
    world = telegram.world
    alice, bob = world.by_phone(ALICE), world.by_phone(BOB)
    group = world.add_channel("Team", alice, megagroup=True, username="team_810", members=[bob])
    return SimpleNamespace(alice=alice, bob=bob, group=group)


def call(hub: Hub, path: str, body: Any = None, verb: str = "POST", **headers: str) -> Any:
    return hub.http.request(verb, f"/api/v3/{path}", json=body, headers={**NAME, **headers})


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def is_error(answer: httpx.Response, status: int, code: str) -> bool:
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code, answer.text
    assert (status == 429) == ("Retry-After" in answer.headers)
    return True


def test_text_with_everything(hub: Hub, people: Any) -> None:
    first = ok(call(hub, "messages/send", {"chat_id": "me", "text": "**bold**"}))
    assert people.alice.messages.get(first["message_id"]).text == "**bold**"
    body = {
        "chat_id": "me",
        "text": "**bold** and <i>",
        "parse_mode": "markdown",
        "reply_to_message_id": first["message_id"],
        "silent": True,
        "link_preview": False,
    }
    sent = ok(call(hub, "messages/send", body))
    message = people.alice.messages.get(sent["message_id"])
    assert message.text == "bold and <i>"
    assert message.silent
    moment = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    later = {"chat_id": "me", "text": "later", "schedule_date": moment.isoformat()}
    scheduled = ok(call(hub, "messages/send", later))
    assert scheduled["date"] == moment.isoformat()
    # The session may be named in the body or the query instead of the header.
    body = {"chat_id": "me", "text": "x", "session_id": "Алиса"}
    assert ok(hub.post("/api/v3/messages/send", body))["success"]
    assert ok(hub.post("/api/v3/messages/send?session_id=Алиса", {"chat_id": "me", "text": "x"}))


def test_files_and_albums(hub: Hub, people: Any) -> None:
    files = [("file", (f"{n}.txt", b"text %d" % n, "text/plain")) for n in range(3)]
    form = {"chat_id": "me", "text": "an album"}
    one = hub.http.post("/api/v3/messages/send_with_file", data=form, files=files[:1], headers=NAME)
    assert set(ok(one)) == {"success", "message_id", "date"}
    headers = {**NAME, "Idempotency-Key": "album-1"}
    path = "/api/v3/messages/send_with_file"
    album = ok(hub.http.post(path, data=form, files=files, headers=headers))
    assert len(set(album["message_ids"])) == 3
    sent = [people.alice.messages.get(number) for number in album["message_ids"]]
    assert len({message.grouped_id for message in sent}) == 1
    assert ok(hub.http.post(path, data=form, files=files, headers=headers)) == album
    other = [("file", ("0.txt", b"text of another length", "text/plain"))]
    refused = hub.http.post(path, data=form, files=other, headers=headers)
    assert is_error(refused, 409, "idempotency_conflict")
    too_many = [("file", (f"{n}.txt", b"x", "text/plain")) for n in range(11)]
    refused = hub.http.post(path, data=form, files=too_many, headers=NAME)
    assert refused.status_code == 400


def test_edit_forward_delete(hub: Hub, people: Any) -> None:
    ids = [
        ok(call(hub, "messages/send", {"chat_id": "@bob_810", "text": str(n)}))["message_id"]
        for n in range(3)
    ]
    body = {"chat_id": "@bob_810", "message_id": ids[0], "new_text": "<u>new</u>"}
    assert ok(call(hub, "messages/edit", {**body, "parse_mode": "html"}))["message_id"] == ids[0]
    assert people.alice.messages.get(ids[0]).text == "new"
    body = {"from_chat_id": "@bob_810", "to_chat_id": "me", "message_id": ids}
    forwarded = ok(call(hub, "messages/forward", body, **{"Idempotency-Key": "forward-1"}))
    assert len(forwarded["message_ids"]) == 3
    again = ok(call(hub, "messages/forward", body, **{"Idempotency-Key": "forward-1"}))
    assert again == forwarded
    body = {"chat_id": "@bob_810", "message_ids": ids[:1], "for_all": False}
    assert ok(call(hub, "messages/delete", body, "DELETE"))["deleted_messages"] == 1
    assert "new" in [message.text for message in people.bob.messages.values()]
    body = {"chat_id": "@bob_810", "message_ids": ids}
    assert ok(call(hub, "messages/delete", body, "DELETE"))["deleted_messages"] == 2
    assert "1" not in [message.text for message in people.bob.messages.values()]


def test_react_pin_read_typing(hub: Hub, people: Any, telegram: Sandbox) -> None:
    chat = {"chat_id": "@team_810"}
    sent = ok(call(hub, "messages/send", {**chat, "text": "pin me"}))
    which = {**chat, "message_id": sent["message_id"]}
    assert ok(call(hub, "messages/react", {**which, "emoji": ["👍"]})) == {"success": True}
    assert ok(call(hub, "messages/react", which)) == {"success": True}
    assert ok(call(hub, "messages/pin", which)) == {"success": True}
    assert ok(call(hub, "messages/unpin", which)) == {"success": True}
    assert ok(call(hub, "messages/pin", which)) and ok(call(hub, "messages/unpin", chat))
    telegram.world.post(people.bob.id, people.group, "unread")
    assert ok(call(hub, "messages/read", chat)) == {"success": True}
    for action in ("typing", "upload_photo", "cancel"):
        assert ok(call(hub, "messages/typing", {**chat, "action": action})) == {"success": True}
    assert telegram.calls.count("messages.setTyping") == 3


def test_groups(hub: Hub, people: Any, telegram: Sandbox) -> None:
    telegram.world.add_channel("Open", people.bob, username="open_810", members=[])
    joined = ok(call(hub, "groups/join", {"group_identifier": "https://t.me/open_810"}))
    assert (joined["title"], joined["username"]) == ("Open", "open_810")
    assert ok(call(hub, "groups/leave", {"chat_id": "@open_810"})) == {"success": True}
    page = ok(call(hub, "groups/members?chat_id=@team_810&limit=1", verb="GET"))
    assert (len(page["members"]), page["total_count"]) == (1, 2)
    assert set(page["members"][0]) == {
        *("id", "first_name", "last_name", "username", "phone", "bot")
    }
    body = {"chat_id": "@team_810", "title": "guests", "usage_limit": 5}
    link = ok(call(hub, "groups/invite_links", body))
    assert (link["title"], link["usage_limit"]) == ("guests", 5)
    listed = ok(call(hub, "groups/invite_links?chat_id=@team_810", verb="GET"))
    assert link["link"] in [each["link"] for each in listed["invite_links"]]
    body = {"chat_id": "@team_810", "link": link["link"]}
    assert ok(call(hub, "groups/invite_links", body, "DELETE"))["is_revoked"] is True


@pytest.mark.parametrize(
    ("path", "error", "status"),
    [
        ("messages/send", (403, "CHAT_WRITE_FORBIDDEN"), 403),
        ("messages/send", (400, "USER_BANNED_IN_CHANNEL"), 403),
        ("messages/send", (400, "CHANNEL_PRIVATE"), 403),
        ("messages/send", (400, "MESSAGE_TOO_LONG"), 400),
        ("messages/send", (403, "USER_IS_BLOCKED"), 403),
        ("messages/edit", (400, "MESSAGE_NOT_MODIFIED"), 400),
        ("messages/edit", (400, "MESSAGE_EDIT_TIME_EXPIRED"), 403),
        ("messages/edit", (403, "MESSAGE_AUTHOR_REQUIRED"), 403),
        ("messages/react", (400, "REACTION_INVALID"), 400),
        ("messages/pin", (400, "CHAT_ADMIN_REQUIRED"), 403),
        ("messages/forward", (400, "CHAT_FORWARDS_RESTRICTED"), 403),
        ("groups/leave", (400, "USER_NOT_PARTICIPANT"), 403),
        ("groups/join", (400, "CHANNELS_TOO_MUCH"), 403),
        ("groups/join", (400, "USER_ALREADY_PARTICIPANT"), 409),
    ],
)
def test_telegrams_refusals(
    hub: Hub, telegram: Sandbox, people: Any, path: str, error: tuple[int, str], status: int
) -> None:
    methods = {
        "messages/send": "messages.sendMessage",
        "messages/edit": "messages.editMessage",
        "messages/react": "messages.sendReaction",
        "messages/pin": "messages.updatePinnedMessage",
        "messages/forward": "messages.forwardMessages",
        "groups/leave": "channels.leaveChannel",
        "groups/join": "channels.joinChannel",
    }
    body = {
        "chat_id": "@team_810",
        "from_chat_id": "@team_810",
        "to_chat_id": "me",
        "message_id": 1,
        "text": "x",
        "new_text": "x",
        "group_identifier": "@team_810",
    }
    telegram.faults.fail(methods[path], *error, times=5)
    try:
        assert is_error(call(hub, path, body), status, error[1].lower())
    finally:
        telegram.faults.clear()


def test_real_refusals(hub: Hub, people: Any, telegram: Sandbox) -> None:
    """Telegram's own, without a fault asked for."""
    telegram.world.add_channel("Posts", people.bob, username="posts_810", members=[people.alice])
    sent = call(hub, "messages/send", {"chat_id": "@posts_810", "text": "x"})
    assert sent.status_code == 403, sent.text
    long = call(hub, "messages/send", {"chat_id": "me", "text": "x" * 5000})
    assert is_error(long, 400, "message_too_long")
    mine = ok(call(hub, "messages/send", {"chat_id": "me", "text": "same"}))
    body = {"chat_id": "me", "message_id": mine["message_id"], "new_text": "same"}
    assert is_error(call(hub, "messages/edit", body), 400, "message_not_modified")
    body = {"chat_id": "me", "message_id": 999_999, "new_text": "same"}
    assert is_error(call(hub, "messages/edit", body), 404, "message_id_invalid")
    assert call(hub, "messages/send", {"chat_id": "@not_there_810", "text": "x"}).status_code == 404


def test_which_session(hub: Hub) -> None:
    body = {"chat_id": "me", "text": "x"}
    assert is_error(hub.post("/api/v3/messages/send", body), 401, "missing_username")
    for name in ("nobody", "a/b", "", " "):
        refused = hub.post("/api/v3/messages/send", {**body, "session_id": name})
        assert refused.status_code == 401
    odd = hub.post("/api/v3/messages/send", {**body, "session_id": ["x"]})
    assert is_error(odd, 401, "session_not_found")


def test_one_key_sends_once_however_many_ask(hub: Hub, people: Any) -> None:
    def send(_: int) -> Any:
        body = {"chat_id": "me", "text": "exactly once 810"}
        return ok(call(hub, "messages/send", body, **{"Idempotency-Key": "many"}))["message_id"]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(8)))) == 1
    texts = [message.text for message in people.alice.messages.values()]
    assert texts.count("exactly once 810") == 1


def test_pace_and_cap(hub: Hub) -> None:
    assert ok(call(hub, "messages/limits", verb="GET"))["daily_cap"] == 0
    limits = ok(call(hub, "messages/limits", {"interval_seconds": 3600}, "PATCH"))
    assert limits["interval_seconds"] == 3600
    body = {"chat_id": "me", "text": "x"}
    ok(call(hub, "messages/send", body, **{"Idempotency-Key": "paced"}))
    refused = call(hub, "messages/send", body)
    assert is_error(refused, 429, "sending_too_fast")
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600
    # What was answered already costs nothing, and the hub's other surface keeps the pace too.
    ok(call(hub, "messages/send", body, **{"Idempotency-Key": "paced"}))
    other = hub.post("/message/send", {"session_id": "Алиса", "chat_id": "me", "message": "x"})
    assert is_error(other, 429, "sending_too_fast")
    limits = ok(call(hub, "messages/limits", {"interval_seconds": None, "daily_cap": 1}, "PATCH"))
    assert (limits["interval_seconds"], limits["daily_cap"], limits["sent_today"]) == (0, 1, 1)
    ok(call(hub, "messages/limits", {"interval_seconds": 0}, "PATCH"))


def test_the_cap_holds_after_a_restart(hub: Hub) -> None:
    ok(call(hub, "messages/limits", {"daily_cap": 1, "interval_seconds": 0}, "PATCH"))
    hub.kill()
    hub.start()
    wait_until(lambda: hub.status("Алиса").get("is_connected"))
    body = {"chat_id": "me", "text": "x"}
    refused = call(hub, "messages/send", body)
    assert is_error(refused, 429, "daily_cap_reached")
    assert 0 < int(refused.headers["Retry-After"]) <= 86400
