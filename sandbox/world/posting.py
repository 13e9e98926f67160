"""What people do with messages: post, forward, edit, delete, pin, react, vote.

Every verb takes the lock, changes the world, records the events with their pts and tells whoever is
concerned. Who may do what is checked by the methods, not here. Chats and people are given by
marked id, by their object, or as "@username" / "+phone".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from telethon.tl import types

from sandbox.world import render
from sandbox.world.chatting import Chatting
from sandbox.world.media import tl_poll, tl_poll_results
from sandbox.world.model import Chat, Forward, Message, PeerId, Poll, bare_id, is_channel
from sandbox.world.peers import tl_peer
from sandbox.world.state import Which, Who
from sandbox.world.text import mentioned_usernames, with_found_entities


class Posting(Chatting):
    """Verbs on messages."""

    def post(
        self,
        sender: Who,
        chat: Who,
        text: str = "",
        *,
        entities: Sequence[Any] = (),
        media: Any | None = None,
        action: Any | None = None,
        reply_to: Which | None = None,
        quote: str = "",
        topic_id: int = 0,
        forward: Forward | None = None,
        via_bot: int = 0,
        grouped_id: int = 0,
        silent: bool = False,
        noforwards: bool = False,
        reply_markup: Any | None = None,
        random_id: int = 0,
        views: int | None = None,
        post_author: str = "",
        date: int | None = None,
    ) -> Message:
        """Send a message as `sender` (a user, or the channel itself) and return it.

        In a broadcast channel everybody posts as the channel. In a private chat the receiver's
        copy is missing when they have blocked the sender. `date` may lie in the past, but not
        before the chat's newest message (it is moved up to it).
        """
        with self.lock:
            author, peer = self.resolve(sender), self.resolve(chat)
            home = self.chats.get(peer)
            if home is not None and home.broadcast:
                if home.signatures and author > 0 and not post_author:
                    post_author = self.user(author).name
                author = peer
            found = with_found_entities(text, entities) if text else []
            message = Message(
                uid=self.next_uid(),
                peer=peer,
                sender=author,
                date=self.now() if date is None else date,
                text=text,
                entities=found,
                media=media,
                action=action,
                reply_to=None if reply_to is None else self.which(reply_to),
                quote=quote,
                topic_id=topic_id,
                forward=forward,
                via_bot=via_bot,
                grouped_id=grouped_id,
                silent=silent,
                noforwards=noforwards or (home is not None and home.noforwards),
                reply_markup=reply_markup,
                random_id=random_id,
                post_author=post_author,
            )
            self.posted[message.uid] = message
            if home is not None and home.broadcast and action is None:
                message.views = 1 if views is None else views
            if isinstance(media, Poll):
                self.polls[media.id] = (media, message)
            message.mentions = self._mentions(message, home)
            if _is_voice(media):
                message.unread_media = self._listeners(message, home)
            self.deliver(message)
            if home is not None and home.broadcast and home.linked_chat and action is None:
                self._comment_thread(home, message)
            return message

    def _mentions(self, message: Message, home: Chat | None) -> frozenset[int]:
        """Members who are named, or replied to, in a group."""
        if home is None or home.broadcast:
            return frozenset()
        named = {
            self.usernames.get(name, 0)
            for name in mentioned_usernames(message.text, message.entities)
        }
        named |= {
            entity.user_id
            for entity in message.entities
            if isinstance(entity, types.MessageEntityMentionName)
        }
        if message.reply_to is not None and message.action is None:
            named.add(message.reply_to.sender)
        named -= {0, message.sender}
        return frozenset(one for one in named if one > 0 and home.member(one))

    def _listeners(self, message: Message, home: Chat | None) -> set[int]:
        if home is None:
            return {message.peer} - {message.sender}
        if home.is_channel:
            return set()
        return {member.user_id for member in home.participants} - {message.sender}

    def _comment_thread(self, home: Chat, message: Message) -> None:
        """Copy a channel post into the discussion group, where it is commented.

        https://core.telegram.org/api/discussion
        """
        forward = Forward(
            date=message.date,
            from_peer=home.peer,
            channel_post=message.channel_id,
            saved_from_peer=home.peer,
            saved_from_id=message.channel_id,
            post_author=message.post_author or None,
        )
        self.post(
            home.peer,
            home.linked_chat,
            message.text,
            entities=message.entities,
            media=message.media,
            forward=forward,
            date=message.date,
        )

    def forward(
        self,
        sender: Who,
        messages: Sequence[Which],
        chat: Who,
        *,
        drop_author: bool = False,
        drop_captions: bool = False,
        random_ids: Sequence[int] = (),
        silent: bool = False,
        topic_id: int = 0,
        date: int | None = None,
    ) -> list[Message]:
        """Forward messages, in the order given, and return the new ones."""
        with self.lock:
            author, peer = self.resolve(sender), self.resolve(chat)
            albums: dict[int, int] = {}
            sent = []
            for number, original in enumerate(self.which(one) for one in messages):
                header = None if drop_author else self._forward_header(original, author, peer)
                if original.grouped_id and original.grouped_id not in albums:
                    albums[original.grouped_id] = self.random_long()
                captionless = drop_captions and original.media is not None
                original.forwards += 1
                original.touch()
                sent.append(
                    self.post(
                        author,
                        peer,
                        "" if captionless else original.text,
                        entities=[] if captionless else original.entities,
                        media=original.media,
                        forward=header,
                        grouped_id=albums.get(original.grouped_id, 0),
                        random_id=random_ids[number] if random_ids else 0,
                        silent=silent,
                        topic_id=topic_id,
                        views=original.views or None,
                        date=date,
                    )
                )
            return sent

    def _forward_header(self, original: Message, author: int, peer: PeerId) -> Forward:
        if original.forward is not None:
            old = original.forward
            header = Forward(
                old.date, old.from_peer, old.from_name, old.channel_post, old.post_author
            )
        elif original.sender < 0:
            home = self.chat(original.peer)
            header = Forward(
                original.date,
                original.sender,
                channel_post=original.channel_id if home.broadcast else None,
                post_author=original.post_author or None,
            )
        else:
            person = self.user(original.sender)
            hidden = person.hides_forwards and person.id != author
            header = Forward(
                original.date, None if hidden else person.id, person.name if hidden else None
            )
        if peer == author:
            header.saved_from_peer = original.peer_for(author)
            header.saved_from_id = original.id_for(author)
        return header

    def edit(
        self,
        message: Which,
        text: str | None = None,
        *,
        entities: Sequence[Any] = (),
        media: Any | None = None,
        reply_markup: Any | None = None,
        hide: bool = False,
        date: int | None = None,
    ) -> Message:
        """Change a message for everybody who has it; `hide` shows no edit mark."""
        with self.lock:
            message = self.which(message)
            if text is not None:
                message.text = text
                message.entities = with_found_entities(text, entities)
            if media is not None:
                message.media = media
            if reply_markup is not None:
                message.reply_markup = reply_markup
            message.edit_date = self.now() if date is None else date
            message.edit_hide = hide
            self.changed(message)
            return message

    def changed(self, message: Message) -> None:
        """Tell everybody who has a message that it was edited."""
        message.touch()
        if message.channel_id:
            self.updates.channel_event(self.chat(message.peer), "edit", message=message)
            return
        for user_id in list(message.ids):
            self.updates.account_event(self.user(user_id), "edit", message=message)

    def delete(self, *messages: Which, only_for: Who | None = None) -> None:
        """Delete messages for everybody, or from one account's copy only.

        One event per box: deleting n messages is `pts += n`.
        """
        with self.lock:
            owner = 0 if only_for is None else self.resolve(only_for)
            channels: dict[PeerId, list[int]] = {}
            boxes: dict[int, list[int]] = {}
            for message in map(self.which, messages):
                if message.channel_id:
                    if self.chat(message.peer).history.remove(message.channel_id):
                        channels.setdefault(message.peer, []).append(message.channel_id)
                    continue
                for user_id in [owner] if owner else list(message.ids):
                    message_id = self.drop_copy(message, user_id)
                    if message_id:
                        boxes.setdefault(user_id, []).append(message_id)
            for peer, ids in channels.items():
                home = self.chat(peer)
                self.updates.channel_event(home, "delete", len(ids), ids=tuple(ids))
            for user_id, ids in boxes.items():
                user = self.user(user_id)
                self.updates.account_event(user, "delete", len(ids), ids=tuple(ids))

    def drop_copy(self, message: Message, user_id: int) -> int:
        """Take one account's copy away, without an event; its id, or 0 when there was none."""
        message_id = message.ids.pop(user_id, 0)
        if message_id:
            user = self.user(user_id)
            user.messages.pop(message_id, None)
            self.history(user_id, message.peer_for(user_id)).remove(message_id)
            message.touch()
        return message_id

    def pin(self, message: Which, by: Who, *, pinned: bool = True, notify: bool = True) -> None:
        """Pin or unpin for everybody; pinning leaves a service message unless `notify` is off."""
        with self.lock:
            author, message = self.resolve(by), self.which(message)
            message.pinned = pinned
            message.touch()
            if message.channel_id:
                home = self.chat(message.peer)
                self.updates.channel_event(home, "pin", ids=(message.channel_id,), flag=pinned)
            else:
                for user_id, message_id in list(message.ids.items()):
                    peer = message.peer_for(user_id)
                    self.updates.account_event(
                        self.user(user_id), "pin", peer=peer, ids=(message_id,), flag=pinned
                    )
            if pinned and notify:
                chat = message.peer if message.peer < 0 else message.peer_for(author)
                action = types.MessageActionPinMessage()
                self.post(author, chat, action=action, reply_to=message)

    # Reactions, polls, counters: no pts

    def react(self, user: Who, message: Which, *reactions: str | int) -> None:
        """Set a user's reactions (emoji, or ids of custom emoji); none takes them back.

        Told as `updateMessageReactions`, which has no pts. https://core.telegram.org/api/reactions
        """
        with self.lock:
            user_id, message = self.resolve(user), self.which(message)
            if reactions:
                message.reactions[user_id] = list(reactions)
            else:
                message.reactions.pop(user_id, None)
            message.touch()
            for viewer_id in self.holders(message):
                message_id = message.id_for(viewer_id)
                dialog = self.dialog(viewer_id, message.peer_for(viewer_id))
                if message.sender == viewer_id != user_id:
                    dialog.unread_reactions.add(message_id)
                update = types.UpdateMessageReactions(
                    peer=tl_peer(message.peer_for(viewer_id)),
                    msg_id=message_id,
                    reactions=render.reactions(self, message, viewer_id)
                    or types.MessageReactions([]),
                )
                peers = render.message_peers(message, viewer_id)
                self.updates.tell(viewer_id, [update], peers)

    def vote(self, user: Who, message: Which, *options: int) -> None:
        """Vote in a message's poll by answer numbers; none retracts the vote."""
        with self.lock:
            user_id, message = self.resolve(user), self.which(message)
            poll = message.media
            assert isinstance(poll, Poll)
            if options:
                poll.votes[user_id] = list(options)
            else:
                poll.votes.pop(user_id, None)
            self._poll_changed(message, poll)

    def close_poll(self, message: Which) -> None:
        """End a poll; its results are open to everybody from then on."""
        with self.lock:
            message = self.which(message)
            assert isinstance(message.media, Poll)
            message.media.closed = True
            self.changed(message)
            self._poll_changed(message, message.media)

    def _poll_changed(self, message: Message, poll: Poll) -> None:
        message.touch()
        for viewer_id in self.holders(message):
            results = tl_poll_results(poll, viewer_id)
            update = types.UpdateMessagePoll(poll.id, results, poll=tl_poll(poll))
            self.updates.tell(viewer_id, [update])

    def add_views(self, chat: Who, views: dict[int, int]) -> None:
        """Raise view counters of channel posts: message id → how many more."""
        with self.lock:
            home = self.chat(self.resolve(chat))
            updates = []
            for message_id, more in views.items():
                message = home.history.get(message_id)
                if message is not None:
                    message.views += more
                    message.touch()
                    updates.append(
                        types.UpdateChannelMessageViews(home.id, message_id, message.views)
                    )
            for viewer_id in self.updates.audience(home):
                self.updates.tell(viewer_id, updates, {home.peer})

    def holders(self, message: Message) -> Iterable[int]:
        """Accounts that have the message and can be told now."""
        if message.channel_id:
            home = self.chat(message.peer)
            audience = self.updates.audience(home)
            return [one for one in audience if self.updates.sees(one, home, message)]
        return list(message.ids)

    def typing(self, user: Who, chat: Who, action: Any | None = None) -> None:
        """Show others that `user` is typing (or another TL `SendMessageAction`)."""
        with self.lock:
            user_id, peer = self.resolve(user), self.resolve(chat)
            action = action or types.SendMessageTypingAction()
            if peer > 0:
                if peer != user_id:
                    self.updates.tell(peer, [types.UpdateUserTyping(user_id, action)], {user_id})
                return
            home = self.chat(peer)
            update: Any
            if is_channel(peer):
                update = types.UpdateChannelUserTyping(
                    bare_id(peer), types.PeerUser(user_id), action
                )
            else:
                update = types.UpdateChatUserTyping(bare_id(peer), types.PeerUser(user_id), action)
            for viewer_id in self.updates.audience(home):
                if viewer_id != user_id:
                    self.updates.tell(viewer_id, [update], {user_id, peer})


def _is_voice(media: Any) -> bool:
    return any(
        getattr(attribute, "voice", False) or getattr(attribute, "round_message", False)
        for attribute in getattr(media, "attributes", ())
    )
