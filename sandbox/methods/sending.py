"""Sending: text, media, albums and forwards, each `random_id` once.

Sources: https://core.telegram.org/method/messages.sendMessage and its siblings
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.dialogs import save_draft_text
from sandbox.methods.media import input_media
from sandbox.methods.pages import unix
from sandbox.methods.peers import input_peer, input_user, is_admin
from sandbox.methods.permissions import check_write, media_kind
from sandbox.methods.scheduled import SEND_AT_ONCE_SECONDS, schedule
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.acting import Act
from sandbox.world.model import Media, Message, PeerId, is_channel
from sandbox.world.text import utf16_length

ALBUM_LIMIT = 10


@dataclass(slots=True)
class Outgoing:
    """One message that was checked and is ready to be posted (or scheduled)."""

    peer: PeerId
    text: str
    entities: list[Any]
    media: Media | None
    random_id: int
    reply_to: Message | None
    topic_id: int
    quote: str
    silent: bool
    reply_markup: Any
    sender: PeerId
    grouped_id: int = 0


def check_random_ids(call: Call, random_ids: Sequence[int]) -> None:
    """Refuse what was sent before: 500 `RANDOM_ID_DUPLICATE`.

    Source: https://core.telegram.org/method/messages.sendMessage
    """
    if not all(random_ids):
        raise RpcError(400, "RANDOM_ID_EMPTY")
    if len(set(random_ids)) < len(random_ids):
        raise RpcError(400, "RANDOM_ID_INVALID")
    if any(random_id in call.me.random_ids for random_id in random_ids):
        raise RpcError(500, "RANDOM_ID_DUPLICATE")


def check_text(call: Call, text: str, media: Media | None) -> None:
    """Refuse an empty or too long text; under media it is a caption.

    Source: https://core.telegram.org/api/config#message-length-max
    """
    limits = call.world.limits
    if media is not None and len(text) > limits.caption_length:
        raise RpcError(400, "MEDIA_CAPTION_TOO_LONG")
    if len(text) > limits.message_length:
        raise RpcError(400, "MESSAGE_TOO_LONG")
    if media is None and not text.strip():
        raise RpcError(400, "MESSAGE_EMPTY")


def own_entities(call: Call, text: str, entities: Sequence[Any] | None) -> list[Any]:
    """Return the client's entities as the server keeps them; offsets count UTF-16 units.

    Source: https://core.telegram.org/api/entities
    """
    kept: list[Any] = []
    length = utf16_length(text)
    for entity in entities or ():
        if entity.offset < 0 or entity.length <= 0 or entity.offset + entity.length > length:
            raise RpcError(400, "ENTITY_BOUNDS_INVALID")
        if isinstance(entity, types.InputMessageEntityMentionName):
            named = input_user(call, entity.user_id, "ENTITY_MENTION_USER_INVALID")
            entity = types.MessageEntityMentionName(entity.offset, entity.length, named.id)
        kept.append(entity)
    return kept


def _reply(call: Call, peer: PeerId, reply_to: Any) -> tuple[Message | None, int, str]:
    """Return the message replied to, the forum topic, and the quoted part."""
    forum = is_channel(peer) and call.world.chat(peer).forum
    if reply_to is None:
        return None, 0, ""
    if not isinstance(reply_to, types.InputReplyToMessage):
        raise RpcError(400, "REPLY_TO_INVALID")
    source = input_peer(call, reply_to.reply_to_peer_id) if reply_to.reply_to_peer_id else peer
    topic_id = (reply_to.top_msg_id or 0) if forum else 0
    if forum and reply_to.reply_to_msg_id in call.world.chat(peer).topics:
        return None, reply_to.reply_to_msg_id, ""
    message = call.world.message(call.me.id, source, reply_to.reply_to_msg_id)
    if message is None:
        raise RpcError(400, "REPLY_MESSAGE_ID_INVALID")
    if forum and not topic_id:
        topic_id = message.topic_id
    quote = reply_to.quote_text or ""
    if quote and quote not in message.text:
        raise RpcError(400, "QUOTE_TEXT_INVALID")
    return message, topic_id, quote


def _send_as(call: Call, peer: PeerId, send_as: Any) -> PeerId:
    """Return the sender: oneself, or the chat for admins who are anonymous or choose to be.

    Source: https://core.telegram.org/method/messages.sendMessage (send_as)
    """
    chosen = call.me.id if send_as is None else input_peer(call, send_as)
    if chosen == call.me.id:
        if send_as is None and peer < 0:
            member = call.world.chat(peer).member(call.me.id)
            if member is not None and getattr(member.admin_rights, "anonymous", False):
                return peer
        return chosen
    if chosen != peer or not is_channel(peer) or not is_admin(call.world.chat(peer), call.me.id):
        raise RpcError(400, "SEND_AS_PEER_INVALID")
    return chosen


def _outgoing(call: Call, request: Any, parts: Sequence[Any]) -> list[Outgoing]:
    """Check a request and return its messages; `parts` are (text, entities, media, random_id)."""
    peer = input_peer(call, request.peer)
    check_random_ids(call, [part[3] for part in parts])
    ready: list[Outgoing] = []
    reply_to, topic_id, quote = _reply(call, peer, request.reply_to)
    sender = _send_as(call, peer, request.send_as)
    for text, entities, media, random_id in parts:
        checked = input_media(call, media) if media is not None else None
        check_text(call, text, checked)
        check_write(call, peer, checked, count=len(parts))
        ready.append(
            Outgoing(
                peer=peer,
                text=text,
                entities=own_entities(call, text, entities),
                media=checked,
                random_id=random_id,
                reply_to=reply_to,
                topic_id=topic_id,
                quote=quote,
                silent=bool(request.silent),
                reply_markup=getattr(request, "reply_markup", None) if call.me.bot else None,
                sender=sender,
            )
        )
    return ready


def post(call: Call, outgoing: Outgoing) -> Message:
    """Post a checked message and remember its `random_id`."""
    message = call.world.post(
        outgoing.sender,
        outgoing.peer,
        outgoing.text,
        entities=outgoing.entities,
        media=outgoing.media,
        reply_to=outgoing.reply_to,
        quote=outgoing.quote,
        topic_id=outgoing.topic_id,
        grouped_id=outgoing.grouped_id,
        silent=outgoing.silent,
        reply_markup=outgoing.reply_markup,
        random_id=outgoing.random_id,
    )
    call.me.random_ids[outgoing.random_id] = message
    return message


def _message_ids(call: Call, sent: Sequence[Message]) -> list[Any]:
    return [
        types.UpdateMessageID(id=message.id_for(call.me.id), random_id=message.random_id)
        for message in sent
    ]


def _send(call: Call, request: Any, act: Act, outgoing: list[Outgoing]) -> Any:
    date = unix(request.schedule_date)
    if date > call.world.now() + SEND_AT_ONCE_SECONDS:
        return schedule(call, act, outgoing, date, post)
    sent = [post(call, one) for one in outgoing]
    if request.clear_draft:
        save_draft_text(call, outgoing[0].peer, "")
    short = _short(call, act, sent[0]) if len(sent) == 1 else None
    return short or act.result(_message_ids(call, sent))


def _short(call: Call, act: Act, message: Message) -> Any:
    """Return `updateShortSentMessage` for text to a user or basic group, where it says it all.

    Source: https://core.telegram.org/constructor/updateShortSentMessage
    """
    plain = message.media is None and not is_channel(message.peer)
    if not plain or message.peer == call.me.id or len(act.updates) != 1:
        return None
    update = act.updates[0]
    return types.UpdateShortSentMessage(
        id=message.id_for(call.me.id),
        pts=update.pts,
        pts_count=update.pts_count,
        date=message.date,
        out=True,
        entities=message.entities or None,
    )


@handles(functions.messages.SendMessageRequest)
async def send_message(call: Call, request: Any) -> Any:
    """Send a text.

    Source: https://core.telegram.org/method/messages.sendMessage
    """
    with call.world.acting(call.me.id, call.origin) as act:
        part = (request.message, request.entities, None, request.random_id)
        return _send(call, request, act, _outgoing(call, request, [part]))


@handles(functions.messages.SendMediaRequest)
async def send_media(call: Call, request: Any) -> Any:
    """Send a file, place, contact, poll, …, with a caption.

    Source: https://core.telegram.org/method/messages.sendMedia
    """
    with call.world.acting(call.me.id, call.origin) as act:
        part = (request.message, request.entities, request.media, request.random_id)
        return _send(call, request, act, _outgoing(call, request, [part]))


@handles(functions.messages.SendMultiMediaRequest)
async def send_multi_media(call: Call, request: Any) -> Any:
    """Send an album of at most 10 photos and videos, or of documents, or of songs.

    Its files must be at Telegram already (`messages.uploadMedia`).
    Source: https://core.telegram.org/method/messages.sendMultiMedia
    """
    with call.world.acting(call.me.id, call.origin) as act:
        items = request.multi_media
        if not items:
            raise RpcError(400, "MEDIA_EMPTY")
        if len(items) > ALBUM_LIMIT:
            raise RpcError(400, "MULTI_MEDIA_TOO_LONG")
        known = (types.InputMediaPhoto, types.InputMediaDocument)
        if not all(isinstance(item.media, known) for item in items):
            raise RpcError(400, "MEDIA_INVALID")
        parts = [(item.message, item.entities, item.media, item.random_id) for item in items]
        outgoing = _outgoing(call, request, parts)
        kinds = {media_kind(one.media) for one in outgoing}
        kinds = {"visual" if kind in ("photo", "video") else kind for kind in kinds}
        if len(kinds) > 1:
            raise RpcError(400, "MEDIA_GROUPED_INVALID")
        album = call.world.random_long() if len(outgoing) > 1 else 0
        for one in outgoing:
            one.grouped_id = album
        return _send(call, request, act, outgoing)


@handles(functions.messages.ForwardMessagesRequest)
async def forward_messages(call: Call, request: Any) -> Any:
    """Forward messages; those that are gone or of service are passed over.

    Source: https://core.telegram.org/method/messages.forwardMessages
    """
    with call.world.acting(call.me.id, call.origin) as act:
        source, target = input_peer(call, request.from_peer), input_peer(call, request.to_peer)
        if not request.id:
            raise RpcError(400, "MESSAGE_IDS_EMPTY")
        if len(request.random_id) != len(request.id):
            raise RpcError(400, "RANDOM_ID_INVALID")
        check_random_ids(call, request.random_id)
        found = _forwardable(call, source, zip(request.id, request.random_id, strict=True))
        for message, _random_id in found:
            check_write(call, target, message.media, count=len(found))
        sent = call.world.forward(
            _send_as(call, target, request.send_as),
            [message for message, _random_id in found],
            target,
            drop_author=bool(request.drop_author),
            drop_captions=bool(request.drop_media_captions),
            random_ids=[random_id for _message, random_id in found],
            silent=bool(request.silent),
            topic_id=request.top_msg_id or 0,
        )
        for message in sent:
            call.me.random_ids[message.random_id] = message
        return act.result(_message_ids(call, sent))


def _forwardable(call: Call, source: PeerId, asked: Any) -> list[tuple[Message, int]]:
    hidden = call.world.min_id(call.me.id, source)
    protected = source < 0 and call.world.chat(source).noforwards
    found = []
    for message_id, random_id in asked:
        message = call.world.message(call.me.id, source, message_id)
        if message is None or message.action is not None or message_id <= hidden:
            continue
        if protected or message.noforwards:
            raise RpcError(400, "CHAT_FORWARDS_RESTRICTED")
        found.append((message, random_id))
    if not found:
        raise RpcError(400, "MESSAGE_ID_INVALID")
    return found
