"""TL messages and updates for one viewer, from the world's messages and events.

What is the same for every viewer of a channel is serialised once and kept with the message, so that
serving history is joining bytes (`message_raw`). Fields: https://core.telegram.org/constructor/message
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from telethon.tl import types

from sandbox.world.dates import utc
from sandbox.world.media import tl_media
from sandbox.world.model import (
    Chat,
    Document,
    Event,
    Forward,
    Message,
    PeerId,
    Photo,
    Poll,
    bare_id,
    channel_peer,
    group_peer,
    is_channel,
)
from sandbox.world.peers import tl_chat as chat
from sandbox.world.peers import tl_peer
from sandbox.world.peers import tl_user as user
from sandbox.world.raw import Raw

if TYPE_CHECKING:
    from sandbox.world.state import State

__all__ = [
    "account_update",
    "channel_update",
    "chat",
    "message",
    "message_peers",
    "message_raw",
    "messages_raw",
    "reactions",
    "short_message",
    "user",
]


def message_raw(world: State, item: Message, viewer_id: int) -> Raw:
    """A message's bytes for `viewer_id`, from the cache when they are there."""
    epoch = world.file_epoch if isinstance(item.media, Photo | Document) else 0
    viewer = viewer_id if _personal(item, viewer_id) else 0
    ready = item.rendered.get((viewer, epoch))
    if ready is None:
        ready = message(world, item, viewer_id)._bytes()
        item.rendered[(viewer, epoch)] = ready
    return Raw(ready)


def messages_raw(
    world: State, items: Iterable[Message], viewer_id: int
) -> tuple[list[Any], list[Any], list[Any]]:
    """(messages, users, chats) of a page: each message's bytes, and everybody it names."""
    peers: set[PeerId] = set()
    rows = []
    for item in items:
        rows.append(message_raw(world, item, viewer_id))
        peers |= message_peers(item, viewer_id)
    users, chats = world.updates.describe(viewer_id, peers)
    return rows, users, chats


def _personal(item: Message, viewer_id: int) -> bool:
    """Whether this viewer sees other bytes than the rest of a channel."""
    return (
        not item.channel_id
        or item.sender == viewer_id
        or viewer_id in item.reactions
        or viewer_id in item.mentions
        or viewer_id in item.unread_media
        or isinstance(item.media, Poll)
    )


def message(world: State, item: Message, viewer_id: int) -> Any:
    """TL `Message` or `MessageService` as `viewer_id` sees it."""
    peer = item.peer_for(viewer_id)
    saved = peer == viewer_id
    post = item.sender == item.peer and world.chats[peer].broadcast if peer < 0 else False
    out = item.sender == viewer_id and not saved
    # Incoming private messages name no sender since layer 119 (the peer is the sender).
    from_peer = None if post or (peer > 0 and not out and not saved) else tl_peer(item.sender)
    dialog = world.users[viewer_id].dialogs.get(peer)
    common: dict[str, Any] = {
        "id": item.id_for(viewer_id),
        "peer_id": tl_peer(peer),
        "from_id": from_peer,
        "date": utc(item.date),
        "out": out or None,
        "mentioned": viewer_id in item.mentions or None,
        "media_unread": viewer_id in item.unread_media
        or (dialog is not None and item.id_for(viewer_id) in dialog.unread_mentions)
        or None,
        "silent": item.silent or None,
        "post": post or None,
        "reply_to": reply_header(item, viewer_id),
        "saved_peer_id": types.PeerUser(viewer_id) if saved else None,
        "reactions": reactions(world, item, viewer_id),
    }
    if item.action is not None:
        return types.MessageService(action=item.action, **common)
    return types.Message(
        message=item.text,
        entities=item.entities or None,
        media=tl_media(world, item.media, viewer_id) if item.media is not None else None,
        fwd_from=forward_header(item.forward) if item.forward else None,
        via_bot_id=item.via_bot or None,
        reply_markup=item.reply_markup,
        views=item.views or None,
        forwards=item.forwards if item.views else None,
        replies=reply_counter(world, item),
        edit_date=utc(item.edit_date) if item.edit_date else None,
        edit_hide=item.edit_hide or None,
        pinned=item.pinned or None,
        noforwards=item.noforwards or None,
        post_author=item.post_author or None,
        grouped_id=item.grouped_id or None,
        **common,
    )


def reply_header(item: Message, viewer_id: int) -> Any:
    """TL `MessageReplyHeader`; in forums also the topic."""
    target = item.reply_to.id_for(viewer_id) if item.reply_to else 0
    if not target and not item.topic_id:
        return None
    top = item.topic_id if item.topic_id and item.topic_id != target else 0
    return types.MessageReplyHeader(
        reply_to_msg_id=target or item.topic_id,
        reply_to_top_id=(top or None) if target else None,
        forum_topic=bool(item.topic_id) or None,
        quote=bool(item.quote) or None,
        quote_text=item.quote or None,
    )


def forward_header(forward: Forward) -> Any:
    """TL `MessageFwdHeader`."""
    return types.MessageFwdHeader(
        date=utc(forward.date),
        from_id=tl_peer(forward.from_peer) if forward.from_peer else None,
        from_name=forward.from_name,
        channel_post=forward.channel_post,
        post_author=forward.post_author,
        saved_from_peer=tl_peer(forward.saved_from_peer) if forward.saved_from_peer else None,
        saved_from_msg_id=forward.saved_from_id,
    )


def reply_counter(world: State, item: Message) -> Any:
    """TL `MessageReplies` under posts of a channel with a discussion group."""
    if not item.channel_id:
        return None
    home = world.chats[item.peer]
    if home.broadcast and home.linked_chat:
        return types.MessageReplies(
            replies=item.replies,
            replies_pts=home.box.pts,
            comments=True,
            channel_id=bare_id(home.linked_chat),
        )
    if item.replies:
        return types.MessageReplies(replies=item.replies, replies_pts=home.box.pts)
    return None


def tl_reaction(reaction: str | int) -> Any:
    """TL `Reaction` of an emoji, or of a custom emoji's document id."""
    if isinstance(reaction, int):
        return types.ReactionCustomEmoji(reaction)
    return types.ReactionEmoji(reaction)


def reactions(world: State, item: Message, viewer_id: int) -> Any:
    """TL `MessageReactions`; None when there are none. `chosen_order` marks the viewer's own."""
    if not item.reactions and not item.extra_reactions:
        return None
    counts: dict[str | int, int] = dict(item.extra_reactions)
    for chosen in item.reactions.values():
        for reaction in chosen:
            counts[reaction] = counts.get(reaction, 0) + 1
    own = item.reactions.get(viewer_id, [])
    results = [
        types.ReactionCount(
            reaction=tl_reaction(reaction),
            count=count,
            chosen_order=own.index(reaction) + 1 if reaction in own else None,
        )
        for reaction, count in sorted(counts.items(), key=lambda pair: -pair[1])
    ]
    in_channel = item.peer < 0 and world.chats[item.peer].broadcast
    recent = [
        types.MessagePeerReaction(
            peer_id=types.PeerUser(user_id),
            date=utc(item.date),
            reaction=tl_reaction(chosen[0]),
            my=(user_id == viewer_id) or None,
        )
        for user_id, chosen in list(item.reactions.items())[-3:]
        if chosen
    ]
    return types.MessageReactions(
        results=results,
        can_see_list=not in_channel or None,
        recent_reactions=None if in_channel else recent or None,
    )


def message_peers(item: Message, viewer_id: int) -> set[PeerId]:
    """Everybody whom a client must know to show the message."""
    peers = {item.peer_for(viewer_id), item.sender}
    if item.forward is not None:
        peers |= {item.forward.from_peer or 0, item.forward.saved_from_peer or 0}
    if item.via_bot:
        peers.add(item.via_bot)
    for entity in item.entities:
        if isinstance(entity, types.MessageEntityMentionName):
            peers.add(entity.user_id)
    if item.action is not None:
        peers.update(getattr(item.action, "users", None) or ())
        peers.add(getattr(item.action, "user_id", None) or 0)
        if chat_id := getattr(item.action, "chat_id", None):
            peers.add(group_peer(chat_id))
        if channel_id := getattr(item.action, "channel_id", None):
            peers.add(channel_peer(channel_id))
    for user_id in list(item.reactions)[-3:] if item.reactions else ():
        peers.add(user_id)
    peers.discard(0)
    return peers


def account_update(world: State, viewer_id: int, event: Event) -> Any:
    """TL update of an event in the viewer's own box."""
    pts, count = event.pts, event.pts_count
    if event.kind in ("new", "edit"):
        assert event.message is not None
        kind = types.UpdateNewMessage if event.kind == "new" else types.UpdateEditMessage
        return kind(message_raw(world, event.message, viewer_id), pts, count)
    if event.kind == "delete":
        return types.UpdateDeleteMessages(list(event.ids), pts, count)
    peer = tl_peer(event.peer)
    if event.kind == "read_inbox":
        unread = world.unread_count(viewer_id, event.peer)
        return types.UpdateReadHistoryInbox(peer, event.max_id, unread, pts, count)
    if event.kind == "read_outbox":
        return types.UpdateReadHistoryOutbox(peer, event.max_id, pts, count)
    if event.kind == "pin":
        return types.UpdatePinnedMessages(
            peer, list(event.ids), pts, count, pinned=event.flag or None
        )
    if event.kind == "contents":
        return types.UpdateReadMessagesContents(list(event.ids), pts, count)
    if event.kind == "folder_peers":
        return types.UpdateFolderPeers([types.FolderPeer(peer, event.max_id)], pts, count)
    raise ValueError(event.kind)


def channel_update(world: State, viewer_id: int, home: Chat, event: Event) -> Any:
    """TL update of an event in a channel's box, for one member."""
    pts, count = event.pts, event.pts_count
    if event.kind == "new":
        assert event.message is not None
        raw = message_raw(world, event.message, viewer_id)
        return types.UpdateNewChannelMessage(raw, pts, count)
    if event.kind == "edit":
        assert event.message is not None
        raw = message_raw(world, event.message, viewer_id)
        return types.UpdateEditChannelMessage(raw, pts, count)
    if event.kind == "delete":
        return types.UpdateDeleteChannelMessages(home.id, list(event.ids), pts, count)
    if event.kind == "pin":
        return types.UpdatePinnedChannelMessages(
            home.id, list(event.ids), pts, count, pinned=event.flag or None
        )
    raise ValueError(event.kind)


def short_message(item: Message, viewer_id: int, event: Event) -> Any:
    """`updateShortMessage` (private) or `updateShortChatMessage` (basic group)."""
    fields: dict[str, Any] = {
        "id": item.id_for(viewer_id),
        "message": item.text,
        "pts": event.pts,
        "pts_count": event.pts_count,
        "date": utc(item.date),
        "out": item.sender == viewer_id or None,
        "mentioned": viewer_id in item.mentions or None,
        "silent": item.silent or None,
        "reply_to": reply_header(item, viewer_id),
        "entities": item.entities or None,
    }
    peer = item.peer_for(viewer_id)
    if peer > 0:
        return types.UpdateShortMessage(user_id=peer, **fields)
    assert not is_channel(peer)
    return types.UpdateShortChatMessage(from_id=item.sender, chat_id=-peer, **fields)
