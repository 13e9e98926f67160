"""Bodies of `engine.methods.history`."""

from typing import Any

from telethon import TelegramClient, types
from telethon.errors import TypeNotFoundError
from telethon.tl.functions import channels, messages

from engine.errors import BadRequest
from engine.methods.answers import DatePointDict, PageDict
from engine.methods.shapes import ChatRef, MessageDict
from engine.telegram import convert, peers, salvage
from engine.telegram.pages import message_dicts, total_of
from engine.telegram.reading import GetHistoryRequest, ask

PAGE_LIMIT = 100


async def read_page(
    client: TelegramClient,
    *,
    chat_id: ChatRef,
    offset_id: int = 0,
    add_offset: int = 0,
    limit: int = 100,
    min_id: int = 0,
    max_id: int = 0,
    offset_date: int = 0,
) -> PageDict:
    check_limit(limit)
    peer = await peers.find(client, chat_id)
    marked = await peers.peer_id(client, peer)
    request = GetHistoryRequest(
        peer=peer,
        offset_id=offset_id,
        # Telegram lets the id win, Telethon would send both.
        offset_date=convert.to_datetime(offset_date) if offset_date and not offset_id else None,
        add_offset=add_offset,
        limit=limit,
        max_id=max_id,
        min_id=min_id,
        hash=0,
    )
    try:
        answer = await ask(client, request)
    except TypeNotFoundError:
        return await salvage.read_page(client, request, marked)
    return page_dict(client, peer, marked, answer, limit)


async def get_messages(
    client: TelegramClient, *, chat_id: ChatRef, message_ids: list[int]
) -> list[MessageDict]:
    check_limit(len(message_ids))
    peer = await peers.find(client, chat_id)
    marked = await peers.peer_id(client, peer)
    answer = await fetch(client, peer, message_ids)
    # Outside channels ids belong to the account, not to the chat.
    return [
        message
        for message in message_dicts(client, peer, answer)
        if message.get("extra", {}).get("chat_id") == marked
    ]


async def map_date_to_id(client: TelegramClient, *, chat_id: ChatRef, date: int) -> DatePointDict:
    page = await read_page(client, chat_id=chat_id, offset_date=max(date, 1), limit=1)
    if not page["messages"]:
        return {"message_id": 0, "date": None}
    newest = page["messages"][0]
    return {"message_id": newest["message_id"], "date": newest["date"]}


async def fetch(client: TelegramClient, peer: Any, message_ids: list[int]) -> Any:
    """Return Telegram's answer for messages by id; what does not exist comes as MessageEmpty."""
    ids = [types.InputMessageID(message_id) for message_id in message_ids]
    channel = peers.input_channel(peer)
    if channel is not None:
        return await client(channels.GetMessagesRequest(channel, ids))
    return await client(messages.GetMessagesRequest(ids))


def page_dict(client: TelegramClient, peer: Any, marked: int, answer: Any, limit: int) -> PageDict:
    """Return an answer to `messages.getHistory` as a page."""
    found = message_dicts(client, peer, answer)
    ids = [message.id for message in answer.messages]
    return {
        "chat_id": marked,
        "messages": found,
        "count": total_of(answer),
        "oldest_id": min(ids, default=None),
        "newest_id": max(ids, default=None),
        "next_offset_id": min(ids) if len(ids) >= limit else None,
        "pts": getattr(answer, "pts", None),
    }


def check_limit(limit: int) -> None:
    """Raise BadRequest for a page that Telegram would cut: more than 100 or none."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise BadRequest("limit_invalid", f"One page holds 1 to {PAGE_LIMIT} messages.")
