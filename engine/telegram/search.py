"""Bodies of `engine.methods.search`."""

from typing import Any

from telethon import TelegramClient, types, utils
from telethon.tl.functions import messages

from engine.methods.answers import SearchHitDict, SearchOffsetDict, SearchPageDict
from engine.methods.shapes import ChatRef
from engine.telegram import convert, peers
from engine.telegram.history import check_limit
from engine.telegram.pages import message_dicts, total_of

LAST_DATE = 2**31 - 1


async def search_global(
    client: TelegramClient,
    *,
    query: str,
    limit: int = 100,
    offset: SearchOffsetDict | None = None,
    min_date: int = 0,
    max_date: int = 0,
) -> SearchPageDict:
    check_limit(limit)
    offset_peer = types.InputPeerEmpty()
    if offset is not None and offset["chat_id"]:
        offset_peer = await peers.find(client, offset["chat_id"])
    answer = await client(
        messages.SearchGlobalRequest(
            q=query,
            filter=types.InputMessagesFilterEmpty(),
            min_date=_after(min_date),
            max_date=_before(max_date),
            offset_rate=offset["rate"] if offset else 0,
            offset_peer=offset_peer,
            offset_id=offset["message_id"] if offset else 0,
            limit=limit,
        )
    )
    rate = getattr(answer, "next_rate", None) or 0
    return _page(client, answer, limit, rate, min_date, max_date)


async def search_chat(
    client: TelegramClient,
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
    check_limit(limit)
    peer = await peers.find(client, chat_id)
    sender = None if from_user is None else await peers.find(client, from_user)
    answer = await client(
        messages.SearchRequest(
            peer=peer,
            q=query,
            filter=types.InputMessagesFilterEmpty(),
            min_date=_after(min_date),
            max_date=_before(max_date),
            offset_id=offset["message_id"] if offset else 0,
            add_offset=0,
            limit=limit,
            max_id=0,
            min_id=0,
            hash=0,
            from_id=sender,
            top_msg_id=topic_id,
        )
    )
    return _page(client, answer, limit, 0, min_date, max_date)


def _after(date: int) -> Any:
    """Telegram's bounds are exclusive, ours are not."""
    return convert.to_datetime(date - 1) if date else None


def _before(date: int) -> Any:
    # Telegram's dates have 32 bits: what ends behind them has no end.
    return convert.to_datetime(date + 1) if 0 < date < LAST_DATE else None


def _page(
    client: TelegramClient, answer: Any, limit: int, rate: int, min_date: int, max_date: int
) -> SearchPageDict:
    entities = convert.index(answer.users, answer.chats)
    dates = {
        (utils.get_peer_id(each.peer_id), each.id): convert.unix_date(each.date)
        for each in answer.messages
        if each.peer_id is not None
    }
    found = message_dicts(client, None, answer)
    hits: list[SearchHitDict] = []
    for message in found:
        chat_id = message.get("extra", {}).get("chat_id", 0)
        date = dates[chat_id, message["message_id"]]
        if (min_date and date < min_date) or (max_date and date > max_date):
            continue
        entity = entities.get(chat_id)
        name = convert.entity_dialog(entity)["title"] if entity is not None else ""
        hits.append({**message, "dialog_id": chat_id, "dialog_name": name})
    following: SearchOffsetDict | None = None
    sliced = isinstance(answer, types.messages.MessagesSlice | types.messages.ChannelMessages)
    if found and sliced and len(answer.messages) >= min(limit, total_of(answer)):
        last = found[-1]
        following = {
            "rate": rate,
            "chat_id": last.get("extra", {}).get("chat_id", 0),
            "message_id": last["message_id"],
        }
    return {"results": hits, "total": total_of(answer), "next": following}
