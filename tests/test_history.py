"""`GET /api/v3/history/{dialog_id}`: a dialog's messages as server-sent events, over HTTP."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import Sandbox
from sandbox.world import World
from tests.hub import Hub, wait_until

MESSAGES = 1200


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    world = World()
    boris = world.add_user("Boris", phone="+15550400001")
    anna = world.add_user("Anna", phone="+15550400002")
    news = world.add_channel("News", boris, [anna], username="news5555")
    private = world.add_channel("Secret", boris, [])
    world.post(boris, private, "not for Anna")
    for n in range(MESSAGES):
        world.post(boris, news, f"post {n}")
    with Sandbox(world=world) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("hub")
    shutil.copy(migrated, directory / "tghub.sqlite3")
    hub = Hub(directory, telegram)
    hub.start()
    hub.log_in("anna", "+15550400002", telegram.login_code)
    hub.http.headers["X-Telegram-Username"] = "anna"
    yield hub
    hub.close()


def frames(text: str) -> list[dict[str, Any]]:
    """Return `{event, id, data}` of each event."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def messages(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for frame in found for message in frame["data"]["messages"]]


def test_a_whole_history(hub: Hub) -> None:
    answer = hub.get("/api/v3/history/news5555?chunk_size=250")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-request-id"]
    *chunks, end = frames(answer.text)
    assert [m["message"] for m in messages(chunks) if "action" not in m] == [
        f"post {n}" for n in range(MESSAGES)
    ]
    assert max(len(chunk["data"]["messages"]) for chunk in chunks) == 250
    for chunk in chunks:
        assert int(chunk["id"]) == chunk["data"]["messages"][-1]["message_id"]
    assert end["event"] == "end"
    assert end["data"]["total"] == len(messages(chunks))
    again = frames(hub.get("/api/v3/history/@news5555").text)
    assert messages(again) == messages(chunks)
    assert again[-1]["data"]["from_telegram"] == 0


def test_it_resumes_after_the_last_message(hub: Hub) -> None:
    whole = messages(frames(hub.get("/api/v3/history/news5555").text))
    last = whole[700]["message_id"]
    rest = hub.get("/api/v3/history/news5555", headers={"Last-Event-ID": str(last)})
    assert messages(frames(rest.text)) == whole[701:]
    newest_first = hub.get("/api/v3/history/news5555?reverse=false")
    assert messages(frames(newest_first.text)) == whole[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("chunk_size=0", "chunk_size"),
        ("chunk_size=x", "chunk_size"),
        ("start_date=yesterday", "start_date"),
        ("end_date=2024-13-01", "end_date"),
        ("start_date=2024-02-01&end_date=2024-01-01", "start_date"),
        ("reverse=perhaps", "reverse"),
        ("max_wait=-1", "max_wait"),
    ],
)
def test_bad_queries_name_the_parameter(hub: Hub, query: str, field: str) -> None:
    answer = hub.get(f"/api/v3/history/news5555?{query}")
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_what_goes_wrong_before_the_first_byte_is_a_plain_error(hub: Hub) -> None:
    assert hub.get("/api/v3/history/nosuchchat1").status_code == 404
    assert hub.get("/api/v3/history/Secret").status_code in (400, 404)
    refused = hub.get("/api/v3/history/news5555", headers={"Last-Event-ID": "x"})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_event_id")
    refused = hub.get("/api/v3/history/news5555", headers={"X-Telegram-Username": "stranger"})
    assert (refused.status_code, refused.json()["code"]) == (401, "session_not_found")
    missing = httpx.get(f"{hub.url}/api/v3/history/news5555")
    assert (missing.status_code, missing.json()["code"]) == (401, "missing_username")
    posted = hub.post("/api/v3/history/news5555")
    assert posted.status_code == 405


def test_a_huge_chunk_is_cut_to_the_most(hub: Hub) -> None:
    found = frames(hub.get("/api/v3/history/news5555?chunk_size=1000000000").text)
    assert len(messages(found)) == MESSAGES + 1


def test_head_answers_with_the_headers(hub: Hub) -> None:
    answer = hub.http.head("/api/v3/history/news5555")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.content == b""


def test_a_client_that_leaves_stops_the_work(hub: Hub, telegram: Sandbox) -> None:
    world = telegram.world
    boris = world.by_phone("+15550400001")
    long = world.add_channel("Long", boris, [world.by_phone("+15550400002")], username="long5555")
    for n in range(3000):
        world.post(boris, long, f"post {n}")
    telegram.faults.latency(0.2, method="messages.getHistory")
    with hub.http.stream("GET", "/api/v3/history/long5555?chunk_size=10") as answer:
        next(answer.iter_lines())
    quiet: list[int] = []

    def settled() -> bool:
        quiet.append(telegram.calls.count("messages.getHistory"))
        return len(quiet) > 10 and len(set(quiet[-10:])) == 1

    wait_until(settled, what="nothing is asked of Telegram any more")
    telegram.faults.clear()
    assert quiet[-1] < 30 + MESSAGES // 100
    found = frames(hub.get("/api/v3/history/long5555").text)
    assert len(messages(found)) == 3001
