"""What methods answer: pages, receipts, steps of a login, made of `engine.methods.shapes`."""

from typing import Literal, TypedDict

from engine.methods.shapes import ChatType, DialogDict, FileDict, MessageDict, UserDict


class PageDict(TypedDict):
    """One page of history, newest first.

    `count` is Telegram's size of the whole history (null: not told); `oldest_id` and `newest_id`
    bound the page, null when it is empty; `next_offset_id` continues to older messages, null
    after the last page. `pts` is the channel's state at that moment.
    """

    chat_id: int
    messages: list[MessageDict]
    count: int | None
    oldest_id: int | None
    newest_id: int | None
    next_offset_id: int | None
    pts: int | None


class DatePointDict(TypedDict):
    """The newest message before a moment; `message_id` 0 and `date` null when there is none."""

    message_id: int
    date: str | None


class SearchHitDict(MessageDict):
    """A message that was found, and where."""

    dialog_id: int
    dialog_name: str


class SearchOffsetDict(TypedDict):
    """Where the next page of a search begins; opaque, hand it back as it is."""

    rate: int
    chat_id: int
    message_id: int


class SearchPageDict(TypedDict):
    """One page of hits, newest first; `next` is null after the last one."""

    results: list[SearchHitDict]
    total: int
    next: SearchOffsetDict | None


class DialogOffsetDict(TypedDict):
    """Where the next page of dialogs begins; opaque, hand it back as it is."""

    date: int
    message_id: int
    chat_id: int


class DialogPageDict(TypedDict):
    """One page of dialogs; `next` is null after the last one."""

    dialogs: list[DialogDict]
    total: int
    next: DialogOffsetDict | None


class ParticipantPageDict(TypedDict):
    """One page of members; `next_offset` is null after the last one."""

    users: list[UserDict]
    total: int
    next_offset: int | None


class SentDict(TypedDict):
    """A message that was sent or edited; `message` is null when Telegram sent none back.

    `duplicate` is true when this `random_id` had been sent before: it is that message.
    `scheduled` messages have ids of their own.
    """

    message_id: int
    chat_id: int
    date: str | None
    message: MessageDict | None
    duplicate: bool
    scheduled: bool


class DeletedDict(TypedDict):
    """`message_ids` were asked for; `count` is how many of them existed and are gone."""

    message_ids: list[int]
    count: int


class UploadedFileDict(TypedDict):
    """A file whose parts lie at Telegram, not sent yet; valid for this session for some hours."""

    id: int
    parts: int
    name: str
    size: int
    md5: str
    mime_type: str


class SentCodeDict(TypedDict):
    """How a login code travels: app, sms, call, flash_call, missed_call, email, fragment, ….

    `timeout_seconds` must pass before `resend_code`, which then uses `next_type`. `length` is the
    code's; `email_pattern` is set when it goes to an address.
    """

    phone_code_hash: str
    type: str
    next_type: str | None
    timeout_seconds: int | None
    length: int | None
    email_pattern: str | None


class LoginDict(TypedDict):
    """Where a login stands: `ready` with the user, or `wait_password` with the hint."""

    state: Literal["ready", "wait_password"]
    user: UserDict | None
    hint: str | None


class QrDict(TypedDict):
    """A QR login: `url` is drawn until `expires_at` and changes before that.

    `error` is Telegram's type string or `expired`, with state `failed`.
    """

    state: Literal[
        "wait_other_device_confirmation", "wait_password", "ready", "failed", "cancelled"
    ]
    url: str | None
    expires_at: str | None
    user: UserDict | None
    hint: str | None
    error: str | None


class PasswordDict(TypedDict):
    """The account's cloud password; `wait_email_code` means that an address must be confirmed."""

    state: Literal["set", "none", "wait_email_code"]
    hint: str | None
    has_recovery_email: bool
    email_pattern: str | None
    code_length: int | None


class ConnectionDict(TypedDict):
    """What is known of a session's client without asking Telegram."""

    connected: bool
    authorized: bool | None
    dc_id: int
    user_id: int | None


class ReconnectedDict(TypedDict):
    """Whether the client was connected before it was asked to reconnect, and who it is now."""

    was_connected: bool
    user: UserDict | None


class JoinedDict(TypedDict):
    """A chat after joining; `requested` means that an administrator must let the account in."""

    state: Literal["joined", "already_member", "requested"]
    chat: DialogDict | None
    description: str | None
    photo: FileDict | None


class InviteDict(TypedDict):
    """What an invite link leads to, before joining; `chat` is set when the account sees it."""

    hash: str
    title: str
    type: ChatType
    participants_count: int | None
    request_needed: bool
    about: str | None
    chat: DialogDict | None


class InviteLinkDict(TypedDict):
    """An invite link that this account made; dates are ISO 8601."""

    link: str
    title: str | None
    is_revoked: bool
    is_permanent: bool
    request_needed: bool
    date: str | None
    expire_date: str | None
    usage_limit: int | None
    usage: int
