"""TL to shapes, where no Telegram is needed."""

from datetime import UTC, datetime

from telethon import types

from engine import wire
from engine.methods.shapes import with_private
from engine.telegram import convert

NOON = datetime(2024, 1, 15, 9, 30, tzinfo=UTC)
CHANNEL = -1000000000009


def make_message(**fields):
    fields.setdefault("peer_id", types.PeerChannel(9))
    return types.Message(1, date=NOON, message=fields.pop("message", "hi"), **fields)


def make_user(**fields):
    return types.User(id=5, first_name="Alice", last_name="Smith", username="alice", **fields)


def test_it_works():
    message = convert.message_dict(
        make_message(from_id=types.PeerUser(5), views=3, post_author="Ann"), {5: make_user()}
    )
    assert message == {
        "message_id": 1,
        "date": "2024-01-15 09:30:00",
        "sender_id": 5,
        "first_name": "Alice",
        "last_name": "Smith",
        "username": "alice",
        "message": "hi",
        "media": None,
        "reply_to": None,
        "post_author": "Ann",
        "is_forwarded": 0,
        "forwarded_from_channel_id": None,
        "views": 3,
        "extra": {"chat_id": CHANNEL},
    }


def test_hostile_text_survives():
    text = "\x00 \ud800 \u202e <script>" + "x" * 100_000
    message = convert.message_dict(make_message(message=text), {})
    assert message["message"] == text
    assert wire.normalise(message) == message


def test_64_bit_ids_survive():
    reaction = types.ReactionCustomEmoji(2**63 - 1)
    reactions = types.MessageReactions([types.ReactionCount(reaction, 2, chosen_order=0)])
    message = convert.message_dict(make_message(reactions=reactions, grouped_id=2**63 - 1), {})
    assert message["reactions"] == [{"custom_emoji_id": str(2**63 - 1), "count": 2}]
    assert message["private"]["reactions"] == [str(2**63 - 1)]
    assert wire.normalise(message)["grouped_id"] == 2**63 - 1


def test_paid_reactions_are_stars():
    reactions = types.MessageReactions([types.ReactionCount(types.ReactionPaid(), 9)])
    assert convert.reaction_dicts(reactions) == [{"emoji": "⭐", "count": 9}]


def test_private_names_and_media_are_spliced_in_for_their_account():
    sender = make_user(contact=True)
    message = convert.message_dict(make_message(from_id=types.PeerUser(5)), {5: sender})
    assert message["first_name"] is None
    shown = with_private(message)
    assert (shown["first_name"], shown["last_name"]) == ("Alice", "Smith")
    assert not {"extra", "private"} & set(shown)
    assert message["private"], "the original is untouched"


def test_paid_media_belong_to_who_paid():
    photo = types.Photo(1, 2, b"r", NOON, [types.PhotoSize("x", 8, 8, 99)], 2)
    hidden = types.MessageMediaPaidMedia(5, [types.MessageExtendedMediaPreview()])
    assert "private" not in convert.message_dict(make_message(media=hidden), {})
    bought = types.MessageMediaPaidMedia(
        5, [types.MessageExtendedMedia(types.MessageMediaPhoto(photo=photo))]
    )
    message = convert.message_dict(make_message(media=bought), {})
    assert message["media"]["type"] == "MessageMediaPaidMedia"
    assert message["media"]["file"] is None
    assert message["private"]["media"]["file"]["id"] == 1
    shown = with_private(message)["media"]
    assert shown == {
        "type": "MessageMediaPaidMedia",
        "uuid": None,
        "filename": "photo_1.jpg",
        "size": 99,
    }


def test_forwards_of_hidden_senders():
    header = types.MessageFwdHeader(NOON, from_name="Somebody")
    message = convert.message_dict(make_message(fwd_from=header), {})
    assert message["is_forwarded"] == 1
    assert message["forwarded_from_channel_id"] is None
    assert message["extra"]["forward_from"] == "Somebody"


def test_migrations_are_marked():
    action = types.MessageActionChatMigrateTo(9)
    message = types.MessageService(1, types.PeerChat(7), NOON, action=action)
    found = convert.message_dict(message, {})
    assert found["action"] == "MessageActionChatMigrateTo"
    assert found["extra"]["migrated_to"] == CHANNEL


def test_every_media_class_converts():
    """No constructor of this layer that holds no file breaks a page."""
    for name, kind in vars(types).items():
        if name.startswith("MessageMedia"):
            media = kind.__new__(kind)
            for field in getattr(kind.__init__, "__annotations__", {}):
                setattr(media, field, None)
            found = convert.media_dict(media, 1, 1)
            assert found is None or found["type"] == name


def test_usernames_beyond_the_first():
    user = types.User(id=5, usernames=[types.Username("old"), types.Username("new", active=True)])
    assert convert.username_of(user) == "new"
    assert convert.user_dict(user)["usernames"] == ["new"]


def test_deleted_accounts_and_unknown_kinds():
    assert convert.display_name(types.User(id=5, deleted=True)) == "Deleted Account"
    assert convert.chat_type(types.ChannelForbidden(9, 1, "x", megagroup=True)) == "supergroup"
    assert convert.chat_type(types.ChatForbidden(9, "x")) == "group"
    assert convert.marked_entity(types.ChannelForbidden(9, 1, "x")) == CHANNEL
