"""The world's state and the look-ups on it; the verbs that change it build on this."""

from __future__ import annotations

import hashlib
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.world.acting import Act
from sandbox.world.history import History
from sandbox.world.model import (
    Authorization,
    Chat,
    Dialog,
    Document,
    Limits,
    Message,
    PeerId,
    Photo,
    Poll,
    User,
    is_channel,
)

if TYPE_CHECKING:
    from sandbox.rpc import Origin

SERVICE_NOTIFICATIONS = 777000  # "Telegram", who sends login codes
FIRST_USER_ID = 5_000_000_001
FIRST_GROUP_ID = 4_000_001
FIRST_CHANNEL_ID = 1_500_000_001


Who = int | str | User | Chat
"""A marked id, an object, "@username", "+phone"."""
Which = Message | int | Sequence[int | str]
"""A message, its `uid`, [chat, id] in channels, or [whose, chat, id] as that account counts."""


class UnknownPeer(LookupError):
    """No such user or chat in this world."""


class State:
    """Users, chats, authorizations and their indices. `lock` guards all of it."""

    def __init__(
        self,
        *,
        seed: int = 1,
        main_dc: int = 2,
        dcs: int = 2,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        from sandbox.world.updates import Updates

        self.lock = threading.RLock()
        self.seed = seed
        self.random = random.Random(seed)
        self.main_dc = main_dc
        self.dcs = dcs
        self.limits = limits or Limits()
        self.clock = clock
        self.users: dict[int, User] = {}
        self.chats: dict[PeerId, Chat] = {}
        self.phones: dict[str, int] = {}
        self.banned_phones: set[str] = set()
        self.usernames: dict[str, PeerId] = {}  # lower case
        self.invites: dict[str, PeerId] = {}  # hash of the link → chat
        self.authorizations: dict[int, Authorization] = {}
        self.logged_in: Counter[int] = Counter()  # user id → keys
        self.documents: dict[int, Document] = {}
        self.photos: dict[int, Photo] = {}
        self.polls: dict[int, tuple[Poll, Message]] = {}
        self.file_epoch = 1  # raised: every file reference given out before has expired
        self.people_version = 1  # raised when anything shown in a TL user changes
        self.updates = Updates(self)
        self.act: Act | None = None
        self._secret = hashlib.sha256(f"world {seed}".encode()).digest()
        self.posted: dict[int, Message] = {}  # by uid
        self._last_uid = 0
        self._next_user = FIRST_USER_ID
        self._next_group = FIRST_GROUP_ID
        self._next_channel = FIRST_CHANNEL_ID

    def now(self) -> int:
        """The world's time, Unix seconds."""
        return int(self.clock())

    # Who is who

    def resolve(self, who: Who) -> PeerId:
        """Marked id of whom is meant; raises UnknownPeer."""
        if isinstance(who, User):
            return who.id
        if isinstance(who, Chat):
            return who.peer
        if isinstance(who, int):
            if who in self.users or who in self.chats:
                return who
            raise UnknownPeer(who)
        text = who.strip()
        if text.lstrip("-").isdigit():
            return self.resolve(int(text))
        found = self.phones.get(normal_phone(text)) if text[:1] == "+" else self.by_username(text)
        if found is None:
            raise UnknownPeer(who)
        return found

    def user(self, user_id: int) -> User:
        """Return a user; raises UnknownPeer."""
        try:
            return self.users[user_id]
        except KeyError:
            raise UnknownPeer(user_id) from None

    def chat(self, peer: PeerId) -> Chat:
        """Return a group or channel by marked id; raises UnknownPeer."""
        try:
            return self.chats[peer]
        except KeyError:
            raise UnknownPeer(peer) from None

    def by_phone(self, phone: str) -> User | None:
        """Find a user by phone number, with or without "+" and blanks."""
        user_id = self.phones.get(normal_phone(phone))
        return self.users.get(user_id) if user_id is not None else None

    def by_username(self, username: str) -> PeerId | None:
        return self.usernames.get(username.lstrip("@").lower())

    def peer_name(self, peer: PeerId) -> str:
        return self.user(peer).name if peer > 0 else self.chat(peer).title

    # What an account sees

    def history(self, user_id: int, peer: PeerId) -> History:
        """The messages of `peer` as `user_id` holds them; a channel's are the same for all."""
        if is_channel(peer):
            return self.chat(peer).history
        histories = self.user(user_id).histories
        history = histories.get(peer)
        if history is None:
            history = histories[peer] = History()
        return history

    def dialog(self, user_id: int, peer: PeerId) -> Dialog:
        """An account's dialog with `peer`, made when there is none."""
        dialogs = self.user(user_id).dialogs
        dialog = dialogs.get(peer)
        if dialog is None:
            dialog = dialogs[peer] = Dialog(peer)
        return dialog

    def message(self, user_id: int, peer: PeerId, message_id: int) -> Message | None:
        """One message by the id that `user_id` knows it by; `peer` 0: among own boxed ones."""
        if is_channel(peer):
            return self.chat(peer).history.get(message_id)
        message = self.user(user_id).messages.get(message_id)
        if message is None or (peer and message.peer_for(user_id) != peer):
            return None
        return message

    def which(self, message: Which) -> Message:
        """The message that is meant; raises UnknownPeer when there is none."""
        if isinstance(message, Message):
            return message
        found: Message | None
        if isinstance(message, int):
            found = self.posted.get(message)
        else:
            *owner, chat, number = message
            viewer = self.resolve(owner[0]) if owner else 0
            found = self.message(viewer, self.resolve(chat), int(number))
        if found is None:
            raise UnknownPeer(str(message))
        return found

    def min_id(self, user_id: int, peer: PeerId) -> int:
        """Messages up to this id are hidden from `user_id` (pre-history)."""
        if not is_channel(peer):
            return 0
        chat = self.chat(peer)
        member = chat.members.get(user_id)
        if member is not None and member.inside:
            return member.available_min_id
        return 0 if chat.username else chat.history.top_id

    def may_read(self, user_id: int, peer: PeerId) -> bool:
        """Whether Telegram shows `peer`'s messages to `user_id`.

        Members, and for public channels and supergroups everyone who is not banned. Those who
        left a basic group keep what they had.
        """
        if peer > 0:
            return peer in self.users
        chat = self.chat(peer)
        member = chat.members.get(user_id)
        if member is not None and member.banned:
            return chat.kind.value == "group"
        if chat.is_channel:
            return bool(chat.username) or (member is not None and member.inside)
        return member is not None

    def unread_count(self, user_id: int, peer: PeerId) -> int:
        """Messages of others that are newer than the read mark."""
        dialog = self.user(user_id).dialogs.get(peer)
        history = self.history(user_id, peer)
        read = max(dialog.read_inbox_max_id if dialog else 0, self.min_id(user_id, peer))
        start = history.index_after_id(read)
        if peer == user_id:
            return 0
        return sum(message.sender != user_id for message in history.messages[start:])

    def knows(self, viewer_id: int, user_id: int) -> bool:
        """Whether the viewer has a full user of this id: a contact, or a private chat with them."""
        viewer = self.users[viewer_id]
        return viewer_id == user_id or user_id in viewer.contacts or user_id in viewer.histories

    def access_hash(self, viewer_id: int, peer: PeerId, *, minimal: bool = False) -> int:
        """The secret by which `viewer_id` names `peer`: another one for each account.

        That of a *min* user names nobody: https://core.telegram.org/api/min
        """
        text = f"{viewer_id}:{peer}:{'min' if minimal else 'full'}".encode()
        digest = hashlib.blake2b(text, key=self._secret, digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    def file_reference(self, file_id: int, epoch: int | None = None) -> bytes:
        """The reference that opens a file until `expire_file_references()`.

        https://core.telegram.org/api/file-references
        """
        epoch = self.file_epoch if epoch is None else epoch
        text = f"file {file_id} {epoch}".encode()
        digest = hashlib.blake2b(text, key=self._secret, digest_size=16).digest()
        return b"\x01" + epoch.to_bytes(4, "big") + digest

    def file_reference_state(self, file_id: int, reference: bytes) -> str:
        """Return "valid", "expired" or "invalid" for a reference that a client brought."""
        epoch = int.from_bytes(reference[1:5], "big")
        if reference != self.file_reference(file_id, epoch):
            return "invalid"
        return "valid" if epoch == self.file_epoch else "expired"

    def expire_file_references(self) -> None:
        """Let every file reference given out so far expire."""
        with self.lock:
            self.file_epoch += 1

    # Numbers and who acts

    def next_uid(self) -> int:
        self._last_uid += 1
        return self._last_uid

    def reserve_uids(self, count: int) -> int:
        """Take `count` message numbers at once; return the first."""
        self._last_uid += count
        return self._last_uid - count + 1

    def next_user_id(self) -> int:
        self._next_user += self.random.randrange(7, 90_000)
        return self._next_user

    def next_group_id(self) -> int:
        self._next_group += self.random.randrange(3, 900)
        return self._next_group

    def next_channel_id(self) -> int:
        self._next_channel += self.random.randrange(3, 90_000)
        return self._next_channel

    def random_long(self) -> int:
        return self.random.getrandbits(62) | 1 << 61

    @contextmanager
    def acting(self, user_id: int, origin: Origin | None = None) -> Iterator[Act]:
        """Hold the lock and collect what `user_id`'s own action changes for that account.

        What is collected belongs into the RPC result (`act.result()`); it is not pushed to the
        client session `origin`, but is to the account's other sessions.
        """
        with self.lock:
            previous, self.act = self.act, Act(self, user_id, origin)
            try:
                yield self.act
            finally:
                self.act = previous


def normal_phone(phone: str) -> str:
    """Keep the digits of a phone number."""
    return re.sub(r"\D", "", phone)
