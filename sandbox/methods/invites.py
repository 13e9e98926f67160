"""Invite links: looking at one, using it, making and revoking them.

Source: https://core.telegram.org/api/invites
"""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from sandbox.methods.pages import check_limit, unix
from sandbox.methods.peers import input_peer, input_user
from sandbox.methods.permissions import member_may
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.dates import utc
from sandbox.world.media import tl_photo
from sandbox.world.model import Chat, Invite, Kind

LINK = "https://t.me/+"
CHANNELS_LIMIT = 500
CHANNELS_LIMIT_PREMIUM = 1000


def tl_invite(invite: Invite) -> Any:
    """Return TL `ChatInviteExported`. https://core.telegram.org/constructor/chatInviteExported"""
    return types.ChatInviteExported(
        link=LINK + invite.hash,
        admin_id=invite.admin_id,
        date=utc(invite.date),
        revoked=invite.revoked or None,
        permanent=invite.permanent or None,
        request_needed=invite.request_needed or None,
        expire_date=utc(invite.expire_date) if invite.expire_date else None,
        usage_limit=invite.usage_limit or None,
        usage=invite.usage or None,
        requested=len(invite.requested) or None,
        title=invite.title or None,
    )


def find_invite(call: Call, link_hash: str) -> tuple[Chat, Invite]:
    """Return what a link's hash opens.

    Raises `INVITE_HASH_EMPTY`, `INVITE_HASH_INVALID` (never was a link), `INVITE_HASH_EXPIRED`
    (revoked, used up, out of date, or its chat is gone).
    """
    if not link_hash:
        raise RpcError(400, "INVITE_HASH_EMPTY")
    peer = call.world.invites.get(link_hash)
    if peer is None:
        raise RpcError(400, "INVITE_HASH_INVALID" if len(link_hash) < 16 else "INVITE_HASH_EXPIRED")
    chat = call.world.chats[peer]
    invite = chat.invites[link_hash]
    spent = invite.usage_limit and invite.usage >= invite.usage_limit
    late = invite.expire_date and invite.expire_date <= call.world.now()
    if invite.revoked or spent or late or chat.deactivated:
        raise RpcError(400, "INVITE_HASH_EXPIRED")
    return chat, invite


def check_room(call: Call, chat: Chat) -> None:
    """Refuse when the caller is in too many channels, or the chat is full.

    Raises `CHANNELS_TOO_MUCH`, `USERS_TOO_MUCH`.
    Source: https://core.telegram.org/api/config#channels-limit-default
    """
    most = CHANNELS_LIMIT_PREMIUM if call.me.premium else CHANNELS_LIMIT
    inside = sum(
        one.is_channel and one.member(call.me.id) is not None for one in call.world.chats.values()
    )
    if chat.is_channel and inside >= most:
        raise RpcError(400, "CHANNELS_TOO_MUCH")
    limits = call.world.limits
    sizes = {Kind.GROUP: limits.group_size, Kind.SUPERGROUP: limits.supergroup_size}
    if chat.kind in sizes and chat.participants_count >= sizes[chat.kind]:
        raise RpcError(400, "USERS_TOO_MUCH")


@handles(functions.messages.CheckChatInviteRequest)
async def check_chat_invite(call: Call, request: Any) -> Any:
    """Look at the chat behind a link without joining it.

    Members get the chat itself (`chatInviteAlready`).
    Source: https://core.telegram.org/method/messages.checkChatInvite
    """
    with call.world.lock:
        chat, invite = find_invite(call, request.hash)
        if chat.member(call.me.id) is not None:
            described = call.world.updates.describe(call.me.id, {chat.peer})[1]
            return types.ChatInviteAlready(chat=described[0])
        known = [one.user_id for one in chat.participants if one.user_id in call.me.contacts][:5]
        users = call.world.updates.describe(call.me.id, known)[0]
        return types.ChatInvite(
            title=chat.title,
            photo=tl_photo(call.world, chat.photo) if chat.photo else types.PhotoEmpty(0),
            participants_count=chat.participants_count,
            color=chat.id % 7,
            channel=chat.is_channel or None,
            broadcast=chat.broadcast or None,
            public=bool(chat.username) or None,
            megagroup=(chat.kind is Kind.SUPERGROUP) or None,
            request_needed=invite.request_needed or None,
            verified=chat.verified or None,
            about=chat.about or None,
            participants=users or None,
        )


@handles(functions.messages.ImportChatInviteRequest)
async def import_chat_invite(call: Call, request: Any) -> Any:
    """Join over a link; where admins approve members, `INVITE_REQUEST_SENT`.

    Raises also `INVITE_HASH_EXPIRED`, `INVITE_HASH_INVALID`, `USER_ALREADY_PARTICIPANT`,
    `CHANNELS_TOO_MUCH`, `USERS_TOO_MUCH`; the banned get `INVITE_HASH_EXPIRED`.
    Source: https://core.telegram.org/method/messages.importChatInvite
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat, invite = find_invite(call, request.hash)
        if chat.member(call.me.id) is not None:
            raise RpcError(400, "USER_ALREADY_PARTICIPANT")
        standing = chat.members.get(call.me.id)
        if standing is not None and standing.banned and chat.is_channel:
            raise RpcError(400, "INVITE_HASH_EXPIRED")
        check_room(call, chat)
        if invite.request_needed:
            if call.me.id not in invite.requested:
                invite.requested.append(call.me.id)
            raise RpcError(400, "INVITE_REQUEST_SENT")
        call.world.join(call.me, chat, invite=invite)
        return act.result(peers={chat.peer})


def _require_inviter(call: Call, peer: int) -> Chat:
    if peer > 0:
        raise RpcError(400, "PEER_ID_INVALID")
    chat = call.world.chat(peer)
    if not member_may(call, chat, "invite_users") or not _admin(call, chat):
        raise RpcError(400, "CHAT_ADMIN_REQUIRED")
    return chat


def _admin(call: Call, chat: Chat) -> bool:
    member = chat.member(call.me.id)
    return member is not None and (member.creator or member.admin_rights is not None)


@handles(functions.messages.ExportChatInviteRequest)
async def export_chat_invite(call: Call, request: Any) -> Any:
    """Make a link; without a limit or date of its own it replaces the permanent one if asked to.

    Raises `CHAT_ADMIN_REQUIRED`, `EXPIRE_DATE_INVALID`, `USAGE_LIMIT_INVALID`.
    Source: https://core.telegram.org/method/messages.exportChatInvite
    """
    with call.world.acting(call.me.id, call.origin):
        chat = _require_inviter(call, input_peer(call, request.peer))
        expire_date = unix(request.expire_date)
        if expire_date and expire_date <= call.world.now():
            raise RpcError(400, "EXPIRE_DATE_INVALID")
        if request.usage_limit is not None and not 0 <= request.usage_limit <= 99_999:
            raise RpcError(400, "USAGE_LIMIT_INVALID")
        if request.usage_limit and request.request_needed:
            raise RpcError(400, "USAGE_LIMIT_INVALID")
        permanent = not any(
            (expire_date, request.usage_limit, request.request_needed, request.title)
        )
        if permanent and request.legacy_revoke_permanent:
            for old in chat.invites.values():
                if old.permanent and old.admin_id == call.me.id:
                    old.revoked = True
        return tl_invite(
            call.world.add_invite(
                chat,
                call.me,
                title=request.title or "",
                permanent=permanent,
                request_needed=bool(request.request_needed),
                expire_date=expire_date,
                usage_limit=request.usage_limit or 0,
            )
        )


@handles(functions.messages.GetExportedChatInvitesRequest)
async def get_exported_chat_invites(call: Call, request: Any) -> Any:
    """Return an admin's links, revoked or live ones, the newest first.

    Source: https://core.telegram.org/method/messages.getExportedChatInvites
    """
    with call.world.lock:
        chat = _require_inviter(call, input_peer(call, request.peer))
        admin = input_user(call, request.admin_id, "ADMIN_ID_INVALID")
        rows = [
            invite
            for invite in reversed(chat.invites.values())
            if invite.admin_id == admin.id and invite.revoked == bool(request.revoked)
        ]
        start = 0
        if request.offset_link:
            links = [LINK + invite.hash for invite in rows]
            start = links.index(request.offset_link) + 1 if request.offset_link in links else 0
        page = rows[start : start + check_limit(request.limit)]
        return types.messages.ExportedChatInvites(
            count=len(rows),
            invites=[tl_invite(invite) for invite in page],
            users=call.world.updates.describe(call.me.id, {admin.id})[0],
        )


@handles(functions.messages.EditExportedChatInviteRequest)
async def edit_exported_chat_invite(call: Call, request: Any) -> Any:
    """Change a link, or revoke it; a revoked permanent link is replaced by a new one.

    Source: https://core.telegram.org/method/messages.editExportedChatInvite
    """
    with call.world.acting(call.me.id, call.origin):
        chat = _require_inviter(call, input_peer(call, request.peer))
        invite = chat.invites.get(request.link.rpartition("/")[2].lstrip("+"))
        if invite is None or invite.revoked:
            raise RpcError(400, "INVITE_HASH_EXPIRED")
        users = call.world.updates.describe(call.me.id, {invite.admin_id})[0]
        if request.revoked:
            invite.revoked = True
            if invite.permanent:
                new = call.world.add_invite(chat, invite.admin_id, permanent=True)
                return types.messages.ExportedChatInviteReplaced(
                    invite=tl_invite(invite), new_invite=tl_invite(new), users=users
                )
        if request.expire_date is not None:
            invite.expire_date = unix(request.expire_date)
        if request.usage_limit is not None:
            invite.usage_limit = request.usage_limit
        if request.title is not None:
            invite.title = request.title
        if request.request_needed is not None:
            invite.request_needed = request.request_needed
        return types.messages.ExportedChatInvite(invite=tl_invite(invite), users=users)


@handles(functions.messages.HideChatJoinRequestRequest)
async def hide_chat_join_request(call: Call, request: Any) -> Any:
    """Approve or dismiss who asked to join.

    Source: https://core.telegram.org/method/messages.hideChatJoinRequest
    """
    with call.world.acting(call.me.id, call.origin) as act:
        chat = _require_inviter(call, input_peer(call, request.peer))
        user = input_user(call, request.user_id)
        asked = [invite for invite in chat.invites.values() if user.id in invite.requested]
        if not asked:
            raise RpcError(400, "HIDE_REQUESTER_MISSING")
        for invite in asked:
            invite.requested.remove(user.id)
        if request.approved:
            call.world.join(user, chat, invite=asked[0])
        return act.result(peers={chat.peer, user.id})
