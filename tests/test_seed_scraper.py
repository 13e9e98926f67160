"""The curl lines of the scraper's users, as their two documents print them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import Sandbox
from tests.curl import run_curl
from tests.hub import Hub, wait_until

CHANNEL = 1234567890
DEMO = "+15550000001"
PASSWORD = "your_2fa_password"
PHOTO = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
WORKFLOW = {
    "USERNAME": "john_doe",
    "BASE": "http://localhost:8000/api/v3",
    "AUTH": "-H X-Telegram-Username:john_doe",
}

START = """curl -X POST http://localhost:8000/api/v3/auth/qr \\
  -H "Content-Type: application/json" \\
  -d '{"username": "john_doe"}'"""
START_WORKFLOW = """curl -X POST "$BASE/auth/qr" \\
  -H "Content-Type: application/json" \\
  -d "{\\"username\\": \\"$USERNAME\\"}\""""
FORCE = """curl -X POST http://localhost:8000/api/v3/auth/qr \\
  -H "Content-Type: application/json" \\
  -d '{"username": "john_doe", "force": true}'"""
POLL = "curl http://localhost:8000/api/v3/auth/qr/{token}"
SECOND_FACTOR = """curl -X POST http://localhost:8000/api/v3/auth/qr/{token}/2fa \\
  -H "Content-Type: application/json" \\
  -d '{"password": "your_2fa_password"}'"""
CANCEL = "curl -X DELETE http://localhost:8000/api/v3/auth/qr/{token}"

DIALOGS = [
    "",
    "?q=crypto&min_score=0.6",
    "?q=crypto&match=exact",
    "?type=group&type=supergroup",
    "?folder=Work",
    "?min_messages=100&last_message_after=2024-01-01&is_archived=false",
    "?limit=20&offset=40",
    "?sort=participants&order=desc",
    "?type=saved",
    "?q=telegram",
]
HISTORY = [
    "",
    "?start_date=2024-01-01&end_date=2024-01-31",
    "?chunk_size=50",
    "?start_date=2024-06-15%2012:00:00&end_date=2024-06-15%2018:00:00",
    "?force_refresh=true",
    "?start_date=2024-01-01&end_date=2024-01-31&chunk_size=250",
]
MESSAGE_FIELDS = [
    "message_id",
    "date",
    "sender_id",
    "first_name",
    "last_name",
    "username",
    "message",
    "media",
    "reply_to",
    "post_author",
    "is_forwarded",
    "forwarded_from_channel_id",
]


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    with Sandbox(seed=1) as sandbox:
        world = sandbox.world
        demo = world.by_phone(DEMO)
        january, june, december = 1704700000, 1718452800, 1735000000
        channel = world.add_channel(
            "Crypto News", demo, channel_id=CHANNEL, username="cryptonews", date=january
        )
        for number in range(120):
            world.post(channel, channel, f"January {number}", date=january + number * 600)
        world.post(channel, channel, "In June", date=june + 3600 * 3)
        world.post(
            channel,
            channel,
            "A photo",
            media=world.add_photo(width=800, height=600, look=1, date=december),
            date=december,
        )
        yield sandbox


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("seed")
    (directory / "tghub.sqlite3").write_bytes(migrated.read_bytes())
    hub = Hub(directory, telegram).start()
    begun = run_curl(START, base=hub.url).json()
    assert list(begun) == ["token", "qr_url", "message"]
    poll = POLL.replace("{token}", begun["token"])
    assert run_curl(poll, base=hub.url).json()["status"] == "pending"
    telegram.accept_login_token(begun["qr_url"], DEMO)
    wait_until(lambda: run_curl(poll, base=hub.url).json()["status"] == "success")
    hub.wait_connected("john_doe")
    yield hub
    hub.close()


def ask(hub: Hub, path: str, flags: str = "") -> httpx.Response:
    """One of the many lines that differ in their address alone."""
    line = (
        f'curl {flags} -H "X-Telegram-Username: john_doe" \\\n'
        f'  "http://localhost:8000/api/v3/{path}"'
    )
    return run_curl(line, base=hub.url)


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """The data of each frame of a stream, `event` being "message" where it has no name."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for frame in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.split("\n") if ": " in line)
        if "data" in lines:
            found.append({"event": lines.get("event", "message"), **json.loads(lines["data"])})
    return found


def messages(answer: httpx.Response) -> list[dict[str, Any]]:
    frames = events(answer)
    assert frames[-1]["event"] == "end"
    return [message for frame in frames[:-1] for message in frame["messages"]]


def test_health_and_info(hub: Hub) -> None:
    root = run_curl("curl http://localhost:8000/", base=hub.url).json()
    assert "/api/v3/search/dialogs" in str(root["endpoints"])
    assert run_curl("curl http://localhost:8000/health", base=hub.url).json()["status"] == "healthy"
    for page in ("/docs", "/redoc", "/api/schema"):
        assert hub.get(page).status_code == 200


def test_force_and_cancel(hub: Hub) -> None:
    assert run_curl(START, base=hub.url).status_code == 409
    assert run_curl(START_WORKFLOW, base=hub.url, variables=WORKFLOW).status_code == 409
    begun = run_curl(FORCE, base=hub.url)
    assert begun.status_code == 200, begun.text
    token = begun.json()["token"]
    cancelled = run_curl(CANCEL.replace("{token}", token), base=hub.url)
    assert (cancelled.status_code, cancelled.json()) == (200, {"status": "cancelled"})
    assert run_curl(POLL.replace("{token}", token), base=hub.url).status_code == 404


def test_two_factor(hub: Hub, telegram: Sandbox) -> None:
    telegram.world.add_user("Jane", phone="+15550810001", password=PASSWORD)
    begun = run_curl(START.replace("john_doe", "jane_doe"), base=hub.url).json()
    poll = POLL.replace("{token}", begun["token"])
    telegram.accept_login_token(begun["qr_url"], "+15550810001")
    wait_until(lambda: run_curl(poll, base=hub.url).json()["status"] == "password_required")
    done = run_curl(SECOND_FACTOR.replace("{token}", begun["token"]), base=hub.url)
    assert done.json()["status"] == "success"
    assert run_curl(poll, base=hub.url).json()["status"] == "success"


@pytest.mark.parametrize("query", DIALOGS)
def test_search_dialogs(hub: Hub, query: str) -> None:
    answer = ask(hub, f"search/dialogs{query}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["total", "offset", "limit", "results"]
    for found in body["results"]:
        assert list(found) == [
            "id",
            "type",
            "title",
            "username",
            "is_creator",
            "is_verified",
            "is_archived",
            "message_count",
            "unread_count",
            "participants_count",
            "last_message_date",
            "last_message_preview",
            "created_date",
        ]
    if "crypto" in query:
        assert [found["title"] for found in body["results"]] == ["Crypto News"]
    if "saved" in query:
        assert [found["title"] for found in body["results"]] == ["Saved Messages"]
    if not query:
        assert (body["offset"], body["limit"]) == (0, 50)
        news = next(found for found in body["results"] if found["title"] == "Crypto News")
        assert news["id"] == -1001234567890
        assert news["message_count"] >= 122
        assert news["last_message_date"].endswith("+00:00")


def test_the_workflow_finds_a_channel(hub: Hub) -> None:
    line = 'curl $AUTH "$BASE/search/dialogs?q=programming&type=channel&type=supergroup"'
    answer = run_curl(line, base=hub.url, variables=WORKFLOW)
    assert answer.status_code == 200


def test_list_folders(hub: Hub) -> None:
    folders = ask(hub, "folders").json()
    assert folders[0] == {"id": 0, "title": "All Chats", "is_default": True}
    assert {"id": 2, "title": "Work", "is_default": False} in folders


@pytest.mark.parametrize("query", HISTORY)
def test_history(hub: Hub, query: str) -> None:
    found = messages(ask(hub, f"history/-1001234567890{query}", "-N"))
    for message in found:
        assert list(message)[:12] == MESSAGE_FIELDS
    texts = [message["message"] for message in found if message["message"]]
    if "2024-01-31" in query:
        assert texts == [f"January {number}" for number in range(120)]
    elif "2024-06-15" in query:
        assert texts == ["In June"]
    else:
        assert texts == [f"January {number}" for number in range(120)] + ["In June", "A photo"]


def test_history_comes_in_chunks(hub: Hub) -> None:
    frames = events(ask(hub, "history/-1001234567890?chunk_size=50", "-N"))
    sizes = [len(frame["messages"]) for frame in frames[:-1]]
    assert max(sizes) == 50 and len(sizes) >= 3


def test_a_file_of_a_message(hub: Hub) -> None:
    line = 'curl -N $AUTH "$BASE/history/-1001234567890?start_date=2024-12-01&chunk_size=200"'
    photo = messages(run_curl(line, base=hub.url, variables=WORKFLOW))[-1]["media"]
    assert list(photo) == ["type", "uuid", "filename", "size"]
    assert photo["type"] == "MessageMediaPhoto"
    for line in (
        f'curl $AUTH "$BASE/files/{PHOTO}" -o photo.jpg',
        f'curl -H "X-Telegram-Username: john_doe" \\\n'
        f'  "http://localhost:8000/api/v3/files/{PHOTO}" \\\n  --output -',
    ):
        missing = run_curl(line, base=hub.url, variables=WORKFLOW)
        assert (missing.status_code, "detail" in missing.json()) == (404, True)
        there = line.replace(PHOTO, photo["uuid"])
        file = run_curl(there, base=hub.url, variables=WORKFLOW)
        assert file.status_code == 200
        assert file.content.startswith(b"\xff\xd8")


def test_search_messages(hub: Hub) -> None:
    body = ask(hub, "search/messages?q=hello").json()
    assert list(body) == ["query", "total", "limit", "results"]
    assert body["query"] == "hello"
    assert body["results"]
    for found in body["results"]:
        assert list(found)[:12] == MESSAGE_FIELDS
        assert list(found)[-2:] == ["dialog_id", "dialog_name"]
        assert "hello" in found["message"].lower()
    one = ask(hub, "search/messages/-1001234567890?q=June").json()
    assert [(found["message"], found["dialog_name"]) for found in one["results"]] == [
        ("In June", "Crypto News")
    ]


def test_settings(hub: Hub) -> None:
    line = 'curl -H "X-Telegram-Username: john_doe" \\\n  http://localhost:8000/api/v3/settings'
    assert run_curl(line, base=hub.url).json() == {
        "download_media": True,
        "max_media_size_mb": 20,
        "telegram_batch_size": 100,
        "repair_media": True,
        "download_file_types": {
            "photos": True,
            "videos": True,
            "voice_messages": True,
            "video_messages": True,
            "stickers": True,
            "gifs": True,
            "files": True,
        },
    }
    change = """curl -X PATCH http://localhost:8000/api/v3/settings \\
  -H "X-Telegram-Username: john_doe" \\
  -H "Content-Type: application/json" \\
  -d '{"download_media": false, "max_media_size_mb": 50}'"""
    changed = run_curl(change, base=hub.url).json()
    assert (changed["download_media"], changed["max_media_size_mb"]) == (False, 50)
    hub.stop()
    hub.start()
    kept = run_curl(line, base=hub.url).json()
    assert kept == changed


@pytest.mark.parametrize("name", [None, "", "nobody", "a/b", "x" * 65])
def test_without_a_session_nothing_is_told(hub: Hub, name: str | None) -> None:
    headers = {} if name is None else {"X-Telegram-Username": name}
    for path in (
        "search/dialogs",
        "folders",
        "search/messages?q=x",
        "search/messages/me?q=x",
        "settings",
        "history/me",
        f"files/{PHOTO}",
    ):
        answer = hub.get(f"/api/v3/{path}", headers=headers)
        assert answer.status_code == 401, path
        assert answer.json()["code"] in ("missing_username", "session_not_found")
