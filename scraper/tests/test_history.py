"""Histories from the cache and from Telegram: order, ranges, frames."""

from typing import Any

import pytest

from scraper.models import Message

pytestmark = pytest.mark.django_db(transaction=True)


def channel(rig: Any, owner: Any, posts: int, **facts: Any) -> Any:
    chat = rig.world.add_channel("News", owner, **facts)
    for n in range(posts):
        rig.world.post(chat, chat, f"post {n}")
    return chat


def test_it_works(rig: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 250)
    session = rig.log_in(ann)
    cold = rig.read(session, chat.peer)
    assert cold.ids == list(range(1, 252))
    assert cold.end == {"messages": [], "total": 251, "from_cache": 0, "from_telegram": 251}
    assert [len(frame) for frame in cold.frames] == [100, 100, 51]
    calls = len(rig.pages())
    assert calls <= 4
    warm = rig.read(session, chat.peer, reverse=False, chunk_size=120)
    assert warm.ids == list(range(251, 0, -1))
    assert warm.end == {"messages": [], "total": 251, "from_cache": 251, "from_telegram": 0}
    assert len(rig.pages()) == calls


def test_ranges_in_any_order_make_a_year(rig: Any) -> None:
    ann = rig.person()
    day, start = 86_400, 1_735_689_600  # 2025-01-01
    chat = rig.world.add_channel("Diary", ann, date=start - day)
    for n in range(365):
        rig.world.post(chat, chat, f"day {n}", date=start + n * day + 3600)
    session = rig.log_in(ann)

    def month(first: int, last: int) -> list[int]:
        answer = rig.read(session, chat.peer, start=start + first * day, end=start + last * day - 1)
        assert answer.error is None
        return answer.ids

    assert month(0, 31) == list(range(2, 33))
    assert month(151, 181) == list(range(153, 183))
    assert month(59, 90) == list(range(61, 92))
    whole = rig.read(session, chat.peer, start=start, end=start + 365 * day - 1)
    assert whole.ids == list(range(2, 367))
    assert whole.end["from_cache"] >= 92
    calls = len(rig.pages())
    assert month(0, 31) == list(range(2, 33))
    assert rig.read(session, chat.peer, start=start).ids == list(range(2, 367))
    assert rig.read(session, chat.peer, reverse=False).ids == list(range(366, 0, -1))
    assert len(rig.pages()) <= calls + 2


def test_new_edited_and_deleted_messages(rig: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 20)
    session = rig.log_in(ann)
    assert rig.read(session, chat.peer).ids == list(range(1, 22))
    asked = len(rig.pages())
    rig.world.post(chat, chat, "new")
    rig.world.edit((chat.peer, 5), "edited")
    rig.world.delete((chat.peer, 7))
    rig.world.react(ann, (chat.peer, 6), "👍")

    def current() -> bool:
        found = {m["message_id"]: m for m in rig.read(session, chat.peer).messages}
        return (
            22 in found
            and found[5]["message"] == "edited"
            and 7 not in found
            and found[6].get("reactions") == [{"emoji": "👍", "count": 1}]
        )

    rig.wait_until(current)
    assert len(rig.pages()) == asked
    marked = rig.read(session, chat.peer, include_deleted=True)
    assert [m["message_id"] for m in marked.messages if m.get("deleted")] == [7]


def test_a_private_chat_that_was_heard_before_it_was_read_is_read_whole(rig: Any) -> None:
    ann, bob = rig.person("Ann"), rig.person("Bob")
    for n in range(3):
        rig.world.post(bob, ann, f"before {n}")
    session = rig.log_in(ann)
    rig.world.post(bob, ann, "live")
    rig.wait_until(Message.objects.exists)
    texts = [message["message"] for message in rig.read(session, bob.id).messages]
    assert texts == ["before 0", "before 1", "before 2", "live"]


def test_private_chats_are_cheap(rig: Any) -> None:
    """Ids belong to the account: a hundred messages may lie millions of ids apart."""
    ann, bob, eve = rig.person(), rig.person("Bob"), rig.person("Eve")
    for n in range(150):
        rig.world.post(bob, ann, f"to ann {n}")
        for m in range(20):
            rig.world.post(eve, ann, f"noise {n} {m}")
    session = rig.log_in(ann)
    answer = rig.read(session, bob.id)
    assert [m["message"] for m in answer.messages] == [f"to ann {n}" for n in range(150)]
    assert len(rig.pages()) <= 4
    again = rig.read(session, bob.id, reverse=False)
    assert again.ids == answer.ids[::-1]
    assert len(rig.pages()) <= 4
