"""history.read_page, get_messages, map_date_to_id."""

import asyncio
import base64
import contextlib
from datetime import UTC, datetime

import pytest
from telethon import errors, functions, types

from engine.errors import BadRequest, NotFound
from engine.telegram import history
from engine.telegram.rpc import Refusal, refusal_name
from sandbox.world.raw import Raw

NOON = 1_700_000_000


@pytest.fixture
def channel(telegram):
    world = telegram.world
    made = world.add_channel("News", telegram.bob, [telegram.alice], username="news", date=NOON)
    for number in range(2, 251):
        world.post(telegram.bob, made, f"post {number}", date=NOON + number * 60)
    return made


def newest(channel, count=1):
    return channel.history.messages[-count:]


async def test_it_works(telegram, client):
    sent = telegram.world.post(telegram.bob, telegram.alice, "hi", date=NOON)
    page = await history.read_page(client, chat_id="@bob_the_builder")
    (message,) = page["messages"]
    assert list(message)[:12] == [
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
    assert message["message_id"] == sent.id_for(telegram.alice.id)
    assert message["date"] == datetime.fromtimestamp(NOON, UTC).strftime("%Y-%m-%d %H:%M:%S")
    assert (message["sender_id"], message["first_name"]) == (telegram.bob.id, "Bob")
    assert message["message"] == "hi"
    assert page["count"] == 1
    assert page["next_offset_id"] is None


async def test_pages_follow_each_other_with_one_call_each(telegram, client, channel):
    await history.read_page(client, chat_id="@news", limit=1)
    telegram.calls.clear()
    seen, offset = [], 0
    while True:
        page = await history.read_page(client, chat_id="@news", offset_id=offset)
        seen += [message["message_id"] for message in page["messages"]]
        assert page["count"] == 250
        assert page["pts"]
        if page["next_offset_id"] is None:
            break
        offset = page["next_offset_id"]
    assert seen == list(range(250, 0, -1))
    assert telegram.calls.counts() == {"messages.getHistory": 3}


async def test_a_channels_posts_are_the_channels(telegram, client, channel):
    page = await history.read_page(client, chat_id=channel.peer, limit=1)
    (message,) = page["messages"]
    assert message["sender_id"] == channel.peer
    assert message["first_name"] is message["username"] is None
    assert message["extra"]["sender_title"] == "News"
    assert message["views"] == 1


async def test_disjoint_windows(telegram, client, channel):
    page = await history.read_page(client, chat_id="@news", offset_id=61, min_id=40)
    assert [m["message_id"] for m in page["messages"]] == list(range(60, 40, -1))
    page = await history.read_page(client, chat_id="@news", offset_id=100, add_offset=-5, limit=10)
    assert [m["message_id"] for m in page["messages"]] == list(range(104, 94, -1))


async def test_service_messages_name_their_action(telegram, client, channel):
    (message,) = await history.get_messages(client, chat_id="@news", message_ids=[1])
    assert message["action"] == "MessageActionChannelCreate"
    assert message["message"] == ""


async def test_own_messages_have_a_sender(telegram, client):
    telegram.world.post(telegram.alice, telegram.bob, "mine")
    telegram.world.post(telegram.alice, telegram.alice, "note")
    for chat in ("@bob_the_builder", "me"):
        (message,) = (await history.read_page(client, chat_id=chat))["messages"]
        assert message["sender_id"] == telegram.alice.id


async def test_forwarded_senders_cost_no_calls(telegram, client, channel):
    world = telegram.world
    world.forward(telegram.bob, newest(channel, 3), telegram.alice)
    await history.read_page(client, chat_id="@bob_the_builder", limit=1)
    telegram.calls.clear()
    page = await history.read_page(client, chat_id="@bob_the_builder")
    assert telegram.calls.counts() == {"messages.getHistory": 1}
    assert [m["is_forwarded"] for m in page["messages"]] == [1, 1, 1]
    assert {m["forwarded_from_channel_id"] for m in page["messages"]} == {channel.peer}
    assert {m["extra"]["forward_from"] for m in page["messages"]} == {"News"}


async def test_contacts_names_are_private(telegram, client):
    world = telegram.world
    world.make_contact(telegram.alice, telegram.bob, first_name="Boss", last_name="Man")
    world.post(telegram.bob, telegram.alice, "hi")
    (message,) = (await history.read_page(client, chat_id=telegram.bob.id))["messages"]
    assert message["first_name"] is message["last_name"] is None
    assert message["private"] == {"first_name": "Boss", "last_name": "Man"}


async def test_own_reactions_are_private(telegram, client, channel):
    posted = newest(channel)[0]
    telegram.world.react(telegram.alice, posted, "👍")
    telegram.world.react(telegram.bob, posted, "👍")
    (message,) = (await history.read_page(client, chat_id="@news", limit=1))["messages"]
    assert message["reactions"] == [{"emoji": "👍", "count": 2}]
    assert message["private"] == {"reactions": ["👍"]}


async def test_dates_map_to_ids(telegram, client, channel):
    found = await history.map_date_to_id(client, chat_id="@news", date=NOON + 100 * 60)
    assert found["message_id"] == 99
    none = await history.map_date_to_id(client, chat_id="@news", date=NOON)
    assert none == {"message_id": 0, "date": None}


async def test_get_messages_leaves_out_what_is_not_there(telegram, client, channel):
    found = await history.get_messages(client, chat_id="@news", message_ids=[7, 9_999, 3])
    assert [message["message_id"] for message in found] == [7, 3]


async def test_get_messages_does_not_cross_chats(telegram, client):
    sent = telegram.world.post(telegram.bob, telegram.alice, "for the other chat")
    telegram.world.post(telegram.carol, telegram.alice, "hello")
    await history.read_page(client, chat_id=telegram.bob.id)
    ids = [sent.id_for(telegram.alice.id)]
    found = await history.get_messages(client, chat_id=telegram.carol.id, message_ids=ids)
    assert found == []


async def test_albums_topics_and_edits(telegram, client):
    world = telegram.world
    forum = world.add_channel("Forum", telegram.bob, [telegram.alice], megagroup=True, forum=True)
    topic = world.add_topic(forum, "Cats", telegram.bob)
    first = world.post(telegram.bob, forum, "in topic", topic_id=topic.id)
    world.post(telegram.bob, forum, "part", topic_id=topic.id, grouped_id=77)
    world.edit(first, "changed")
    page = await history.read_page(client, chat_id=forum.peer)
    part, edited = page["messages"][:2]
    assert part["grouped_id"] == 77
    assert part["topic_id"] == edited["topic_id"] == topic.id
    assert edited["edit_date"]
    assert edited["message"] == "changed"


async def settle(client):
    """Have what was pushed arrive.

    Telethon drops a packet with something unknown in it whole, with the answers that it holds.
    """
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await client(functions.PingRequest(1))
                return


async def test_unknown_constructors_stand_in_the_page(telegram, client, channel):
    world = telegram.world
    for number in range(251, 261):
        strange = Raw(b"\x0d\xf0\xad\x0bstrange") if number in (253, 254, 260) else None
        world.post(telegram.bob, channel, f"post {number}", media=strange)
    await settle(client)
    page = await history.read_page(client, chat_id="@news", limit=20)
    assert [m["message_id"] for m in page["messages"]] == list(range(260, 240, -1))
    unread = {m["message_id"]: m for m in page["messages"] if "raw" in m["extra"]}
    assert sorted(unread) == [253, 254, 260]
    assert base64.b64decode(unread[253]["extra"]["raw"]).startswith(b"\x0d\xf0\xad\x0bstrange")
    assert page["count"] == 260
    assert page["next_offset_id"] == 241
    (one,) = (await history.read_page(client, chat_id="@news", offset_id=255, limit=1))["messages"]
    assert one["message_id"] == 254


def post_strange(telegram, last, unreadable):
    """Make a channel of `last` messages with unknown constructors in some of them.

    Nobody reads it yet: nothing is pushed that could take an answer with it.
    """
    world = telegram.world
    made = world.add_channel("Odd", telegram.bob, username="odd_news", date=NOON)
    for number in range(2, last + 1):
        strange = Raw(b"\x0d\xf0\xad\x0bstrange") if number in unreadable else None
        world.post(telegram.bob, made, f"post {number}", date=NOON + number * 60, media=strange)


@pytest.mark.parametrize("low, high", [(101, 150), (115, 121), (120, 120), (51, 150), (201, 300)])
async def test_unknown_constructors_in_a_page_that_is_cut(telegram, client, low, high):
    """Telegram counts a page upwards from `low`, then leaves out what is newer than `high`."""
    post_strange(telegram, 250, {119, 120, 121, 122, 250})
    window = {"offset_id": low, "add_offset": -100, "min_id": low - 1, "max_id": high + 1}
    page = await history.read_page(client, chat_id="@odd_news", **window)
    there = range(low, min(high, 250) + 1)
    assert [m["message_id"] for m in page["messages"]] == list(reversed(there))
    unread = [m["message_id"] for m in page["messages"] if "raw" in m["extra"]]
    assert unread == [number for number in (250, 122, 121, 120, 119) if number in there]


@pytest.mark.parametrize("place", [{"offset_id": 124, "add_offset": -2}, {"offset_id": 124}])
async def test_an_unknown_constructor_beside_others(telegram, client, place):
    """Newer ones that cannot be read either are not taken for those of the page."""
    post_strange(telegram, 130, {121, 122, 123, 124})
    page = await history.read_page(client, chat_id="@odd_news", limit=3, **place)
    newest = 123 - place.get("add_offset", 0)
    assert [m["message_id"] for m in page["messages"]] == [newest, newest - 1, newest - 2]
    page = await history.read_page(
        client, chat_id="@odd_news", offset_date=NOON + 123 * 60, limit=1
    )
    assert [m["message_id"] for m in page["messages"]] == [122]


@pytest.mark.parametrize("limit", [0, -1, 101])
async def test_it_refuses_other_page_sizes(client, limit):
    with pytest.raises(BadRequest, match="1 to 100"):
        await history.read_page(client, chat_id="me", limit=limit)


async def test_a_private_channel_is_refused(telegram, client, channel):
    await history.read_page(client, chat_id="@news", limit=1)
    telegram.world.set_chat_username(channel, "")
    telegram.world.ban(channel, telegram.alice)
    with pytest.raises(Refusal) as caught:
        await history.read_page(client, chat_id=channel.peer)
    assert refusal_name(caught.value) in ("CHANNEL_PRIVATE", "USER_BANNED_IN_CHANNEL")


async def test_an_unknown_chat_is_not_found(telegram, client):
    with pytest.raises(NotFound):
        await history.read_page(client, chat_id=-1009999999999)
    with pytest.raises(errors.UsernameNotOccupiedError):
        await history.read_page(client, chat_id="@nobody_here")


async def test_a_flood_is_let_through(telegram, client):
    telegram.sandbox.faults.flood("messages.getHistory", 30)
    with pytest.raises(errors.FloodWaitError) as caught:
        await history.read_page(client, chat_id="me")
    assert caught.value.seconds == 30


def test_absent_dates_are_null():
    from engine.telegram import convert

    message = types.Message(1, types.PeerUser(1), datetime.fromtimestamp(0, UTC), "")
    assert convert.message_dict(message, {})["date"] is None
