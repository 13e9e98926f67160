"""The JSON shapes that methods take and give: plain dicts, no Telethon, no Django.

Ids of chats are marked (users positive, basic groups negative, channels and supergroups
`-100…`). Dates of messages are `YYYY-MM-DD HH:MM:SS` in UTC; all other dates in answers are
ISO 8601 with offset; dates in arguments are Unix seconds.

Three keys hold what the wire formats above the engine do not show, each in one place so that it
can be taken off with one `pop`: `extra` (facts that other surfaces need), `private` (what belongs
to the asking account alone and must never reach a cache that accounts share) and `media.file`
(how to fetch the file; access hash and file reference belong to the account, too).
"""

import re
from typing import Literal, NotRequired, TypedDict

ChatRef = int | str
"""Marked id, `@username`, `username`, t.me link, `+phone`, `me`; where joining, an invite too."""

ChatType = Literal["user", "bot", "saved", "group", "supergroup", "channel"]
FileKind = Literal["document", "photo", "chat_photo"]
FileCategory = Literal[
    "photos", "videos", "voice_messages", "video_messages", "stickers", "gifs", "files"
]
ParseMode = Literal["markdown", "html"]


class ThumbDict(TypedDict):
    """One size of a photo or one preview of a document; `size` in bytes."""

    type: str
    width: int
    height: int
    size: int


class FileDict(TypedDict):
    """One Telegram file as one account may fetch it; opaque to everybody above the engine.

    `(kind, id)` is the file's identity at Telegram and the same for every account; `access_hash`
    and `file_reference` (base64) belong to the account that was given them. `thumb` is the size
    letter that a photo is read with, empty for a whole document. `chat_id` and `message_id` name
    the message that a fresh file reference comes from. `size` is what Telegram declares.
    """

    id: int
    kind: FileKind
    category: FileCategory
    dc_id: int
    access_hash: int
    file_reference: str
    thumb: str
    size: int
    mime_type: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    thumbs: list[ThumbDict]
    chat_id: int
    message_id: int


class MediaDict(TypedDict):
    """`type` is Telethon's class name; `uuid` is null here, whoever stores the file sets it.

    `filename` and `size` (bytes) are null for media without a file. `file` is not for clients.
    """

    type: str
    uuid: str | None
    filename: str | None
    size: int | None
    file: NotRequired[FileDict | None]


class ReactionDict(TypedDict):
    """How often one reaction was given: either `emoji` or `custom_emoji_id`; a paid one is ⭐."""

    emoji: NotRequired[str]
    custom_emoji_id: NotRequired[str]
    count: int


class PrivateDict(TypedDict, total=False):
    """What one account alone sees in a message; see `with_private`.

    `first_name` and `last_name` are the account's own labels for a contact, `reactions` the
    reactions that it gave, `media` what it paid for.
    """

    first_name: str | None
    last_name: str | None
    reactions: list[str]
    media: MediaDict


class ExtraDict(TypedDict, total=False):
    """What surfaces other than the history show of a message, or what helps to store it.

    `sender_title` and `sender_username` are those of a chat that posts as itself. `forward_from`
    names the origin of a forward (a title, a name, or none), `forward_from_id` its marked id.
    `migrated_to` and `migrated_from` are marked ids. `raw` is base64 of what this layer of
    Telegram's schema cannot read: the constructor and everything after it.
    """

    chat_id: int
    is_pinned: bool
    is_outgoing: bool
    sender_title: str
    sender_username: str | None
    forward_from: str | None
    forward_from_id: int | None
    forwards: int
    replies: int
    protected: bool
    expires: bool
    migrated_to: int
    migrated_from: int
    raw: str


class MessageDict(TypedDict):
    """One message, in the order in which the history shows its fields.

    `sender_id` is marked; a channel's post has the channel's. `message` is `""` when there is no
    text. The fields below `forwarded_from_channel_id` are there where Telegram has them; `action`
    is Telethon's class name of a service message.
    """

    message_id: int
    date: str | None
    sender_id: int | None
    first_name: str | None
    last_name: str | None
    username: str | None
    message: str
    media: MediaDict | None
    reply_to: int | None
    post_author: str | None
    is_forwarded: Literal[0, 1]
    forwarded_from_channel_id: int | None
    edit_date: NotRequired[str]
    deleted: NotRequired[bool]
    views: NotRequired[int]
    reactions: NotRequired[list[ReactionDict]]
    topic_id: NotRequired[int]
    grouped_id: NotRequired[int]
    action: NotRequired[str]
    extra: NotRequired[ExtraDict]
    private: NotRequired[PrivateDict]


class StatusDict(TypedDict):
    """When a user was last seen; `type` is online, offline, recently, last_week, last_month."""

    type: str
    was_online: str | None
    expires: str | None


class UserDict(TypedDict):
    """A Telegram user as one account sees it: a contact's names are that account's labels.

    `phone` begins with `+`; null when the account may not see it.
    """

    id: int
    first_name: str | None
    last_name: str | None
    username: str | None
    phone: str | None
    status: StatusDict | None
    bot: bool
    verified: bool
    premium: bool
    contact: bool
    mutual_contact: bool
    deleted: bool
    restricted: bool
    scam: bool
    fake: bool
    support: bool
    is_self: bool
    lang_code: str | None
    usernames: list[str]


class DialogExtraDict(TypedDict, total=False):
    """What folders, access checks and the cache need to know of a dialog.

    `muted_until` is Unix seconds. `is_member` is false for a chat that is only visible (public)
    or was left. `pts` is the channel's. `migrated_to` is a marked id.
    """

    is_pinned: bool
    is_member: bool
    is_contact: bool
    is_forum: bool
    is_deleted: bool
    is_forbidden: bool
    protected: bool
    muted_until: int
    unread_mentions_count: int
    unread_mark: bool
    top_message_id: int
    read_inbox_max_id: int
    read_outbox_max_id: int
    pts: int | None
    migrated_to: int
    photo: FileDict | None


class DialogDict(TypedDict):
    """A chat as one session sees it: the thirteen fields of a dialog search result, and `extra`.

    `message_count` is the newest id in channels and supergroups, else null; `participants_count`
    is null where Telegram did not tell, and for users.
    """

    id: int
    type: ChatType
    title: str
    username: str | None
    is_creator: bool
    is_verified: bool
    is_archived: bool
    message_count: int | None
    unread_count: int
    participants_count: int | None
    last_message_date: str | None
    last_message_preview: str | None
    created_date: str | None
    extra: NotRequired[DialogExtraDict]


class FolderDict(TypedDict):
    """A chat folder with its rules; ids are marked. `engine.folders` reads the rules."""

    id: int
    title: str
    is_default: bool
    contacts: bool
    non_contacts: bool
    groups: bool
    channels: bool
    bots: bool
    exclude_muted: bool
    exclude_read: bool
    exclude_archived: bool
    pinned: list[int]
    included: list[int]
    excluded: list[int]


class FullChatDict(TypedDict):
    """A chat with what only the full request tells.

    `available_min_id` is the id below which this member sees nothing (0: sees everything).
    `can_view_participants` says whether the members may be listed. `migrated_from` is the marked
    id of the basic group that a supergroup was, `migrated_from_max_id` its last message there.
    """

    dialog: DialogDict
    about: str
    participants_count: int | None
    can_view_participants: bool
    available_min_id: int
    created_date: str | None
    pinned_message_id: int | None
    linked_chat_id: int | None
    slowmode_seconds: int | None
    migrated_from: int | None
    migrated_from_max_id: int | None
    invite_link: str | None
    pts: int | None
    photo: FileDict | None


def with_private(message: MessageDict) -> MessageDict:
    """Return the message as its own account may see it: private names and media spliced in.

    `extra`, `private` and `media.file` are gone from the copy: it may go to that account's client.
    """
    copy = message.copy()
    private = copy.pop("private", {})
    copy.pop("extra", None)
    if "first_name" in private:
        copy["first_name"] = private["first_name"]
    if "last_name" in private:
        copy["last_name"] = private["last_name"]
    media = private.get("media", copy["media"])
    if media is not None:
        media = media.copy()
        media.pop("file", None)
    copy["media"] = media
    return copy


SERVICE_NOTIFICATIONS = 777000
"""The user that Telegram's own messages come from, login codes among them."""

_LOGIN_CODE = re.compile(r"(?<!\d)\d{5,7}(?!\d)")


def without_login_code(message: MessageDict) -> MessageDict:
    """Return the message as it may be stored: a login code that Telegram sent is blotted out.

    Telegram sends codes to the account's other sessions as messages of user 777000.
    Source: https://core.telegram.org/constructor/auth.sentCodeTypeApp
    """
    if message["sender_id"] != SERVICE_NOTIFICATIONS or not message["message"]:
        return message
    copy = message.copy()
    copy["message"] = _LOGIN_CODE.sub(lambda found: "•" * len(found[0]), message["message"])
    return copy
