"""From a chat reference to the peer that Telegram takes: one resolver for every surface.

What the session knows is used first, so that no resolve call is burned: Telegram allows few of
them. A number that the session does not know is looked up in its dialogs, once in a while.
Source: https://core.telegram.org/api/peers, https://core.telegram.org/api/min
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from telethon import TelegramClient, types, utils
from telethon.tl.functions import channels, contacts, messages, users

from engine.errors import BadRequest, NotFound
from engine.methods.shapes import ChatRef
from engine.telegram import convert
from engine.telegram.references import MAX_ID, Reference, parse

DIALOGS_AGAIN_SECONDS = 300.0
DIALOG_PAGES = 50
SEEN_LIMIT = 20_000


@dataclass(slots=True)
class _Known:
    """What this process knows of one client's peers beyond its session.

    `seen` says in which message a peer was met whose own access hash is not known (a *min*
    constructor): marked id → (chat, message id). `dialogs_read_at` is of the monotonic clock.
    """

    seen: OrderedDict[int, tuple[Any, int]] = field(default_factory=OrderedDict)
    dialogs_read_at: float | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


_known: WeakKeyDictionary[TelegramClient, _Known] = WeakKeyDictionary()


async def find(client: TelegramClient, chat_id: ChatRef) -> Any:
    """Return the input peer of a chat reference.

    Raises BadRequest when it is none, NotFound when nothing is known by it.
    """
    reference = parse(chat_id)
    if reference.kind == "id":
        return await _find_id(client, reference.id)
    if reference.kind == "username":
        return await _find_username(client, reference.text)
    if reference.kind == "phone":
        return await _find_phone(client, reference.text)
    if reference.kind == "invite":
        return utils.get_input_peer(await invited_chat(client, reference))
    return types.InputPeerSelf()


async def find_user(client: TelegramClient, user_id: ChatRef) -> Any:
    """Return the input user of a reference; BadRequest when it is a chat."""
    peer = await find(client, user_id)
    try:
        return utils.get_input_user(peer)
    except TypeError:
        raise BadRequest("user_id_invalid", "This is a chat, not a user.") from None


def input_channel(peer: Any) -> Any | None:
    """Return the input channel of an input peer, None for users and basic groups."""
    if isinstance(peer, types.InputPeerChannel | types.InputPeerChannelFromMessage):
        return utils.get_input_channel(peer)
    return None


async def peer_id(client: TelegramClient, peer: Any) -> int:
    """Return the marked id of an input peer."""
    if isinstance(peer, types.InputPeerSelf):
        return await self_id(client)
    return int(utils.get_peer_id(peer))


async def self_id(client: TelegramClient) -> int:
    """Return the account's user id; asks Telegram when the session does not know it yet."""
    if known := client._self_id:
        return int(known)
    me = (await client(users.GetUsersRequest([types.InputUserSelf()])))[0]
    client._mb_entity_cache.set_self_user(me.id, me.bot, me.access_hash)
    return int(me.id)


def note_min(client: TelegramClient, chat: Any, found: Iterable[tuple[int, Any]]) -> None:
    """Remember in which message of `chat` peers were met that came as *min*.

    `found` are (message id, TL user or chat). They can be addressed through that message only.
    """
    seen = _of(client).seen
    for message_id, entity in found:
        key = convert.marked_entity(entity)
        seen[key] = (chat, message_id)
        seen.move_to_end(key)
    while len(seen) > SEEN_LIMIT:
        seen.popitem(last=False)


async def invited_chat(client: TelegramClient, reference: Reference) -> Any:
    """Return the chat behind an invite that this account may look into already."""
    invite = await client(messages.CheckChatInviteRequest(reference.text))
    if isinstance(invite, types.ChatInviteAlready | types.ChatInvitePeek):
        return invite.chat
    raise NotFound("invite_not_joined", "This account is not in the chat that the invite names.")


async def entity_of(client: TelegramClient, peer: Any) -> Any:
    """Return the TL user or chat of an input peer; one call to Telegram."""
    if isinstance(peer, types.InputPeerChat):
        chats = (await client(messages.GetChatsRequest([peer.chat_id]))).chats
    elif isinstance(peer, types.InputPeerChannel | types.InputPeerChannelFromMessage):
        chats = (await client(channels.GetChannelsRequest([utils.get_input_channel(peer)]))).chats
    else:
        chats = await client(users.GetUsersRequest([utils.get_input_user(peer)]))
    if not chats or isinstance(chats[0], types.UserEmpty | types.ChatEmpty):
        raise NotFound("chat_not_found", "There is no such chat.")
    return chats[0]


def _of(client: TelegramClient) -> _Known:
    known = _known.get(client)
    if known is None:
        known = _known[client] = _Known()
    return known


async def _find_id(client: TelegramClient, number: int) -> Any:
    candidates = _candidates(number)
    if peer := _cached(client, candidates):
        return peer
    if convert.CHANNEL_BASE < number < 0:
        return types.InputPeerChat(-number)  # Basic groups have no access hash.
    known = _of(client)
    async with known.reading:
        if peer := _cached(client, candidates):
            return peer
        now = time.monotonic()
        if known.dialogs_read_at is None or now - known.dialogs_read_at > DIALOGS_AGAIN_SECONDS:
            if peer := await _search_dialogs(client, candidates):
                return peer
            known.dialogs_read_at = now
    for candidate in candidates:
        if candidate in known.seen:
            return _from_message(candidate, *known.seen[candidate])
    raise NotFound("chat_not_found", "This session knows no chat with this id.")


def _candidates(number: int) -> list[int]:
    """Return the marked ids that a number may mean; a bare positive one: user, group, channel."""
    if number < 0:
        return [number]
    if convert.CHANNEL_BASE - number < -MAX_ID:
        return [number]
    return [number, -number, convert.CHANNEL_BASE - number]


def _cached(client: TelegramClient, candidates: list[int]) -> Any | None:
    for candidate in candidates:
        if candidate == client._self_id:
            return types.InputPeerSelf()
        row = client.session.get_entity_rows_by_id(candidate)
        if row:
            return _from_row(*row[:2])
    return None


async def _search_dialogs(client: TelegramClient, candidates: list[int]) -> Any | None:
    """Read the dialogs until one of the candidates turns up; the session learns them all."""
    request = messages.GetDialogsRequest(None, 0, types.InputPeerEmpty(), limit=100, hash=0)
    for _ in range(DIALOG_PAGES):
        page = await client(request)
        if peer := _cached(client, candidates):
            return peer
        found = [dialog for dialog in page.dialogs if isinstance(dialog, types.Dialog)]
        last = last_of_page(page, found)
        if not isinstance(page, types.messages.DialogsSlice) or len(found) < 100 or last is None:
            return None
        date, message_id, peer = last
        request = messages.GetDialogsRequest(
            date, message_id, peer, limit=100, hash=0, exclude_pinned=True
        )
    return None


def last_of_page(page: Any, dialogs: list[Any]) -> tuple[Any, int, Any] | None:
    """Return (date, message id, input peer) from which the next page of dialogs goes on."""
    tops = {(convert.marked(m.peer_id), m.id): m for m in page.messages if m.peer_id}
    entities = convert.index(page.users, page.chats)
    for dialog in reversed(dialogs):
        chat_id = convert.marked(dialog.peer)
        message, entity = tops.get((chat_id, dialog.top_message)), entities.get(chat_id)
        if message is None or entity is None or getattr(message, "date", None) is None:
            continue
        try:
            return message.date, message.id, utils.get_input_peer(entity)
        except TypeError:
            continue
    return None


def _from_message(candidate: int, chat: Any, message_id: int) -> Any:
    number, kind = utils.resolve_id(candidate)
    if kind is types.PeerUser:
        return types.InputPeerUserFromMessage(chat, message_id, number)
    return types.InputPeerChannelFromMessage(chat, message_id, number)


async def _find_username(client: TelegramClient, username: str) -> Any:
    row = client.session.get_entity_rows_by_username(username.lower())
    if row:
        return _from_row(*row[:2])
    result = await client(contacts.ResolveUsernameRequest(username))
    return _resolved(result)


async def _find_phone(client: TelegramClient, digits: str) -> Any:
    row = client.session.get_entity_rows_by_phone(digits)
    if row:
        return _from_row(*row[:2])
    return _resolved(await client(contacts.ResolvePhoneRequest(digits)))


def _from_row(marked_id: int, access_hash: int) -> Any:
    number, kind = utils.resolve_id(marked_id)
    if kind is types.PeerUser:
        return types.InputPeerUser(number, access_hash)
    if kind is types.PeerChat:
        return types.InputPeerChat(number)
    return types.InputPeerChannel(number, access_hash)


def _resolved(result: Any) -> Any:
    entity = convert.index(result.users, result.chats).get(convert.marked(result.peer))
    if entity is None:
        raise NotFound("chat_not_found", "There is no such chat.")
    return utils.get_input_peer(entity)
