"""Making groups and channels, coming and going, rights.

Sources: https://core.telegram.org/api/channel, https://core.telegram.org/api/rights
"""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from sandbox.methods.invites import check_room
from sandbox.methods.pages import unix
from sandbox.methods.peers import (
    basic_group,
    input_channel,
    input_peer,
    input_user,
    own_member,
    require_admin,
)
from sandbox.methods.permissions import admin_may, member_may
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.model import Chat, Kind, User

TITLE_LIMIT = 128


def _check_title(title: str) -> None:
    if not title.strip() or len(title) > TITLE_LIMIT:
        raise RpcError(400, "CHAT_TITLE_EMPTY")


def _check_reachable(call: Call, user: User) -> None:
    """Refuse to add a user who blocked the caller, or is gone."""
    if user.deleted:
        raise RpcError(400, "INPUT_USER_DEACTIVATED")
    if call.me.id in user.blocked:
        raise RpcError(403, "USER_PRIVACY_RESTRICTED")


@handles(functions.messages.CreateChatRequest)
async def create_chat(call: Call, request: Any) -> Any:
    """Found a basic group.

    Source: https://core.telegram.org/method/messages.createChat
    """
    with call.world.acting(call.me.id, call.origin) as act:
        _check_title(request.title)
        users = [input_user(call, user) for user in request.users]
        if len(users) >= call.world.limits.group_size:
            raise RpcError(400, "USERS_TOO_MUCH")
        for user in users:
            _check_reachable(call, user)
        chat = call.world.add_group(request.title, call.me, users)
        return types.messages.InvitedUsers(
            updates=act.result(peers={chat.peer, *chat.members}), missing_invitees=[]
        )


@handles(functions.channels.CreateChannelRequest)
async def create_channel(call: Call, request: Any) -> Any:
    """Found a channel (`broadcast`) or supergroup (`megagroup`).

    Source: https://core.telegram.org/method/channels.createChannel
    """
    with call.world.acting(call.me.id, call.origin) as act:
        _check_title(request.title)
        if len(request.about) > 255:
            raise RpcError(400, "CHAT_ABOUT_TOO_LONG")
        chat = call.world.add_channel(
            request.title,
            call.me,
            megagroup=not request.broadcast,
            about=request.about,
            forum=bool(request.forum),
        )
        return act.result([types.UpdateChannel(chat.id)], {chat.peer})


@handles(functions.channels.JoinChannelRequest)
async def join_channel(call: Call, request: Any) -> Any:
    """Join a public channel or supergroup; where admins approve members, `INVITE_REQUEST_SENT`.

    Joining where one is already changes nothing and is no error.
    Source: https://core.telegram.org/method/channels.joinChannel
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = input_channel(call, request.channel)
        if chat.member(call.me.id) is None:
            check_room(call, chat)
            if chat.join_request:
                raise RpcError(400, "INVITE_REQUEST_SENT")
            call.world.join(call.me, chat)
        return act.result(peers={chat.peer})


@handles(functions.channels.LeaveChannelRequest)
async def leave_channel(call: Call, request: Any) -> Any:
    """Leave a channel or supergroup; its creator cannot.

    Source: https://core.telegram.org/method/channels.leaveChannel
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = input_channel(call, request.channel)
        member = own_member(call, chat)
        if member.creator:
            raise RpcError(400, "USER_CREATOR")
        call.world.leave(call.me, chat)
        return act.result(peers={chat.peer})


@handles(functions.channels.DeleteChannelRequest)
async def delete_channel(call: Call, request: Any) -> Any:
    """Delete a channel or supergroup for everybody, as its creator.

    Source: https://core.telegram.org/method/channels.deleteChannel
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = input_channel(call, request.channel)
        if not own_member(call, chat).creator:
            raise RpcError(400, "CHAT_ADMIN_REQUIRED")
        call.world.delete_chat(chat)
        return act.result(peers={chat.peer})


@handles(functions.channels.InviteToChannelRequest)
async def invite_to_channel(call: Call, request: Any) -> Any:
    """Add users; those who cannot be added are named in `missing_invitees`.

    Source: https://core.telegram.org/method/channels.inviteToChannel
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = input_channel(call, request.channel)
        own_member(call, chat)
        if not member_may(call, chat, "invite_users"):
            raise RpcError(403, "CHAT_WRITE_FORBIDDEN")
        users = [input_user(call, user) for user in request.users]
        standings = [chat.members.get(user.id) for user in users]
        if any(standing is not None and standing.banned for standing in standings):
            raise RpcError(400, "USER_KICKED")
        missing = []
        for user in users:
            if user.deleted or call.me.id in user.blocked:
                missing.append(types.MissingInvitee(user_id=user.id))
            else:
                call.world.join(user, chat, inviter=call.me)
        result = act.result(peers={chat.peer, *(user.id for user in users)})
        return types.messages.InvitedUsers(updates=result, missing_invitees=missing)


@handles(functions.messages.AddChatUserRequest)
async def add_chat_user(call: Call, request: Any) -> Any:
    """Add a user to a basic group.

    Source: https://core.telegram.org/method/messages.addChatUser
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = basic_group(call, request.chat_id)
        user = input_user(call, request.user_id)
        own_member(call, chat)
        if not member_may(call, chat, "invite_users"):
            raise RpcError(400, "CHAT_ADMIN_REQUIRED")
        if chat.member(user.id) is not None:
            raise RpcError(400, "USER_ALREADY_PARTICIPANT")
        if chat.participants_count >= call.world.limits.group_size:
            raise RpcError(400, "USERS_TOO_MUCH")
        _check_reachable(call, user)
        call.world.join(user, chat, inviter=call.me)
        return types.messages.InvitedUsers(
            updates=act.result(peers={chat.peer, user.id}), missing_invitees=[]
        )


@handles(functions.messages.DeleteChatUserRequest)
async def delete_chat_user(call: Call, request: Any) -> Any:
    """Remove a user from a basic group, or leave it oneself.

    Members may remove whom they brought; admins everybody but the creator.
    Source: https://core.telegram.org/method/messages.deleteChatUser
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = basic_group(call, request.chat_id)
        user = input_user(call, request.user_id)
        member = chat.member(user.id)
        if member is None:
            raise RpcError(400, "USER_NOT_PARTICIPANT")
        if user.id == call.me.id:
            call.world.leave(user, chat)
        else:
            own_member(call, chat)
            brought = member.inviter_id == call.me.id and member.admin_rights is None
            if member.creator or not (brought or admin_may(call, chat, "ban_users")):
                raise RpcError(400, "CHAT_ADMIN_REQUIRED")
            call.world.kick(chat, user, by=call.me)
        if request.revoke_history:
            call.world.clear_history(user, chat)
        return act.result(peers={chat.peer, user.id})


def _check_outranked(call: Call, chat: Chat, target: User) -> None:
    """Refuse to touch the creator, or an admin whom somebody else made."""
    member = chat.members.get(target.id)
    if member is None or admin_is_creator(call, chat):
        return
    if member.creator or (member.admin_rights is not None and member.promoted_by != call.me.id):
        raise RpcError(400, "USER_ADMIN_INVALID")


def admin_is_creator(call: Call, chat: Chat) -> bool:
    """Whether the caller founded the chat (or was given it)."""
    member = chat.member(call.me.id)
    return member is not None and member.creator


@handles(functions.channels.EditBannedRequest)
async def edit_banned(call: Call, request: Any) -> Any:
    """Ban, restrict or pardon a member; without `view_messages` they are thrown out for good.

    Source: https://core.telegram.org/method/channels.editBanned
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = input_channel(call, request.channel)
        require_admin(call, chat, "ban_users")
        peer = input_peer(call, request.participant)
        target = call.world.users.get(peer)
        if target is None:
            raise RpcError(400, "PARTICIPANT_ID_INVALID")
        if target.id == call.me.id:
            raise RpcError(400, "USER_ADMIN_INVALID")
        _check_outranked(call, chat, target)
        rights = request.banned_rights
        given = {key: value for key, value in rights.to_dict().items() if key != "until_date"}
        del given["_"]
        if rights.view_messages:
            call.world.ban(chat, target, by=call.me)
            banned = chat.members[target.id].banned_rights
            if banned is not None and unix(rights.until_date):
                banned.until_date = rights.until_date
        elif any(given.values()):
            if chat.broadcast:
                raise RpcError(400, "BANNED_RIGHTS_INVALID")
            call.world.restrict(chat, target, rights, by=call.me)
        else:
            call.world.unban(chat, target)
        return act.result([types.UpdateChannel(chat.id)], {chat.peer, target.id})


@handles(functions.channels.EditAdminRequest)
async def edit_admin(call: Call, request: Any) -> Any:
    """Make a member an admin, change what they may do, or make them a member again.

    Source: https://core.telegram.org/method/channels.editAdmin
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = input_channel(call, request.channel)
        require_admin(call, chat, "add_admins")
        target = input_user(call, request.user_id)
        member = chat.members.get(target.id)
        if member is not None and member.creator:
            raise RpcError(400, "USER_CREATOR")
        _check_outranked(call, chat, target)
        if len(request.rank or "") > 16:
            raise RpcError(400, "ADMIN_RANK_INVALID")
        wanted = {key: value for key, value in request.admin_rights.to_dict().items() if key != "_"}
        if not admin_is_creator(call, chat) and not all(
            admin_may(call, chat, right) for right, given in wanted.items() if given
        ):
            raise RpcError(403, "RIGHT_FORBIDDEN")
        if any(wanted.values()):
            if member is not None and member.banned:
                raise RpcError(400, "USER_KICKED")
            call.world.promote(
                chat, target, request.admin_rights, by=call.me, rank=request.rank or ""
            )
        elif member is not None:
            call.world.demote(chat, target)
        return act.result([types.UpdateChannel(chat.id)], {chat.peer, target.id})


@handles(functions.messages.EditChatAdminRequest)
async def edit_chat_admin(call: Call, request: Any) -> bool:
    """Make a member of a basic group an admin, or no longer, as its creator.

    Source: https://core.telegram.org/method/messages.editChatAdmin
    """
    with call.world.acting(call.me.id, call.origin):
        chat = basic_group(call, request.chat_id)
        target = input_user(call, request.user_id)
        if not own_member(call, chat).creator:
            raise RpcError(400, "CHAT_ADMIN_REQUIRED")
        if chat.member(target.id) is None:
            raise RpcError(400, "USER_NOT_PARTICIPANT")
        if request.is_admin:
            call.world.promote(chat, target, by=call.me)
        else:
            call.world.demote(chat, target)
        return True


@handles(functions.messages.EditChatDefaultBannedRightsRequest)
async def edit_chat_default_banned_rights(call: Call, request: Any) -> Any:
    """Say what ordinary members may not do.

    Source: https://core.telegram.org/method/messages.editChatDefaultBannedRights
    """
    with call.world.acting(call.me.id, call.origin) as act:
        peer = input_peer(call, request.peer)
        if peer > 0 or call.world.chat(peer).kind is Kind.CHANNEL:
            raise RpcError(400, "PEER_ID_INVALID")
        chat = call.world.chat(peer)
        require_admin(call, chat, "ban_users")
        if chat.banned_rights == request.banned_rights:
            raise RpcError(400, "CHAT_NOT_MODIFIED")
        call.world.set_default_rights(chat, request.banned_rights)
        return act.result(peers={peer})


@handles(functions.channels.EditTitleRequest)
async def edit_title(call: Call, request: Any) -> Any:
    """Rename a channel or supergroup.

    Source: https://core.telegram.org/method/channels.editTitle
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = input_channel(call, request.channel)
        return _rename(call, act, chat, request.title)


@handles(functions.messages.EditChatTitleRequest)
async def edit_chat_title(call: Call, request: Any) -> Any:
    """Rename a basic group.

    Source: https://core.telegram.org/method/messages.editChatTitle
    """
    with call.world.acting(call.me.id, call.origin) as act:
        return _rename(call, act, basic_group(call, request.chat_id), request.title)


def _rename(call: Call, act: Any, chat: Chat, title: str) -> Any:
    own_member(call, chat)
    if not member_may(call, chat, "change_info"):
        raise RpcError(400, "CHAT_ADMIN_REQUIRED")
    _check_title(title)
    if chat.title == title:
        raise RpcError(400, "CHAT_NOT_MODIFIED")
    call.world.set_title(chat, title, by=call.me)
    return act.result(peers={chat.peer})


@handles(functions.channels.ToggleSlowModeRequest)
async def toggle_slow_mode(call: Call, request: Any) -> Any:
    """Let members write once in so many seconds (0: as they like).

    Source: https://core.telegram.org/method/channels.toggleSlowMode
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = input_channel(call, request.channel)
        require_admin(call, chat, "ban_users")
        if request.seconds not in (0, 5, 10, 30, 60, 300, 900, 3600):
            raise RpcError(400, "SECONDS_INVALID")
        if chat.slowmode_seconds == request.seconds:
            raise RpcError(400, "CHAT_NOT_MODIFIED")
        chat.slowmode_seconds = request.seconds
        call.world.chat_changed(chat)
        return act.result(peers={chat.peer})
