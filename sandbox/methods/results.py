"""Answers that carry messages, with the users and chats that they speak of.

Source: https://core.telegram.org/type/messages.Messages
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from telethon.tl import types

from sandbox.rpc import Call
from sandbox.world import render
from sandbox.world.model import Message, PeerId, is_channel
from sandbox.world.raw import Raw


def described(
    call: Call, messages: Iterable[Message], peers: Iterable[PeerId] = ()
) -> tuple[list[Any], list[Any]]:
    """Return TL users and chats for these messages and peers, as the caller knows them."""
    named = set(peers)
    for message in messages:
        named |= render.message_peers(message, call.me.id)
    return call.world.updates.describe(call.me.id, named)


def raw_messages(call: Call, messages: Iterable[Message]) -> list[Raw]:
    """Return the messages serialised for the caller, from render's cache where it has them."""
    world, viewer_id = call.world, call.me.id
    return [render.message_raw(world, message, viewer_id) for message in messages]


def messages_page(
    call: Call,
    peer: PeerId,
    messages: Sequence[Message],
    *,
    count: int,
    skipped: int | None = None,
    raw: list[Raw] | None = None,
) -> Any:
    """Return a page (newest first) of `count` results as the kind of answer that Telegram gives.

    Channels and supergroups: `channelMessages` with the channel's pts. Elsewhere `messages`
    when this is all there is, else `messagesSlice`. `skipped` is `offset_id_offset`, the number
    of results before the page. `raw` replaces the messages (to put `messageEmpty` among them).
    """
    users, chats = described(call, messages, (peer,) if peer else ())
    content: dict[str, Any] = {
        "messages": raw if raw is not None else raw_messages(call, messages),
        "topics": [],
        "chats": chats,
        "users": users,
    }
    if peer and is_channel(peer):
        pts = call.world.chat(peer).box.pts
        return types.messages.ChannelMessages(
            pts=pts, count=count, offset_id_offset=skipped, **content
        )
    if len(content["messages"]) >= count:
        return types.messages.Messages(**content)
    return types.messages.MessagesSlice(count=count, offset_id_offset=skipped, **content)
