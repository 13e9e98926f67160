"""The WebSocket protocol, frame by frame, with a plain client against a running hub."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

from sandbox import Sandbox
from sandbox.world import World
from tests.hub import Hub, wait_until
from tests.sockets import Client, failed, success, websocket

PHONES = {"anna": "+15550200001", "boris": "+15550200002", "clara": "+15550200003"}
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    with Sandbox(world=World()) as sandbox:
        world = sandbox.world
        anna, boris = (
            world.add_user(name.title(), phone=PHONES[name]) for name in ("anna", "boris")
        )
        world.add_user("Clara", phone=PHONES["clara"], password=PASSWORD)
        crowd = [world.add_user(f"Guest{n}") for n in range(250)]
        world.add_channel(
            "Underworld", boris, [anna, *crowd], username="underworld4444", megagroup=True
        )
        world.add_channel("News", boris, [anna], username="news4444")
        world.add_group("Friends", boris, [anna])
        for n in range(230):
            world.post(boris, "@underworld4444", f"message {n}")
        yield sandbox


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("hub")
    shutil.copy(migrated, directory / "tghub.sqlite3")
    hub = Hub(directory, telegram)
    yield hub.start()
    hub.close()


@pytest.fixture(scope="module")
def anna(hub: Hub, telegram: Sandbox) -> str:
    """A session that is logged in."""
    hub.log_in("anna", PHONES["anna"], telegram.login_code)
    return "anna"


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with websocket(hub) as client:
        yield client


@pytest.fixture
def ready(hub: Hub, anna: str) -> Iterator[Client]:
    """A socket on which both logins are done."""
    with websocket(hub) as client:
        assert client.log_in(session=anna) == success(
            "login", "session already exists, call 'users'."
        )
        yield client


def test_the_dialogue_of_a_login(client: Client, telegram: Sandbox) -> None:
    assert client.ask("login", {"apiKey": "any"}) == success("login", "send phone number")
    assert client.ask("login", {"apiKey": "any"}) == success(
        "login", "Already verified. Send data to 'telegram login' or 'users'."
    )
    phone = PHONES["boris"]
    assert client.ask("telegram login", {"phone": phone}) == success("telegram login", "send code")
    code = telegram.login_code(phone)
    assert client.ask("telegram login", {"code": code}) == success(
        "telegram login", "logged in successfully"
    )
    assert client.ask("telegram login", {"phone": phone}) == success(
        "telegram login", "session alreay exists, call 'users'"
    )


def test_the_dialogue_with_a_password(hub: Hub, telegram: Sandbox) -> None:
    phone = PHONES["clara"]
    with websocket(hub) as client:
        client.log_in(session="clara")
        client.ask("telegram login", {"phone": phone})
        code = telegram.login_code(phone)
        assert client.ask("telegram login", {"code": code}) == success(
            "telegram login", "send password"
        )
        assert client.ask("telegram login", {"password": "wrong"}) == failed(
            "telegram login", "invalid password provided"
        )
        assert client.close_code() == 4400
    with websocket(hub) as client:
        client.log_in(session="clara")
        assert client.ask("telegram login", {"password": PASSWORD}) == success(
            "telegram login", "logged in successfully"
        )


def test_an_invalid_phone_number_closes(hub: Hub) -> None:
    for phone in ("nonsense", "+15559999999"):
        with websocket(hub) as client:
            client.log_in(session="nobody")
            answer = client.ask("telegram login", {"phone": phone})
            if answer == success("telegram login", "send code"):
                # Telegram says only after the code that nobody has this number.
                answer = client.ask("telegram login", {"code": "12345"})
            assert answer["data"]["status"] == "failed"
            assert answer["data"]["message"] in ("invalid phone number", "invalid code provided")
            assert client.close_code() == 4400


def test_an_invalid_code_closes(hub: Hub, telegram: Sandbox) -> None:
    phone = telegram.world.add_user("Dora", phone="+15550200004").phone
    with websocket(hub) as client:
        client.log_in(session="dora")
        client.ask("telegram login", {"phone": "+15550200004"})
        assert phone
        assert client.ask("telegram login", {"code": "00000"}) == failed(
            "telegram login", "invalid code provided"
        )
        assert client.close_code() == 4400


def test_telegram_login_before_login_closes(client: Client) -> None:
    assert client.ask("telegram login", {"phone": PHONES["anna"]}) == failed(
        "telegram login", "verify your api key first"
    )
    assert client.close_code() == 4401


@pytest.mark.parametrize("event", ["users", "chats"])
def test_asking_before_both_logins_closes(hub: Hub, event: str) -> None:
    with websocket(hub) as client:
        assert client.ask(event, {"group": ["x"], "status": ""}) == failed(event, "login required")
        assert client.close_code() == 4401
    with websocket(hub) as client:
        client.log_in(session="nobody")
        assert client.ask(event, {"group": ["x"], "status": ""}) == failed(event, "login required")
        assert client.close_code() == 4401


def test_users_of_a_group(ready: Client) -> None:
    ready.send(
        "users", {"group": ["underworld4444", "@underworld4444"], "status": "", "done": True}
    )
    frames = ready.until_done("underworld4444")
    assert frames[0] == success("users", "sending users")
    users = [frame["data"]["message"]["user"] for frame in frames[1:]]
    assert all(frame["data"]["message"]["group"] == "underworld4444" for frame in frames[1:])
    assert len({user["id"] for user in users}) == len(users) == 252
    assert {"id", "first_name", "last_name", "username", "phone", "status", "bot"} <= users[
        0
    ].keys()
    again = ready.until_done("@underworld4444")
    assert len(again) == 253


def test_chats_of_a_group_oldest_first(ready: Client) -> None:
    ready.send(
        "chats", {"group": [{"name": "underworld4444", "status": ""}], "status": "", "done": True}
    )
    frames = ready.until_done("underworld4444")
    assert frames[0] == success("chats", "sending chats")
    chats = [frame["data"]["message"]["chat"] for frame in frames[1:]]
    ids = [chat["id"] for chat in chats]
    assert ids == sorted(set(ids))
    texts = [chat["message"] for chat in chats if chat["message"]]
    assert texts == [f"message {n}" for n in range(230)]
    assert list(chats[0])[:4] == ["id", "message_id", "date", "sender_id"]


def test_a_plain_group_without_done_gets_the_bare_frames(ready: Client, telegram: Sandbox) -> None:
    ready.send("chats", {"group": "news4444"})
    assert ready.receive() == success("chats", "sending chats")
    assert ready.receive()["data"]["message"]["group"] == "news4444"
    assert ready.ask("ping") == {"event": "pong"}


def test_a_channel_has_no_users(ready: Client) -> None:
    assert ready.ask("users", {"group": ["news4444"], "status": ""}) == failed(
        "users", "news4444 is a channel name"
    )
    assert ready.close_code() == 4400


def test_an_unknown_group_fails_when_its_turn_comes(ready: Client) -> None:
    ready.send("users", {"group": ["underworld4444", "nosuchgroup1"], "status": ""})
    frames = ready.frames_until_closed()
    assert frames[0] == success("users", "sending users")
    assert len(frames) == 254
    assert frames[-1] == failed("users", "nosuchgroup1 does not exist")
    assert ready.socket.close_code == 4404


def test_chats_of_an_unknown_group(ready: Client) -> None:
    group = [{"name": "nosuchgroup1", "status": ""}]
    assert ready.ask("chats", {"group": group, "status": ""}) == failed("chats", "invalid request")
    assert ready.close_code() == 4400


def test_a_flood_wait_of_a_history_leaves_the_socket_open(ready: Client, telegram: Sandbox) -> None:
    world = telegram.world
    boris, anna = world.by_phone(PHONES["boris"]), world.by_phone(PHONES["anna"])
    world.add_channel("Flood", boris, [anna], username="flood4444", megagroup=True)
    telegram.faults.fail("messages.getHistory", 420, "FLOOD_WAIT_1", times=1)
    ready.send("chats", {"group": "flood4444", "done": True})
    answer = ready.receive()
    while answer["data"]["status"] == "success":
        answer = ready.receive()
    assert answer["event"] == "chats"
    assert answer["data"]["retry_after"] == 1
    assert ready.ask("ping") == {"event": "pong"}

    def served() -> bool:
        ready.send("chats", {"group": "flood4444", "done": True})
        while (frame := ready.receive())["data"]["status"] == "success":
            message = frame["data"]["message"]
            if isinstance(message, dict) and message.get("done"):
                return True
        return False

    wait_until(served, what="the flood wait is over")


def test_a_flood_wait_leaves_the_socket_open(ready: Client, telegram: Sandbox) -> None:
    telegram.faults.fail("channels.getParticipants", 420, "FLOOD_WAIT_1", times=1)
    answer = ready.ask("users", {"group": ["underworld4444"], "status": ""})
    assert answer["data"]["status"] == "failed"
    assert answer["data"]["retry_after"] == 1
    assert ready.ask("ping") == {"event": "pong"}
    wait_until(
        lambda: ready.ask("users", {"group": ["underworld4444"]})["data"]["status"] == "success"
    )


def test_a_socket_stays_responsive_during_a_long_answer(ready: Client, telegram: Sandbox) -> None:
    telegram.faults.latency(1.0, method="channels.getParticipants", times=1)
    ready.send("users", {"group": ["underworld4444"], "status": "", "done": True})
    assert ready.ask("ping") == {"event": "pong"}
    assert ready.ask("login", {"apiKey": "any"})["data"]["message"].startswith("Already verified")
    assert ready.receive() == success("users", "sending users")


class TestLatest:
    def new_messages(self, client: Client, group: str) -> list[str]:
        client.send("chats", {"group": [{"name": group, "status": "latest"}], "done": True})
        frames = client.until_done(group)[1:]
        return [frame["data"]["message"]["chat"]["message"] for frame in frames]

    def new_members(self, client: Client, group: str) -> list[str]:
        client.send("users", {"group": [group], "status": "latest", "done": True})
        frames = client.until_done(group)[1:]
        return [frame["data"]["message"]["user"]["first_name"] for frame in frames]

    def test_messages_across_reconnects(self, hub: Hub, anna: str, telegram: Sandbox) -> None:
        world = telegram.world
        boris = world.by_phone(PHONES["boris"])
        chat = world.add_channel(
            "Late", boris, [world.by_phone(PHONES["anna"])], username="late4444", megagroup=True
        )
        for n in range(120):
            world.post(boris, chat, f"old {n}")
        with websocket(hub) as client:
            client.log_in(session=anna)
            assert self.new_messages(client, "late4444")[-120:] == [f"old {n}" for n in range(120)]
            assert self.new_messages(client, "late4444") == []
        world.post(boris, chat, "new")
        with websocket(hub) as client:
            client.log_in(session=anna)
            assert self.new_messages(client, "late4444") == ["new"]
            assert self.new_messages(client, "late4444") == []

    def test_members_across_reconnects(self, hub: Hub, anna: str, telegram: Sandbox) -> None:
        world = telegram.world
        boris = world.by_phone(PHONES["boris"])
        chat = world.add_channel(
            "Club", boris, [world.by_phone(PHONES["anna"])], username="club4444", megagroup=True
        )
        with websocket(hub) as client:
            client.log_in(session=anna)
            assert sorted(self.new_members(client, "club4444")) == ["Anna", "Boris"]
        world.join(world.add_user("Newcomer"), chat)
        with websocket(hub) as client:
            client.log_in(session=anna)
            assert self.new_members(client, "club4444") == ["Newcomer"]
            assert self.new_members(client, "club4444") == []

    def test_what_was_not_confirmed_comes_again(
        self, hub: Hub, anna: str, telegram: Sandbox
    ) -> None:
        world = telegram.world
        boris = world.by_phone(PHONES["boris"])
        chat = world.add_channel(
            "Deaf", boris, [world.by_phone(PHONES["anna"])], username="deaf4444", megagroup=True
        )
        for n in range(5):
            world.post(boris, chat, f"old {n}")
        with websocket(hub) as client:
            client.log_in(session=anna)
            # The library answers pings by itself, unless it is kept from it.
            send = client.socket.protocol.send_frame
            client.socket.protocol.send_frame = lambda frame: (
                None if frame.opcode is Opcode.PONG else send(frame)
            )
            expected = self.new_messages(client, "deaf4444")
            assert expected[-5:] == [f"old {n}" for n in range(5)]
        with websocket(hub) as client:
            client.log_in(session=anna)
            assert self.new_messages(client, "deaf4444") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"users"',
        '{"data": {}}',
        '{"event": "login"}',
        '{"event": "login", "data": []}',
        '{"event": "login", "data": {}}',
        '{"event": "login", "data": {"apiKey": {}}}',
        '{"event": "nonsense", "data": {}}',
        '{"event": ["login"], "data": {}}',
        '{"event": "login", "data": {"apiKey": "a\\u0000b"}}',
        "[" * 1000,
    ],
)
def test_malformed_frames_are_told_and_close(client: Client, text: str) -> None:
    client.socket.send(text)
    answer = client.receive()
    assert answer["event"] == "error"
    assert answer["data"]["status"] == "failed"
    assert answer["data"]["message"]
    assert client.close_code() == 4400


def test_malformed_requests_of_a_session_close(ready: Client) -> None:
    answer = ready.ask("users", {"status": ""})
    assert answer == failed("error", "missing key 'group'")
    assert ready.close_code() == 4400


def test_bytes_are_no_frames(client: Client) -> None:
    client.socket.send(b"\xff\xfe")
    assert client.receive()["event"] == "error"
    assert client.close_code() == 4400


def test_a_frame_that_is_too_large_closes(client: Client) -> None:
    client.socket.send(json.dumps({"event": "login", "data": {"apiKey": "x" * 100_000}}))
    assert client.close_code() == 1009


def test_too_many_frames_close(client: Client) -> None:
    try:
        for _ in range(1000):
            client.send("ping")
    except ConnectionClosed:
        pass
    frames = client.frames_until_closed()
    assert all(frame["event"] in ("pong", "error") for frame in frames)
    assert len(frames) < 400


def test_no_greeting(client: Client) -> None:
    with pytest.raises(TimeoutError):
        client.receive(seconds=0.3)
    assert client.ask("ping") == {"event": "pong"}


def test_unknown_paths_and_origins_are_refused(hub: Hub) -> None:
    with pytest.raises(InvalidStatus) as refused, websocket(hub, "/ws/nothing"):
        pass
    assert refused.value.response.status_code == 403
    for origin in ("http://evil.example", "null"):
        with pytest.raises(InvalidStatus) as refused, websocket(hub, origin=origin):
            pass
        assert refused.value.response.status_code == 403
    with websocket(hub, origin=hub.url) as client:
        assert client.ask("ping") == {"event": "pong"}


class TestSubscribe:
    def test_live_events(self, ready: Client, telegram: Sandbox) -> None:
        world = telegram.world
        boris = world.by_phone(PHONES["boris"])
        answer = ready.ask("subscribe", {"sessions": ["anna"], "kinds": ["message.new"]})
        assert answer["data"].items() >= {"status": "success", "message": "subscribed"}.items()
        start = answer["data"]["next"]
        world.post(boris, world.by_phone(PHONES["anna"]), "hello")
        update = ready.receive()
        assert update["event"] == "update"
        data = update["data"]
        assert data["id"] > start
        assert (data["kind"], data["session"], data["chat_id"]) == ("message.new", "anna", boris.id)
        assert data["message"]["message"] == "hello"
        ended = ready.ask("unsubscribe")
        assert ended["data"] == {
            "status": "success",
            "message": "unsubscribed",
            "next": data["id"],
        }

    def test_since_replays_first(self, hub: Hub, ready: Client, telegram: Sandbox) -> None:
        world = telegram.world
        boris = world.by_phone(PHONES["boris"])
        start = ready.ask("subscribe", {"sessions": ["anna"]})["data"]["next"]
        ready.ask("unsubscribe")
        for n in range(20):
            world.post(boris, world.by_phone(PHONES["anna"]), f"missed {n}")
        chats = {"sessions": ["anna"], "kinds": ["message.new"], "chats": [boris.id]}
        wait_until(
            lambda: (
                len(
                    hub.get(
                        f"/api/v3/events?since={start}&session=anna&kind=message.new&chat={boris.id}"
                    ).json()["events"]
                )
                == 20
            )
        )
        assert ready.ask("subscribe", {**chats, "since": start})["data"]["next"] == start
        texts = [ready.receive()["data"]["message"]["message"] for _ in range(20)]
        assert texts == [f"missed {n}" for n in range(20)]
        world.post(boris, world.by_phone(PHONES["anna"]), "live")
        assert ready.receive()["data"]["message"]["message"] == "live"

    @pytest.mark.parametrize(
        "data",
        [
            {"sessions": ["stranger"]},
            {"kinds": ["nonsense"]},
            {"chats": ["x"]},
            {"since": -1},
            {"since": "x"},
        ],
    )
    def test_refusals_leave_the_socket_open(self, ready: Client, data: dict[str, object]) -> None:
        answer = ready.ask("subscribe", data)
        assert answer["event"] == "subscribe"
        assert answer["data"]["status"] == "failed"
        assert ready.ask("ping") == {"event": "pong"}

    def test_before_login_closes(self, client: Client) -> None:
        assert client.ask("subscribe", {}) == failed("subscribe", "login required")
        assert client.close_code() == 4401
