"""Telethon's message box, made to tell what it covers.

Telethon's `MessageBox` fills ordinary gaps well and hands on only updates that follow each
other, but it keeps four things to itself: how far a difference reaches, that a `…TooLong` lost
messages, the edits and deletions inside a difference (their pts is not above the new state, so
it takes them for handled ones), and what this session's own requests changed. `Box` hands them
on as `Unit`s, in their place in the order of updates.

Source: https://core.telegram.org/api/updates
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from telethon import types, utils
from telethon._updates.messagebox import ENTRY_ACCOUNT, ENTRY_SECRET, MessageBox, PtsInfo
from telethon.tl.types import updates as updates_types

ACCOUNT = 0
"""The box of private chats and basic groups; a channel's box is its bare id."""

CLAIMS_KEPT = 256


@dataclass(slots=True, eq=False)
class Unit:
    """Updates that are committed together with the state that they reach.

    `start` and `pts` are the box's pts before and after; None says nothing about pts.
    With `hole` Telegram did not tell what lies between them; `top_message_id` is then the newest
    message of a channel (0: not told). One that `begins` a box carries its first state only.
    `clock` is the account's (qts, date, seq).
    """

    box: int
    updates: list[Any]
    start: int | None = None
    pts: int | None = None
    hole: bool = False
    top_message_id: int = 0
    begins: bool = False
    clock: tuple[int, int, int] | None = None
    _entities: dict[int, Any] = field(default_factory=dict)

    @property
    def entities(self) -> dict[int, Any]:
        """Return users and chats by marked id, as Telethon attaches them to updates."""
        return self._entities


@dataclass(frozen=True, slots=True)
class Claim:
    """What one of our own requests did, where its result only gives the new pts."""

    update: Any


def box_of(update: Any) -> int | None:
    """Return the box that orders an update: 0, a channel's bare id, None for none."""
    info = PtsInfo.from_update(update)
    if info is None or info.entry is ENTRY_SECRET:
        return None
    return ACCOUNT if info.entry is ENTRY_ACCOUNT else int(info.entry)


def unit_of(update: Any) -> Unit:
    """Wrap one live update that the box let through."""
    box = box_of(update)
    entities = getattr(update, "_entities", {})
    if box is None:
        return Unit(ACCOUNT, [update], _entities=entities)
    count = getattr(update, "pts_count", None) or 0
    return Unit(box, [update], update.pts - count, update.pts, _entities=entities)


class Box(MessageBox):  # type: ignore[misc]
    """A message box that loses nothing silently; see the module."""

    __slots__ = ("_claims",)

    def __init__(self, log: Any) -> None:
        super().__init__(log)
        self._claims: dict[tuple[int, int], Claim] = {}

    @property
    def account_pts(self) -> int | None:
        """Return the account's pts as far as updates came in; None before login."""
        state = self.map.get(ENTRY_ACCOUNT)
        return None if state is None else int(state.pts)

    def claim(self, pts: int, pts_count: int, update: Any) -> None:
        """Remember what our own request did; the box meets its pts right afterwards."""
        while len(self._claims) >= CLAIMS_KEPT:
            self._claims.pop(next(iter(self._claims)))
        self._claims[pts, pts_count] = Claim(update)

    def process_updates(self, updates: Any, chat_hashes: Any, result: list[Any]) -> Any:
        if getattr(updates, "_self_outgoing", False):
            # Telethon hides own results from handlers; the cache and other listeners need them.
            updates = self._claimed(updates)
            updates._self_outgoing = False
        return super().process_updates(updates, chat_hashes, result)

    def _claimed(self, updates: Any) -> Any:
        """Put what our request did in the place of a result that only carries a pts."""
        inner = updates.update if isinstance(updates, types.UpdateShort) else updates
        bare = isinstance(inner, types.UpdateShortSentMessage) or (
            isinstance(inner, types.UpdateDeleteMessages) and not inner.messages
        )
        claim = self._claims.pop((inner.pts, inner.pts_count), None) if bare else None
        if claim is None:
            return updates
        return types.UpdateShort(update=claim.update, date=updates.date)

    def apply_difference(self, diff: Any, chat_hashes: Any) -> Any:
        before = self.map[ENTRY_ACCOUNT].pts
        updates, users, chats = super().apply_difference(diff, chat_hashes)
        after = self.map[ENTRY_ACCOUNT].pts
        if isinstance(diff, updates_types.DifferenceTooLong):
            return [Unit(ACCOUNT, [], before, after, hole=True)], users, chats
        if isinstance(diff, updates_types.DifferenceEmpty):
            return updates, users, chats
        return _split(ACCOUNT, diff, updates, before, after), users, chats

    def apply_channel_difference(self, request: Any, diff: Any, chat_hashes: Any) -> Any:
        channel_id = int(request.channel.channel_id)
        before = self.map[channel_id].pts
        updates, users, chats = super().apply_channel_difference(request, diff, chat_hashes)
        after = self.map[channel_id].pts
        if isinstance(diff, updates_types.ChannelDifferenceTooLong):
            top = diff.dialog.top_message or 0
            unit = Unit(channel_id, [], before, after, hole=True, top_message_id=top)
            return [unit], diff.users, diff.chats
        if isinstance(diff, updates_types.ChannelDifferenceEmpty):
            return updates, users, chats
        return _split(channel_id, diff, updates, before, after), users, chats


def _split(box: int, diff: Any, accepted: list[Any], before: int, after: int) -> list[Any]:
    """Return the difference of one box as a unit, and what belongs to other boxes after it."""
    own = [update for update in diff.other_updates if box_of(update) == box]
    new = types.UpdateNewChannelMessage if box else types.UpdateNewMessage
    messages = [new(message=message, pts=0, pts_count=0) for message in diff.new_messages]
    mine = {id(update) for update in own}
    rest = [
        update
        for update in accepted
        if id(update) not in mine
        and not (
            isinstance(update, types.UpdateNewMessage | types.UpdateNewChannelMessage)
            and not update.pts
        )
        and not isinstance(update, types.UpdateNewEncryptedMessage)
    ]
    return [Unit(box, [*messages, *own], before, after), *rest]


def claim_of(request: Any, result: Any, self_id: int | None) -> Any | None:
    """Return the update that a result with a bare pts stands for, from what was asked.

    `updateShortSentMessage` has no text, and `messages.affectedMessages` names neither ids nor
    the channel whose pts it carries. None when the result needs no help.
    """
    if isinstance(result, types.UpdateShortSentMessage):
        return types.UpdateNewMessage(
            message=sent_message(request, result), pts=result.pts, pts_count=result.pts_count
        )
    if not isinstance(
        result,
        types.messages.AffectedMessages
        | types.messages.AffectedHistory
        | types.messages.AffectedFoundMessages,
    ):
        return None
    peer = getattr(request, "channel", None) or getattr(request, "peer", None)
    channel_id = getattr(peer, "channel_id", None)
    deleted = list(getattr(request, "id", None) or []) if _deletes(request) else []
    if channel_id:
        return types.UpdateDeleteChannelMessages(
            channel_id=channel_id, messages=deleted, pts=result.pts, pts_count=result.pts_count
        )
    if _reads(request):
        return types.UpdateReadHistoryInbox(
            peer=_peer(request.peer),
            max_id=request.max_id,
            still_unread_count=0,
            pts=result.pts,
            pts_count=result.pts_count,
        )
    return types.UpdateDeleteMessages(messages=deleted, pts=result.pts, pts_count=result.pts_count)


def _deletes(request: Any) -> bool:
    return type(request).__name__ == "DeleteMessagesRequest"


def _reads(request: Any) -> bool:
    return (
        type(request).__name__ == "ReadHistoryRequest"
        and getattr(request, "peer", None) is not None
    )


def _peer(input_peer: Any) -> Any:
    """Return the peer of an input peer; ourselves when it is `inputPeerSelf`."""
    try:
        return utils.get_peer(input_peer)
    except TypeError:
        return types.PeerUser(0)


def sent_message(request: Any, result: Any) -> Any:
    """Build the message that an `updateShortSentMessage` answers for, from its request."""
    return types.Message(
        id=result.id,
        peer_id=_peer(request.peer),
        date=result.date,
        message=getattr(request, "message", "") or "",
        out=True,
        media=result.media,
        entities=result.entities,
        ttl_period=result.ttl_period,
        reply_to=_reply_header(getattr(request, "reply_to", None)),
        silent=getattr(request, "silent", None),
    )


def _reply_header(reply_to: Any) -> Any:
    if not isinstance(reply_to, types.InputReplyToMessage):
        return None
    return types.MessageReplyHeader(
        reply_to_msg_id=reply_to.reply_to_msg_id, reply_to_top_id=reply_to.top_msg_id
    )
