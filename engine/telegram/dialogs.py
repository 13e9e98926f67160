"""Bodies of `engine.methods.dialogs`."""

import asyncio
from typing import Any

from telethon import TelegramClient, types, utils
from telethon.tl.functions import channels, messages, users

from engine.errors import BadRequest
from engine.methods.answers import DialogOffsetDict, DialogPageDict
from engine.methods.shapes import ChatRef, DialogDict, FolderDict, FullChatDict
from engine.telegram import convert, peers
from engine.telegram.history import check_limit, fetch
from engine.telegram.rpc import Refusal


async def list_page(
    client: TelegramClient,
    *,
    offset: DialogOffsetDict | None = None,
    limit: int = 100,
    archived: bool | None = None,
) -> DialogPageDict:
    check_limit(limit)
    page = await client(
        messages.GetDialogsRequest(
            offset_date=convert.to_datetime(offset["date"]) if offset else None,
            offset_id=offset["message_id"] if offset else 0,
            offset_peer=(
                await peers.find(client, offset["chat_id"]) if offset else types.InputPeerEmpty()
            ),
            limit=limit,
            hash=0,
            # Pinned dialogs came with the first page, out of the order that offsets follow.
            exclude_pinned=offset is not None,
            folder_id=None if archived is None else int(archived),
        )
    )
    found = [dialog for dialog in page.dialogs if isinstance(dialog, types.Dialog)]
    following: DialogOffsetDict | None = None
    sliced = isinstance(page, types.messages.DialogsSlice)
    if sliced and len(page.dialogs) >= limit and (last := peers.last_of_page(page, found)):
        date, message_id, peer = last
        following = {
            "date": convert.unix_date(date),
            "message_id": message_id,
            "chat_id": await peers.peer_id(client, peer),
        }
    total = page.count if sliced else len(found)
    return {"dialogs": _dialogs(page), "total": total, "next": following}


async def list_folders(client: TelegramClient) -> list[FolderDict]:
    answer = await client(messages.GetDialogFiltersRequest())
    # Before layer 176 this was a bare list.
    filters = getattr(answer, "filters", answer)
    me = await peers.self_id(client)
    folders = [convert.folder_dict(each, me) for each in filters]
    own = [folder for folder in folders if not folder["is_default"]]
    return [convert.default_folder(), *own]


async def resolve(client: TelegramClient, *, chat_id: ChatRef) -> DialogDict:
    peer = await peers.find(client, chat_id)
    return convert.entity_dialog(await peers.entity_of(client, peer))


async def get_dialogs(client: TelegramClient, *, chat_ids: list[ChatRef]) -> list[DialogDict]:
    check_limit(len(chat_ids))
    asked = [types.InputDialogPeer(await peers.find(client, each)) for each in chat_ids]
    return _dialogs(await client(messages.GetPeerDialogsRequest(asked)))


async def get_full(client: TelegramClient, *, chat_id: ChatRef) -> FullChatDict:
    peer = await peers.find(client, chat_id)
    marked = await peers.peer_id(client, peer)
    channel = peers.input_channel(peer)
    first_message = None
    if channel is not None:
        answer, first_message = await asyncio.gather(
            client(channels.GetFullChannelRequest(channel)), _first_message(client, peer)
        )
        full = answer.full_chat
        if full.available_min_id or full.migrated_from_chat_id:
            first_message = None
    elif isinstance(peer, types.InputPeerChat):
        answer = await client(messages.GetFullChatRequest(peer.chat_id))
        full = answer.full_chat
    else:
        answer = await client(users.GetFullUserRequest(utils.get_input_user(peer)))
        full = answer.full_user
    entity = convert.index(answer.users, answer.chats).get(marked)
    if entity is None:
        raise BadRequest("chat_not_told", "Telegram did not describe the chat.")
    return convert.full_chat_dict(full, entity, first_message)


def _dialogs(answer: Any) -> list[DialogDict]:
    """Return an answer's dialogs; the row that stands for the archive is none."""
    entities = convert.index(answer.users, answer.chats)
    tops = {
        (convert.marked(message.peer_id), message.id): message
        for message in answer.messages
        if message.peer_id is not None
    }
    found = []
    for dialog in answer.dialogs:
        if not isinstance(dialog, types.Dialog):
            continue
        chat_id = convert.marked(dialog.peer)
        entity = entities.get(chat_id)
        if entity is not None:
            top = tops.get((chat_id, dialog.top_message))
            found.append(convert.dialog_dict(dialog, entity, top))
    return found


async def _first_message(client: TelegramClient, peer: Any) -> Any:
    """Return the message that made a channel: `Channel.date` is when a member joined.

    Who may not see it, or whose channel was a basic group, is left with that date.
    """
    try:
        answer = await fetch(client, peer, [1])
    except Refusal:
        return None
    first = answer.messages[0] if answer.messages else None
    created = types.MessageActionChannelCreate
    return first if isinstance(getattr(first, "action", None), created) else None
