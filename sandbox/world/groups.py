"""Groups, supergroups and channels: making them, coming and going, rights, links, topics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from telethon.tl import types

from sandbox.world.filing import Filing
from sandbox.world.history import History
from sandbox.world.model import Chat, Invite, Kind, Member, Message, PeerId, Photo, Topic
from sandbox.world.peers import admin_rights, no_bans, tl_group_participants
from sandbox.world.people import People
from sandbox.world.posting import Posting
from sandbox.world.state import Who

GENERAL_TOPIC = 1
Fill = Callable[[Chat, History], None]


class Groups(Posting, People, Filing):
    """Verbs on chats."""

    def add_group(
        self,
        title: str,
        creator: Who,
        members: Iterable[Who] = (),
        *,
        chat_id: int = 0,
        about: str = "",
        photo: Photo | None = None,
        date: int | None = None,
    ) -> Chat:
        """Found a basic group; everybody in it sees the founding message."""
        with self.lock:
            founder = self.resolve(creator)
            born = self.now() if date is None else date
            chat = Chat(
                chat_id or self.next_group_id(), Kind.GROUP, title, born, founder, about=about
            )
            chat.photo = photo
            chat.members[founder] = Member(founder, born, creator=True)
            invited = [self.resolve(one) for one in members]
            for user_id in invited:
                chat.members.setdefault(user_id, Member(user_id, born, founder))
            self.chats[chat.peer] = chat
            users = [founder, *(one for one in invited if one != founder)]
            action = types.MessageActionChatCreate(title, users)
            self.post(founder, chat, action=action, date=born)
            return chat

    def add_channel(
        self,
        title: str,
        creator: Who,
        members: Iterable[Who] = (),
        *,
        megagroup: bool = False,
        username: str = "",
        about: str = "",
        channel_id: int = 0,
        photo: Photo | None = None,
        date: int | None = None,
        extra_members: int = 0,
        hidden_prehistory: bool = False,
        signatures: bool = False,
        noforwards: bool = False,
        forum: bool = False,
        join_request: bool = False,
        verified: bool = False,
        backlog: int = 0,
        fill: Fill | None = None,
    ) -> Chat:
        """Found a channel, or with `megagroup` a supergroup.

        `backlog` messages with the ids 1 to `backlog` are made by `fill(chat, history)` when
        somebody first looks; their events are beyond what the box keeps. Members are inside from
        `date` on, everything read up to the founding.
        """
        with self.lock:
            founder = self.resolve(creator)
            born = self.now() if date is None else date
            kind = Kind.SUPERGROUP if megagroup else Kind.CHANNEL
            chat = Chat(channel_id or self.next_channel_id(), kind, title, born, founder)
            chat.about, chat.photo, chat.extra_members = about, photo, extra_members
            chat.hidden_prehistory, chat.signatures = hidden_prehistory, signatures
            chat.noforwards, chat.forum = noforwards, forum
            chat.join_request, chat.verified = join_request, verified
            rights = admin_rights(broadcast=chat.broadcast)
            chat.members[founder] = Member(founder, born, creator=True, admin_rights=rights)
            for one in members:
                user_id = self.resolve(one)
                chat.members.setdefault(user_id, Member(user_id, born, founder))
            if chat.peer in self.chats:
                raise ValueError(f"channel {chat.id} exists")
            self.chats[chat.peer] = chat
            if username:
                self.set_chat_username(chat, username)
            for user_id in chat.members:
                self.dialog(user_id, chat.peer)
            if fill is not None:
                chat.history = History(lambda history: fill(chat, history))
                chat.box.last_id = backlog
                chat.box.pts = chat.box.trimmed_pts = backlog + 1
            else:
                action = types.MessageActionChannelCreate(title)
                self.post(founder, chat, action=action, date=born)
            if forum:
                chat.topics[GENERAL_TOPIC] = Topic(GENERAL_TOPIC, "General", born, founder)
            return chat

    # Coming and going

    def join(
        self,
        user: Who,
        chat: Who,
        *,
        inviter: Who | None = None,
        invite: Invite | None = None,
        date: int | None = None,
    ) -> Member:
        """Let a user in, by themselves, added by `inviter`, or over a link.

        Where pre-history is hidden, all before the entry stays hidden from the new member.
        """
        with self.lock:
            user_id, home = self.resolve(user), self.chat(self.resolve(chat))
            old = home.members.get(user_id)
            if old is not None and old.inside:
                return old
            added_by = self.resolve(inviter) if inviter is not None else 0
            when = self.now() if date is None else date
            member = Member(user_id, when, added_by or (invite.admin_id if invite else 0))
            if home.is_channel:
                seen = home.history.top_id
                member.available_min_id = seen if home.hidden_prehistory else 0
                dialog = self.dialog(user_id, home.peer)
                dialog.hidden = False
                dialog.read_inbox_max_id = max(dialog.read_inbox_max_id, seen)
            home.members[user_id] = member
            home.version += 1
            if invite is not None:
                invite.usage += 1
            if home.is_channel:
                self.updates.channel_changed(user_id, home)
            if not home.broadcast:
                action: Any = types.MessageActionChatAddUser([user_id])
                if invite is not None:
                    action = types.MessageActionChatJoinedByLink(invite.admin_id)
                self.post(added_by or user_id, home, action=action, date=date)
            self._members_changed(home)
            return member

    def leave(self, user: Who, chat: Who, *, date: int | None = None) -> None:
        """Leave by oneself; a left channel disappears from the list of dialogs."""
        with self.lock:
            user_id, home = self.resolve(user), self.chat(self.resolve(chat))
            self._remove(user_id, home, by=user_id, date=date)

    def kick(self, chat: Who, user: Who, by: Who | None = None) -> None:
        """Throw a user out; they may come back where it is open to them."""
        with self.lock:
            home, user_id = self.chat(self.resolve(chat)), self.resolve(user)
            self._remove(user_id, home, by=self._actor(home, by))

    def ban(self, chat: Who, user: Who, by: Who | None = None) -> None:
        """Throw a user out and keep them out."""
        with self.lock:
            home, user_id = self.chat(self.resolve(chat)), self.resolve(user)
            actor = self._actor(home, by)
            rights = types.ChatBannedRights(until_date=no_bans().until_date, view_messages=True)
            member = home.members.get(user_id)
            inside = member is not None and member.inside
            if member is None:
                member = home.members[user_id] = Member(user_id, self.now(), left=True)
            member.admin_rights = None
            if inside:
                self._remove(user_id, home, by=actor, rights=rights)
            else:
                member.banned_rights, member.kicked_by = rights, actor
                self.updates.channel_changed(user_id, home)

    def unban(self, chat: Who, user: Who) -> None:
        """Lift every restriction; who was thrown out is still outside."""
        with self.lock:
            home, user_id = self.chat(self.resolve(chat)), self.resolve(user)
            member = home.members.get(user_id)
            if member is not None and member.banned_rights is not None:
                member.left = member.left or member.banned
                member.banned_rights, member.kicked_by = None, 0
                self.updates.channel_changed(user_id, home)

    def restrict(self, chat: Who, user: Who, rights: Any, by: Who | None = None) -> None:
        """Forbid a member some things (TL `ChatBannedRights` without `view_messages`)."""
        with self.lock:
            home, user_id = self.chat(self.resolve(chat)), self.resolve(user)
            member = home.members.setdefault(user_id, Member(user_id, self.now(), left=True))
            member.banned_rights, member.kicked_by = rights, self._actor(home, by)
            self.updates.channel_changed(user_id, home)

    def promote(
        self,
        chat: Who,
        user: Who,
        rights: Any | None = None,
        *,
        by: Who | None = None,
        rank: str = "",
    ) -> None:
        """Make a member an administrator (full rights by default)."""
        with self.lock:
            home, user_id = self.chat(self.resolve(chat)), self.resolve(user)
            member = home.member(user_id) or self.join(user_id, home)
            member.admin_rights = rights or admin_rights(broadcast=home.broadcast, add_admins=False)
            member.promoted_by, member.rank = self._actor(home, by), rank
            self._standing_changed(user_id, home)

    def demote(self, chat: Who, user: Who) -> None:
        with self.lock:
            home, user_id = self.chat(self.resolve(chat)), self.resolve(user)
            member = home.members[user_id]
            member.admin_rights, member.promoted_by, member.rank = None, 0, ""
            self._standing_changed(user_id, home)

    def _standing_changed(self, user_id: int, home: Chat) -> None:
        home.version += 1
        if home.is_channel:
            self.updates.channel_changed(user_id, home)
        else:
            self._members_changed(home)

    def _actor(self, home: Chat, by: Who | None) -> int:
        return home.creator_id if by is None else self.resolve(by)

    def _remove(
        self,
        user_id: int,
        home: Chat,
        *,
        by: int,
        rights: Any | None = None,
        date: int | None = None,
    ) -> None:
        member = home.member(user_id)
        if member is None:
            return
        if not home.broadcast:
            # Posted while they are inside, so that in a basic group they get it too.
            action = types.MessageActionChatDeleteUser(user_id)
            self.post(by, home, action=action, date=date)
        member.left = True
        member.admin_rights = None
        if by != user_id and not home.is_channel:
            rights = rights or types.ChatBannedRights(no_bans().until_date, view_messages=True)
        if rights is not None:
            member.banned_rights, member.kicked_by = rights, by
        home.version += 1
        if home.is_channel:
            self.dialog(user_id, home.peer).hidden = True
            self.updates.channel_changed(user_id, home)
        self._members_changed(home)

    def _members_changed(self, home: Chat) -> None:
        """Tell the members of a basic group who is in it now (no pts)."""
        if home.is_channel:
            return
        for member in home.participants:
            update = types.UpdateChatParticipants(tl_group_participants(home, member.user_id))
            peers = {one.user_id for one in home.participants} | {home.peer}
            self.updates.tell(member.user_id, [update], peers)

    # Links

    def add_invite(
        self,
        chat: Who,
        by: Who | None = None,
        *,
        link_hash: str = "",
        title: str = "",
        permanent: bool = False,
        request_needed: bool = False,
        expire_date: int = 0,
        usage_limit: int = 0,
    ) -> Invite:
        """Make an invite link; its address is `https://t.me/+<hash>`."""
        with self.lock:
            home = self.chat(self.resolve(chat))
            alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
            new_hash = link_hash or "".join(self.random.choices(alphabet, k=16))
            invite = Invite(
                new_hash,
                self._actor(home, by),
                self.now(),
                title,
                permanent=permanent,
                request_needed=request_needed,
                expire_date=expire_date,
                usage_limit=usage_limit,
            )
            home.invites[new_hash] = invite
            self.invites[new_hash] = home.peer
            return invite

    # What a chat is like

    def set_chat_username(self, chat: Who, username: str) -> None:
        """Make a channel or supergroup public under a username, or private with ""."""
        with self.lock:
            home, wanted = self.chat(self.resolve(chat)), username.lstrip("@")
            if wanted and self.usernames.get(wanted.lower(), home.peer) != home.peer:
                raise ValueError("that username is taken")
            self.usernames.pop(home.username.lower(), None)
            home.username = wanted
            if wanted:
                self.usernames[wanted.lower()] = home.peer
                home.hidden_prehistory = False
            self.chat_changed(home)

    def set_title(self, chat: Who, title: str, by: Who | None = None) -> None:
        with self.lock:
            home = self.chat(self.resolve(chat))
            home.title = title
            home.version += 1
            action = types.MessageActionChatEditTitle(title)
            self.post(self._actor(home, by), home, action=action)
            self.chat_changed(home)

    def chat_changed(self, home: Chat) -> None:
        """Tell every member to look at the chat again."""
        for user_id in self.updates.audience(home):
            self.updates.channel_changed(user_id, home)

    def set_default_rights(self, chat: Who, rights: Any) -> None:
        """Say what ordinary members may not do (TL `ChatBannedRights`)."""
        with self.lock:
            home = self.chat(self.resolve(chat))
            home.banned_rights = rights
            home.version += 1
            self.chat_changed(home)

    def link_discussion(self, channel: Who, group: Who) -> None:
        """Let a supergroup be the place where a channel's posts are commented."""
        with self.lock:
            home, talk = self.chat(self.resolve(channel)), self.chat(self.resolve(group))
            home.linked_chat, talk.linked_chat = talk.peer, home.peer
            self.chat_changed(home)
            self.chat_changed(talk)

    def delete_chat(self, chat: Who) -> None:
        """Delete a channel or supergroup for everybody."""
        with self.lock:
            home = self.chat(self.resolve(chat))
            home.deactivated = True
            members = [member.user_id for member in home.participants]
            for user_id in members:
                home.members[user_id].left = True
                self.dialog(user_id, home.peer).hidden = True
            self.usernames.pop(home.username.lower(), None)
            home.username = ""
            for user_id in members:
                self.updates.channel_changed(user_id, home)

    def add_topic(
        self, chat: Who, title: str, by: Who | None = None, date: int | None = None
    ) -> Topic:
        """Open a forum topic. https://core.telegram.org/api/forum"""
        with self.lock:
            home = self.chat(self.resolve(chat))
            creator = self._actor(home, by)
            action = types.MessageActionTopicCreate(title, 0x6FB9F0)
            opening = self.post(creator, home, action=action, date=date)
            topic = Topic(opening.channel_id, title, opening.date, creator)
            home.topics[topic.id] = topic
            return topic

    def migrate_group(self, group: Who, date: int | None = None) -> Chat:
        """Turn a basic group into a supergroup; the old chat stays, deactivated.

        https://core.telegram.org/api/channel#migration
        """
        with self.lock:
            old = self.chat(self.resolve(group))
            when = self.now() if date is None else date
            new = Chat(self.next_channel_id(), Kind.SUPERGROUP, old.title, when, old.creator_id)
            new.about, new.photo, new.banned_rights = old.about, old.photo, old.banned_rights
            new.migrated_from = old.peer
            for member in old.participants:
                moved = Member(member.user_id, when, member.inviter_id, member.creator)
                moved.admin_rights = admin_rights() if member.creator else member.admin_rights
                new.members[member.user_id] = moved
            self.chats[new.peer] = new
            for user_id in new.members:
                self.dialog(user_id, new.peer)
            action: Any = types.MessageActionChatMigrateTo(new.id)
            self.post(old.creator_id, old, action=action, date=date)
            old.deactivated, old.migrated_to = True, new.peer
            old.version += 1
            for user_id in new.members:
                self.dialog(user_id, old.peer).hidden = True
                self.updates.channel_changed(user_id, new)
            action = types.MessageActionChannelMigrateFrom(old.title, old.id)
            self.post(new.peer, new, action=action, date=date)
            return new

    def messages_of(
        self, chat: Who, ids: Sequence[int], viewer: Who | None = None
    ) -> list[Message]:
        """Messages by id (`viewer`'s ids in private chats and basic groups); unknown left out."""
        peer: PeerId = self.resolve(chat)
        owner = self.resolve(viewer) if viewer is not None else 0
        found = (self.message(owner, peer, one) for one in ids)
        return [message for message in found if message is not None]
