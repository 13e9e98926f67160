"""Searching dialogs: every parameter, every refusal, over rows that need no Telegram."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine import telegram
from engine.methods import dialogs as methods
from engine.testing import FakeTransport

URL = "/api/v3/search/dialogs"


def make_dialog(number: int, kind: str, title: str, **facts: Any) -> dict[str, Any]:
    extra = {"top_message_id": 1, "is_member": True, "muted_until": 0, **facts.pop("extra", {})}
    return {
        "id": number,
        "type": kind,
        "title": title,
        "username": None,
        "is_creator": False,
        "is_verified": False,
        "is_archived": False,
        "message_count": None,
        "unread_count": 0,
        "participants_count": None,
        "last_message_date": None,
        "last_message_preview": None,
        "created_date": None,
        **facts,
        "extra": extra,
    }


CRYPTO, BERLIN, ANN, BOT, SAVED, HIKE, EMPTY = -1001, -1002, 11, 12, 10, -5, 13
DIALOGS = [
    make_dialog(
        CRYPTO,
        "channel",
        "Crypto News",
        username="cryptonews",
        is_verified=True,
        message_count=5320,
        unread_count=12,
        participants_count=48000,
        last_message_date="2025-12-15T10:30:00+00:00",
        created_date="2020-03-10T08:00:00+00:00",
    ),
    make_dialog(
        BERLIN,
        "supergroup",
        "Python Berlin",
        is_creator=True,
        message_count=100,
        participants_count=70,
        last_message_date="2025-12-14T23:59:59+00:00",
        created_date="2021-01-01T00:00:00+00:00",
    ),
    make_dialog(ANN, "user", "Ánn Müller", last_message_date="2025-11-01T00:00:00+00:00"),
    make_dialog(BOT, "bot", "Weather Bot", username="weather_bot", unread_count=3),
    make_dialog(SAVED, "saved", "Saved Messages", last_message_date="2025-12-15T10:30:01+00:00"),
    make_dialog(
        HIKE,
        "group",
        "Sunday Hike",
        is_archived=True,
        participants_count=5,
        last_message_date="2024-01-01T00:00:00+00:00",
        created_date="2023-05-05T00:00:00+00:00",
    ),
    make_dialog(EMPTY, "user", ""),
]


def make_folder(number: int, title: str, **rules: Any) -> dict[str, Any]:
    kinds = ("contacts", "non_contacts", "groups", "channels", "bots")
    flags = ("exclude_muted", "exclude_read", "exclude_archived")
    lists: dict[str, Any] = {name: [] for name in ("pinned", "included", "excluded")}
    return {
        "id": number,
        "title": title,
        "is_default": number == 0,
        **dict.fromkeys(kinds, number == 0),
        **dict.fromkeys(flags, False),
        **lists,
        **rules,
    }


FOLDERS = [
    make_folder(0, "All Chats"),
    make_folder(2, "Wörk", included=[BERLIN], channels=True),
    make_folder(3, "2"),
    make_folder(4, "Straße", bots=True, excluded=[BOT]),
]


@pytest.fixture
def fake() -> Iterator[FakeTransport]:
    transport = FakeTransport()
    transport.answer(methods.list_page, {"dialogs": DIALOGS, "total": len(DIALOGS), "next": None})
    transport.answer(methods.list_folders, FOLDERS)
    with telegram.over(transport):
        yield transport


def asker() -> Any:
    """Search as alice does; `ask.ids(query)` returns the ids that were found."""
    from sessions_app.tests.helpers import make_client, make_session

    make_session("ann")
    client = make_client()

    def ask(query: str = "", status: int = 200) -> Any:
        answer = client.get(f"{URL}?{query}", headers={"X-Telegram-Username": "ann"})
        assert answer.status_code == status, answer.content
        return answer.json()

    ask.ids = lambda query="": [found["id"] for found in ask(query)["results"]]  # type: ignore[attr-defined]
    return ask


@pytest.fixture
def cold(transactional_db: None, fake: FakeTransport) -> Any:
    """Nothing is cached."""
    return asker()


@pytest.fixture
def search(db: None) -> Any:
    """The account's dialogs and folders were read before; Telegram is not there."""
    from django.utils import timezone

    from scraper import dialog_cache, folders
    from scraper.models import DialogList
    from sessions_app.tests.helpers import make_account

    ask, account, now = asker(), make_account(), timezone.now()
    DialogList.objects.create(account=account, dialogs_at=now, folders_at=now)
    dialog_cache.store(account.pk, DIALOGS, whole_at=now)
    folders._store(account.pk, FOLDERS)
    with telegram.over(FakeTransport()):
        yield ask


def test_it_lists_all_newest_first(cold: Any) -> None:
    body = cold()
    assert {name: body[name] for name in ("total", "offset", "limit")} == {
        "total": 7,
        "offset": 0,
        "limit": 50,
    }
    ids = [found["id"] for found in body["results"]]
    # What is not known sorts last.
    assert ids == [SAVED, CRYPTO, BERLIN, ANN, HIKE, BOT, EMPTY]
    expected = {name: value for name, value in DIALOGS[0].items() if name != "extra"}
    assert body["results"][1] == expected
    assert list(body["results"][1]) == list(expected)


def test_a_second_call_asks_nobody(cold: Any, fake: FakeTransport) -> None:
    cold()
    asked = len(fake.calls)
    assert asked
    cold("q=berlin&folder=0")
    cold("sort=title")
    assert [request.method for request in fake.calls[asked:]] == ["dialogs.list_folders"]
    cold("refresh=true")
    assert fake.calls[-1].method == "dialogs.list_page"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("q=crypto", [CRYPTO]),
        ("q=CRYPTO&match=exact", [CRYPTO]),
        ("q=crypot", [CRYPTO]),
        ("q=crypot&match=exact", []),
        ("q=crypot&min_score=0.95", []),
        ("q=zzzz&min_score=0", [SAVED, CRYPTO, BERLIN, ANN, HIKE, BOT, EMPTY]),
        ("q=", [SAVED, CRYPTO, BERLIN, ANN, HIKE, BOT, EMPTY]),
        ("q=M%C3%9CLLER", [ANN]),
        ("q=n&match=exact&min_score=1", [CRYPTO, BERLIN, ANN, HIKE]),
        ("type=group&type=supergroup", [BERLIN, HIKE]),
        ("type=user", [ANN, EMPTY]),
        ("type=bot&type=channel", [CRYPTO, BOT]),
        ("type=saved", [SAVED]),
        ("type=me", [SAVED]),
        ("folder=0", [SAVED, CRYPTO, BERLIN, ANN, HIKE, BOT, EMPTY]),
        ("folder=all%20chats", [SAVED, CRYPTO, BERLIN, ANN, HIKE, BOT, EMPTY]),
        ("folder=W%C3%96RK", [CRYPTO, BERLIN]),
        ("folder=2", [CRYPTO, BERLIN]),
        ("folder=3", []),
        ("folder=STRASSE", []),
        ("is_archived=true", [HIKE]),
        ("is_archived=false&type=group", []),
        ("is_archived=1", [HIKE]),
        ("min_messages=100", [CRYPTO, BERLIN]),
        ("min_messages=101", [CRYPTO]),
        ("max_messages=100", [BERLIN]),
        ("min_messages=0", [CRYPTO, BERLIN]),
        ("min_messages=5000&max_messages=10", []),
        ("min_participants=70", [CRYPTO, BERLIN]),
        ("max_participants=70", [BERLIN, HIKE]),
        ("last_message_after=2025-12-15", [SAVED, CRYPTO]),
        ("last_message_after=2025-12-15%2010:30:01", [SAVED]),
        ("last_message_before=2025-12-14", [BERLIN, ANN, HIKE]),
        ("last_message_before=2025-12-14%2023:59:58", [ANN, HIKE]),
        ("last_message_after=2025-12-14&last_message_before=2025-12-14", [BERLIN]),
        ("created_after=2020-03-10&created_before=2021-01-01", [CRYPTO, BERLIN]),
        ("created_before=2020-03-09", []),
        ("created_after=2023-05-05", [HIKE]),
        ("is_creator=true", [BERLIN]),
        ("is_creator=false&type=channel", [CRYPTO]),
        ("has_username=true", [CRYPTO, BOT]),
        ("has_username=false&type=bot", []),
        ("is_verified=true", [CRYPTO]),
        ("is_verified=false&min_messages=1", [BERLIN]),
        ("sort=messages", [CRYPTO, BERLIN, HIKE, SAVED, ANN, BOT, EMPTY]),
        ("sort=messages&order=asc", [BERLIN, CRYPTO, HIKE, SAVED, ANN, BOT, EMPTY]),
        ("order=asc", [HIKE, ANN, BERLIN, CRYPTO, SAVED, BOT, EMPTY]),
        ("sort=participants", [CRYPTO, BERLIN, HIKE, SAVED, ANN, BOT, EMPTY]),
        ("sort=participants&order=asc", [HIKE, BERLIN, CRYPTO, SAVED, ANN, BOT, EMPTY]),
        ("sort=unread", [CRYPTO, BOT, BERLIN, HIKE, SAVED, ANN, EMPTY]),
        ("sort=title&order=asc", [EMPTY, CRYPTO, BERLIN, SAVED, HIKE, BOT, ANN]),
        ("sort=title", [ANN, BOT, HIKE, SAVED, BERLIN, CRYPTO, EMPTY]),
    ],
)
def test_what_is_found(search: Any, query: str, ids: list[int]) -> None:
    assert search.ids(query) == ids


def test_filters_come_before_total_and_pages(search: Any) -> None:
    body = search("has_username=false&limit=2&offset=1")
    assert (body["total"], body["limit"], body["offset"]) == (5, 2, 1)
    assert [found["id"] for found in body["results"]] == [BERLIN, ANN]
    beyond = search("offset=1000")
    assert (beyond["total"], beyond["results"]) == (7, [])


def test_the_size_of_a_private_chat_is_known_once_it_was_read(search: Any) -> None:
    from scraper.models import Chat
    from sessions_app.tests.helpers import make_account

    Chat.objects.create(account=make_account(), peer_id=ANN, type="user", count=321)
    assert search.ids("min_messages=300&max_messages=400") == [ANN]
    assert search("min_messages=300&max_messages=400")["results"][0]["message_count"] == 321


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("match=regex", "match"),
        ("min_score=1.1", "min_score"),
        ("min_score=-0.1", "min_score"),
        ("min_score=nan", "min_score"),
        ("min_score=much", "min_score"),
        ("type=megagroup", "type"),
        ("type=user&type=", "type"),
        ("is_archived=perhaps", "is_archived"),
        ("is_archived=", "is_archived"),
        ("min_messages=many", "min_messages"),
        ("min_messages=-1", "min_messages"),
        ("max_messages=1.5", "max_messages"),
        ("min_participants=x", "min_participants"),
        ("max_participants=99999999999999999999", "max_participants"),
        ("last_message_after=yesterday", "last_message_after"),
        ("last_message_before=2024-13-01", "last_message_before"),
        ("created_after=2024-02-30", "created_after"),
        ("created_before=1", "created_before"),
        ("last_message_after=2024-01-02&last_message_before=2024-01-01", "last_message_after"),
        ("created_after=2024-01-02&created_before=2024-01-01", "created_after"),
        ("is_creator=2", "is_creator"),
        ("has_username=x", "has_username"),
        ("is_verified=x", "is_verified"),
        ("sort=name", "sort"),
        ("order=up", "order"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("offset=-1", "offset"),
        ("offset=x", "offset"),
        ("refresh=x", "refresh"),
        ("q=" + "x" * 257, "q"),
    ],
)
def test_what_is_refused(search: Any, query: str, field: str) -> None:
    body = search(query, status=400)
    assert [name.partition(".")[0] for name in body["errors"]] == [field]
    assert field in body["detail"]


def test_an_unknown_folder(search: Any) -> None:
    assert search("folder=Nowhere", status=404)["code"] == "folder_not_found"


def test_folders(transactional_db: None, fake: FakeTransport) -> None:
    from sessions_app.tests.helpers import make_client, make_session

    make_session("ann")
    client = make_client()

    def ask(query: str = "") -> Any:
        return client.get(f"/api/v3/folders{query}", headers={"X-Telegram-Username": "ann"})

    assert ask().json() == [
        {"id": 0, "title": "All Chats", "is_default": True},
        {"id": 2, "title": "Wörk", "is_default": False},
        {"id": 3, "title": "2", "is_default": False},
        {"id": 4, "title": "Straße", "is_default": False},
    ]
    assert [request.method for request in fake.calls] == ["dialogs.list_folders"]
    held = {folder["id"]: folder["dialogs"] for folder in ask("?include_dialogs=true").json()}
    assert len(held[0]) == 7
    assert held[2] == [
        {"id": CRYPTO, "title": "Crypto News"},
        {"id": BERLIN, "title": "Python Berlin"},
    ]
    assert held[3] == held[4] == []
    assert len(fake.calls) == 2
    assert ask("?include_dialogs=perhaps").status_code == 400


@pytest.mark.parametrize(
    ("query", "title", "low", "high"),
    [
        ("crypto", "Crypto News", 0.8, 1.0),
        ("CRYPTO NEWS", "Crypto News", 1.0, 1.0),
        ("crypot news", "Crypto News", 0.8, 0.99),
        ("o", "A title that is long, with one letter of it looked for", 0.8, 0.82),
        ("zebra", "Crypto News", 0.0, 0.5),
        ("", "Crypto News", 0.0, 0.0),
        ("x", "", 0.0, 0.0),
    ],
)
def test_scores(query: str, title: str, low: float, high: float) -> None:
    from scraper.matching import score

    assert low <= score(query, title) <= high


def test_another_user_sees_no_such_session(search: Any) -> None:
    from accounts.models import Scope
    from sessions_app.tests.helpers import make_client, make_user

    headers = {"X-Telegram-Username": "ann"}
    bob = make_client(make_user("bob"), Scope.READ)
    for path in (URL, "/api/v3/folders", "/api/v3/search/messages?q=x", "/api/v3/settings"):
        assert bob.get(path, headers=headers).status_code == 401
        assert (
            bob.get(f"{path}{'&' if '?' in path else '?'}user=alice", headers=headers).status_code
            == 403
        )
    sender = make_client(make_user("alice"), Scope.SEND)
    refused = sender.get(URL, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    admin = make_client(make_user("root"), Scope.ADMIN)
    assert admin.get(f"{URL}?user=alice", headers=headers).json()["total"] == 7
