"""Bodies of `engine.methods.users`."""

from typing import Any

from telethon import TelegramClient, types
from telethon.tl.functions import channels, messages, users

from engine.errors import BadRequest, NotFound
from engine.methods.answers import ParticipantPageDict
from engine.methods.shapes import ChatRef, UserDict
from engine.methods.users import ParticipantFilter
from engine.telegram import convert, peers
from engine.telegram.rpc import Refusal, refused_with

PAGE_LIMIT = 200


async def get_participants_page(
    client: TelegramClient,
    *,
    chat_id: ChatRef,
    offset: int = 0,
    limit: int = 200,
    query: str = "",
    filter: ParticipantFilter = "search",
) -> ParticipantPageDict:
    if not 1 <= limit <= PAGE_LIMIT or offset < 0:
        raise BadRequest("limit_invalid", f"One page holds 1 to {PAGE_LIMIT} members.")
    peer = await peers.find(client, chat_id)
    channel = peers.input_channel(peer)
    if channel is None:
        if not isinstance(peer, types.InputPeerChat):
            raise BadRequest("chat_has_no_members", "Only groups and channels have members.")
        return await _group_members(client, peer.chat_id, query)
    try:
        answer = await client(
            channels.GetParticipantsRequest(
                channel, _filter(filter, query), offset=offset, limit=limit, hash=0
            )
        )
    except Refusal as error:
        if refused_with(error, "CHAT_ADMIN_REQUIRED"):
            entity = await peers.entity_of(client, peer)
            if convert.chat_type(entity) == "channel":
                raise BadRequest(
                    "chat_is_channel", "The members of a channel are shown to its administrators."
                ) from None
        raise
    found = _in_order(answer.participants, answer.users)
    end = offset + len(answer.participants)
    more = bool(answer.participants) and end < answer.count
    return {"users": found, "total": answer.count, "next_offset": end if more else None}


async def get_users(client: TelegramClient, *, user_ids: list[ChatRef]) -> list[UserDict]:
    asked = [await peers.find_user(client, user_id) for user_id in user_ids]
    found: list[UserDict] = []
    for start in range(0, len(asked), PAGE_LIMIT):
        answer = await client(users.GetUsersRequest(asked[start : start + PAGE_LIMIT]))
        found.extend(convert.user_dict(user) for user in answer if isinstance(user, types.User))
    return found


async def _group_members(client: TelegramClient, group_id: int, query: str) -> ParticipantPageDict:
    answer = await client(messages.GetFullChatRequest(group_id))
    participants = answer.full_chat.participants
    if not isinstance(participants, types.ChatParticipants):
        raise NotFound("chat_forbidden", "This account is not in the group.")
    found = _in_order(participants.participants, answer.users)
    if query:
        wanted = query.casefold()
        found = [user for user in found if wanted in _searchable(user)]
    return {"users": found, "total": len(found), "next_offset": None}


def _searchable(user: UserDict) -> str:
    parts = (user["first_name"], user["last_name"], user["username"])
    return " ".join(part for part in parts if part).casefold()


def _in_order(participants: Any, found: Any) -> list[UserDict]:
    """Return the users in the members' order; banned chats and vanished users are left out."""
    by_id = {user.id: user for user in found if isinstance(user, types.User)}
    ids = (
        getattr(each, "user_id", None) or getattr(getattr(each, "peer", None), "user_id", None)
        for each in participants
    )
    return [convert.user_dict(by_id[user_id]) for user_id in ids if user_id in by_id]


def _filter(name: ParticipantFilter, query: str) -> Any:
    if name == "recent":
        return types.ChannelParticipantsRecent()
    if name == "admins":
        return types.ChannelParticipantsAdmins()
    if name == "bots":
        return types.ChannelParticipantsBots()
    if name == "contacts":
        return types.ChannelParticipantsContacts(query)
    if name == "kicked":
        return types.ChannelParticipantsKicked(query)
    if name == "banned":
        return types.ChannelParticipantsBanned(query)
    return types.ChannelParticipantsSearch(query)
