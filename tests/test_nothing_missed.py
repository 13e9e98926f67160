"""Whatever befalls the hub and its connections: every message is in the log and in the cache once.

Messages are posted in the sandbox with a number; the log must tell each number once, and in each
chat in order.
"""

import contextlib
import random
import shutil
import socket
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox import Sandbox
from sandbox.world import Limits, World
from tests.hub import Hub, wait_until
from tests.sockets import Client, websocket

ALICE, BOB = "+15550500001", "+15550500002"
PATIENCE_SECONDS = 100.0

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    world = World(limits=Limits())
    alice = world.add_user("Alice", phone=ALICE)
    bob = world.add_user("Bob", phone=BOB)
    world.add_channel("News", bob, [alice])
    world.add_channel("Talk", bob, [alice], megagroup=True)
    world.add_group("Friends", bob, [alice])
    with Sandbox(world=world) as running:
        yield running
        assert running.server.crashes == []


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    """A hub with a session of Alice's that follows every chat."""
    directory = tmp_path_factory.mktemp("hub")
    shutil.copy(migrated, directory / "tghub.sqlite3")
    hub = Hub(directory, telegram)
    hub.start()
    hub.log_in("alice", ALICE, telegram.login_code)
    with contextlib.closing(database(hub)) as rows:
        followed = "SELECT count(*) FROM sessions_app_boxstate"
        wait_until(lambda: rows.execute(followed).fetchone()[0] >= 3, what="chats are followed")
    yield hub
    hub.close()


@pytest.fixture
def chats(hub: Hub, telegram: Sandbox, request: pytest.FixtureRequest) -> "Chats":
    return Chats(telegram, request.node.name, hub.get("/api/v3/events").json()["next"])


def database(hub: Hub) -> sqlite3.Connection:
    path = hub.data_dir / "tghub.sqlite3"
    return sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)


class Chats:
    """Posts numbered messages to chats; `expected` says which, by the chat's marked id."""

    def __init__(self, telegram: Sandbox, name: str, since: int) -> None:
        self.name = name
        self.since = since
        self.world = telegram.world
        self.bob = self.world.by_phone(BOB)
        alice = self.world.by_phone(ALICE)
        named = {chat.title: chat for chat in self.world.chats.values()}
        self.all: dict[int, Any] = {
            named["News"].peer: named["News"],
            named["Talk"].peer: named["Talk"],
            named["Friends"].peer: named["Friends"],
            self.bob.id: alice,  # as Alice sees the chat
        }
        self.expected: dict[int, list[str]] = defaultdict(list)
        self.number = 0

    def post(self, count: int, chat_id: int | None = None, size: int = 0) -> None:
        """Post messages to one chat, or in turn to all; `size` characters follow the number."""
        ids = list(self.all) if chat_id is None else [chat_id]
        for _ in range(count):
            target = ids[self.number % len(ids)]
            self.number += 1
            text = f"{self.name} {self.number}"
            self.expected[target].append(text)
            self.world.post(self.bob, self.all[target], text + " " * bool(size) + "語" * size)

    def mark(self, text: str) -> str:
        """Return a message's text up to its number."""
        return " ".join(text.split(" ")[:2])

    @property
    def talk(self) -> int:
        return list(self.all)[1]


def told(hub: Hub, chats: Chats) -> dict[int, list[str]]:
    """Return the numbered messages of the log, by chat."""
    found: dict[int, list[str]] = defaultdict(list)
    cursor = last = chats.since
    while True:
        answer = hub.get(
            "/api/v3/events", params={"since": cursor, "kind": "message.new", "limit": 1000}
        ).json()
        for event in answer["events"]:
            assert event["id"] > last
            last = event["id"]
            if event["message"]["message"].startswith(chats.name):
                found[event["chat_id"]].append(chats.mark(event["message"]["message"]))
        if not answer["events"]:
            return found
        cursor = answer["next"]


def cached(hub: Hub, chats: Chats) -> dict[int, list[str]]:
    """Return the numbered messages of the cache, by chat."""
    found: dict[int, list[str]] = defaultdict(list)
    query = (
        "SELECT c.peer_id, m.text FROM scraper_message m JOIN scraper_chat c ON c.id = m.chat_id "
        "WHERE substr(m.text, 1, ?) = ? ORDER BY m.id"
    )
    with contextlib.closing(database(hub)) as rows:
        for peer_id, text in rows.execute(query, [len(chats.name), chats.name]):
            found[peer_id].append(chats.mark(text))
    return found


def check(hub: Hub, chats: Chats) -> None:
    """Wait until everything is told, then see that nothing is told twice or out of order."""
    total = sum(map(len, chats.expected.values()))
    with contextlib.suppress(AssertionError):
        wait_until(
            lambda: sum(map(len, told(hub, chats).values())) >= total, seconds=PATIENCE_SECONDS
        )
    assert told(hub, chats) == chats.expected
    assert cached(hub, chats) == chats.expected


Count = Callable[[int, int], int]


def test_lost_doubled_and_swapped_updates(
    hub: Hub, telegram: Sandbox, chats: Chats, count: Count
) -> None:
    telegram.faults.updates(lost=0.02, duplicated=0.01, reordered=0.01, seed=11)
    chats.post(count(400, 5000))
    telegram.faults.clear()
    # What was lost at the very end shows with what comes next.
    chats.post(4)
    check(hub, chats)


def test_messages_while_the_hub_was_down(
    hub: Hub, telegram: Sandbox, chats: Chats, count: Count
) -> None:
    chats.post(8)
    check(hub, chats)
    assert hub.stop() == 0
    chats.post(count(500, 500))
    hub.start()
    check(hub, chats)


def test_holes_that_telegram_does_not_tell_are_refilled(
    hub: Hub, telegram: Sandbox, chats: Chats, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too much was missed for a difference: `differenceTooLong`, `channelDifferenceTooLong`."""
    world = telegram.world
    monkeypatch.setattr(world, "limits", replace(world.limits, box_events=50))
    for hole in (150, count(400, 5000)):
        hub.kill()
        chats.post(hole, chats.talk)
        chats.post(240)
        hub.start()
        check(hub, chats)
    assert telegram.calls.count("messages.getHistory") > 0
    chats.post(4)
    check(hub, chats)


def test_a_stop_with_a_slow_database(hub: Hub, telegram: Sandbox, chats: Chats) -> None:
    """A hundred messages wait for the database when the hub is told to stop."""
    chats.post(4)
    check(hub, chats)
    rows = database(hub)
    rows.execute("BEGIN IMMEDIATE")
    chats.post(100)
    release = threading.Timer(3.0, rows.rollback)
    release.start()
    assert hub.stop() == 0
    release.join()
    rows.close()
    hub.start()
    check(hub, chats)


def test_a_stop_while_the_database_stays_locked(hub: Hub, telegram: Sandbox, chats: Chats) -> None:
    """What waits cannot be stored any more; Telegram is asked for it again."""
    chats.post(4)
    check(hub, chats)
    rows = database(hub)
    rows.execute("BEGIN IMMEDIATE")
    chats.post(100)
    assert hub.stop() == 0
    rows.rollback()
    rows.close()
    hub.start()
    check(hub, chats)


def test_a_stop_with_slow_clients(hub: Hub, telegram: Sandbox, chats: Chats, count: Count) -> None:
    """A hundred clients have read next to nothing of what was sent to them."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(slow_client(hub)) for _ in range(count(10, 100))]
        for client in clients:
            client.log_in(session="alice")
            client.ask("subscribe", {"kinds": ["message.new"], "since": chats.since})
        chats.post(400, size=4000)
        check(hub, chats)
        # These are on their way when the hub is told to stop.
        chats.post(100)
        assert hub.stop() == 0
        read = [client.frames_until_closed() for client in clients]
    assert all(len(frames) < chats.number for frames in read)
    hub.start()
    check(hub, chats)
    for frames in read:
        last = frames[-1]["data"]["id"] if frames else chats.since
        with websocket(hub, max_size=None) as client:
            client.log_in(session="alice")
            client.ask("subscribe", {"kinds": ["message.new"], "since": last})
            while len(frames) < chats.number:
                frames.append(client.receive())
        found: dict[int, list[str]] = defaultdict(list)
        for event in (frame["data"] for frame in frames):
            found[event["chat_id"]].append(chats.mark(event["message"]["message"]))
        assert found == chats.expected


@contextlib.contextmanager
def slow_client(hub: Hub) -> Iterator[Client]:
    """A client that takes in little of what it does not read."""
    address = urlsplit(hub.url)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        plain.connect((address.hostname, address.port))
        with websocket(hub, sock=plain, max_size=None) as client:
            yield client


@pytest.mark.parametrize("mode", ["kill", "stop"])
def test_ends_at_random_moments(
    hub: Hub, telegram: Sandbox, chats: Chats, count: Count, mode: str
) -> None:
    dice = random.Random(mode)
    for _ in range(count(2 if mode == "kill" else 1, 50)):
        poster = threading.Thread(target=chats.post, args=(200,))
        poster.start()
        threading.Event().wait(dice.uniform(0, 1.0))
        if mode == "kill":
            hub.kill()
        else:
            assert hub.stop() == 0
        poster.join()
        hub.start()
        if dice.random() < 0.5:
            hub.wait_connected("alice", seconds=60)
    check(hub, chats)


def test_a_half_dead_connection_heals(hub: Hub, telegram: Sandbox, chats: Chats) -> None:
    """The connection stays open, but nothing comes through it any more."""
    chats.post(4)
    check(hub, chats)
    telegram.faults.silence()
    chats.post(20)
    check(hub, chats)
