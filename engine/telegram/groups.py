"""Bodies of `engine.methods.groups`."""

from typing import Any

from telethon import TelegramClient, types, utils
from telethon.tl.functions import channels, messages

from engine.errors import BadRequest, NotFound
from engine.methods.answers import InviteDict, InviteLinkDict, JoinedDict
from engine.methods.shapes import ChatRef, ChatType
from engine.telegram import convert, peers
from engine.telegram.dialogs import get_full
from engine.telegram.references import Reference, parse
from engine.telegram.rpc import Refusal, refused_with


async def join(client: TelegramClient, *, group: ChatRef) -> JoinedDict:
    reference = parse(group)
    if reference.kind == "invite":
        request: Any = messages.ImportChatInviteRequest(reference.text)
        already = False
    else:
        peer = await peers.find(client, group)
        channel = peers.input_channel(peer)
        if channel is None:
            raise BadRequest("chat_not_joinable", "Only public groups and channels can be joined.")
        already = convert.entity_dialog(await peers.entity_of(client, peer))["extra"]["is_member"]
        request = channels.JoinChannelRequest(channel)
    try:
        answer = await client(request)
    except Refusal as error:
        if not refused_with(error, "INVITE_REQUEST_SENT"):
            raise
        return {"state": "requested", "chat": None, "description": None, "photo": None}
    chat_id = _joined_chat(answer, reference)
    if chat_id is None:
        chat_id = convert.marked_entity(await peers.entity_of(client, peer))
    full = await get_full(client, chat_id=chat_id)
    return {
        "state": "already_member" if already else "joined",
        "chat": full["dialog"],
        "description": full["about"] or None,
        "photo": full["photo"],
    }


async def leave(client: TelegramClient, *, chat_id: ChatRef) -> bool:
    peer = await peers.find(client, chat_id)
    channel = peers.input_channel(peer)
    if channel is not None:
        await client(channels.LeaveChannelRequest(channel))
    elif isinstance(peer, types.InputPeerChat):
        await client(messages.DeleteChatUserRequest(peer.chat_id, types.InputUserSelf()))
    else:
        raise BadRequest("chat_not_leavable", "Only groups and channels can be left.")
    return True


async def check_invite(client: TelegramClient, *, link: str) -> InviteDict:
    reference = _invite(link)
    invite = await client(messages.CheckChatInviteRequest(reference.text))
    if isinstance(invite, types.ChatInvite):
        kind: ChatType = "group"
        if invite.channel:
            kind = "channel" if invite.broadcast else "supergroup"
        return {
            "hash": reference.text,
            "title": invite.title,
            "type": kind,
            "participants_count": invite.participants_count,
            "request_needed": bool(invite.request_needed),
            "about": invite.about,
            "chat": None,
        }
    chat = convert.entity_dialog(invite.chat)
    return {
        "hash": reference.text,
        "title": chat["title"],
        "type": chat["type"],
        "participants_count": chat["participants_count"],
        "request_needed": False,
        "about": None,
        "chat": chat,
    }


async def create_invite_link(
    client: TelegramClient,
    *,
    chat_id: ChatRef,
    title: str | None = None,
    expire_date: int | None = None,
    usage_limit: int | None = None,
    request_needed: bool = False,
) -> InviteLinkDict:
    invite = await client(
        messages.ExportChatInviteRequest(
            peer=await peers.find(client, chat_id),
            request_needed=request_needed or None,
            expire_date=convert.to_datetime(expire_date),
            usage_limit=usage_limit,
            title=title,
        )
    )
    return _link(invite)


async def list_invite_links(
    client: TelegramClient, *, chat_id: ChatRef, revoked: bool = False, limit: int = 100
) -> list[InviteLinkDict]:
    answer = await client(
        messages.GetExportedChatInvitesRequest(
            peer=await peers.find(client, chat_id),
            admin_id=types.InputUserSelf(),
            limit=limit,
            revoked=revoked or None,
        )
    )
    exported = (each for each in answer.invites if isinstance(each, types.ChatInviteExported))
    return [convert.invite_link_dict(each) for each in exported]


async def revoke_invite_link(
    client: TelegramClient, *, chat_id: ChatRef, link: str
) -> InviteLinkDict:
    answer = await client(
        messages.EditExportedChatInviteRequest(
            peer=await peers.find(client, chat_id), link=link, revoked=True
        )
    )
    return _link(answer.invite)


def _invite(link: str) -> Reference:
    """Read an invite: a link, `+hash`, or the hash alone."""
    try:
        reference = parse(link)
    except BadRequest:
        reference = parse(f"+{link.strip()}")
    if reference.kind == "username" and "/" not in link:
        reference = Reference("invite", text=reference.text)
    if reference.kind != "invite":
        raise BadRequest("invite_hash_invalid", "This is no invite link.")
    return reference


def _joined_chat(answer: Any, reference: Reference) -> int | None:
    """Return the chat that an answer to joining tells of, None when it tells of none."""
    chats = [each for each in getattr(answer, "chats", ()) if not _forbidden(each)]
    if len(chats) == 1:
        return convert.marked_entity(chats[0])
    for update in getattr(answer, "updates", ()):
        if isinstance(update, types.UpdateChannel):
            return int(utils.get_peer_id(types.PeerChannel(update.channel_id)))
        if isinstance(update, types.UpdateChatParticipants):
            return -int(update.participants.chat_id)
    if chats:
        return convert.marked_entity(chats[0])
    if reference.kind == "invite":
        raise NotFound("chat_not_found", "Telegram did not tell which chat was joined.")
    return None


def _forbidden(chat: Any) -> bool:
    return isinstance(chat, types.ChatForbidden | types.ChannelForbidden)


def _link(invite: Any) -> InviteLinkDict:
    if not isinstance(invite, types.ChatInviteExported):
        raise BadRequest("invite_is_public", "Public join requests have no link of their own.")
    return convert.invite_link_dict(invite)
