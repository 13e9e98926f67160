"""Reading messages: pages of history, single messages, threads and what is scheduled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.pages import check_limit, results_hash, unix, window
from sandbox.methods.peers import input_channel, input_peer
from sandbox.methods.results import messages_page, raw_messages
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.history import History
from sandbox.world.model import Message, PeerId, is_channel
from sandbox.world.raw import Raw

IDS_LIMIT = 100
GENERAL_TOPIC = 1


def newer_than_offset(history: History, offset_id: int, offset_date: int) -> int:
    """Return how many messages an offset leaves out: those with the id or a higher one.

    `offset_id` beats `offset_date`, which leaves out what was sent at that second or later.
    Source: https://core.telegram.org/api/offsets, Telethon's `iter_messages`
    """
    if offset_id > 0:
        return len(history) - history.index_of_id(offset_id)
    if offset_date > 0:
        return len(history) - history.index_of_date(offset_date)
    return 0


@handles(functions.messages.GetHistoryRequest)
async def get_history(call: Call, request: Any) -> Any:
    """Return a page of a dialog, newest first.

    At most 100 messages (20 for limit 0). Hidden pre-history does not exist for the caller,
    neither in the page nor in `count`. Another member's copy of a private chat or basic group
    has other ids: the page is that of the caller's own box.
    Source: https://core.telegram.org/method/messages.getHistory
    """
    with call.world.lock:
        peer = input_peer(call, request.peer)
        history = call.world.history(call.me.id, peer)
        if request.offset_id < 0:
            raise RpcError(400, "MSG_ID_INVALID")
        floor = history.index_after_id(call.world.min_id(call.me.id, peer))
        page = window(
            history.ids,
            newer=newer_than_offset(history, request.offset_id, unix(request.offset_date)),
            add_offset=request.add_offset,
            limit=check_limit(request.limit, call.world.limits.history),
            max_id=request.max_id,
            min_id=request.min_id,
            floor=floor,
        )
        count = len(history) - floor
        if request.hash and request.hash == results_hash(
            reversed(history.ids[page.low : page.high])
        ):
            return types.messages.MessagesNotModified(count=count)
        messages = history.messages[page.low : page.high]
        messages.reverse()
        skipped = page.skipped if request.offset_id else None
        return messages_page(call, peer, messages, count=count, skipped=skipped)


def messages_by_ids(
    call: Call, peer: PeerId, inputs: Sequence[Any]
) -> tuple[list[Message], list[Raw]]:
    """Look messages up by id, in the order asked; `messageEmpty` stands for those not there.

    `peer` 0 searches private chats and basic groups, whose ids are the account's own.
    """
    if not inputs:
        raise RpcError(400, "MESSAGE_IDS_EMPTY")
    found: list[Message] = []
    raw: list[Raw] = []
    hidden = call.world.min_id(call.me.id, peer) if peer else 0
    for item in inputs[:IDS_LIMIT]:
        message = _by_input(call, peer, item)
        if message is None or message.id_for(call.me.id) <= hidden:
            message_id = item if isinstance(item, int) else getattr(item, "id", 0)
            raw.append(Raw(types.MessageEmpty(id=message_id, peer_id=None)._bytes()))
        else:
            found.append(message)
            raw += raw_messages(call, [message])
    return found, raw


def _by_input(call: Call, peer: PeerId, item: Any) -> Message | None:
    """Return the message that an `InputMessage` (or a bare id) names.

    Source: https://core.telegram.org/type/InputMessage
    """
    user_id = call.me.id
    match item:
        case int():
            return call.world.message(user_id, peer, item)
        case types.InputMessageID():
            return call.world.message(user_id, peer, item.id)
        case types.InputMessageReplyTo():
            message = call.world.message(user_id, peer, item.id)
            return message.reply_to if message is not None else None
        case types.InputMessagePinned() if peer:
            history = call.world.history(user_id, peer)
            return next((one for one in reversed(history.messages) if one.pinned), None)
    return None


@handles(functions.messages.GetMessagesRequest)
async def get_messages(call: Call, request: Any) -> Any:
    """Return messages of private chats and basic groups by id.

    Source: https://core.telegram.org/method/messages.getMessages
    """
    with call.world.lock:
        found, raw = messages_by_ids(call, 0, request.id)
        return messages_page(call, 0, found, count=len(raw), raw=raw)


@handles(functions.channels.GetMessagesRequest)
async def get_channel_messages(call: Call, request: Any) -> Any:
    """Return messages of a channel or supergroup by id.

    Source: https://core.telegram.org/method/channels.getMessages
    """
    with call.world.lock:
        chat = input_channel(call, request.channel)
        found, raw = messages_by_ids(call, chat.peer, request.id)
        return messages_page(call, chat.peer, found, count=len(raw), raw=raw)


def thread_of(call: Call, peer: PeerId, message_id: int) -> tuple[PeerId, Message, list[Message]]:
    """Return the chat, root and messages (oldest first) of a thread.

    A channel post's thread are the comments in its discussion group; a message's are its
    replies; a forum topic's are all of its messages.
    Source: https://core.telegram.org/api/threads
    """
    if not is_channel(peer):
        raise RpcError(400, "PEER_ID_INVALID")
    root = call.world.message(call.me.id, peer, message_id)
    if root is None:
        raise RpcError(400, "MSG_ID_INVALID")
    chat = call.world.chat(peer)
    if chat.broadcast:
        copy = discussion_copy(call, chat.linked_chat, root) if chat.linked_chat else None
        if copy is None:
            raise RpcError(400, "MSG_ID_INVALID")
        peer, root = chat.linked_chat, copy
        chat = call.world.chat(peer)
    hidden = call.world.min_id(call.me.id, peer)
    members = {root.uid}
    thread: list[Message] = []
    start = chat.history.index_after_id(root.channel_id)
    for message in chat.history.messages[start:]:
        if message.topic_id == root.channel_id or (
            message.reply_to is not None and message.reply_to.uid in members
        ):
            members.add(message.uid)
            if message.channel_id > hidden:
                thread.append(message)
    return peer, root, thread


def discussion_copy(call: Call, group: PeerId, post: Message) -> Message | None:
    """Find the automatic forward of a channel post in the channel's discussion group."""
    for message in call.world.chat(group).history.messages:
        forward = message.forward
        if (
            forward is not None
            and forward.saved_from_peer == post.peer
            and forward.saved_from_id == post.channel_id
        ):
            return message
    return None


@handles(functions.messages.GetRepliesRequest)
async def get_replies(call: Call, request: Any) -> Any:
    """Return a page of a thread: comments of a post, replies to a message, a forum topic.

    Source: https://core.telegram.org/method/messages.getReplies
    """
    with call.world.lock:
        peer, thread = in_thread(call, input_peer(call, request.peer), request.msg_id)
        return thread_page(call, peer, thread, request)


def in_thread(call: Call, peer: PeerId, thread_id: int) -> tuple[PeerId, list[Message]]:
    """Return where a thread or forum topic stands, and its messages, oldest first."""
    if is_channel(peer) and call.world.chat(peer).forum:
        return peer, _topic(call, peer, thread_id)
    peer, _root, thread = thread_of(call, peer, thread_id)
    return peer, thread


def _topic(call: Call, peer: PeerId, topic_id: int) -> list[Message]:
    chat = call.world.chat(peer)
    if topic_id != GENERAL_TOPIC and topic_id not in chat.topics:
        raise RpcError(400, "TOPIC_ID_INVALID")
    hidden = call.world.min_id(call.me.id, peer)
    return [
        message
        for message in chat.history.messages
        if (message.topic_id or GENERAL_TOPIC) == topic_id and message.channel_id > hidden
    ]


def thread_page(call: Call, peer: PeerId, matches: list[Message], request: Any) -> Any:
    """Cut the page that a request's offsets, limit, bounds and hash ask for out of `matches`."""
    ids = [message.id_for(call.me.id) for message in matches]
    newer = 0
    if request.offset_id > 0:
        newer = sum(message_id >= request.offset_id for message_id in ids)
    elif date := unix(getattr(request, "offset_date", None)):
        newer = sum(message.date >= date for message in matches)
    page = window(
        ids,
        newer=newer,
        add_offset=request.add_offset,
        limit=min(request.limit, call.world.limits.history),
        max_id=request.max_id,
        min_id=request.min_id,
    )
    if request.hash and request.hash == results_hash(reversed(ids[page.low : page.high])):
        return types.messages.MessagesNotModified(count=len(matches))
    newest_first = matches[page.low : page.high][::-1]
    return messages_page(call, peer, newest_first, count=len(matches), skipped=page.skipped)


@handles(functions.messages.GetDiscussionMessageRequest)
async def get_discussion_message(call: Call, request: Any) -> Any:
    """Return the message in the discussion group under which a post's comments stand.

    Source: https://core.telegram.org/method/messages.getDiscussionMessage
    """
    with call.world.lock:
        peer = input_peer(call, request.peer)
        peer, root, thread = thread_of(call, peer, request.msg_id)
        page = messages_page(call, peer, [root], count=1)
        read = call.world.dialog(call.me.id, peer).read_inbox_max_id
        return types.messages.DiscussionMessage(
            messages=page.messages,
            unread_count=sum(message.channel_id > read for message in thread),
            chats=page.chats,
            users=page.users,
            max_id=thread[-1].channel_id if thread else None,
            read_inbox_max_id=read or None,
            read_outbox_max_id=None,
        )
