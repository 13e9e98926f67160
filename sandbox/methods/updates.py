"""updates.*: the state of the boxes, and what a client has missed of them.

Source: https://core.telegram.org/api/updates
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.peers import input_channel
from sandbox.rpc import Call, RpcError, handles
from sandbox.world import render
from sandbox.world.dates import utc
from sandbox.world.model import Chat, Event, Message, PeerId, User
from sandbox.world.peers import tl_dialog

POLL_SECONDS = 30  # when a client should ask for a channel's difference again
MAX_BOT_LIMIT = 100_000


def state(call: Call, pts: int | None = None) -> Any:
    """TL `updates.State` of the caller's account, or of a point on the way to it."""
    user = call.me
    unread = sum(call.world.unread_count(user.id, peer) for peer in user.histories)
    return types.updates.State(
        pts=user.box.pts if pts is None else pts,
        qts=user.box.qts,
        date=utc(call.world.now()),
        seq=user.box.seq,
        unread_count=unread,
    )


@handles(functions.updates.GetStateRequest)
async def get_state(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/updates.getState"""
    with call.world.lock:
        return state(call)


@handles(functions.updates.GetDifferenceRequest)
async def get_difference(call: Call, request: Any) -> Any:
    """What the account's box has got since `pts`, and which channels have moved since `date`.

    Long differences come in slices. `updates.differenceTooLong` when events since `pts` are no
    longer kept, or are more than `pts_total_limit`. Channels come as `updateChannelTooLong` only.
    Raises `PERSISTENT_TIMESTAMP_EMPTY`, `PERSISTENT_TIMESTAMP_INVALID`, `DATE_EMPTY`.
    Source: https://core.telegram.org/method/updates.getDifference
    """
    if request.pts <= 0:
        raise RpcError(400, "PERSISTENT_TIMESTAMP_EMPTY")
    if request.date is None:
        raise RpcError(400, "DATE_EMPTY")
    with call.world.lock:
        user, world = call.me, call.world
        if request.pts > user.box.pts:
            raise RpcError(400, "PERSISTENT_TIMESTAMP_INVALID")
        events = world.updates.events_after(user.box, request.pts)
        total = request.pts_total_limit
        if events is None or (total and request.pts + total < user.box.pts):
            return types.updates.DifferenceTooLong(user.box.pts)
        most = min(request.pts_limit or 10**9, world.limits.difference_slice)
        since = int(request.date.timestamp())
        if len(events) > most:
            return _difference(call, events[:most], [], final=False)
        loose = _without_pts(call, user, since)
        if not events and not loose:
            return types.updates.DifferenceEmpty(utc(world.now()), user.box.seq)
        return _difference(call, events, loose, final=True)


def _without_pts(call: Call, user: User, since: int) -> list[tuple[Any, PeerId]]:
    """Updates outside of the account's box: channels that moved, and kept notices."""
    changed = call.world.updates.channels_changed(user, since)
    moved = [(types.UpdateChannelTooLong(chat.id, pts=chat.box.pts), chat.peer) for chat in changed]
    notices = [(update, _peer_of(update)) for date, update in user.notices if date >= since]
    return [*notices, *moved]


def _peer_of(update: Any) -> PeerId:
    if isinstance(update, types.UpdateChannel):
        return -1_000_000_000_000 - int(update.channel_id)
    if isinstance(update, types.UpdateChat):
        return -int(update.chat_id)
    return int(getattr(update, "user_id", 0))


def _difference(
    call: Call, events: list[Event], loose: list[tuple[Any, PeerId]], *, final: bool
) -> Any:
    viewer = call.me.id
    messages, updates, peers = [], [], {peer for _, peer in loose}
    for event in _standing(events, lambda message: message.id_for(viewer) in call.me.messages):
        peers |= event_peers(event, viewer)
        if event.kind == "new" and event.message is not None:
            messages.append(render.message_raw(call.world, event.message, viewer))
        else:
            updates.append(render.account_update(call.world, viewer, event))
    users, chats = call.world.updates.describe(viewer, peers)
    fields: dict[str, Any] = {
        "new_messages": messages,
        "new_encrypted_messages": [],
        "other_updates": [*updates, *(update for update, _ in loose)],
        "chats": chats,
        "users": users,
    }
    if final:
        return types.updates.Difference(state=state(call), **fields)
    return types.updates.DifferenceSlice(intermediate_state=state(call, events[-1].pts), **fields)


def _standing(events: Iterable[Event], there: Any) -> list[Event]:
    """Leave out new and edited messages that were deleted since: only their deletion is told."""
    return [event for event in events if event.message is None or there(event.message)]


def event_peers(event: Event, viewer_id: int) -> set[PeerId]:
    """Whom a client must know to understand an event."""
    if event.message is not None:
        return render.message_peers(event.message, viewer_id)
    return {event.peer} if event.peer else set()


@handles(functions.updates.GetChannelDifferenceRequest)
async def get_channel_difference(call: Call, request: Any) -> Any:
    """What a channel's box has got since `pts`, at most `limit` events at a time.

    Users get 100 at most, bots 100 000; `final` is absent while there is more.
    `updates.channelDifferenceTooLong` when events since `pts` are no longer kept.
    Raises `CHANNEL_INVALID`, `CHANNEL_PRIVATE`, `PERSISTENT_TIMESTAMP_EMPTY`,
    `PERSISTENT_TIMESTAMP_INVALID`.
    Sources: https://core.telegram.org/method/updates.getChannelDifference,
    https://core.telegram.org/constructor/updates.channelDifferenceTooLong
    """
    with call.world.lock:
        home = input_channel(call, request.channel)
        if request.pts <= 0:
            raise RpcError(400, "PERSISTENT_TIMESTAMP_EMPTY")
        if request.pts > home.box.pts:
            raise RpcError(400, "PERSISTENT_TIMESTAMP_INVALID")
        limits = call.world.limits
        ceiling = MAX_BOT_LIMIT if call.me.bot else limits.channel_difference
        most = max(1, min(request.limit, ceiling))
        events = call.world.updates.events_after(home.box, request.pts)
        if events is None:
            return _channel_too_long(call, home, most)
        if not events:
            return types.updates.ChannelDifferenceEmpty(
                pts=home.box.pts, final=True, timeout=POLL_SECONDS
            )
        return _channel_difference(call, home, events, most, request.filter)


def _channel_too_long(call: Call, home: Chat, most: int) -> Any:
    floor = home.history.index_after_id(call.world.min_id(call.me.id, home.peer))
    latest = home.history.messages[max(floor, len(home.history) - most) :]
    rows, users, chats = render.messages_raw(call.world, reversed(latest), call.me.id)
    if not latest:
        users, chats = call.world.updates.describe(call.me.id, {home.peer})
    return types.updates.ChannelDifferenceTooLong(
        dialog=tl_dialog(call.world, call.me.id, home.peer),
        messages=rows,
        chats=chats,
        users=users,
        final=True,
        timeout=POLL_SECONDS,
    )


def _channel_difference(call: Call, home: Chat, events: list[Event], most: int, wanted: Any) -> Any:
    viewer, hidden = call.me.id, call.world.min_id(call.me.id, home.peer)
    final, events = len(events) <= most, events[:most]

    def shown(message: Message) -> bool:
        return message.channel_id > hidden and home.history.get(message.channel_id) is message

    messages, updates, peers = [], [], {home.peer}
    for event in _standing(events, shown):
        peers |= event_peers(event, viewer)
        if event.kind == "new" and event.message is not None:
            if _in_ranges(event.message.channel_id, wanted):
                messages.append(render.message_raw(call.world, event.message, viewer))
        else:
            updates.append(render.channel_update(call.world, viewer, home, event))
    users, chats = call.world.updates.describe(viewer, peers)
    return types.updates.ChannelDifference(
        pts=events[-1].pts,
        new_messages=messages,
        other_updates=updates,
        chats=chats,
        users=users,
        final=final or None,
        timeout=POLL_SECONDS,
    )


def _in_ranges(message_id: int, wanted: Any) -> bool:
    if not isinstance(wanted, types.ChannelMessagesFilter):
        return True
    if wanted.exclude_new_messages:
        return False
    return any(one.min_id <= message_id <= one.max_id for one in wanted.ranges)
