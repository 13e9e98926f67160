"""What a Telegram data centre remembers: users, chats, messages, boxes, authorizations.

Plain mutable dataclasses. Whoever changes one holds `World.lock` and goes through a method of
`World`, which also counts pts and tells clients. Peers are named by *marked* ids everywhere: users
positive, basic groups negative, channels and supergroups -100… (`channel_peer`). Dates are Unix
seconds, UTC. Values that Telegram shows to everybody alike (entities, rights, places) are kept as
Telethon's TL objects; what depends on who looks (access hashes, `out`, votes) is made in `render`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from sandbox.rpc import ClientInfo
from sandbox.world.blobs import Blob
from sandbox.world.history import History

PeerId = int
CHANNEL_OFFSET = 1_000_000_000_000


def group_peer(chat_id: int) -> PeerId:
    """Marked id of basic group `chat_id`."""
    return -chat_id


def channel_peer(channel_id: int) -> PeerId:
    """Marked id of channel or supergroup `channel_id`."""
    return -CHANNEL_OFFSET - channel_id


def is_channel(peer: PeerId) -> bool:
    return peer < -CHANNEL_OFFSET


def bare_id(peer: PeerId) -> int:
    """The id that TL types carry: without sign and without -100."""
    if peer > 0:
        return peer
    return -peer - CHANNEL_OFFSET if is_channel(peer) else -peer


class Kind(enum.Enum):
    """Basic groups use their members' ids and pts, the other two have their own."""

    GROUP = "group"
    SUPERGROUP = "supergroup"
    CHANNEL = "channel"


@dataclass(slots=True, eq=False)
class Photo:
    """A photo: `m` (320 px), `x` (800 px) and `y` (1280 px) sizes, each over its own file."""

    id: int
    date: int
    dc: int
    access_hash: int
    width: int
    height: int
    sizes: dict[str, Blob]  # size type → file, smallest first: "m", "x", "y"
    stripped: bytes = b""


@dataclass(slots=True, eq=False)
class Document:
    """A file of another kind; `attributes` are TL DocumentAttribute… objects (name, audio)."""

    id: int
    date: int
    dc: int
    access_hash: int
    mime_type: str
    blob: Blob
    attributes: list[Any] = field(default_factory=list)
    thumbs: dict[str, Blob] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.blob.size


@dataclass(slots=True, eq=False)
class Poll:
    id: int
    question: str
    answers: list[str]  # option n is the bytes of str(n)
    multiple_choice: bool = False
    public_voters: bool = False
    quiz: bool = False
    correct: int | None = None
    closed: bool = False
    votes: dict[int, list[int]] = field(default_factory=dict)  # user id → chosen answers
    extra_votes: list[int] = field(default_factory=list)  # anonymous crowd, per answer


Media = (
    Photo | Document | Poll | Any
)  # Any: a ready TL MessageMedia… (geo, contact, web page, dice)


@dataclass(slots=True, eq=False)
class Forward:
    """Where a forwarded message comes from (TL messageFwdHeader)."""

    date: int
    from_peer: PeerId | None = None  # None: the sender hides
    from_name: str | None = None
    channel_post: int | None = None
    post_author: str | None = None
    saved_from_peer: PeerId | None = None  # only in Saved Messages
    saved_from_id: int | None = None


@dataclass(slots=True, eq=False)
class Message:
    """One message. Every holder of a copy shares it; the copies differ by id only.

    In channels and supergroups `channel_id` is the id for everybody. In private chats and basic
    groups each account has its own id: `ids[user_id]`. `id_for(user_id)` covers both.
    """

    uid: int  # unique in the world, in posting order
    peer: PeerId  # the chat; in private chats the *receiver*, as the sender sees it
    sender: PeerId  # a user, or the channel itself for posts and anonymous admins
    date: int
    text: str = ""
    entities: list[Any] = field(default_factory=list)
    media: Media | None = None
    action: Any | None = None  # TL MessageAction…: a service message
    channel_id: int = 0
    ids: dict[int, int] = field(default_factory=dict)
    reply_to: Message | None = None
    topic_id: int = 0  # id of the forum topic's first message, 0 outside forums
    quote: str = ""
    forward: Forward | None = None
    via_bot: int = 0
    grouped_id: int = 0  # album
    edit_date: int = 0
    edit_hide: bool = False  # the edit date is not shown (reactions, keyboards, previews)
    views: int = 0  # 0: no counter
    forwards: int = 0
    replies: int = 0  # comments under a channel post or in a topic
    post_author: str = ""
    pinned: bool = False
    silent: bool = False
    noforwards: bool = False
    random_id: int = 0
    reply_markup: Any | None = None
    mentions: frozenset[int] = frozenset()
    unread_media: set[int] = field(default_factory=set)  # who has not listened to the voice note
    reactions: dict[int, list[str | int]] = field(default_factory=dict)  # user → emoji/custom ids
    extra_reactions: dict[str | int, int] = field(default_factory=dict)  # anonymous crowd
    version: int = 0  # raised by each change
    rendered: dict[tuple[int, ...], bytes] = field(default_factory=dict)  # render's cache

    def id_for(self, user_id: int) -> int:
        """Its id as `user_id` sees it; 0 when that account has no copy."""
        return self.channel_id or self.ids.get(user_id, 0)

    def peer_for(self, user_id: int) -> PeerId:
        """The dialog it belongs to for `user_id` (a private chat is named by the other side)."""
        if self.peer > 0 and self.peer == user_id:
            return self.sender
        return self.peer

    def touch(self) -> None:
        """Forget what was rendered; to be called after every change."""
        self.version += 1
        self.rendered.clear()


@dataclass(slots=True, eq=False)
class Event:
    """One entry of a box: after it the box's pts is `pts`.

    `kind` is one of: new, edit, delete, read_inbox, read_outbox, pin, contents, folder_peers.
    """

    pts: int
    pts_count: int
    date: int
    kind: str
    message: Message | None = None
    ids: tuple[int, ...] = ()
    peer: PeerId = 0
    max_id: int = 0
    flag: bool = False


@dataclass(slots=True, eq=False)
class Box:
    """A sequence of events with its counter: one per account, one per channel.

    https://core.telegram.org/api/updates#message-related-event-sequences
    """

    pts: int = 1
    qts: int = 0
    seq: int = 1
    last_id: int = 0  # newest message id given out
    events: list[Event] = field(default_factory=list)  # the last `World.limits.box_events`
    trimmed_pts: int = 0  # pts of the newest event that is no longer kept


@dataclass(slots=True, eq=False)
class Member:
    """A user's standing in a group or channel; kept (with `left` or banned) after they are gone."""

    user_id: int
    date: int
    inviter_id: int = 0
    creator: bool = False
    admin_rights: Any | None = None  # TL ChatAdminRights
    promoted_by: int = 0
    rank: str = ""
    left: bool = False
    banned_rights: Any | None = None  # TL ChatBannedRights
    kicked_by: int = 0
    available_min_id: int = 0  # first message they may see, less one (hidden pre-history)

    @property
    def banned(self) -> bool:
        """Thrown out and kept out (`view_messages` banned)."""
        return bool(self.banned_rights and self.banned_rights.view_messages)

    @property
    def inside(self) -> bool:
        return not self.left and not self.banned


@dataclass(slots=True, eq=False)
class Invite:
    """An invite link `https://t.me/+hash`."""

    hash: str = field(repr=False)
    admin_id: int = 0
    date: int = 0
    title: str = ""
    permanent: bool = False
    revoked: bool = False
    request_needed: bool = False
    expire_date: int = 0
    usage_limit: int = 0
    usage: int = 0
    requested: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Topic:
    """A forum topic; its id is that of the service message which opened it (1: General)."""

    id: int
    title: str
    date: int
    creator_id: int
    icon_color: int = 0x6FB9F0
    closed: bool = False
    pinned: bool = False


@dataclass(slots=True, eq=False)
class Chat:
    """A basic group, supergroup or channel. `history` and `box` are used by the last two only."""

    id: int
    kind: Kind
    title: str
    date: int
    creator_id: int
    about: str = ""
    username: str = ""
    photo: Photo | None = None
    members: dict[int, Member] = field(default_factory=dict)
    extra_members: int = 0  # counted in participants_count, but nobody we know
    box: Box = field(default_factory=Box)
    history: History = field(default_factory=History)
    banned_rights: Any | None = None  # TL ChatBannedRights: what members may not do
    version: int = 1
    hidden_prehistory: bool = False
    signatures: bool = False
    noforwards: bool = False
    join_request: bool = False
    forum: bool = False
    verified: bool = False
    slowmode_seconds: int = 0
    linked_chat: PeerId = 0  # discussion group of a channel, and back
    available_reactions: list[str] | None = None  # None: all, []: none
    participants_hidden: bool = False
    topics: dict[int, Topic] = field(default_factory=dict)
    invites: dict[str, Invite] = field(default_factory=dict, repr=False)
    deactivated: bool = False
    migrated_to: PeerId = 0
    migrated_from: PeerId = 0

    @property
    def peer(self) -> PeerId:
        return group_peer(self.id) if self.kind is Kind.GROUP else channel_peer(self.id)

    @property
    def is_channel(self) -> bool:
        """TL channel: a supergroup or a broadcast channel."""
        return self.kind is not Kind.GROUP

    @property
    def broadcast(self) -> bool:
        return self.kind is Kind.CHANNEL

    def member(self, user_id: int) -> Member | None:
        """The standing of one who is inside; None for strangers, leavers and the banned."""
        member = self.members.get(user_id)
        return member if member is not None and member.inside else None

    @property
    def participants(self) -> list[Member]:
        return [member for member in self.members.values() if member.inside]

    @property
    def participants_count(self) -> int:
        # Asked for with every page of history: no property per member.
        inside = sum(
            not member.left and (member.banned_rights is None or not member.banned)
            for member in self.members.values()
        )
        return inside + self.extra_members


@dataclass(slots=True, eq=False)
class Dialog:
    """A chat in one account's list."""

    peer: PeerId
    read_inbox_max_id: int = 0
    read_outbox_max_id: int = 0
    unread_mark: bool = False
    pinned: bool = False
    pinned_order: int = 0
    folder_id: int = 0  # 1: the archive
    mute_until: int = 0
    silent: bool = False
    draft: str = ""
    draft_date: int = 0
    unread_mentions: set[int] = field(default_factory=set)  # message ids
    unread_reactions: set[int] = field(default_factory=set)
    hidden: bool = False  # deleted by the user, or left: the dialog is not listed


@dataclass(slots=True, eq=False)
class Folder:
    """A dialog filter (the user's word: folder). Ids start at 2; 0 is all chats, 1 the archive."""

    id: int
    title: str
    emoticon: str = ""
    include: list[PeerId] = field(default_factory=list)
    exclude: list[PeerId] = field(default_factory=list)
    pinned: list[PeerId] = field(default_factory=list)
    contacts: bool = False
    non_contacts: bool = False
    groups: bool = False
    broadcasts: bool = False
    bots: bool = False
    exclude_muted: bool = False
    exclude_read: bool = False
    exclude_archived: bool = False


@dataclass(slots=True, eq=False)
class Contact:
    """How an account calls another user: its own label, shown to nobody else."""

    user_id: int
    first_name: str
    last_name: str = ""
    phone: str = ""
    date: int = 0


@dataclass(slots=True, eq=False)
class CloudPassword:
    """2FA: the SRP verifier of a cloud password (https://core.telegram.org/api/srp)."""

    salt1: bytes = field(repr=False)
    salt2: bytes = field(repr=False)
    verifier: bytes = field(repr=False)
    hint: str = ""
    email: str = ""


@dataclass(slots=True, eq=False)
class User:
    """A person or bot, and everything of theirs that lives in the cloud."""

    id: int
    first_name: str
    last_name: str = ""
    phone: str = ""  # digits only, without "+"
    username: str = ""
    about: str = ""
    language: str = "en"
    dc: int = 2  # where they log in; elsewhere: PHONE_MIGRATE_x
    photo: Photo | None = None
    bot: bool = False
    bot_description: str = ""
    bot_commands: dict[str, str] = field(default_factory=dict)
    verified: bool = False
    premium: bool = False
    deleted: bool = False
    hides_phone: bool = True  # only contacts see the number
    hides_forwards: bool = False
    last_seen: int = 0
    online_until: int = 0
    account_ttl_days: int = 548
    password: CloudPassword | None = field(default=None, repr=False)
    box: Box = field(default_factory=Box)
    messages: dict[int, Message] = field(default_factory=dict)  # own ids; groups, private chats
    histories: dict[PeerId, History] = field(default_factory=dict)  # of groups, private chats
    dialogs: dict[PeerId, Dialog] = field(default_factory=dict)
    folders: list[Folder] = field(default_factory=list)
    contacts: dict[int, Contact] = field(default_factory=dict)
    blocked: set[PeerId] = field(default_factory=set)
    random_ids: dict[int, Message] = field(default_factory=dict)  # what was sent with which
    notices: list[tuple[int, Any]] = field(default_factory=list)  # (date, TL update without pts)
    code_type: str = ""  # how codes travel first (logins.CODE_TYPES); "": app, if there is one
    login_email: str = ""  # for code_type "email"
    full_user: dict[str, Any] = field(default_factory=dict)  # more fields of TL userFull

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(slots=True, eq=False)
class Authorization:
    """An auth key and who uses it. The key itself belongs to the transport."""

    auth_key_id: int
    dc: int
    user_id: int | None = None  # None: nobody is logged in
    pending_user_id: int | None = None  # code accepted, cloud password still asked
    hash: int = 0  # names it in account.getAuthorizations
    client: ClientInfo = field(default_factory=ClientInfo)
    date_created: int = 0
    date_active: int = 0
    exported_to: set[int] = field(default_factory=set)  # DCs with a copy of this login
    home: int | None = None  # key on the home DC that this one was exported from
    refusal: str = ""  # why it was ended: SESSION_REVOKED, USER_DEACTIVATED...; "": unregistered


@dataclass(slots=True, frozen=True)
class Limits:
    """Server limits, each with Telegram's own value; tests may shrink them."""

    box_events: int = 100_000  # older pts: differenceTooLong, channelDifferenceTooLong
    difference_slice: int = 1000  # events in one updates.difference
    channel_difference: int = 100  # most events a user gets at a time
    dialogs: int = 100
    history: int = 100
    login_token_seconds: int = 30
    code_seconds: int = 300
    code_attempts: int = 5
    resend_seconds: int = 60
    codes_a_day: int = 300  # for one phone number; then PHONE_NUMBER_FLOOD
    password_attempts: int = 10  # then FLOOD_WAIT
    password_wait_seconds: int = 60
    fresh_session_seconds: int = 86_400  # younger sessions may not end others
    edit_seconds: int = 172_800
    message_length: int = 4096
    caption_length: int = 1024
    group_size: int = 200
    supergroup_size: int = 200_000
    forward_count: int = 100
    file_reference_seconds: int = 86_400
