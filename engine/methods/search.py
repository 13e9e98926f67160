"""Telegram's own search."""

from engine.methods.answers import SearchOffsetDict, SearchPageDict
from engine.methods.registry import method
from engine.methods.shapes import ChatRef


@method
async def search_global(
    *,
    query: str,
    limit: int = 100,
    offset: SearchOffsetDict | None = None,
    min_date: int = 0,
    max_date: int = 0,
) -> SearchPageDict:
    """Search all chats of the account; one page of at most 100 hits, newest first.

    `min_date` and `max_date` (Unix seconds, 0: open) are inclusive. Ask on with `offset=next`.
    Source: https://core.telegram.org/method/messages.searchGlobal
    """


@method
async def search_chat(
    *,
    chat_id: ChatRef,
    query: str,
    limit: int = 100,
    offset: SearchOffsetDict | None = None,
    min_date: int = 0,
    max_date: int = 0,
    from_user: ChatRef | None = None,
    topic_id: int | None = None,
) -> SearchPageDict:
    """Search one chat; one page of at most 100 hits, newest first.

    An empty `query` with dates or a sender gives every message that matches those.
    `min_date` and `max_date` (Unix seconds, 0: open) are inclusive. Ask on with `offset=next`.
    Source: https://core.telegram.org/method/messages.search
    """
