"""Delivering a message to its boxes, and reading: what both sides of a chat remember."""

from __future__ import annotations

from typing import Any

from telethon.tl import types

from sandbox.world.model import Message, PeerId, User, bare_id, is_channel
from sandbox.world.state import State, Which, Who


class Chatting(State):
    """Delivery and read marks."""

    def deliver(self, message: Message) -> None:
        """Give a new message its ids, put it into the histories, record and push the events."""
        if is_channel(message.peer):
            home = self.chat(message.peer)
            history = home.history
            message.date = max(message.date, history.top.date if history.top else 0)
            home.box.last_id = max(home.box.last_id, history.top_id) + 1
            message.channel_id = home.box.last_id
            history.append(message.channel_id, message)
            for user_id in message.mentions:
                self.dialog(user_id, home.peer).unread_mentions.add(message.channel_id)
            self.updates.channel_event(home, "new", message=message)
            return
        owners = self._owners(message)
        for user_id in owners:
            user = self.user(user_id)
            top = self.history(user_id, message.peer_for(user_id)).top
            message.date = max(message.date, top.date if top else 0)
            user.box.last_id += 1
            message.ids[user_id] = user.box.last_id
        for user_id in owners:
            user = self.user(user_id)
            message_id, peer = message.ids[user_id], message.peer_for(user_id)
            user.messages[message_id] = message
            self.history(user_id, peer).append(message_id, message)
            dialog = self.dialog(user_id, peer)
            dialog.hidden = False
            if dialog.folder_id and not dialog.mute_until > self.now():
                # A new message brings an unmuted chat back from the archive.
                # https://core.telegram.org/api/folders#archived-chats
                self._unarchive(user, peer)
            if user_id in message.mentions:
                dialog.unread_mentions.add(message_id)
            self.updates.account_event(user, "new", message=message)

    def _unarchive(self, user: User, peer: PeerId) -> None:
        user.dialogs[peer].folder_id = 0
        self.updates.account_event(user, "folder_peers", peer=peer, max_id=0)

    def _owners(self, message: Message) -> list[int]:
        """Accounts that get a copy of their own; the sender's first."""
        sender, peer = message.sender, message.peer
        if peer < 0:
            members = {member.user_id for member in self.chat(peer).participants}
            leaving = getattr(message.action, "user_id", None)
            if isinstance(message.action, types.MessageActionChatDeleteUser) and leaving:
                members.add(leaving)
            return sorted(members, key=lambda user_id: (user_id != sender, user_id))
        if peer == sender or sender in self.user(peer).blocked:
            return [sender]
        return [sender, peer]

    def read(self, user: Who, chat: Who, max_id: int = 0) -> None:
        """Mark everything up to `max_id` (0: the newest) as read by `user`.

        The reader's sessions get `updateReadHistoryInbox` / `updateReadChannelInbox`, the senders
        `…Outbox`. https://core.telegram.org/method/messages.readHistory
        """
        with self.lock:
            user_id, peer = self.resolve(user), self.resolve(chat)
            history, dialog = self.history(user_id, peer), self.dialog(user_id, peer)
            end = history.index_after_id(max_id) if max_id else len(history)
            if end == 0:
                return
            last, newest = history.ids[end - 1], history.messages[end - 1]
            old = dialog.read_inbox_max_id
            dialog.unread_mentions = {one for one in dialog.unread_mentions if one > last}
            if last <= old:
                return
            start = history.index_after_id(old)
            newly_read = history.messages[start:end]
            dialog.read_inbox_max_id = last
            if is_channel(peer):
                self._read_channel(user_id, peer, last, newly_read)
                return
            reader = self.user(user_id)
            self.updates.account_event(reader, "read_inbox", peer=peer, max_id=last)
            for sender in {message.sender for message in newly_read} - {user_id}:
                self._read_by_other(sender, newest, newly_read)

    def _read_by_other(self, sender: PeerId, newest: Message, newly_read: list[Message]) -> None:
        own = [message for message in newly_read if message.sender == sender]
        if sender not in self.users or sender not in own[-1].ids:
            return
        max_id, peer = own[-1].ids[sender], newest.peer_for(sender)
        dialog = self.dialog(sender, peer)
        if max_id > dialog.read_outbox_max_id:
            dialog.read_outbox_max_id = max_id
            self.updates.account_event(self.user(sender), "read_outbox", peer=peer, max_id=max_id)

    def _read_channel(
        self, user_id: int, peer: PeerId, last: int, newly_read: list[Message]
    ) -> None:
        home = self.chat(peer)
        self.updates.tell(
            user_id,
            [
                types.UpdateReadChannelInbox(
                    channel_id=home.id,
                    max_id=last,
                    still_unread_count=self.unread_count(user_id, peer),
                    pts=home.box.pts,
                )
            ],
            {peer},
        )
        if home.broadcast:
            return
        for sender in {message.sender for message in newly_read} - {user_id}:
            if sender <= 0 or not home.member(sender):
                continue
            own = [message for message in newly_read if message.sender == sender]
            dialog = self.dialog(sender, peer)
            if own[-1].channel_id > dialog.read_outbox_max_id:
                dialog.read_outbox_max_id = own[-1].channel_id
                update: Any = types.UpdateReadChannelOutbox(home.id, own[-1].channel_id)
                self.updates.tell(sender, [update], {peer})

    def read_contents(self, user: Who, *messages: Which) -> None:
        """Mark mentions as seen and voice notes as heard (messages.readMessageContents)."""
        with self.lock:
            user_id = self.resolve(user)
            boxed: list[int] = []
            channels: dict[PeerId, list[int]] = {}
            for message in map(self.which, messages):
                message_id = message.id_for(user_id)
                message.unread_media.discard(user_id)
                message.touch()
                dialog = self.dialog(user_id, message.peer_for(user_id))
                dialog.unread_mentions.discard(message_id)
                dialog.unread_reactions.discard(message_id)
                if message.channel_id:
                    channels.setdefault(message.peer, []).append(message_id)
                else:
                    boxed.append(message_id)
            if boxed:
                self.updates.account_event(
                    self.user(user_id), "contents", len(boxed), ids=tuple(boxed)
                )
            for peer, ids in channels.items():
                update = types.UpdateChannelReadMessagesContents(bare_id(peer), ids)
                self.updates.tell(user_id, [update], {peer})
