"""Boxes, their events, and who is told.

An event is recorded in the box that it belongs to (an account's, for private chats and basic
groups; a channel's) with the pts that follows from it, and pushed as a TL update to each logged-in
account concerned. `sandbox/methods/updates.py` serves the same events as differences.

https://core.telegram.org/api/updates
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from telethon.tl import types

from sandbox.world import render
from sandbox.world.dates import utc
from sandbox.world.model import Box, Chat, Event, Message, PeerId, User, bare_id, is_channel

if TYPE_CHECKING:
    from sandbox.rpc import Origin
    from sandbox.world.state import State


class Sink(Protocol):
    """Sends TL updates to every connection of a user, the session `exclude` apart."""

    def __call__(self, user_id: int, updates: Any, *, exclude: Origin | None = None) -> None: ...


class Updates:
    """Records events and hands them to `sink`, the running server's push."""

    def __init__(self, world: State) -> None:
        self.world = world
        self.sink: Sink | None = None
        self.key_sink: Callable[[int, Any], None] | None = None  # to one key, logged in or not

    # Events with pts

    def account_event(self, user: User, kind: str, count: int = 1, **fields: Any) -> Event:
        """Record an event in an account's box and tell its sessions."""
        event = self._record(user.box, kind, count, fields)
        self._tell(user.id, [render.account_update(self.world, user.id, event)], event)
        return event

    def channel_event(self, chat: Chat, kind: str, count: int = 1, **fields: Any) -> Event:
        """Record an event in a channel's box and tell every member who may see it."""
        event = self._record(chat.box, kind, count, {"peer": chat.peer, **fields})
        audience = self.audience(chat)
        acting = self.world.act.user_id if self.world.act else 0
        guest = event.message is not None and event.message.sender == acting
        if guest and acting not in audience:
            audience.append(acting)  # comments are open to outsiders
        for user_id in audience:
            if event.message is not None and not self.sees(user_id, chat, event.message):
                continue
            update = render.channel_update(self.world, user_id, chat, event)
            self._tell(user_id, [update], event)
        return event

    def _record(self, box: Box, kind: str, count: int, fields: dict[str, Any]) -> Event:
        box.pts += count
        message = fields.get("message")
        date = message.date if message is not None and kind == "new" else self.world.now()
        event = Event(box.pts, count, date, kind, **fields)
        box.events.append(event)
        surplus = len(box.events) - self.world.limits.box_events
        if surplus > 0:
            box.trimmed_pts = box.events[surplus - 1].pts
            del box.events[:surplus]
        return event

    def audience(self, chat: Chat) -> list[int]:
        """Members who are told: those logged in somewhere, and whoever acts just now."""
        acting = self.world.act.user_id if self.world.act else 0
        if len(chat.members) <= len(self.world.logged_in):
            candidates: Iterable[int] = chat.members
        else:
            candidates = self.world.logged_in
        known = set(candidates) | {acting}
        return [
            user_id
            for user_id in sorted(known)
            if (user_id == acting or self.world.logged_in[user_id] > 0) and chat.member(user_id)
        ]

    def sees(self, user_id: int, chat: Chat, message: Message) -> bool:
        """Whether the message lies after what is hidden from this member."""
        member = chat.members.get(user_id)
        return member is None or message.channel_id > member.available_min_id

    def _tell(self, user_id: int, updates: list[Any], event: Event) -> None:
        peers: set[PeerId] = set()
        if event.message is not None:
            peers = render.message_peers(event.message, user_id)
        elif event.peer:
            peers = {event.peer}
        self.tell(user_id, updates, peers, event=event)

    # Anything, with or without pts

    def tell(
        self,
        user_id: int,
        updates: list[Any],
        peers: set[PeerId] | None = None,
        *,
        event: Event | None = None,
        keep: bool = False,
    ) -> None:
        """Give TL updates to one account: into its own result, and to its sessions.

        `peers` are described beside them (users, chats). `keep` remembers updates without pts for
        the account's next `getDifference` (asked by date).
        """
        user = self.world.user(user_id)
        now = self.world.now()
        if keep:
            user.notices.extend((now, update) for update in updates)
            del user.notices[:-1000]
        act = self.world.act
        origin = None
        if act is not None and act.user_id == user_id:
            act.add(updates, peers or set())
            origin = act.origin
        if self.sink is None or self.world.logged_in[user_id] <= 0:
            return
        container = self._short(user_id, event)
        if container is None:
            users, chats = self.describe(user_id, peers or set(), pushed=True)
            container = types.Updates(updates, users, chats, utc(now), 0)
        self.sink(user_id, container, exclude=origin)

    def _short(self, user_id: int, event: Event | None) -> Any | None:
        """`updateShortMessage` or `updateShortChatMessage` for plain text from a known peer.

        They carry no users, so a stranger's first message needs the full form.
        https://core.telegram.org/constructor/updateShortMessage
        """
        if event is None or event.kind != "new" or event.message is None:
            return None
        message = event.message
        plain = not (
            message.media
            or message.action
            or message.forward
            or message.grouped_id
            or message.reply_markup
            or message.via_bot
        )
        if not plain or is_channel(message.peer) or message.peer == message.sender:
            return None
        peer = message.peer_for(user_id)
        if len(self.world.history(user_id, peer)) < 2:
            return None
        return render.short_message(message, user_id, event)

    def describe(
        self, viewer_id: int, peers: Iterable[PeerId], *, pushed: bool = False
    ) -> tuple[list[Any], list[Any]]:
        """TL users and chats for these peers as the viewer knows them.

        Pushed updates carry strangers as *min* users: https://core.telegram.org/api/min
        """
        users, chats = [], []
        for peer in sorted(peers):
            if peer > 0 and peer in self.world.users:
                minimal = pushed and not self.world.knows(viewer_id, peer)
                users.append(render.user(self.world, viewer_id, peer, minimal=minimal))
            elif peer in self.world.chats:
                chats.append(render.chat(self.world, viewer_id, peer))
        return users, chats

    # Reading the log

    def events_after(self, box: Box, pts: int) -> list[Event] | None:
        """Events that follow `pts`; None when some of them are no longer kept."""
        if pts < box.trimmed_pts:
            return None
        return box.events[bisect_right(box.events, pts, key=lambda event: event.pts) :]

    def channels_changed(self, user: User, since: int) -> list[Chat]:
        """The user's channels with events at or after `since` (Unix seconds)."""
        return [
            chat
            for peer in user.dialogs
            if is_channel(peer) and (chat := self.world.chats.get(peer)) is not None
            if chat.box.events and chat.box.events[-1].date >= since and chat.member(user.id)
        ]

    def channel_changed(self, user_id: int, chat: Chat) -> None:
        """Tell one account that its standing in a channel or group changed (no pts)."""
        kind = types.UpdateChannel if chat.is_channel else types.UpdateChat
        self.tell(user_id, [kind(bare_id(chat.peer))], {chat.peer}, keep=True)
