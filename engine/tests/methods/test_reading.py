"""Our reader of pages beside Telethon's: the same bytes give the same objects."""

import asyncio
import inspect
import struct
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telethon import types
from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader
from telethon.tl import TLObject

from engine.client import request_name
from engine.telegram import reading
from engine.telegram.history import read_page
from engine.telegram.pages import message_dicts
from engine.telegram.reading import GetHistoryRequest, PageReader

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CHANNEL = types.PeerChannel(42)
ENTITIES = [types.MessageEntityBold(0, 3), types.MessageEntityTextUrl(4, 2, "https://a.example")]
FORWARD = types.MessageFwdHeader(NOON, from_id=types.PeerUser(7), from_name="Ann", channel_post=3)
REACTIONS = types.MessageReactions(
    [
        types.ReactionCount(types.ReactionEmoji("👍"), 3),
        types.ReactionCount(types.ReactionPaid(), 1),
    ]
)
PHOTO = types.Photo(
    9, -(2**62), b"reference", NOON, [types.PhotoSize("x", 800, 600, 70_000)], 2, has_stickers=True
)


def message(number=5, text="hi", **fields):
    return types.Message(id=number, peer_id=CHANNEL, date=NOON, message=text, **fields)


FULL = message(
    from_id=types.PeerUser(2**40),
    fwd_from=FORWARD,
    reply_to=types.MessageReplyHeader(reply_to_msg_id=4, forum_topic=True, reply_to_top_id=2),
    entities=ENTITIES,
    views=2**30,
    forwards=0,
    replies=types.MessageReplies(3, 9, comments=True, channel_id=1),
    edit_date=NOON,
    post_author="The author",
    grouped_id=-(2**63),
    reactions=REACTIONS,
    ttl_period=60,
    restriction_reason=[types.RestrictionReason("all", "terms", "Not here")],
    out=True,
    pinned=True,
    noforwards=True,
    via_bot_id=8,
)
MESSAGES = {
    "plain": message(),
    "full": FULL,
    "empty": types.MessageEmpty(3, peer_id=CHANNEL),
    "service": types.MessageService(
        id=6, peer_id=CHANNEL, date=NOON, action=types.MessageActionChatEditTitle("New")
    ),
    "photo": message(media=types.MessageMediaPhoto(PHOTO)),
    "geo": message(media=types.MessageMediaGeo(types.GeoPoint(13.4, 52.5, 1))),
    "no media": message(media=types.MessageMediaEmpty()),
    "group": types.Message(id=1, peer_id=types.PeerChat(3), date=NOON, message=""),
    "private": types.Message(id=1, peer_id=types.PeerUser(3), date=NOON, message="", out=True),
}


def answer(*messages):
    chat = types.Channel(42, "News", types.ChatPhotoEmpty(), NOON, access_hash=-5, username="news")
    user = types.User(7, contact=True, first_name="Ann", access_hash=3, status=None)
    return types.messages.ChannelMessages(1, len(messages), list(messages), [], [chat], [user])


def read(payload: bytes):
    """Read an answer both ways; both must have come to its end."""
    theirs, ours = BinaryReader(payload), PageReader(payload)
    found = theirs.tgread_object(), ours.tgread_object()
    assert theirs.position == ours.position == len(payload)
    return found


@pytest.mark.parametrize("one", MESSAGES.values(), ids=MESSAGES)
def test_every_field_is_the_same(one):
    theirs, ours = read(bytes(answer(one)))
    assert ours.to_dict() == theirs.to_dict()
    assert bytes(ours) == bytes(theirs)


def test_what_is_made_of_a_page_is_the_same(telegram, client):
    theirs, ours = read(bytes(answer(*MESSAGES.values())))
    found = message_dicts(client, None, ours)
    assert found == message_dicts(client, None, theirs)
    assert len(found) == len(MESSAGES) - 1


OPTIONAL = {
    "from_id": st.sampled_from([types.PeerUser(7), types.PeerChannel(-1), types.PeerChat(3)]),
    "fwd_from": st.just(FORWARD),
    "via_bot_id": st.integers(-(2**63), 2**63 - 1),
    "reply_to": st.just(types.MessageReplyHeader(reply_to_msg_id=4)),
    "media": st.sampled_from([types.MessageMediaEmpty(), types.MessageMediaPhoto(PHOTO)]),
    "reply_markup": st.just(types.ReplyKeyboardHide()),
    "entities": st.lists(st.sampled_from(ENTITIES)),
    "replies": st.just(types.MessageReplies(3, 9)),
    "edit_date": st.just(NOON),
    "post_author": st.text(st.characters(exclude_categories=["Cs"])),
    "grouped_id": st.integers(-(2**63), 2**63 - 1),
    "reactions": st.just(REACTIONS),
    # and what Telethon reads for us
    "saved_peer_id": st.just(types.PeerUser(7)),
    "restriction_reason": st.just([types.RestrictionReason("all", "terms", "Not here")]),
    "ttl_period": st.integers(0, 100),
    "effect": st.integers(0, 100),
    "quick_reply_shortcut_id": st.integers(0, 100),
}
FLAGS = {
    name: st.booleans()
    for name, parameter in inspect.signature(reading._SchemaMessage.__init__).parameters.items()
    if parameter.annotation == bool | None
}


@given(st.fixed_dictionaries({}, optional=OPTIONAL | FLAGS), st.none() | st.integers(0, 2**31 - 1))
def test_any_fields(fields, views):
    many = message(views=views, forwards=views, **fields)
    theirs, ours = read(bytes(answer(many, message(), many)))
    assert ours.to_dict() == theirs.to_dict()
    assert bytes(ours) == bytes(theirs)


def test_the_layout_is_telethons():
    """With another one all is read by Telethon: correct, and slow."""
    assert len(FLAGS) == 15
    assert types.Message.CONSTRUCTOR_ID == reading._LAYOUT


@given(st.one_of(st.text(max_size=20), st.integers(200, 70_000).map("ю".__mul__)))
def test_texts_of_any_length(text):
    if any(0xD800 <= ord(each) <= 0xDFFF for each in text):
        return
    theirs, ours = read(bytes(answer(message(text=text), message(7, text))))
    assert [each.message for each in ours.messages] == [text, text]
    assert ours.to_dict() == theirs.to_dict()


def test_a_text_that_is_no_utf_8():
    payload = bytes(answer(message(text="?" * 9))).replace(
        b"?" * 9, b"\xff\xfe\x00\xc3(\xed\xa0\x80?"
    )
    theirs, ours = read(payload)
    assert ours.messages[0].message == theirs.messages[0].message != "?" * 9


def test_an_unknown_constructor_is_told_as_by_telethon():
    payload = bytes(answer(message())).replace(bytes(message())[:4], b"\xaa\xbb\xcc\xdd")
    told = []
    for reader in (BinaryReader, PageReader):
        with pytest.raises(TypeNotFoundError) as caught:
            reader(payload).tgread_object()
        told.append((caught.value.invalid_constructor_id, caught.value.remaining))
    assert told[0] == told[1]


def test_a_cut_answer_is_no_answer():
    payload = bytes(answer(FULL))
    for length in range(4, len(payload), 4):
        for reader in (BinaryReader, PageReader):
            with pytest.raises((struct.error, BufferError, IndexError)):
                reader(payload[:length]).tgread_object()


def test_the_request_is_telegrams_own():
    request = GetHistoryRequest(types.InputPeerSelf(), 0, None, 0, 10, 0, 0, 0)
    assert request_name(request) == "messages.getHistory"
    assert isinstance(request, TLObject)
    assert GetHistoryRequest.read_result(BinaryReader(bytes(answer(message())))).read().count == 1


async def test_the_loop_goes_on_between_pages(telegram, connect):
    channel = telegram.world.add_channel("News", telegram.alice, [telegram.bob], username="news")
    for number in range(50):
        telegram.world.post(channel, channel, f"news {number}")
    client = await connect(telegram.bob)
    await client.get_input_entity("news")
    # So that all of them come at once.
    telegram.sandbox.faults.latency(0.2, method="messages.getHistory")
    rounds, read_in = 0, []

    async def read() -> None:
        page = await read_page(client, chat_id="news")
        assert page["newest_id"] == 51
        read_in.append(rounds)

    readers = asyncio.gather(*[read() for _ in range(40)])
    while not readers.done():
        await asyncio.sleep(0)
        rounds += 1
    await readers
    assert len(read_in) == 40
    assert max(Counter(read_in).values()) <= reading.AT_ONCE


async def test_a_client_without_updates(telegram, connect):
    channel = telegram.world.add_channel("News", telegram.alice, [telegram.bob], username="news")
    telegram.world.post(channel, channel, "news")
    client = await connect(telegram.bob, receive_updates=False)
    page = await read_page(client, chat_id="@news")
    assert [message["message"] for message in page["messages"]] == ["news", ""]
