"""`kill -9` in the middle of a cold stream: nothing is lost, doubled or fetched twice."""

import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from sandbox import Sandbox
from tests.hub import Hub

PHONE = "+15550990001"
IN_FLIGHT = 33
"""Pages that may be under way at the moment of a kill, or not committed yet."""


class Stream:
    """What a client has got of a history, over as many connections as it takes."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.end: dict[str, Any] | None = None
        self.error: dict[str, Any] | None = None

    def read(self, hub: Hub, peer: int, stop: Callable[[], bool]) -> None:
        """Read on from the last message until the end, or until `stop` says so."""
        headers = {"X-Telegram-Username": "s"}
        if self.ids:
            headers["Last-Event-ID"] = str(self.ids[-1])
        with hub.http.stream("GET", f"/api/v3/history/{peer}", headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            event = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    body = json.loads(line.removeprefix("data: "))
                    if event == "end":
                        self.end = body
                    elif event == "error":
                        self.error = body
                    else:
                        self.ids += [message["message_id"] for message in body["messages"]]
                        if stop():
                            return


def kill_repeatedly(
    telegram: Sandbox, hub: Hub, posts: int, kills: int, chance: random.Random
) -> None:
    ann = telegram.world.add_user("Ann", phone=PHONE)
    chat = telegram.world.add_channel("Long", ann)
    for n in range(posts - 1):
        telegram.world.post(chat, chat, f"post {n}")
    hub.log_in("s", PHONE, telegram.login_code)
    hub.wait_connected("s")
    telegram.faults.latency(0.01, method="messages.getHistory")
    stream = Stream()
    for moment in sorted(chance.sample(range(1, posts - 500), kills)):
        if stream.ids and stream.ids[-1] >= moment:
            continue

        def killing(moment: int = moment) -> bool:
            if stream.ids[-1] >= moment:
                hub.kill()
                return True
            return False

        # A killed server ends the answer in the middle: that is what is tested.
        with contextlib.suppress(httpx.HTTPError):
            stream.read(hub, chat.peer, killing)
        if hub.process is None:
            hub.start()
            hub.wait_connected("s")
    stream.read(hub, chat.peer, lambda: False)
    assert stream.error is None and stream.end is not None
    assert stream.ids == list(range(1, posts + 1))
    # The rows: none is missing, none is double, and they are served without Telegram.
    again = Stream()
    again.read(hub, chat.peer, lambda: False)
    assert again.ids == stream.ids
    assert again.end == {
        "messages": [], "total": posts, "from_cache": posts, "from_telegram": 0,
    }  # fmt: skip
    asked: Counter[int] = Counter()
    for entry in telegram.calls.entries("messages.getHistory"):
        arguments = entry.arguments
        if arguments["max_id"]:
            asked.update(range(arguments["min_id"] + 1, arguments["max_id"]))
    twice = sum(times - 1 for times in asked.values())
    assert twice <= kills * IN_FLIGHT * 100, twice


def test_sqlite(telegram: Sandbox, hub: Hub, count: Callable[[int, int], int]) -> None:
    kill_repeatedly(telegram, hub, count(3_000, 50_000), count(2, 30), random.Random(1))


@pytest.mark.database
def test_postgresql(
    telegram: Sandbox,
    make_hub: Callable[..., Hub],
    postgresql_database: str,
    count: Callable[[int, int], int],
) -> None:
    hub = make_hub(
        DATABASE_URL=postgresql_database,
        TGHUB_ENCRYPTION_KEYS="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    )
    hub.manage("migrate", "--verbosity", "0")
    hub.start()
    kill_repeatedly(telegram, hub, count(3_000, 50_000), count(2, 30), random.Random(2))
