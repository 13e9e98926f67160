"""Read marks, view counters, and what others see while one types.

Sources: https://core.telegram.org/method/messages.readHistory and its siblings
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from telethon.tl import functions, types

from sandbox.methods.peers import input_channel, input_peer
from sandbox.methods.permissions import check_write
from sandbox.methods.results import described
from sandbox.rpc import Call, RpcError, handles
from sandbox.world import World, render
from sandbox.world.model import PeerId, is_channel

_seen: WeakKeyDictionary[World, set[tuple[int, PeerId, int]]] = WeakKeyDictionary()


@handles(functions.messages.ReadHistoryRequest)
async def read_history(call: Call, request: Any) -> Any:
    """Mark a private chat or basic group as read up to `max_id` (0: all of it).

    Source: https://core.telegram.org/method/messages.readHistory
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        if is_channel(peer):
            raise RpcError(400, "PEER_ID_INVALID")
        call.world.read(call.me, peer, request.max_id)
        return act.affected()


@handles(functions.channels.ReadHistoryRequest)
async def read_channel_history(call: Call, request: Any) -> bool:
    """Mark a channel or supergroup as read up to `max_id` (0: all of it).

    Source: https://core.telegram.org/method/channels.readHistory
    """
    with call.world.acting(call.me.id, call.origin):
        chat = input_channel(call, request.channel)
        if chat.member(call.me.id) is not None:
            call.world.read(call.me, chat, request.max_id)
        return True


@handles(functions.messages.ReadMessageContentsRequest)
async def read_message_contents(call: Call, request: Any) -> Any:
    """Mark voice notes as heard and mentions as seen.

    Source: https://core.telegram.org/method/messages.readMessageContents
    """
    with call.world.acting(call.me.id, call.origin) as act:
        found = [call.world.message(call.me.id, 0, message_id) for message_id in request.id]
        call.world.read_contents(call.me, *(message for message in found if message is not None))
        return act.affected()


@handles(functions.channels.ReadMessageContentsRequest)
async def read_channel_message_contents(call: Call, request: Any) -> bool:
    """Mark mentions in a channel or supergroup as seen.

    Source: https://core.telegram.org/method/channels.readMessageContents
    """
    with call.world.acting(call.me.id, call.origin):
        chat = input_channel(call, request.channel)
        found = [chat.history.get(message_id) for message_id in request.id]
        call.world.read_contents(call.me, *(message for message in found if message is not None))
        return True


@handles(functions.messages.ReadMentionsRequest)
async def read_mentions(call: Call, request: Any) -> Any:
    """Mark every mention in a chat as seen.

    Source: https://core.telegram.org/method/messages.readMentions
    """
    return _read_all(call, request.peer, "unread_mentions")


@handles(functions.messages.ReadReactionsRequest)
async def read_reactions(call: Call, request: Any) -> Any:
    """Mark every reaction to own messages in a chat as seen.

    Source: https://core.telegram.org/method/messages.readReactions
    """
    return _read_all(call, request.peer, "unread_reactions")


def _read_all(call: Call, input_: Any, which: str) -> Any:
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, input_)
        ids = sorted(getattr(call.world.dialog(call.me.id, peer), which))
        found = [call.world.message(call.me.id, peer, message_id) for message_id in ids]
        call.world.read_contents(call.me, *(message for message in found if message is not None))
        getattr(call.world.dialog(call.me.id, peer), which).clear()
        pts, count = act.pts()
        if is_channel(peer):
            pts = call.world.chat(peer).box.pts
        return types.messages.AffectedHistory(pts=pts, pts_count=count, offset=0)


@handles(functions.messages.GetMessagesViewsRequest)
async def get_messages_views(call: Call, request: Any) -> Any:
    """Return view, forward and comment counters; `increment` counts the caller once.

    Source: https://core.telegram.org/method/messages.getMessagesViews
    """
    with call.world.acting(call.me.id, call.origin):
        peer = input_peer(call, request.peer)
        found = [call.world.message(call.me.id, peer, message_id) for message_id in request.id]
        if request.increment and is_channel(peer):
            seen = _seen.setdefault(call.world, set())
            new = {
                one.channel_id: 1
                for one in found
                if one is not None and one.views and (call.me.id, peer, one.channel_id) not in seen
            }
            seen |= {(call.me.id, peer, message_id) for message_id in new}
            call.world.add_views(peer, new)
        known = [message for message in found if message is not None]
        users, chats = described(call, known, [peer])
        views = [
            types.MessageViews()
            if message is None
            else types.MessageViews(
                views=message.views or None,
                forwards=message.forwards if message.views else None,
                replies=render.reply_counter(call.world, message),
            )
            for message in found
        ]
        return types.messages.MessageViews(views=views, chats=chats, users=users)


@handles(functions.messages.SetTypingRequest)
async def set_typing(call: Call, request: Any) -> bool:
    """Show others that the caller types, uploads, chooses a sticker, …

    Source: https://core.telegram.org/method/messages.setTyping
    """
    with call.world.acting(call.me.id, call.origin):
        peer = input_peer(call, request.peer)
        if is_channel(peer) and call.world.chat(peer).broadcast:
            check_write(call, peer)
        if peer < 0 and call.world.chat(peer).member(call.me.id) is None:
            raise RpcError(403, "CHAT_WRITE_FORBIDDEN")
        call.world.typing(call.me, peer, request.action)
        return True
