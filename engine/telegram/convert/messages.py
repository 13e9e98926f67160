"""Messages, the reactions to them, and what belongs to one account in them."""

import base64
from collections.abc import Mapping
from typing import Any

from telethon import types

from engine.methods.shapes import ExtraDict, MessageDict, PrivateDict, ReactionDict
from engine.telegram.convert.common import (
    CHANNEL_BASE,
    display_name,
    marked,
    text_date,
    username_of,
)
from engine.telegram.convert.files import media_dict, paid_media

PAID_REACTION = "⭐"


def message_dict(
    message: Any, entities: Mapping[int, Any], *, self_id: int | None = None
) -> MessageDict:
    """Return one message. `entities` are the answer's users and chats by marked id.

    A sender who is a contact of the account goes by the account's own label: those names stand
    under `private`, and the shared ones are null. Never give a `MessageEmpty`.
    """
    chat_id = marked(message.peer_id)
    message_id = message.id
    sender_id = _sender_id(message, chat_id, self_id)
    sender = entities.get(sender_id) if sender_id is not None else None
    extra: ExtraDict = {"chat_id": chat_id}
    private: PrivateDict = {}
    first_name = last_name = username = None
    if isinstance(sender, types.User):
        username = username_of(sender)
        if sender.contact and not sender.is_self:
            private["first_name"] = sender.first_name
            private["last_name"] = sender.last_name
        else:
            first_name, last_name = sender.first_name, sender.last_name
    elif sender is not None:
        extra["sender_title"] = display_name(sender)
        extra["sender_username"] = username_of(sender)

    forward = message.fwd_from
    forwarded_from = None
    if forward is not None:
        origin = forward.from_id
        if type(origin) is types.PeerChannel:
            forwarded_from = CHANNEL_BASE - origin.channel_id
        extra["forward_from_id"] = None if origin is None else marked(origin)
        extra["forward_from"] = _forward_name(forward, entities)

    media = message.media
    shown = media_dict(media, chat_id, message_id) if media is not None else None
    if type(media) is types.MessageMediaPaidMedia and (
        bought := paid_media(media, chat_id, message_id)
    ):
        private["media"] = bought
    reply = message.reply_to
    result: MessageDict = {
        "message_id": message_id,
        "date": text_date(message.date),
        "sender_id": sender_id,
        "first_name": first_name,
        "last_name": last_name,
        "username": username,
        "message": message.message or "",
        "media": shown,
        "reply_to": reply.reply_to_msg_id if type(reply) is types.MessageReplyHeader else None,
        "post_author": message.post_author,
        "is_forwarded": 0 if forward is None else 1,
        "forwarded_from_channel_id": forwarded_from,
    }
    _add_optional(result, extra, private, message)
    if message.action is not None:
        _add_action(result, extra, message.action)
    result["extra"] = extra
    if private:
        result["private"] = private
    return result


def _sender_id(message: Any, chat_id: int, self_id: int | None) -> int | None:
    """Return who sent it; Telegram leaves it out where the chat already says it."""
    if message.from_id is not None:
        return marked(message.from_id)
    if chat_id > 0:
        return self_id if message.out else chat_id
    return None if chat_id > CHANNEL_BASE else chat_id


def _forward_name(forward: Any, entities: Mapping[int, Any]) -> str | None:
    if forward.from_name:
        return forward.from_name
    origin = entities.get(marked(forward.from_id)) if forward.from_id is not None else None
    return (display_name(origin) or None) if origin is not None else None


def _add_optional(
    result: MessageDict, extra: ExtraDict, private: PrivateDict, message: Any
) -> None:
    if edited := text_date(message.edit_date):
        result["edit_date"] = edited
    if message.views is not None:
        result["views"] = message.views
    if message.reactions is not None:
        result["reactions"] = reaction_dicts(message.reactions)
        if own := own_reactions(message.reactions):
            private["reactions"] = own
    reply = message.reply_to
    if type(reply) is types.MessageReplyHeader and reply.forum_topic:
        result["topic_id"] = reply.reply_to_top_id or reply.reply_to_msg_id
    if message.grouped_id is not None:
        result["grouped_id"] = message.grouped_id
    if message.pinned:
        extra["is_pinned"] = True
    if message.out:
        extra["is_outgoing"] = True
    if message.forwards is not None:
        extra["forwards"] = message.forwards
    if message.replies is not None:
        extra["replies"] = message.replies.replies
    if message.noforwards:
        extra["protected"] = True
    if message.ttl_period or getattr(message.media, "ttl_seconds", None):
        extra["expires"] = True


def _add_action(result: MessageDict, extra: ExtraDict, action: Any) -> None:
    result["action"] = type(action).__name__
    if isinstance(action, types.MessageActionChatMigrateTo):
        extra["migrated_to"] = CHANNEL_BASE - action.channel_id
    elif isinstance(action, types.MessageActionChannelMigrateFrom):
        extra["migrated_from"] = -action.chat_id


def reaction_dicts(reactions: Any) -> list[ReactionDict]:
    """Return how often each reaction was given; who gave them belongs to no one here."""
    found: list[ReactionDict] = []
    for result in reactions.results:
        reaction, count = result.reaction, result.count
        if isinstance(reaction, types.ReactionEmoji):
            found.append({"emoji": reaction.emoticon, "count": count})
        elif isinstance(reaction, types.ReactionCustomEmoji):
            found.append({"custom_emoji_id": str(reaction.document_id), "count": count})
        elif isinstance(reaction, types.ReactionPaid):
            found.append({"emoji": PAID_REACTION, "count": count})
    return found


def own_reactions(reactions: Any) -> list[str]:
    """Return the reactions that the account gave, emoji or custom emoji ids."""
    own = [result for result in reactions.results if result.chosen_order is not None]
    own.sort(key=lambda result: result.chosen_order)
    names = []
    for result in own:
        reaction = result.reaction
        if isinstance(reaction, types.ReactionCustomEmoji):
            names.append(str(reaction.document_id))
        else:
            names.append(getattr(reaction, "emoticon", PAID_REACTION))
    return names


def unreadable_message(message_id: int, chat_id: int, raw: bytes) -> MessageDict:
    """Return a stand-in for a message that this layer cannot read, with its bytes."""
    return {
        "message_id": message_id,
        "date": None,
        "sender_id": None,
        "first_name": None,
        "last_name": None,
        "username": None,
        "message": "",
        "media": None,
        "reply_to": None,
        "post_author": None,
        "is_forwarded": 0,
        "forwarded_from_channel_id": None,
        "extra": {"chat_id": chat_id, "raw": base64.b64encode(raw).decode()},
    }
