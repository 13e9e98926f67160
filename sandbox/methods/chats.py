"""Groups and channels as things to look at: short and full descriptions.

Sources: https://core.telegram.org/method/messages.getFullChat,
https://core.telegram.org/method/channels.getFullChannel
"""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from sandbox.methods.invites import tl_invite
from sandbox.methods.peers import basic_group, input_channel, is_admin
from sandbox.methods.permissions import next_send_date
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.dates import utc
from sandbox.world.media import tl_photo
from sandbox.world.model import Chat, Message, group_peer, is_channel
from sandbox.world.peers import notify_settings, tl_group_participants

IDS_LIMIT = 200


@handles(functions.messages.GetChatsRequest)
async def get_chats(call: Call, request: Any) -> Any:
    """Return basic groups by id; those the caller was never in are `chatEmpty`.

    When none of them is known: `CHAT_ID_INVALID`.

    Source: https://core.telegram.org/method/messages.getChats
    """
    with call.world.lock:
        rows: list[Any] = []
        for chat_id in request.id[:IDS_LIMIT]:
            chat = call.world.chats.get(group_peer(chat_id))
            if chat is None or call.me.id not in chat.members:
                rows.append(types.ChatEmpty(chat_id))
                continue
            rows += call.world.updates.describe(call.me.id, {chat.peer})[1]
        if all(isinstance(row, types.ChatEmpty) for row in rows):
            raise RpcError(400, "CHAT_ID_INVALID")
        return types.messages.Chats(chats=rows)


@handles(functions.channels.GetChannelsRequest)
async def get_channels(call: Call, request: Any) -> Any:
    """Return channels and supergroups by id, `channelForbidden` for those one is banned from.

    When none of them may be seen at all: `CHANNEL_PRIVATE`. Access hash 0 works for bots alone
    (Telethon's `get_input_entity`), so it is `CHANNEL_INVALID`.
    Source: https://core.telegram.org/method/channels.getChannels
    """
    with call.world.lock:
        if not request.id:
            raise RpcError(400, "CHANNEL_INVALID")
        found: list[Chat] = [input_channel(call, one, access=False) for one in request.id]
        refused = [chat for chat in found if not call.world.may_read(call.me.id, chat.peer)]
        if len(refused) == len(found) and not any(call.me.id in chat.members for chat in refused):
            raise RpcError(406, "CHANNEL_PRIVATE")
        chats = call.world.updates.describe(call.me.id, {chat.peer for chat in found})[1]
        return types.messages.Chats(chats=chats)


def _pinned_id(call: Call, messages: list[Message]) -> int | None:
    pinned = next((one for one in reversed(messages) if one.pinned), None)
    return pinned.id_for(call.me.id) if pinned is not None else None


def _photo(call: Call, chat: Chat) -> Any:
    return tl_photo(call.world, chat.photo) if chat.photo else types.PhotoEmpty(0)


def _reactions(chat: Chat) -> Any:
    if chat.available_reactions is None:
        return types.ChatReactionsAll(allow_custom=not chat.broadcast or None)
    if not chat.available_reactions:
        return types.ChatReactionsNone()
    return types.ChatReactionsSome([types.ReactionEmoji(one) for one in chat.available_reactions])


def _own_invite(call: Call, chat: Chat) -> Any:
    """Return an admin's permanent link, `exported_invite`."""
    if not is_admin(chat, call.me.id):
        return None
    for invite in chat.invites.values():
        if invite.permanent and not invite.revoked and invite.admin_id == call.me.id:
            return tl_invite(invite)
    return None


@handles(functions.messages.GetFullChatRequest)
async def get_full_chat(call: Call, request: Any) -> Any:
    """Return everything about a basic group.

    Source: https://core.telegram.org/method/messages.getFullChat
    """
    with call.world.lock:
        chat = basic_group(call, request.chat_id)
        dialog = call.me.dialogs.get(chat.peer)
        inside = chat.member(call.me.id) is not None
        people = {member.user_id for member in chat.participants} if inside else set()
        people |= {member.inviter_id for member in chat.participants if inside} - {0}
        users, chats = call.world.updates.describe(call.me.id, {chat.peer} | people)
        bots = [user_id for user_id in people if call.world.users[user_id].bot]
        full = types.ChatFull(
            id=chat.id,
            about=chat.about,
            participants=tl_group_participants(chat, call.me.id),
            notify_settings=notify_settings(call.world, call.me.id, chat.peer),
            can_set_username=(chat.creator_id == call.me.id) or None,
            chat_photo=_photo(call, chat),
            exported_invite=_own_invite(call, chat),
            bot_info=[types.BotInfo(user_id=user_id) for user_id in bots] or None,
            pinned_msg_id=_pinned_id(call, call.world.history(call.me.id, chat.peer).messages),
            folder_id=(dialog.folder_id or None) if dialog else None,
            available_reactions=_reactions(chat),
        )
        return types.messages.ChatFull(full_chat=full, chats=chats, users=users)


@handles(functions.channels.GetFullChannelRequest)
async def get_full_channel(call: Call, request: Any) -> Any:
    """Return everything about a channel or supergroup.

    Source: https://core.telegram.org/method/channels.getFullChannel
    """
    with call.world.lock:
        chat = input_channel(call, request.channel)
        world, me = call.world, call.me.id
        dialog = call.me.dialogs.get(chat.peer)
        admin = is_admin(chat, me)
        member = chat.member(me)
        related = {chat.peer, chat.linked_chat, chat.migrated_from} - {0}
        bots = [one.user_id for one in chat.participants if world.users[one.user_id].bot]
        asking = _requesters(chat) if admin else []
        users, chats = world.updates.describe(me, related | {*bots, *asking[:5]})
        visible = chat.history.messages[chat.history.index_after_id(world.min_id(me, chat.peer)) :]
        members = list(chat.members.values())
        full = types.ChannelFull(
            id=chat.id,
            about=chat.about,
            read_inbox_max_id=dialog.read_inbox_max_id if dialog else 0,
            read_outbox_max_id=dialog.read_outbox_max_id if dialog else 0,
            unread_count=world.unread_count(me, chat.peer) if member else 0,
            chat_photo=_photo(call, chat),
            notify_settings=notify_settings(world, me, chat.peer),
            bot_info=[types.BotInfo(user_id=user_id) for user_id in bots],
            pts=chat.box.pts,
            can_view_participants=_participants_visible(chat, admin=admin) or None,
            can_set_username=(member is not None and member.creator) or None,
            hidden_prehistory=chat.hidden_prehistory or None,
            can_delete_channel=(member is not None and member.creator) or None,
            participants_hidden=chat.participants_hidden or None,
            participants_count=chat.participants_count,
            admins_count=_count(members, "admin_rights") if admin else None,
            kicked_count=sum(one.banned for one in members) if admin else None,
            banned_count=_count(members, "banned_rights") if admin else None,
            online_count=sum(
                world.users[one.user_id].online_until > world.now() for one in chat.participants
            ),
            exported_invite=_own_invite(call, chat),
            migrated_from_chat_id=-chat.migrated_from if chat.migrated_from else None,
            migrated_from_max_id=(
                world.history(me, chat.migrated_from).top_id if chat.migrated_from else None
            ),
            pinned_msg_id=_pinned_id(call, visible),
            available_min_id=(member.available_min_id or None) if member else None,
            folder_id=(dialog.folder_id or None) if dialog else None,
            linked_chat_id=_bare(chat.linked_chat),
            slowmode_seconds=chat.slowmode_seconds or None,
            slowmode_next_send_date=_next_send(call, chat),
            available_reactions=_reactions(chat),
            requests_pending=len(asking) or None,
            recent_requesters=asking[:5] or None,
        )
        return types.messages.ChatFull(full_chat=full, chats=chats, users=users)


def _participants_visible(chat: Chat, *, admin: bool) -> bool:
    return admin or not (chat.broadcast or chat.participants_hidden)


def _count(members: list[Any], rights: str) -> int:
    return sum(one.inside and getattr(one, rights) is not None for one in members)


def _bare(peer: int) -> int | None:
    return (-1_000_000_000_000 - peer if is_channel(peer) else None) if peer else None


def _next_send(call: Call, chat: Chat) -> Any:
    date = next_send_date(call, chat) if chat.slowmode_seconds else 0
    return utc(date) if date > call.world.now() else None


def _requesters(chat: Chat) -> list[int]:
    return [user_id for invite in chat.invites.values() for user_id in invite.requested]
