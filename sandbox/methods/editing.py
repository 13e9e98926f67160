"""Changing what was sent: edits, deletions, pins.

Sources: https://core.telegram.org/method/messages.editMessage and its siblings
"""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from sandbox.methods.media import input_media
from sandbox.methods.peers import input_channel, input_peer, is_admin, require_admin
from sandbox.methods.permissions import admin_may, member_may
from sandbox.methods.scheduled import edit_scheduled
from sandbox.methods.sending import check_text, own_entities
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.acting import Act
from sandbox.world.model import Chat, Message, PeerId, Poll, is_channel
from sandbox.world.text import with_found_entities


@handles(functions.messages.EditMessageRequest)
async def edit_message(call: Call, request: Any) -> Any:
    """Change a message of one's own, within 48 hours (in channels and Saved Messages: always).

    Raises `MESSAGE_ID_INVALID`, `MESSAGE_AUTHOR_REQUIRED`, `CHAT_ADMIN_REQUIRED`,
    `MESSAGE_EDIT_TIME_EXPIRED`, `MESSAGE_NOT_MODIFIED`, `MESSAGE_EMPTY`, `MESSAGE_TOO_LONG`.
    Source: https://core.telegram.org/method/messages.editMessage
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        if request.schedule_date is not None:
            return edit_scheduled(call, act, peer, request)
        message = call.world.message(call.me.id, peer, request.id)
        if message is None or message.action is not None or message.forward is not None:
            raise RpcError(400, "MESSAGE_ID_INVALID")
        chat = call.world.chats.get(peer)
        _check_author(call, chat, message)
        if not _editable_for_ever(call, peer, chat):
            age = call.world.now() - message.date
            if age > call.world.limits.edit_seconds:
                raise RpcError(400, "MESSAGE_EDIT_TIME_EXPIRED")
        if isinstance(request.media, types.InputMediaPoll) and request.media.poll.closed:
            return _close_poll(call, act, message)
        media = message.media
        if request.media is not None:
            media = input_media(call, request.media)
        text = message.text if request.message is None else request.message
        check_text(call, text, media)
        entities = message.entities
        if request.message is not None:
            entities = own_entities(call, text, request.entities)
        same_entities = with_found_entities(text, entities) == message.entities
        if text == message.text and same_entities and media is message.media:
            raise RpcError(400, "MESSAGE_NOT_MODIFIED")
        call.world.edit(message, text, entities=entities, media=media)
        return act.result()


def _check_author(call: Call, chat: Chat | None, message: Message) -> None:
    """Refuse who did not write the message; a channel's posts belong to those who may edit them."""
    if message.sender == call.me.id:
        return
    if chat is not None and message.sender == chat.peer:
        if admin_may(call, chat, "edit_messages" if chat.broadcast else "anonymous"):
            return
        if chat.broadcast:
            raise RpcError(400, "CHAT_ADMIN_REQUIRED")
    raise RpcError(403, "MESSAGE_AUTHOR_REQUIRED")


def _editable_for_ever(call: Call, peer: PeerId, chat: Chat | None) -> bool:
    if chat is None:
        return peer == call.me.id
    return chat.broadcast or (chat.is_channel and admin_may(call, chat, "pin_messages"))


def _close_poll(call: Call, act: Act, message: Message) -> Any:
    if not isinstance(message.media, Poll):
        raise RpcError(400, "MEDIA_PREV_INVALID")
    if message.media.closed:
        raise RpcError(400, "MESSAGE_NOT_MODIFIED")
    call.world.close_poll(message)
    return act.result()


@handles(functions.messages.DeleteMessagesRequest)
async def delete_messages(call: Call, request: Any) -> Any:
    """Delete messages of private chats and basic groups, for all (`revoke`) or oneself.

    In private chats both sides may take anything back; in a basic group only admins may what
    others wrote. Ids that are not there are passed over: `pts_count` tells how many went.
    Source: https://core.telegram.org/method/messages.deleteMessages
    """
    with call.world.acting(call.me.id, call.origin) as act:
        for_all: list[Message] = []
        for_me: list[Message] = []
        for message_id in dict.fromkeys(request.id):
            message = call.world.message(call.me.id, 0, message_id)
            if message is None:
                continue
            chat = call.world.chats.get(message.peer)
            mine = message.sender == call.me.id or chat is None or is_admin(chat, call.me.id)
            (for_all if request.revoke and mine else for_me).append(message)
        # One event in each box concerned, the caller's first.
        call.world.delete(*for_me, *for_all, only_for=call.me)
        for user_id in sorted({owner for message in for_all for owner in message.ids}):
            theirs = [message for message in for_all if user_id in message.ids]
            call.world.delete(*theirs, only_for=user_id)
        return act.affected()


@handles(functions.channels.DeleteMessagesRequest)
async def delete_channel_messages(call: Call, request: Any) -> Any:
    """Delete messages of a channel or supergroup, for everybody.

    Raises 403 `MESSAGE_DELETE_FORBIDDEN` when one of them is not the caller's to delete.
    Source: https://core.telegram.org/method/channels.deleteMessages
    """
    with call.world.acting(call.me.id, call.origin):
        chat = input_channel(call, request.channel)
        found = [chat.history.get(message_id) for message_id in dict.fromkeys(request.id)]
        messages = [message for message in found if message is not None]
        if not admin_may(call, chat, "delete_messages"):
            own = chat.member(call.me.id) is not None and not chat.broadcast
            if not own or any(message.sender != call.me.id for message in messages):
                raise RpcError(403, "MESSAGE_DELETE_FORBIDDEN")
        call.world.delete(*messages)
        return types.messages.AffectedMessages(pts=chat.box.pts, pts_count=len(messages))


@handles(functions.messages.DeleteHistoryRequest)
async def delete_history(call: Call, request: Any) -> Any:
    """Delete a private chat's or basic group's history up to `max_id` (0: all of it).

    `just_clear` leaves the dialog in the list.
    Source: https://core.telegram.org/method/messages.deleteHistory
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        if is_channel(peer):
            raise RpcError(400, "PEER_ID_INVALID")
        revoke = bool(request.revoke) and peer > 0
        call.world.clear_history(
            call.me, peer, request.max_id, revoke=revoke, keep=bool(request.just_clear)
        )
        pts, count = act.pts()
        return types.messages.AffectedHistory(pts=pts, pts_count=count, offset=0)


@handles(functions.channels.DeleteHistoryRequest)
async def delete_channel_history(call: Call, request: Any) -> Any:
    """Hide a supergroup's history from oneself, or delete it for all as an admin.

    Source: https://core.telegram.org/method/channels.deleteHistory
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = input_channel(call, request.channel)
        if request.for_everyone:
            require_admin(call, chat, "delete_messages")
        elif chat.member(call.me.id) is None or chat.broadcast:
            raise RpcError(400, "CHANNEL_PARICIPANT_MISSING")
        call.world.clear_history(
            call.me, chat, request.max_id, revoke=bool(request.for_everyone), keep=True
        )
        if not request.for_everyone:
            member = chat.members[call.me.id]
            available = types.UpdateChannelAvailableMessages(chat.id, member.available_min_id)
            call.world.updates.tell(call.me.id, [available], {chat.peer})
        return act.result()


def _check_pin_right(call: Call, peer: PeerId) -> None:
    chat = call.world.chats.get(peer)
    if chat is None:
        return
    allowed = (
        admin_may(call, chat, "edit_messages")
        if chat.broadcast
        else member_may(call, chat, "pin_messages")
    )
    if not allowed:
        raise RpcError(400, "CHAT_ADMIN_REQUIRED")


@handles(functions.messages.UpdatePinnedMessageRequest)
async def update_pinned_message(call: Call, request: Any) -> Any:
    """Pin or unpin a message; groups get a service message even of a silent pin.

    Source: https://core.telegram.org/method/messages.updatePinnedMessage
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        _check_pin_right(call, peer)
        message = call.world.message(call.me.id, peer, request.id)
        if message is None or message.action is not None:
            raise RpcError(400, "MESSAGE_ID_INVALID")
        pinned = not request.unpin
        if message.pinned == pinned:
            raise RpcError(400, "CHAT_NOT_MODIFIED")
        group = peer < 0 and not call.world.chat(peer).broadcast
        call.world.pin(message, call.me, pinned=pinned, notify=group or not request.silent)
        return act.result()


@handles(functions.messages.UnpinAllMessagesRequest)
async def unpin_all_messages(call: Call, request: Any) -> Any:
    """Unpin everything in a chat.

    Source: https://core.telegram.org/method/messages.unpinAllMessages
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        _check_pin_right(call, peer)
        for message in call.world.history(call.me.id, peer).messages:
            if message.pinned:
                call.world.pin(message, call.me, pinned=False)
        pts, count = act.pts()
        if is_channel(peer):
            pts = call.world.chat(peer).box.pts
        return types.messages.AffectedHistory(pts=pts, pts_count=count, offset=0)
