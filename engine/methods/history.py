"""Reading what was said in a chat, a page at a time."""

from engine.methods.answers import DatePointDict, PageDict
from engine.methods.registry import method
from engine.methods.shapes import ChatRef, MessageDict


@method(copied=False)
async def read_page(
    *,
    chat_id: ChatRef,
    offset_id: int = 0,
    add_offset: int = 0,
    limit: int = 100,
    min_id: int = 0,
    max_id: int = 0,
    offset_date: int = 0,
) -> PageDict:
    """Return one page of messages older than `offset_id` (0: from the newest), newest first.

    Exactly one call to Telegram, whoever the senders are. `limit` is at most 100. `min_id` and
    `max_id` are exclusive and filter the page, they do not move it. `offset_date` (Unix seconds)
    counts only when `offset_id` is 0. `add_offset` moves the page towards older messages, below 0
    towards newer ones. Messages that this layer cannot read are there all the same, with
    `extra.raw` (finding them costs further calls).
    Raises NotFound (CHANNEL_PRIVATE and unknown chats), FloodWait, NotAuthorized.
    Source: https://core.telegram.org/method/messages.getHistory
    """


@method
async def get_messages(*, chat_id: ChatRef, message_ids: list[int]) -> list[MessageDict]:
    """Return the messages that exist among `message_ids` (at most 100), in the order asked for.

    Source: https://core.telegram.org/method/channels.getMessages
    """


@method
async def map_date_to_id(*, chat_id: ChatRef, date: int) -> DatePointDict:
    """Find the newest message sent before `date` (Unix seconds); greater ids are at or after it.

    Source: https://core.telegram.org/api/offsets
    """
