"""Messages that wait for their date: kept apart, with ids of their own, posted when due.

Source: https://core.telegram.org/api/scheduled-messages
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from telethon.tl import functions, types

from sandbox.methods.pages import unix
from sandbox.methods.peers import input_peer
from sandbox.methods.results import messages_page
from sandbox.rpc import Call, RpcError, handles
from sandbox.world import render
from sandbox.world.acting import Act
from sandbox.world.model import Message, PeerId
from sandbox.world.peers import tl_peer
from sandbox.world.raw import Raw

if TYPE_CHECKING:
    from sandbox.methods.sending import Outgoing
    from sandbox.world import World

SEND_AT_ONCE_SECONDS = 20
LATEST_SECONDS = 367 * 86_400
WHEN_ONLINE = 0x7FFFFFFE
LIMIT = 100

Post = Callable[[Call, Any], Message]


@dataclass(slots=True)
class Waiting:
    """A scheduled message: how it looks, what will be sent and how, and the timer."""

    shown: Message
    outgoing: Outgoing
    post: Post
    timer: asyncio.TimerHandle | None = None


Queue = dict[int, Waiting]
_queues: WeakKeyDictionary[World, dict[tuple[int, PeerId], Queue]] = WeakKeyDictionary()


def queue_of(call: Call, peer: PeerId) -> Queue:
    """Return what the caller has scheduled in a chat, by the ids of scheduled messages."""
    return _queues.setdefault(call.world, {}).setdefault((call.me.id, peer), {})


def _raw(call: Call, waiting: Waiting) -> Raw:
    message = render.message(call.world, waiting.shown, call.me.id)
    message.from_scheduled = True
    return Raw(message._bytes())


def schedule(call: Call, act: Act, outgoing: list[Outgoing], date: int, post: Post) -> Any:
    """Keep messages until `date` and return `updateNewScheduledMessage` for each.

    Raises `SCHEDULE_DATE_TOO_LATE`, `SCHEDULE_TOO_MUCH`, `SCHEDULE_BOT_NOT_ALLOWED`.
    """
    now = call.world.now()
    if call.me.bot:
        raise RpcError(400, "SCHEDULE_BOT_NOT_ALLOWED")
    if date > now + LATEST_SECONDS and date != WHEN_ONLINE:
        raise RpcError(400, "SCHEDULE_DATE_TOO_LATE")
    queue = queue_of(call, outgoing[0].peer)
    if len(queue) + len(outgoing) > LIMIT:
        raise RpcError(400, "SCHEDULE_TOO_MUCH")
    updates: list[Any] = []
    peers: set[PeerId] = set()
    for one in outgoing:
        message_id = max(queue, default=0) + 1
        shown = Message(
            uid=0,
            peer=one.peer,
            sender=one.sender,
            date=date,
            text=one.text,
            entities=one.entities,
            media=one.media,
            reply_to=one.reply_to,
            grouped_id=one.grouped_id,
            ids={call.me.id: message_id},
        )
        waiting = queue[message_id] = Waiting(shown, one, post)
        _start_timer(call, waiting, one.peer, message_id)
        updates.append(types.UpdateMessageID(id=message_id, random_id=one.random_id))
        updates.append(types.UpdateNewScheduledMessage(_raw(call, waiting)))
        peers |= render.message_peers(shown, call.me.id)
        call.me.random_ids[one.random_id] = shown
    return act.result(updates, peers)


def edit_scheduled(call: Call, act: Act, peer: PeerId, request: Any) -> Any:
    """Change a scheduled message's text or date (messages.editMessage with `schedule_date`)."""
    queue = queue_of(call, peer)
    waiting = queue.get(request.id)
    if waiting is None:
        raise RpcError(400, "MESSAGE_ID_INVALID")
    date = unix(request.schedule_date)
    if date <= call.world.now():
        raise RpcError(400, "SCHEDULE_DATE_INVALID")
    if request.message is not None:
        waiting.shown.text = waiting.outgoing.text = request.message
        waiting.shown.entities = waiting.outgoing.entities = list(request.entities or ())
    waiting.shown.date = date
    _start_timer(call, waiting, peer, request.id)
    update = types.UpdateNewScheduledMessage(_raw(call, waiting))
    return act.result([update], render.message_peers(waiting.shown, call.me.id))


def _start_timer(call: Call, waiting: Waiting, peer: PeerId, message_id: int) -> None:
    if waiting.timer is not None:
        waiting.timer.cancel()
    if waiting.shown.date != WHEN_ONLINE:
        delay = waiting.shown.date - call.world.now()
        waiting.timer = asyncio.get_running_loop().call_later(
            delay, _post_due, call, peer, message_id
        )


def _post_due(call: Call, peer: PeerId, message_id: int) -> None:
    with call.world.lock:
        waiting = queue_of(call, peer).pop(message_id, None)
        if waiting is not None:
            sent = waiting.post(call, waiting.outgoing)
            _tell_gone(call, peer, {message_id: sent.id_for(call.me.id)})


def _tell_gone(call: Call, peer: PeerId, gone: dict[int, int]) -> None:
    update = types.UpdateDeleteScheduledMessages(
        peer=tl_peer(peer),
        messages=list(gone),
        sent_messages=[sent for sent in gone.values() if sent] or None,
    )
    call.world.updates.tell(call.me.id, [update], {peer})


@handles(functions.messages.GetScheduledHistoryRequest)
async def get_scheduled_history(call: Call, request: Any) -> Any:
    """Return what is scheduled in a chat, the latest first.

    Source: https://core.telegram.org/method/messages.getScheduledHistory
    """
    with call.world.lock:
        peer = input_peer(call, request.peer)
        return _page(call, sorted(queue_of(call, peer).values(), key=_order, reverse=True))


@handles(functions.messages.GetScheduledMessagesRequest)
async def get_scheduled_messages(call: Call, request: Any) -> Any:
    """Return scheduled messages by id.

    Source: https://core.telegram.org/method/messages.getScheduledMessages
    """
    with call.world.lock:
        queue = queue_of(call, input_peer(call, request.peer))
        return _page(call, [queue[one] for one in request.id if one in queue])


def _order(waiting: Waiting) -> tuple[int, int]:
    return waiting.shown.date, max(waiting.shown.ids.values())


def _page(call: Call, rows: list[Waiting]) -> Any:
    shown = [waiting.shown for waiting in rows]
    raw = [_raw(call, waiting) for waiting in rows]
    return messages_page(call, 0, shown, count=len(rows), raw=raw)


@handles(functions.messages.SendScheduledMessagesRequest)
async def send_scheduled_messages(call: Call, request: Any) -> Any:
    """Send scheduled messages now.

    Source: https://core.telegram.org/method/messages.sendScheduledMessages
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        for waiting, message_id in _take(call, peer, request.id):
            sent = waiting.post(call, waiting.outgoing)
            _tell_gone(call, peer, {message_id: sent.id_for(call.me.id)})
        return act.result()


@handles(functions.messages.DeleteScheduledMessagesRequest)
async def delete_scheduled_messages(call: Call, request: Any) -> Any:
    """Drop scheduled messages.

    Source: https://core.telegram.org/method/messages.deleteScheduledMessages
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        _tell_gone(call, peer, {one: 0 for _waiting, one in _take(call, peer, request.id)})
        return act.result()


def _take(call: Call, peer: PeerId, ids: list[int]) -> list[tuple[Waiting, int]]:
    queue = queue_of(call, peer)
    if not ids or any(message_id not in queue for message_id in ids):
        raise RpcError(400, "MESSAGE_ID_INVALID")
    taken = [(queue.pop(message_id), message_id) for message_id in ids]
    for waiting, _message_id in taken:
        if waiting.timer is not None:
            waiting.timer.cancel()
    return taken
