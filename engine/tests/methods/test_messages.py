"""Sending, changing and marking messages, with Telegram's refusals."""

import time
from types import SimpleNamespace

import pytest
from telethon import types

from engine.errors import BadRequest, Conflict
from engine.methods.messages import derive_random_id
from engine.telegram import duplicates, history, media, messages
from engine.telegram.rpc import Refusal, refused_with

BOB = "@bob_the_builder"


async def refusal(awaitable):
    with pytest.raises(Refusal) as caught:
        await awaitable
    return caught.value


async def chunks(data, size=100_000):
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.fixture
def club(telegram):
    return telegram.world.add_channel(
        "Club", telegram.bob, [telegram.alice], megagroup=True, username="the_club"
    )


@pytest.fixture
def own(telegram):
    """A channel that Alice runs."""
    return telegram.world.add_channel("Mine", telegram.alice, [telegram.bob], username="my_own")


async def test_it_works(telegram, client):
    sent = await messages.send_message(client, chat_id=BOB, text="Hello, World!", random_id=7)
    assert sent["chat_id"] == telegram.bob.id
    assert sent["date"].endswith("+00:00")
    assert (sent["duplicate"], sent["scheduled"]) == (False, False)
    assert sent["message"]["message"] == "Hello, World!"
    assert sent["message"]["sender_id"] == telegram.alice.id
    page = await history.read_page(client, chat_id=BOB)
    assert page["messages"][0]["message_id"] == sent["message_id"]
    assert page["messages"][0]["date"] == sent["message"]["date"]


async def test_every_kind_of_chat(telegram, client, club, own):
    group = telegram.world.add_group("Family", telegram.bob, [telegram.alice])
    for number, chat in enumerate((BOB, group.peer, club.peer, own.peer, "me"), 1):
        sent = await messages.send_message(client, chat_id=chat, text="hi", random_id=number)
        (found,) = await history.get_messages(
            client, chat_id=chat, message_ids=[sent["message_id"]]
        )
        assert found["message"] == "hi"


async def test_markup(telegram, client):
    for number, (mode, text) in enumerate(
        (("markdown", "**bold** `code`"), ("html", "<b>bold</b> <code>code</code>")), 1
    ):
        sent = await messages.send_message(
            client, chat_id=BOB, text=text, random_id=number, parse_mode=mode
        )
        assert sent["message"]["message"] == "bold code"
        kept = telegram.world.message(telegram.alice.id, telegram.bob.id, sent["message_id"])
        kinds = [type(entity).__name__ for entity in kept.entities]
        assert kinds == ["MessageEntityBold", "MessageEntityCode"]
    plain = await messages.send_message(client, chat_id=BOB, text="**raw**", random_id=9)
    assert plain["message"]["message"] == "**raw**"


async def test_replies_silent_and_scheduled(telegram, client):
    first = await messages.send_message(client, chat_id=BOB, text="first", random_id=1)
    answer = await messages.send_message(
        client,
        chat_id=BOB,
        text="second",
        random_id=2,
        reply_to=first["message_id"],
        silent=True,
    )
    assert answer["message"]["reply_to"] == first["message_id"]
    later = await messages.send_message(
        client, chat_id=BOB, text="later", random_id=3, schedule_date=int(time.time()) + 86_400
    )
    assert later["scheduled"] is True
    page = await history.read_page(client, chat_id=BOB)
    assert [m["message"] for m in page["messages"]] == ["second", "first"]


async def test_topics(telegram, client):
    forum = telegram.world.add_channel(
        "Forum", telegram.bob, [telegram.alice], megagroup=True, forum=True
    )
    topic = telegram.world.add_topic(forum, "Cats", telegram.bob)
    sent = await messages.send_message(
        client, chat_id=forum.peer, text="meow", random_id=1, topic_id=topic.id
    )
    assert sent["message"]["topic_id"] == topic.id


@pytest.mark.parametrize("chat", [BOB, "@the_club", "@my_own", "me"])
async def test_a_repeated_random_id_gives_the_first_message(telegram, client, club, own, chat):
    sent = await messages.send_message(client, chat_id=chat, text="once", random_id=42)
    await messages.send_message(client, chat_id=chat, text="another", random_id=43)
    again = await messages.send_message(client, chat_id=chat, text="once", random_id=42)
    assert again["duplicate"] is True
    assert again["message_id"] == sent["message_id"]
    page = await history.read_page(client, chat_id=chat)
    assert [m["message"] for m in page["messages"]].count("once") == 1


async def test_a_repeated_random_id_whose_message_is_gone(telegram, client):
    sent = await messages.send_message(client, chat_id=BOB, text="once", random_id=42)
    await messages.delete_messages(client, chat_id=BOB, message_ids=[sent["message_id"]])
    with pytest.raises(Conflict) as caught:
        await messages.send_message(client, chat_id=BOB, text="once", random_id=42)
    assert caught.value.code == "random_id_duplicate"


async def test_updates_tell_what_a_random_id_became():
    answer = types.updates.Difference(
        new_messages=[],
        new_encrypted_messages=[],
        other_updates=[types.UpdateMessageID(id=17, random_id=42)],
        chats=[],
        users=[],
        state=types.updates.State(9, 0, None, 0, 0),
    )
    state = types.updates.State(5, 0, None, 0, 0)

    class Client:
        session = SimpleNamespace(get_update_states=lambda: [(0, state)])

        async def __call__(self, request):
            assert request.pts == 5
            return answer

    assert await duplicates._from_updates(Client()) == {42: 17}


@pytest.mark.parametrize(
    ("text", "name"), [("", "MESSAGE_EMPTY"), ("x" * 4097, "MESSAGE_TOO_LONG")]
)
async def test_texts_that_telegram_refuses(client, text, name):
    error = await refusal(messages.send_message(client, chat_id=BOB, text=text, random_id=1))
    assert refused_with(error, name)


async def test_writing_where_it_is_forbidden(telegram, client, club):
    world = telegram.world
    news = world.add_channel("News", telegram.bob, [telegram.alice], username="the_news")
    error = await refusal(messages.send_message(client, chat_id=news.peer, text="x", random_id=1))
    assert refused_with(error, "CHAT_ADMIN_REQUIRED", "CHAT_WRITE_FORBIDDEN")
    world.restrict(
        club, telegram.alice, types.ChatBannedRights(until_date=None, send_messages=True)
    )
    error = await refusal(messages.send_message(client, chat_id=club.peer, text="x", random_id=2))
    assert refused_with(error, "USER_BANNED_IN_CHANNEL", "CHAT_WRITE_FORBIDDEN")
    world.add_channel("Other", telegram.bob, megagroup=True, username="other_club")
    error = await refusal(
        messages.send_message(client, chat_id="@other_club", text="x", random_id=3)
    )
    assert refused_with(error, "CHAT_WRITE_FORBIDDEN")


async def test_slow_mode(telegram, client, club):
    club.slowmode_seconds = 60
    await messages.send_message(client, chat_id=club.peer, text="one", random_id=1)
    error = await refusal(messages.send_message(client, chat_id=club.peer, text="2", random_id=2))
    assert refused_with(error, "SLOWMODE_WAIT")


async def test_a_flood(telegram, client):
    telegram.sandbox.faults.flood("messages.sendMessage", 30)
    error = await refusal(messages.send_message(client, chat_id=BOB, text="x", random_id=1))
    assert refused_with(error, "FLOOD_WAIT")


async def test_editing(telegram, client):
    sent = await messages.send_message(client, chat_id=BOB, text="typo", random_id=1)
    message_id = sent["message_id"]
    edited = await messages.edit_message(client, chat_id=BOB, message_id=message_id, text="fixed")
    assert edited["message_id"] == message_id
    assert edited["message"]["message"] == "fixed"
    assert edited["message"]["edit_date"]
    error = await refusal(
        messages.edit_message(client, chat_id=BOB, message_id=message_id, text="fixed")
    )
    assert refused_with(error, "MESSAGE_NOT_MODIFIED")
    error = await refusal(messages.edit_message(client, chat_id=BOB, message_id=9_999, text="x"))
    assert refused_with(error, "MESSAGE_ID_INVALID")
    theirs = telegram.world.post(telegram.bob, telegram.alice, "mine")
    error = await refusal(
        messages.edit_message(
            client, chat_id=BOB, message_id=theirs.id_for(telegram.alice.id), text="x"
        )
    )
    assert refused_with(error, "MESSAGE_AUTHOR_REQUIRED")


async def test_deleting(telegram, client, club):
    ids = [
        (await messages.send_message(client, chat_id=BOB, text=f"{n}", random_id=n))["message_id"]
        for n in (1, 2, 3)
    ]
    gone = await messages.delete_messages(client, chat_id=BOB, message_ids=ids[:2])
    assert gone == {"message_ids": ids[:2], "count": 2}
    await messages.delete_messages(client, chat_id=BOB, message_ids=ids[2:], for_all=False)
    assert (await history.read_page(client, chat_id=BOB))["messages"] == []
    assert len(telegram.world.history(telegram.bob.id, telegram.alice.id)) == 1
    theirs = telegram.world.post(telegram.bob, club, "stays")
    error = await refusal(
        messages.delete_messages(client, chat_id=club.peer, message_ids=[theirs.channel_id])
    )
    assert refused_with(error, "MESSAGE_DELETE_FORBIDDEN", "CHAT_ADMIN_REQUIRED")


async def test_forwarding(telegram, client, own):
    ids = [telegram.world.post(telegram.alice, own, f"post {n}").channel_id for n in range(3)]
    sent = await messages.forward_messages(
        client, from_chat_id=own.peer, to_chat_id=BOB, message_ids=ids, random_id=5
    )
    assert [each["message"]["message"] for each in sent] == ["post 0", "post 1", "post 2"]
    assert {each["message"]["forwarded_from_channel_id"] for each in sent} == {own.peer}
    again = await messages.forward_messages(
        client, from_chat_id=own.peer, to_chat_id=BOB, message_ids=ids, random_id=5
    )
    assert [each["message_id"] for each in again] == [each["message_id"] for each in sent]
    assert all(each["duplicate"] for each in again)
    bare = await messages.forward_messages(
        client,
        from_chat_id=own.peer,
        to_chat_id="me",
        message_ids=ids[:1],
        random_id=99,
        drop_author=True,
    )
    assert bare[0]["message"]["is_forwarded"] == 0


async def test_forwarding_what_is_protected(telegram, client):
    closed = telegram.world.add_channel(
        "Closed", telegram.bob, [telegram.alice], noforwards=True, username="closed_one"
    )
    post = telegram.world.post(telegram.bob, closed, "secret")
    error = await refusal(
        messages.forward_messages(
            client,
            from_chat_id=closed.peer,
            to_chat_id="me",
            message_ids=[post.channel_id],
            random_id=1,
        )
    )
    assert refused_with(error, "CHAT_FORWARDS_RESTRICTED")
    error = await refusal(
        messages.forward_messages(
            client, from_chat_id=BOB, to_chat_id="me", message_ids=[9_999], random_id=2
        )
    )
    assert refused_with(error, "MESSAGE_ID_INVALID")


@pytest.mark.parametrize("size", [10, 600_000, 11_000_000])
@pytest.mark.parametrize("announced", [True, False])
async def test_files(telegram, client, size, announced):
    data = bytes(range(251)) * (size // 251) + b"!" * (size % 251)
    sent = await messages.send_file(
        client,
        upload=chunks(data),
        chat_id=BOB,
        filename="Bücher.bin",
        random_id=1,
        size=len(data) if announced else None,
        text="look",
    )
    found = sent["message"]["media"]
    assert (found["type"], found["filename"]) == ("MessageMediaDocument", "Bücher.bin")
    assert found["size"] == size
    assert sent["message"]["message"] == "look"
    read = b"".join([part async for part in media.read_file(client, file=found["file"])])
    assert read == data


async def test_pictures_videos_and_plain_files(telegram, client):
    picture = telegram.world.add_photo(width=320, height=240).sizes["m"].read(0, 1 << 20)
    sent = await messages.send_file(
        client, upload=chunks(picture), chat_id=BOB, filename="cat.jpg", random_id=1
    )
    assert sent["message"]["media"]["type"] == "MessageMediaPhoto"
    assert sent["message"]["media"]["filename"] == f"photo_{sent['message_id']}.jpg"
    plain = await messages.send_file(
        client,
        upload=chunks(picture),
        chat_id=BOB,
        filename="cat.jpg",
        random_id=2,
        as_document=True,
    )
    assert plain["message"]["media"]["file"]["category"] == "files"
    film = await messages.send_file(
        client, upload=chunks(b"film" * 100), chat_id=BOB, filename="cat.mp4", random_id=3
    )
    assert film["message"]["media"]["file"]["category"] == "videos"


async def test_a_repeated_file_gives_the_first_message(telegram, client):
    first = await messages.send_file(
        client, upload=chunks(b"one"), chat_id=BOB, filename="a.bin", random_id=8, text="a"
    )
    again = await messages.send_file(
        client, upload=chunks(b"one"), chat_id=BOB, filename="a.bin", random_id=8, text="a"
    )
    assert again["duplicate"] is True
    assert again["message_id"] == first["message_id"]


async def test_uploads_that_are_refused_here(telegram, client):
    from engine.errors import TooLarge

    async def send(data, **kwargs):
        await messages.send_file(
            client, upload=chunks(data), chat_id=BOB, filename="a", random_id=1, **kwargs
        )

    with pytest.raises(TooLarge):
        await send(b"x" * 1000, max_bytes=999)
    with pytest.raises(TooLarge):
        await send(b"", size=1000, max_bytes=999)
    for data, size in ((b"", None), (b"xx", 1), (b"x", 2)):
        with pytest.raises(BadRequest):
            await send(data, size=size)
    assert telegram.calls.count("messages.sendMedia") == 0


async def test_an_upload_that_breaks_off_sends_nothing(telegram, client):
    async def broken():
        yield b"x" * 600_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await messages.send_file(
            client, upload=broken(), chat_id=BOB, filename="a", random_id=1, size=20_000_000
        )
    assert telegram.calls.count("messages.sendMedia") == 0


async def test_albums(telegram, client):
    picture = telegram.world.add_photo(width=320, height=240).sizes["m"].read(0, 1 << 20)
    files = [
        await media.upload_file(client, upload=chunks(picture), filename=f"{n}.jpg")
        for n in range(3)
    ]
    sent = await messages.send_uploaded(
        client, chat_id=BOB, files=files, random_id=5, captions=["one", "two"]
    )
    assert [each["message"]["message"] for each in sent] == ["one", "two", ""]
    assert len({each["message"]["grouped_id"] for each in sent}) == 1
    again = await messages.send_uploaded(
        client, chat_id=BOB, files=files, random_id=5, captions=["one", "two"]
    )
    assert [each["message_id"] for each in again] == [each["message_id"] for each in sent]
    with pytest.raises(BadRequest):
        await messages.send_uploaded(client, chat_id=BOB, files=[], random_id=6)


async def test_reactions(telegram, client, club):
    post = telegram.world.post(telegram.bob, club, "like me").channel_id
    chat = {"chat_id": club.peer, "message_id": post}
    assert await messages.send_reaction(client, **chat, emoji=["👍"]) is True
    (found,) = await history.get_messages(client, chat_id=club.peer, message_ids=[post])
    assert found["reactions"] == [{"emoji": "👍", "count": 1}]
    assert found["private"]["reactions"] == ["👍"]
    assert await messages.send_reaction(client, **chat) is True
    (found,) = await history.get_messages(client, chat_id=club.peer, message_ids=[post])
    assert not found.get("reactions")
    error = await refusal(messages.send_reaction(client, **chat, emoji=["nonsense"]))
    assert refused_with(error, "REACTION_INVALID")
    with pytest.raises(BadRequest):
        await messages.send_reaction(client, **chat, custom_emoji_ids=["x"])


async def test_pinning(telegram, client, own, club):
    ids = [telegram.world.post(telegram.alice, own, f"{n}").channel_id for n in range(3)]
    for each in ids:
        assert await messages.pin_message(client, chat_id=own.peer, message_id=each) is True
    found = await history.get_messages(client, chat_id=own.peer, message_ids=ids)
    assert all(message["extra"]["is_pinned"] for message in found)
    await messages.unpin_message(client, chat_id=own.peer, message_id=ids[0])
    await messages.unpin_message(client, chat_id=own.peer)
    found = await history.get_messages(client, chat_id=own.peer, message_ids=ids)
    assert not any("is_pinned" in message["extra"] for message in found)
    post = telegram.world.post(telegram.bob, club, "not yours").channel_id
    telegram.world.set_default_rights(
        club, types.ChatBannedRights(until_date=None, pin_messages=True)
    )
    error = await refusal(messages.pin_message(client, chat_id=club.peer, message_id=post))
    assert refused_with(error, "CHAT_ADMIN_REQUIRED")
    error = await refusal(messages.pin_message(client, chat_id=own.peer, message_id=9_999))
    assert refused_with(error, "MESSAGE_ID_INVALID")


async def test_reading(telegram, client, club):
    telegram.world.post(telegram.bob, telegram.alice, "unread")
    telegram.world.post(telegram.bob, club, "unread too")
    for chat in (telegram.bob.id, club.peer):
        assert telegram.world.unread_count(telegram.alice.id, chat)
        assert await messages.read_history(client, chat_id=chat) is True
        assert telegram.world.unread_count(telegram.alice.id, chat) == 0


@pytest.mark.parametrize("action", ["typing", "cancel", "record_voice", "upload_photo"])
async def test_typing(telegram, client, action):
    assert await messages.set_typing(client, chat_id=BOB, action=action) is True
    assert telegram.calls.count("messages.setTyping") == 1


def test_derived_random_ids_differ():
    ids = {derive_random_id(first, index) for first in (1, 2, 2**63 - 1) for index in range(100)}
    assert len(ids) == 300
    assert all(0 < each < 1 << 63 for each in ids)
    assert derive_random_id(77, 0) == 77
