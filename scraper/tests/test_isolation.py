"""What a session may not see: other people's chats, hidden pasts, chats that it was put out of."""

from typing import Any

import pytest

from core.errors import NotFound
from core.writer import writer
from engine.store import EngineEvent, UpdateBatch
from scraper import access, store
from scraper.handlers import handle_updates
from scraper.models import Chat, ChatAccess, Message, MessagePrivate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pair(rig: Any) -> Any:
    """Ann and Bob, each logged in on a session of another user of the hub."""
    ann, bob = rig.person("Ann"), rig.person("Bob")
    return ann, rig.log_in(ann, "a", "alice"), bob, rig.log_in(bob, "b", "bob")


def posts(rig: Any, chat: Any, count: int) -> None:
    for n in range(count):
        rig.world.post(chat, chat, f"post {n}")


def make_message(chat: Any, text: str) -> Any:
    """Return a message as the engine tells it."""
    return {
        "message_id": 50, "date": "2026-01-01 00:00:00", "sender_id": chat.peer,
        "first_name": None, "last_name": None, "username": None, "message": text,
        "media": None, "reply_to": None, "post_author": None, "is_forwarded": 0,
        "forwarded_from_channel_id": None,
    }  # fmt: skip


def test_a_private_channel_is_its_members(rig: Any, pair: Any) -> None:
    ann, a, bob, b = pair
    chat = rig.world.add_channel("Secret", ann)
    posts(rig, chat, 10)
    assert len(rig.read(a, chat.peer).ids) == 11
    with pytest.raises(NotFound):
        rig.read(b, chat.peer)
    assert not access.readable_messages(b).exists()
    assert access.readable_messages(a).count() == 11


def test_private_chats_have_their_own_copies(rig: Any, pair: Any) -> None:
    ann, a, bob, b = pair
    eve = rig.person("Eve")
    rig.world.post(eve, ann, "for ann")
    rig.world.post(eve, bob, "for bob")
    assert [m["message"] for m in rig.read(a, eve.id).messages] == ["for ann"]
    assert [m["message"] for m in rig.read(b, eve.id).messages] == ["for bob"]
    assert Chat.objects.filter(peer_id=eve.id).count() == 2
    assert {m.text for m in access.readable_messages(a)} == {"for ann"}


def test_nothing_before_what_a_member_may_see(rig: Any, pair: Any) -> None:
    ann, a, bob, b = pair
    chat = rig.world.add_channel("Club", ann, megagroup=True, hidden_prehistory=True)
    for n in range(30):
        rig.world.post(ann, chat, f"before {n}")
    assert len(rig.read(a, chat.peer).ids) == 31
    rig.world.join(bob, chat)
    rig.world.post(ann, chat, "after")

    def texts() -> list[str]:
        return [m["message"] for m in rig.read(b, chat.peer).messages if m["message"]]

    # Ann's updates keep the end of the chat: this one is on its way.
    rig.wait_until(lambda: texts() == ["after"])
    seen = rig.read(b, chat.peer)
    assert not any("before" in m.text for m in access.readable_messages(b))
    everything = rig.read(b, chat.peer, force_refresh=True, reverse=False)
    assert [m["message"] for m in everything.messages if m["message"]] == ["after"]
    # What Bob could not see was not taken for deleted.
    assert len(rig.read(a, chat.peer).ids) == len(seen.ids) + 31


def test_a_kick_ends_it(rig: Any, pair: Any) -> None:
    ann, a, bob, b = pair
    chat = rig.world.add_channel("Team", ann, [bob], megagroup=True)
    for n in range(10):
        rig.world.post(ann, chat, f"post {n}")
    assert len(rig.read(b, chat.peer).ids) == 11
    rig.world.kick(chat, bob, by=ann)
    account = b.account_id
    rig.wait_until(lambda: not ChatAccess.objects.filter(account_id=account).exists())
    with pytest.raises(NotFound):
        rig.read(b, chat.peer)
    assert not access.readable_messages(b, Chat.objects.get(peer_id=chat.peer)).exists()
    assert len(rig.read(a, chat.peer).ids) >= 11


def test_what_telegram_sends_may_be_read(rig: Any, pair: Any) -> None:
    """An edit and a reaction come to members alone, as a new message does."""
    ann, a, bob, b = pair
    chat = rig.world.add_channel("Team", ann, [bob], megagroup=True)
    said = rig.world.post(ann, chat, "hello")
    granted = ChatAccess.objects.filter(account_id=b.account_id, chat__peer_id=chat.peer)
    rig.wait_until(granted.exists)
    granted.delete()
    rig.world.edit(said, text="hello!")
    rig.wait_until(granted.exists)
    granted.delete()
    rig.world.react(ann, said, "👍")
    rig.wait_until(granted.exists)
    # How far back it may read was not said.
    assert not access.readable_messages(b).exists()


def test_a_kick_and_a_return_at_once(rig: Any, pair: Any) -> None:
    """All three in one batch: what was said before the kick grants nothing, the return does."""
    ann, a, bob, b = pair
    chat = rig.world.add_channel("Team", ann, [bob], megagroup=True)
    hello = EngineEvent("message.new", chat.peer, {"message": make_message(chat, "hello")}, 0)
    removed = EngineEvent("chat.member", chat.peer, {"user_id": bob.id, "action": "removed"}, 0)
    granted = ChatAccess.objects.filter(account_id=b.account_id, chat__peer_id=chat.peer)
    rig.wait_until(granted.exists)  # for the chat's beginning
    for told in ([hello, removed], [hello, removed, hello]):
        batch = UpdateBatch(b.pk, bob.id, told)
        writer.submit(lambda batch=batch: handle_updates([batch])).result(10)
        assert granted.exists() == (told[-1] is hello)


def test_a_kick_in_mid_stream_ends_the_stream(rig: Any, pair: Any) -> None:
    import asyncio
    from contextlib import aclosing

    from scraper import history
    from scraper.tests.rig import Answer, run

    ann, a, bob, b = pair
    chat = rig.world.add_channel("Team", ann, [bob])
    posts(rig, chat, 1500)
    assert len(rig.read(b, chat.peer).ids) == 1501

    async def interrupted() -> Answer:
        answer = Answer()
        granted = ChatAccess.objects.filter(account_id=b.account_id)
        frames = await history.stream(b, str(chat.peer), history.HistoryQuery())
        async with aclosing(frames):
            async for chunk in frames:
                if not answer.messages:
                    rig.world.kick(chat, bob, by=ann)
                    await asyncio.to_thread(rig.wait_until, lambda: not granted.exists())
                answer.feed(chunk)
        return answer

    answer = run(interrupted())
    assert len(answer.ids) < 1501
    assert answer.error is not None and answer.error["code"] == "not_found"


def test_names_of_contacts_stay_private(rig: Any, pair: Any) -> None:
    ann, a, bob, b = pair
    eve = rig.person("Eve", last_name="Official", username="eve_official")
    chat = rig.world.add_channel("Talk", ann, [bob, eve], megagroup=True)
    rig.world.make_contact(ann, eve, first_name="My secret love", last_name="")
    rig.world.post(eve, chat, "hello")
    mine = rig.read(a, chat.peer).messages[-1]
    assert (mine["message"], mine["first_name"]) == ("hello", "My secret love")
    others = rig.read(b, chat.peer).messages[-1]
    assert others["message"] == "hello" and others["first_name"] != "My secret love"
    assert others["username"] == "eve_official"
    assert MessagePrivate.objects.count() == 1
    assert "secret" not in Message.objects.get(text="hello").document


def test_another_phone_under_the_old_name_sees_nothing(rig: Any) -> None:
    from sessions_app import authorization  # noqa: F401

    ann, bob = rig.person("Ann"), rig.person("Bob")
    session = rig.log_in(ann, "one")
    chat = rig.world.add_channel("Secret", ann)
    posts(rig, chat, 5)
    rig.world.post(rig.person("Eve"), ann, "for ann alone")
    assert len(rig.read(session, chat.peer).ids) == 6
    rig.sandbox.world.revoke_sessions(ann)
    rig.wait_until(lambda: type(session).objects.get(pk=session.pk).state == "expired")
    again = rig.log_in(bob, "one")
    assert again.pk == session.pk and again.account_id != session.account_id
    with pytest.raises(NotFound):
        rig.read(again, chat.peer)
    assert not access.readable_messages(again).exists()
    assert not Message.objects.exists()


def test_the_store_keeps_deletions_and_newer_edits(rig: Any) -> None:
    ann = rig.person()
    session = rig.log_in(ann)
    chat = rig.world.add_channel("News", ann)
    rig.world.post(chat, chat, "one")
    rig.read(session, chat.peer)
    row = Chat.objects.get(peer_id=chat.peer)
    scope = store.scope_of(row)

    def message(text: str, edit_date: str | None = None) -> Any:
        return make_message(chat, text) | ({"edit_date": edit_date} if edit_date else {})

    def put(*messages: Any) -> Message:
        store.submit(store.Page(scope, session.account_id, list(messages))).result(10)
        return Message.objects.get(message_id=50)

    assert put(message("new", "2026-01-02 00:00:00"), message("old")).text == "new"
    assert put(message("older", "2026-01-01 12:00:00")).text == "new"
    assert put(message("newest", "2026-01-03 00:00:00")).text == "newest"
    writer.submit(lambda: store.mark_deleted(scope, [50, 51])).result(10)
    assert put(message("back", "2026-01-04 00:00:00")).deleted
    ghost = Message.objects.get(message_id=51)
    assert ghost.deleted and ghost.document == ""
