"""The chats of one session, their folders, and what a chat reference means."""

from engine.methods.answers import DialogOffsetDict, DialogPageDict
from engine.methods.registry import method
from engine.methods.shapes import ChatRef, DialogDict, FolderDict, FullChatDict


@method
async def list_page(
    *, offset: DialogOffsetDict | None = None, limit: int = 100, archived: bool | None = None
) -> DialogPageDict:
    """Return one page of dialogs, pinned first, then by the date of the last message.

    `archived` picks the main list (false), the archive (true) or both (null). `limit` is at most
    100. Ask on with `offset=next`; a page is one call to Telegram. `total` counts on the first
    page only: later ones leave out what is pinned.
    Source: https://core.telegram.org/method/messages.getDialogs
    """


@method
async def list_folders() -> list[FolderDict]:
    """Return the chat folders, the default one (id 0, `All Chats`) first.

    Source: https://core.telegram.org/method/messages.getDialogFilters
    """


@method
async def resolve(*, chat_id: ChatRef) -> DialogDict:
    """Tell which chat a reference means; asks Telegram only what this session does not know.

    Numbers that belong to no message are null (`list_page` and `get_dialogs` fill them).
    Raises NotFound (USERNAME_NOT_OCCUPIED, CHANNEL_PRIVATE, chat_not_found), BadRequest.
    """


@method
async def get_dialogs(*, chat_ids: list[ChatRef]) -> list[DialogDict]:
    """Return these chats as dialogs with their current counters (at most 100, one call).

    Source: https://core.telegram.org/method/messages.getPeerDialogs
    """


@method
async def get_full(*, chat_id: ChatRef) -> FullChatDict:
    """Return what only the full request tells: members, first visible message, creation.

    Succeeds only while the account may read the chat, so it is the check of access as well.
    Raises NotFound: CHANNEL_PRIVATE, CHANNEL_INVALID, CHAT_ID_INVALID.
    Source: https://core.telegram.org/method/channels.getFullChannel
    """
