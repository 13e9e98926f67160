"""Events over long polling, server-sent events and WebSockets: each once, in order."""

import base64
import itertools
import json
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jsonschema
import pytest
from websockets.exceptions import ConnectionClosed

from realtime.shapes import event_schema
from sandbox import Sandbox
from sandbox.world import World
from tests.hub import Hub, wait_until
from tests.sockets import websocket

SECONDS = 30.0
WRITERS = 8
# Of a client that reads slowly.
RECEIVE_BYTES = 1 << 17


class KeyedHub(Hub):
    """A hub with keys, by their names."""

    keys: dict[str, str]


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    world = World()
    boris = world.add_user("Boris", phone="+15550300000")
    for n in range(1, WRITERS + 1):
        world.add_user(f"User{n}", phone=f"+1555030000{n}")
    assert boris
    with Sandbox(world=world) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KeyedHub]:
    """A hub in keys mode over which eight sessions of Alice's are logged in."""
    directory = tmp_path_factory.mktemp("hub")
    shutil.copy(migrated, directory / "tghub.sqlite3")
    hub = KeyedHub(directory, telegram, TGHUB_AUTH="keys")
    made = hub.manage("shell", "--verbosity", "0", "-c", MAKE_KEYS % json.dumps(KEYS)).stdout
    keys: dict[str, str] = json.loads(made.strip().splitlines()[-1])
    hub.start()
    hub.http.headers["Authorization"] = f"Bearer {keys['alice']}"
    hub.keys = keys
    for n in range(1, WRITERS + 1):
        hub.log_in(f"s{n}", f"+1555030000{n}", telegram.login_code)
    for n in range(1, WRITERS + 1):
        hub.wait_connected(f"s{n}")
    yield hub
    hub.close()


KEYS = {
    "alice": {"scopes": ["read", "send", "sessions"]},
    "bob": {"scopes": ["read", "send", "sessions"]},
    "sender": {"username": "alice", "scopes": ["send"]},
    "reader": {"username": "alice", "scopes": ["read"]},
    "limited": {"username": "alice", "scopes": ["read"], "sessions": ["s2"]},
    "default": {"username": "alice", "scopes": ["read"], "default_session": "s3"},
    "doomed": {"username": "alice", "scopes": ["read"]},
}
MAKE_KEYS = """
import base64
import json
from sessions_app.grants import create_key_for_sessions
made = {
    name: create_key_for_sessions(**{"username": name, "name": name, **facts})[1]
    for name, facts in json.loads(%r).items()
}
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def key(hub: Hub) -> str:
    return hub.keys["alice"]


def post(telegram: Sandbox, texts: list[str], to: int = 1) -> None:
    world = telegram.world
    boris = world.by_phone("+15550300000")
    for text in texts:
        world.post(boris, world.by_phone(f"+1555030000{to}"), text)


def poll(hub: Hub, since: int | None = None, **query: Any) -> dict[str, Any]:
    if since is not None:
        query["since"] = since
    answer = hub.get("/api/v3/events", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def text_of(event: dict[str, Any]) -> str:
    text: str = event["message"]["message"]
    return text


@contextmanager
def event_stream(hub: Hub, since: int | None = None, **query: Any) -> Iterator[Iterator[Any]]:
    """Yield an iterator of (event, id, data) of a stream that stays open."""
    headers = {"Accept": "text/event-stream"}
    if since is not None:
        headers["Last-Event-ID"] = str(since)
    with hub.http.stream("GET", "/api/v3/events", headers=headers, params=query) as answer:
        if answer.status_code != 200:
            answer.read()
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/event-stream"
        yield sse(answer)


def sse(answer: httpx.Response) -> Iterator[tuple[str, int | None, Any]]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if fields:
            number = fields.get("id")
            data = json.loads(fields["data"]) if "data" in fields else None
            yield fields.get("event", ""), None if number is None else int(number), data
        fields = {}


def test_polling_waits_for_the_first_event(hub: Hub, telegram: Sandbox) -> None:
    start = poll(hub)["next"]
    assert poll(hub, start, session="s1")["events"] == []
    answers: list[dict[str, Any]] = []
    waiting = threading.Thread(
        target=lambda: answers.append(
            poll(hub, start, session="s1", kind="message.new", timeout=30)
        )
    )
    waiting.start()
    post(telegram, ["hello"])
    waiting.join(SECONDS)
    [event] = answers[0]["events"]
    assert event["session"] == "s1"
    assert event["kind"] == "message.new"
    assert event["chat_id"] == telegram.world.by_phone("+15550300000").id
    assert text_of(event) == "hello"
    assert answers[0]["next"] >= event["id"] > start


def test_limit_and_filters(hub: Hub, telegram: Sandbox) -> None:
    start = poll(hub)["next"]
    post(telegram, [f"page {n}" for n in range(5)])
    wanted = {"kind": ["message.new", "message.edited"], "session": ["s1", "s2"]}
    wait_until(lambda: len(poll(hub, start, **wanted)["events"]) == 5)
    first = poll(hub, start, limit=2, **wanted)
    assert [text_of(event) for event in first["events"]] == ["page 0", "page 1"]
    rest = poll(hub, first["next"], **wanted)
    assert [text_of(event) for event in rest["events"]] == ["page 2", "page 3", "page 4"]
    assert poll(hub, start, chat=12345)["events"] == []
    assert poll(hub, start, session="s2", kind="message.new")["events"] == []
    mine = hub.get(
        "/api/v3/events", params={"since": start}, headers={"X-Telegram-Username": "s2"}
    ).json()
    assert "s1" not in {event["session"] for event in mine["events"]}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("since=x", 400, "invalid"),
        ("since=-1", 400, "invalid"),
        ("timeout=61", 400, "invalid"),
        ("timeout=nan", 400, "invalid"),
        ("limit=0", 400, "invalid"),
        ("limit=1001", 400, "invalid"),
        ("kind=nonsense", 400, "bad_kind"),
        ("chat=x", 400, "invalid"),
        ("session=stranger", 404, "session_not_found"),
        ("user=bob", 403, "missing_scope"),
    ],
)
def test_refusals(hub: Hub, query: str, status: int, code: str) -> None:
    for accept in ("application/json", "text/event-stream"):
        answer = hub.get(f"/api/v3/events?{query}", headers={"Accept": accept})
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_it_needs_a_key_a_scope_and_a_known_session(hub: Hub) -> None:
    def status(**headers: str) -> tuple[int, str]:
        answer = httpx.get(f"{hub.url}/api/v3/events", headers=headers)
        return answer.status_code, answer.json()["code"]

    assert status() == (401, "missing_key")
    assert status(Authorization="Bearer nonsense") == (401, "wrong_key")
    assert status(Authorization=f"Bearer {hub.keys['sender']}") == (403, "missing_scope")
    known = {"Authorization": f"Bearer {hub.keys['reader']}"}
    assert status(**known, **{"X-Telegram-Username": "stranger"})[0] == 401
    assert status(**known, **{"Last-Event-ID": "x"}) == (400, "bad_event_id")


def test_other_methods_and_hosts(hub: Hub) -> None:
    refused = hub.post("/api/v3/events")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS"
    assert hub.http.head("/api/v3/events").status_code == 200
    assert hub.get("/api/v3/events", headers={"Host": "evil.example"}).status_code == 400


def test_others_see_nothing(hub: Hub, telegram: Sandbox) -> None:
    start = poll(hub)["next"]
    post(telegram, ["for alice"])
    wait_until(lambda: poll(hub, start, kind="message.new")["events"])
    stranger = {"Authorization": f"Bearer {hub.keys['bob']}"}
    answer = hub.get("/api/v3/events", params={"since": 0}, headers=stranger).json()
    assert answer["events"] == []
    limited = hub.keys["limited"]
    answer = hub.get(
        "/api/v3/events", params={"since": start}, headers={"Authorization": f"Bearer {limited}"}
    ).json()
    assert "s1" not in {event["session"] for event in answer["events"]}


def test_a_replay_shows_nothing_of_a_channel_that_was_left(hub: Hub, telegram: Sandbox) -> None:
    world = telegram.world
    boris, user = world.by_phone("+15550300000"), world.by_phone("+15550300002")
    club = world.add_channel("Club", boris, [user], megagroup=True)
    start = poll(hub)["next"]
    world.post(boris, club, "for members")
    wanted = {"session": "s2", "chat": club.peer}
    wait_until(lambda: poll(hub, start, **wanted, kind="message.new")["events"])
    world.kick(club, user)
    wait_until(lambda: poll(hub, start, **wanted, kind="chat.member")["events"])
    wait_until(lambda: not poll(hub, start, **wanted, kind="message.new")["events"])


@contextmanager
def slow_socket(hub: Hub) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield the events of a WebSocket whose client takes in little until they are asked for."""
    address = urlsplit(hub.url)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        plain.connect((address.hostname, address.port))
        with websocket(hub, sock=plain, max_size=None) as client:
            client.log_in(hub.http.headers["Authorization"].removeprefix("Bearer "), "s4")
            client.ask("subscribe", {"sessions": ["s4"]})
            yield (client.receive()["data"] for _ in itertools.count())


@contextmanager
def slow_stream(hub: Hub) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield the server-sent events of such a client."""
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)]
    headers = {**hub.http.headers, "Accept": "text/event-stream"}
    with (
        httpx.Client(transport=httpx.HTTPTransport(socket_options=options), timeout=60) as http,
        http.stream("GET", f"{hub.url}/api/v3/events?session=s4", headers=headers) as answer,
    ):
        events = sse(answer)
        next(events)
        yield (data for _, _, data in events)


@pytest.mark.parametrize("client", [slow_socket, slow_stream])
def test_what_waits_for_a_slow_client_ends_with_a_kick(
    hub: Hub, telegram: Sandbox, client: Callable[[Hub], Any]
) -> None:
    world = telegram.world
    boris, user = world.by_phone("+15550300000"), world.by_phone("+15550300004")
    club = world.add_channel("Club", boris, [user], megagroup=True)
    count = 900  # Fewer than a queue holds, and more than a network does.
    with client(hub) as events:
        start = poll(hub)["next"]
        for n in range(count):
            world.post(boris, club, f"{n} {'語' * 4000}")
        told = {"session": "s4", "chat": club.peer}
        wait_until(lambda: str(count - 1) in texts(poll(hub, start, **told, limit=1000)))
        world.kick(club, user)
        wait_until(lambda: poll(hub, start, **told, kind="chat.member")["events"])
        until = time.monotonic() + 1.0
        wait_until(lambda: time.monotonic() > until, what="a second has passed")
        post(telegram, ["elsewhere"], to=4)
        found = [next(events)]
        while "elsewhere" not in texts({"events": found[-1:]}):
            found.append(next(events))
    assert [event["action"] for event in found if event["kind"] == "chat.member"][-1] == "removed"
    seen = [event for event in found if event["chat_id"] == club.peer and "message" in event]
    # In order from the first one on, for that was under way before the kick.
    assert texts({"events": seen}) == [str(n) for n in range(len(seen))]
    assert len(seen) < count


def texts(page: dict[str, Any]) -> list[str]:
    """Return the first word of each message."""
    return [text_of(event).split(" ")[0] for event in page["events"] if "message" in event]


def test_every_event_is_as_its_schema_says(hub: Hub, telegram: Sandbox) -> None:
    world = telegram.world
    boris, user = world.by_phone("+15550300000"), world.by_phone("+15550300003")
    start = poll(hub)["next"]
    message = world.post(boris, user, "hello")
    world.edit(message, text="hello!")
    world.react(boris, message, "👍")
    world.read(boris, user)
    world.delete(world.post(boris, user, "oops"))
    world.kick(world.add_group("Friends", boris, [user]), user)
    kinds = {"message.new", "message.edited", "message.reactions", "message.deleted", "chat.member"}
    wait_until(lambda: kinds <= {event["kind"] for event in poll(hub, start)["events"]})
    cursor = 0
    while events := poll(hub, cursor, limit=1000)["events"]:
        cursor = events[-1]["id"]
        for event in events:
            jsonschema.validate(event, event_schema(event["kind"]))


def test_a_stream_resumes_after_its_last_event(hub: Hub, telegram: Sandbox) -> None:
    with event_stream(hub, kind="message.new", session="s1") as events:
        _, start, data = next(events)
        assert data is None
        post(telegram, ["one", "two"])
        _, first, data = next(events)
        assert text_of(data) == "one"
        assert data["id"] == first > start
    with event_stream(hub, first, kind="message.new", session="s1") as events:
        assert next(events)[1] == first
        assert text_of(next(events)[2]) == "two"


def test_a_cursor_that_is_too_old_is_reset(hub: Hub, telegram: Sandbox) -> None:
    newest = poll(hub)["next"]
    ahead = poll(hub, newest + 1000)
    [reset] = ahead["events"]
    assert reset == {"id": 0, "kind": "reset", "oldest": 1}
    assert ahead["next"] == 0
    with event_stream(hub, newest + 1000) as events:
        next(events)
        assert next(events) == ("reset", 0, reset)
        assert next(events)[1] == 1
    with websocket(hub) as client:
        client.log_in(hub.keys["alice"], "s1")
        client.ask("subscribe", {"since": newest + 1000})
        assert client.receive() == {"event": "reset", "data": reset}
        assert client.receive()["data"]["id"] == 1


Reader = Callable[[int, int], tuple[list[tuple[int, str]], int]]


def read_polling(hub: KeyedHub, wanted: dict[str, Any]) -> Reader:
    def read(since: int, count: int) -> tuple[list[tuple[int, str]], int]:
        answer = poll(hub, since, timeout=5, limit=count, **wanted)
        return [(e["id"], text_of(e)) for e in answer["events"]], answer["next"]

    return read


def read_stream(hub: KeyedHub, wanted: dict[str, Any]) -> Reader:
    def read(since: int, count: int) -> tuple[list[tuple[int, str]], int]:
        found = []
        with event_stream(hub, since, **wanted) as events:
            next(events)
            for _, number, data in events:
                assert number == data["id"]
                found.append((number, text_of(data)))
                if len(found) == count:
                    break
        return found, found[-1][0]

    return read


def read_socket(hub: KeyedHub, wanted: dict[str, Any], key: str) -> Reader:
    filters = {"sessions": wanted["session"], "kinds": [wanted["kind"]]}

    def read(since: int, count: int) -> tuple[list[tuple[int, str]], int]:
        found = []
        with websocket(hub) as client:
            client.log_in(key, "s1")
            assert client.ask("subscribe", {**filters, "since": since})["data"]["next"] == since
            for _ in range(count):
                data = client.receive()["data"]
                found.append((data["id"], text_of(data)))
        return found, found[-1][0]

    return read


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["polling", "stream", "socket"])
def test_eight_sessions_write_and_a_cut_reader_gets_each_event_once(
    hub: Hub, telegram: Sandbox, key: str, count: Callable[[int, int], int], way: str
) -> None:
    """The reader is cut at random moments and goes on from the last event that it has."""
    sessions = [f"s{n}" for n in range(1, WRITERS + 1)]
    wanted = {"kind": "message.new", "session": sessions}
    readers = {
        "polling": lambda: read_polling(hub, wanted),
        "stream": lambda: read_stream(hub, wanted),
        "socket": lambda: read_socket(hub, wanted, key),
    }
    read = readers[way]()
    cuts, each = count(12, 200), count(12, 100)
    dice = random.Random(way)
    cursor = poll(hub)["next"]
    expected = {f"{way} {n} {i}" for n in range(1, WRITERS + 1) for i in range(each)}
    writers = [
        threading.Thread(target=post, args=(telegram, [f"{way} {n} {i}" for i in range(each)], n))
        for n in range(1, WRITERS + 1)
    ]
    for writer in writers:
        writer.start()
    got: list[tuple[int, str]] = []
    while len(got) < len(expected):
        left = len(expected) - len(got)
        found, cursor = read(cursor, min(left, dice.randint(1, max(1, 2 * len(expected) // cuts))))
        got += found
    for writer in writers:
        writer.join(SECONDS)
    numbers, texts = zip(*got, strict=True)
    assert list(numbers) == sorted(set(numbers))
    assert len(texts) == len(set(texts))
    assert set(texts) == expected
    for n in range(1, WRITERS + 1):
        own = [text for text in texts if text.startswith(f"{way} {n} ")]
        assert own == [f"{way} {n} {i}" for i in range(each)]
    assert poll(hub, cursor, **wanted)["events"] == []


def test_a_revoked_key_closes_its_sockets_and_streams(hub: Hub) -> None:
    doomed = hub.keys["doomed"]
    headers = {"Authorization": f"Bearer {doomed}", "Accept": "text/event-stream"}
    with (
        websocket(hub) as client,
        httpx.stream("GET", f"{hub.url}/api/v3/events", headers=headers, timeout=SECONDS) as answer,
    ):
        client.log_in(doomed, "s1")
        client.ask("subscribe", {})
        events = sse(answer)
        next(events)
        hub.manage("revoke_api_key", doomed.split("_")[1])
        frames = client.frames_until_closed()
        assert frames[-1]["event"] == "error"
        assert client.socket.close_code == 4401
        *_, (event, _, data) = events
        assert (event, data["code"]) == ("error", "revoked_key")


def test_wrong_keys_have_three_tries(hub: Hub) -> None:
    with websocket(hub) as client:
        for _ in range(3):
            assert client.ask("login", {"apiKey": "nonsense"})["data"]["message"] == "unauthorized"
        assert client.close_code() == 4401
    with websocket(hub) as client:
        client.ask("login", {"apiKey": "nonsense"})
        client.log_in(hub.keys["reader"])


def test_scopes_hold_on_sockets(hub: Hub) -> None:
    with websocket(hub) as client:
        client.log_in(hub.keys["sender"], "s1")
        for event, data in (
            ("users", {"group": ["x"]}),
            ("subscribe", {}),
            ("telegram login", {"phone": "+15550300001"}),
        ):
            answer = client.ask(event, data)["data"]
            assert answer["status"] == "failed"
            assert "scope" in answer["message"]


def test_the_default_session_of_a_key(hub: Hub) -> None:
    with websocket(hub) as client:
        answer = client.log_in(hub.keys["default"])
        assert answer["data"]["message"] == "session already exists, call 'users'."


def test_a_reader_that_stops_reading_holds_up_nobody(hub: Hub, telegram: Sandbox, key: str) -> None:
    """It is fed from the log again when it goes on, and misses nothing."""
    with websocket(hub) as slow, websocket(hub) as quick:
        for client in (slow, quick):
            client.log_in(key, "s1")
            client.ask("subscribe", {"sessions": ["s1"], "kinds": ["message.new"]})
        texts = [f"slow {n} " + "x" * 3000 for n in range(1500)]
        poster = threading.Thread(target=post, args=(telegram, texts))
        poster.start()
        for text in texts:
            assert text_of(quick.receive()["data"]) == text
        poster.join(SECONDS)
        for text in texts:
            assert text_of(slow.receive()["data"]) == text


def test_streams_end_with_the_hub(
    make_hub: Callable[..., Hub],
) -> None:
    hub = make_hub().start()
    with websocket(hub) as client, event_stream(hub) as events:
        client.log_in()
        next(events)
        assert hub.stop() == 0
        with pytest.raises(ConnectionClosed):
            client.receive()


def test_events_reach_the_clients_of_another_hub(
    make_hub: Callable[..., Hub], telegram: Sandbox, postgresql_database: str, redis_server: str
) -> None:
    """Two hubs share a database; one owns the session, a client listens at the other."""
    shared = {
        "DATABASE_URL": postgresql_database,
        "REDIS_URL": redis_server,
        "TGHUB_ENCRYPTION_KEYS": base64.b64encode(bytes(32)).decode(),
        "SECRET_KEY": "the same for both",
    }
    owner, other = make_hub("owner", **shared), make_hub("other", **shared)
    owner.manage("migrate", "--verbosity", "0")
    owner.start()
    other.start()
    owner.log_in("boris", "+15550300000", telegram.login_code)
    owner.wait_connected("boris")
    world = telegram.world
    with websocket(other) as client, event_stream(other, session="boris") as events:
        client.log_in(session="boris")
        client.ask("subscribe", {"kinds": ["message.new"]})
        next(events)
        world.post(world.by_phone("+15550300001"), world.by_phone("+15550300000"), "across")
        assert text_of(client.receive()["data"]) == "across"
        assert any(data and data["kind"] == "message.new" for _, _, data in events)
    assert "Redis does not tell" not in other.log()
    assert "notice events later" not in owner.log()
