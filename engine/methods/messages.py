"""Sending, changing and marking messages.

Whoever sends gives the `random_id` (63 bits, not 0): Telegram takes each one once per account, so
a repeated call gives the message that was sent the first time, with `duplicate` true. An album's
and a forward's further messages derive theirs from it by index (`derive_random_id`).
"""

from typing import Literal

from engine.methods.answers import DeletedDict, SentDict, UploadedFileDict
from engine.methods.registry import method
from engine.methods.shapes import ChatRef, ParseMode
from engine.wire import Upload

TypingAction = Literal[
    "typing", "cancel", "record_voice", "upload_photo", "upload_video", "upload_document"
]


@method
async def send_message(
    *,
    chat_id: ChatRef,
    text: str,
    random_id: int,
    reply_to: int | None = None,
    topic_id: int | None = None,
    parse_mode: ParseMode | None = None,
    silent: bool = False,
    schedule_date: int | None = None,
    link_preview: bool = True,
) -> SentDict:
    """Send a text of at most 4 096 characters; `schedule_date` is Unix seconds.

    Raises BadRequest: MESSAGE_EMPTY, MESSAGE_TOO_LONG, PEER_ID_INVALID, SCHEDULE_DATE_INVALID;
    Forbidden: CHAT_WRITE_FORBIDDEN, USER_BANNED_IN_CHANNEL, USER_IS_BLOCKED; FloodWait (slow
    mode, too); NotFound.
    Source: https://core.telegram.org/method/messages.sendMessage
    """


@method
async def send_file(
    *,
    upload: Upload,
    chat_id: ChatRef,
    filename: str,
    random_id: int,
    size: int | None = None,
    max_bytes: int | None = None,
    mime_type: str | None = None,
    text: str = "",
    as_document: bool = False,
    reply_to: int | None = None,
    topic_id: int | None = None,
    parse_mode: ParseMode | None = None,
    silent: bool = False,
    schedule_date: int | None = None,
) -> SentDict:
    """Upload a file while it arrives and send it, with `text` as its caption.

    `size` (bytes) may be left out; `max_bytes` is enforced on what really comes. Pictures go as
    photos unless `as_document`.
    Raises what `send_message` does, and TooLarge, BadRequest: FILE_PARTS_INVALID,
    MEDIA_CAPTION_TOO_LONG, PHOTO_INVALID_DIMENSIONS; Forbidden: CHAT_SEND_MEDIA_FORBIDDEN.
    Source: https://core.telegram.org/api/files
    """


@method
async def send_uploaded(
    *,
    chat_id: ChatRef,
    files: list[UploadedFileDict],
    random_id: int,
    captions: list[str] | None = None,
    as_document: bool = False,
    reply_to: int | None = None,
    topic_id: int | None = None,
    parse_mode: ParseMode | None = None,
    silent: bool = False,
    schedule_date: int | None = None,
) -> list[SentDict]:
    """Send files that `media.upload_file` uploaded: one message, or an album of 2 to 10.

    `captions` go with the files of the same index.
    Source: https://core.telegram.org/method/messages.sendMultiMedia
    """


@method
async def edit_message(
    *,
    chat_id: ChatRef,
    message_id: int,
    text: str,
    parse_mode: ParseMode | None = None,
    link_preview: bool = True,
) -> SentDict:
    """Replace a message's text or caption.

    Raises BadRequest: MESSAGE_NOT_MODIFIED, MESSAGE_TOO_LONG, MESSAGE_EDIT_TIME_EXPIRED;
    NotFound: MESSAGE_ID_INVALID; Forbidden: MESSAGE_AUTHOR_REQUIRED, CHAT_ADMIN_REQUIRED.
    Source: https://core.telegram.org/method/messages.editMessage
    """


@method
async def delete_messages(
    *, chat_id: ChatRef, message_ids: list[int], for_all: bool = True
) -> DeletedDict:
    """Delete up to 100 messages for everybody, or (users and basic groups) for this account only.

    Raises Forbidden: MESSAGE_DELETE_FORBIDDEN, CHAT_ADMIN_REQUIRED.
    Source: https://core.telegram.org/method/channels.deleteMessages
    """


@method
async def forward_messages(
    *,
    from_chat_id: ChatRef,
    to_chat_id: ChatRef,
    message_ids: list[int],
    random_id: int,
    topic_id: int | None = None,
    drop_author: bool = False,
    drop_captions: bool = False,
    silent: bool = False,
    schedule_date: int | None = None,
) -> list[SentDict]:
    """Forward up to 100 messages; the answers stand in the order of `message_ids`.

    Raises NotFound: MESSAGE_ID_INVALID; Forbidden: CHAT_FORWARDS_RESTRICTED and what
    `send_message` does.
    Source: https://core.telegram.org/method/messages.forwardMessages
    """


@method
async def send_reaction(
    *,
    chat_id: ChatRef,
    message_id: int,
    emoji: list[str] | None = None,
    custom_emoji_ids: list[str] | None = None,
    big: bool = False,
) -> bool:
    """Set the account's reactions to a message; without any, take them back.

    Raises BadRequest: REACTION_INVALID, REACTIONS_TOO_MANY, MESSAGE_NOT_MODIFIED; NotFound:
    MESSAGE_ID_INVALID.
    Source: https://core.telegram.org/method/messages.sendReaction
    """


@method
async def pin_message(
    *, chat_id: ChatRef, message_id: int, silent: bool = True, for_all: bool = True
) -> bool:
    """Pin a message; `for_all` concerns private chats only.

    Raises Forbidden: CHAT_ADMIN_REQUIRED; NotFound: MESSAGE_ID_INVALID; BadRequest:
    CHAT_NOT_MODIFIED when it is pinned already.
    Source: https://core.telegram.org/method/messages.updatePinnedMessage
    """


@method
async def unpin_message(*, chat_id: ChatRef, message_id: int | None = None) -> bool:
    """Unpin one message, or all of the chat's.

    Source: https://core.telegram.org/method/messages.unpinAllMessages
    """


@method
async def read_history(*, chat_id: ChatRef, max_id: int = 0) -> bool:
    """Mark incoming messages up to `max_id` (0: all) as read.

    Source: https://core.telegram.org/method/messages.readHistory
    """


@method
async def set_typing(
    *, chat_id: ChatRef, action: TypingAction = "typing", topic_id: int | None = None
) -> bool:
    """Show that the account is typing (for 6 seconds), or that it no longer is (`cancel`).

    Source: https://core.telegram.org/method/messages.setTyping
    """


def derive_random_id(random_id: int, index: int) -> int:
    """Return the `random_id` of the `index`th message of one order; index 0 keeps its own.

    A fixed odd step keeps them apart: no two indices of one order meet within 2^63.
    """
    return (random_id + index * 0x5851F42D4C957F2D) % (1 << 63) or 1
