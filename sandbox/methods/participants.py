"""Who is in a supergroup or channel: lists by filter, one member's standing.

Source: https://core.telegram.org/method/channels.getParticipants
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.pages import results_hash
from sandbox.methods.peers import input_channel, input_peer, is_admin, own_member
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.dates import utc
from sandbox.world.model import Chat, Member
from sandbox.world.peers import admin_rights

LIMIT = 200
Test = Callable[[Member], bool]


def tl_participant(call: Call, chat: Chat, member: Member) -> Any:
    """Return a member's standing as TL `ChannelParticipant…`.

    Source: https://core.telegram.org/type/ChannelParticipant
    """
    me = call.me.id
    date = utc(member.date)
    if member.banned_rights is not None:
        return types.ChannelParticipantBanned(
            peer=types.PeerUser(member.user_id),
            kicked_by=member.kicked_by,
            date=date,
            banned_rights=member.banned_rights,
            left=not member.inside or None,
        )
    if not member.inside:
        return types.ChannelParticipantLeft(types.PeerUser(member.user_id))
    if member.creator:
        rights = member.admin_rights or admin_rights(broadcast=chat.broadcast)
        return types.ChannelParticipantCreator(member.user_id, rights, rank=member.rank or None)
    if member.admin_rights is not None:
        own = chat.members.get(me)
        return types.ChannelParticipantAdmin(
            user_id=member.user_id,
            promoted_by=member.promoted_by or chat.creator_id,
            date=date,
            admin_rights=member.admin_rights,
            can_edit=(own is not None and (own.creator or member.promoted_by == me)) or None,
            is_self=(member.user_id == me) or None,
            inviter_id=(member.inviter_id or me) if member.user_id == me else None,
            rank=member.rank or None,
        )
    if member.user_id == me:
        return types.ChannelParticipantSelf(member.user_id, member.inviter_id or me, date)
    return types.ChannelParticipant(member.user_id, date)


def _filter(call: Call, chat: Chat, wanted: Any) -> tuple[Test, str, bool]:
    """Return the test of a filter, the text it searches names for, and whether it needs an admin.

    Source: https://core.telegram.org/type/ChannelParticipantsFilter
    """
    users = call.world.users
    query: str = getattr(wanted, "q", "") or ""
    match wanted:
        case types.ChannelParticipantsRecent() | types.ChannelParticipantsSearch():
            return (lambda member: member.inside), query, False
        case types.ChannelParticipantsMentions():
            return (lambda member: member.inside), query, False
        case types.ChannelParticipantsAdmins():
            return (
                (lambda member: member.inside and (member.creator or bool(member.admin_rights))),
                "",
                False,
            )
        case types.ChannelParticipantsBots():
            return (lambda member: member.inside and users[member.user_id].bot), "", False
        case types.ChannelParticipantsContacts():
            contacts = call.me.contacts
            return (lambda member: member.inside and member.user_id in contacts), query, False
        case types.ChannelParticipantsKicked():
            return (lambda member: member.banned), query, True
        case types.ChannelParticipantsBanned():
            return (
                (lambda member: member.banned_rights is not None and not member.banned),
                query,
                True,
            )
    raise RpcError(400, "INPUT_FILTER_INVALID")


def _named(call: Call, member: Member, query: str) -> bool:
    """Whether a word of the user's name, or the username, begins with the query."""
    user = call.world.users[member.user_id]
    name, start = user.name.casefold(), query.casefold().lstrip("@")
    contact = call.me.contacts.get(user.id)
    label = f"{contact.first_name} {contact.last_name}".casefold() if contact else ""
    texts = [name, label, *name.split(), *label.split(), user.username.casefold()]
    return any(text.startswith(start) for text in texts if text)


@handles(functions.channels.GetParticipantsRequest)
async def get_participants(call: Call, request: Any) -> Any:
    """Return a page of at most 200 members, and how many there are.

    Only admins may list a broadcast channel, hidden members, or the banned:
    `CHAT_ADMIN_REQUIRED`. `count` may be larger than the list ever gets.
    Source: https://core.telegram.org/method/channels.getParticipants
    """
    with call.world.lock:
        chat = input_channel(call, request.channel)
        test, query, admins_only = _filter(call, chat, request.filter)
        listing_admins = isinstance(
            request.filter, types.ChannelParticipantsAdmins | types.ChannelParticipantsBots
        )
        guarded = chat.broadcast or (chat.participants_hidden and not listing_admins)
        if (guarded or admins_only) and not is_admin(chat, call.me.id):
            raise RpcError(400, "CHAT_ADMIN_REQUIRED")
        if request.offset < 0:
            raise RpcError(400, "OFFSET_INVALID")
        found = [member for member in chat.members.values() if test(member)]
        if query:
            found = [member for member in found if _named(call, member, query)]
        found.sort(key=lambda member: (-member.date, member.user_id))
        count = len(found)
        everybody = types.ChannelParticipantsRecent | types.ChannelParticipantsSearch
        if isinstance(request.filter, everybody) and not query:
            count = chat.participants_count
        limit = min(max(request.limit, 0), LIMIT)
        page = found[request.offset : request.offset + limit]
        if request.hash and request.hash == results_hash(member.user_id for member in page):
            return types.channels.ChannelParticipantsNotModified()
        people = {chat.peer} | {member.user_id for member in page}
        for member in page:
            # Kurigram looks inviters and promoters up among the users.
            people |= {member.inviter_id, member.promoted_by, member.kicked_by} - {0}
        users, chats = call.world.updates.describe(call.me.id, people)
        return types.channels.ChannelParticipants(
            count=count,
            participants=[tl_participant(call, chat, member) for member in page],
            chats=chats,
            users=users,
        )


@handles(functions.channels.GetParticipantRequest)
async def get_participant(call: Call, request: Any) -> Any:
    """Return one user's standing; `USER_NOT_PARTICIPANT` when they never were inside.

    Source: https://core.telegram.org/method/channels.getParticipant
    """
    with call.world.lock:
        chat = input_channel(call, request.channel)
        try:
            user_id = input_peer(call, request.participant)
        except RpcError:
            raise RpcError(400, "PARTICIPANT_ID_INVALID") from None
        own = user_id == call.me.id
        if not own and (chat.broadcast or chat.participants_hidden):
            if not is_admin(chat, call.me.id):
                raise RpcError(400, "CHAT_ADMIN_REQUIRED")
        elif not own and not chat.username:
            own_member(call, chat)
        member = chat.members.get(user_id)
        if member is None or (not member.inside and member.banned_rights is None):
            raise RpcError(400, "USER_NOT_PARTICIPANT")
        people = {user_id, chat.peer, member.inviter_id, member.promoted_by, member.kicked_by} - {0}
        users, chats = call.world.updates.describe(call.me.id, people)
        return types.channels.ChannelParticipant(
            participant=tl_participant(call, chat, member), chats=chats, users=users
        )
