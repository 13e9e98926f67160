"""Who may write where: bans, admin rights, blocks and slow mode, with Telegram's refusals.

Sources: https://core.telegram.org/api/rights, https://core.telegram.org/method/messages.sendMessage
"""

from __future__ import annotations

from typing import Any

from telethon.tl import types

from sandbox.methods.pages import unix
from sandbox.methods.peers import is_admin
from sandbox.rpc import Call, RpcError
from sandbox.world.model import Chat, Document, Kind, Media, PeerId, Photo, Poll

# What is sent, the right that it needs, and the refusal of a chat that forbids it to members.
_MEDIA_RIGHTS = {
    "photo": ("send_photos", "CHAT_SEND_PHOTOS_FORBIDDEN"),
    "video": ("send_videos", "CHAT_SEND_VIDEOS_FORBIDDEN"),
    "round": ("send_roundvideos", "CHAT_SEND_ROUNDVIDEOS_FORBIDDEN"),
    "voice": ("send_voices", "CHAT_SEND_VOICES_FORBIDDEN"),
    "audio": ("send_audios", "CHAT_SEND_AUDIOS_FORBIDDEN"),
    "sticker": ("send_stickers", "CHAT_SEND_STICKERS_FORBIDDEN"),
    "gif": ("send_gifs", "CHAT_SEND_GIFS_FORBIDDEN"),
    "document": ("send_docs", "CHAT_SEND_DOCS_FORBIDDEN"),
    "poll": ("send_polls", "CHAT_SEND_POLL_FORBIDDEN"),
    "text": ("send_plain", "CHAT_SEND_PLAIN_FORBIDDEN"),
}
_MEDIA_KINDS = set(_MEDIA_RIGHTS) - {"text"}


def media_kind(media: Media | None) -> str:
    """Return what a message carries, in the words of chat permissions."""
    if isinstance(media, Photo):
        return "photo"
    if isinstance(media, Poll):
        return "poll"
    if not isinstance(media, Document):
        return "text"
    kind = "document"
    for attribute in media.attributes:
        match attribute:
            case types.DocumentAttributeSticker():
                return "sticker"
            case types.DocumentAttributeAnimated():
                return "gif"
            case types.DocumentAttributeVideo():
                kind = "round" if attribute.round_message else "video"
            case types.DocumentAttributeAudio():
                kind = "voice" if attribute.voice else "audio"
    return kind


def _forbids(rights: Any, right: str, now: int) -> bool:
    if rights is None:
        return False
    until = unix(rights.until_date)
    return (not until or until > now) and bool(getattr(rights, right))


def check_write(call: Call, peer: PeerId, media: Media | None = None, *, count: int = 1) -> None:
    """Refuse what the caller may not send to a chat.

    Raises `YOU_BLOCKED_USER`, `INPUT_USER_DEACTIVATED`, `CHAT_ADMIN_REQUIRED` (a broadcast
    channel), `CHAT_WRITE_FORBIDDEN` (an outsider, or nobody may), `USER_BANNED_IN_CHANNEL`
    (this member may not), `CHAT_SEND_…_FORBIDDEN`, `SLOWMODE_WAIT_x`,
    `SLOWMODE_MULTI_MSGS_DISABLED`. `count` is the number of messages sent together.
    """
    if peer > 0:
        if peer in call.me.blocked:
            raise RpcError(400, "YOU_BLOCKED_USER")
        if call.world.user(peer).deleted:
            raise RpcError(400, "INPUT_USER_DEACTIVATED")
        return
    chat = call.world.chat(peer)
    member = chat.member(call.me.id)
    if chat.deactivated:
        raise RpcError(400, "PEER_ID_INVALID")
    if chat.kind is Kind.CHANNEL:
        rights = member.admin_rights if member is not None else None
        if member is None or not (member.creator or (rights and rights.post_messages)):
            raise RpcError(400, "CHAT_ADMIN_REQUIRED")
        return
    if member is None and not (chat.username and chat.linked_chat):
        # Only discussion groups take comments from outsiders.
        raise RpcError(403, "CHAT_WRITE_FORBIDDEN")
    if is_admin(chat, call.me.id):
        return
    _check_rights(call, chat, media_kind(media))
    _check_slow_mode(call, chat, count)


def _check_rights(call: Call, chat: Chat, kind: str) -> None:
    now = call.world.now()
    own = chat.members.get(call.me.id)
    personal = own.banned_rights if own is not None else None
    if _forbids(personal, "send_messages", now):
        raise RpcError(400, "USER_BANNED_IN_CHANNEL")
    if _forbids(chat.banned_rights, "send_messages", now):
        raise RpcError(403, "CHAT_WRITE_FORBIDDEN")
    right, refusal = _MEDIA_RIGHTS[kind]
    for rights in (personal, chat.banned_rights):
        if kind in _MEDIA_KINDS and _forbids(rights, "send_media", now):
            raise RpcError(403, "CHAT_SEND_MEDIA_FORBIDDEN")
        if _forbids(rights, right, now):
            raise RpcError(403, refusal)


def _check_slow_mode(call: Call, chat: Chat, count: int) -> None:
    """Let a member who is no admin write once in `slowmode_seconds`.

    Source: https://core.telegram.org/method/channels.toggleSlowMode
    """
    if not chat.slowmode_seconds:
        return
    if count > 1:
        raise RpcError(400, "SLOWMODE_MULTI_MSGS_DISABLED")
    wait = next_send_date(call, chat) - call.world.now()
    if wait > 0:
        raise RpcError(420, f"SLOWMODE_WAIT_{wait}")


def next_send_date(call: Call, chat: Chat) -> int:
    """Return when slow mode lets the caller write again, Unix seconds; 0 when it is past."""
    start = call.world.now() - chat.slowmode_seconds
    for message in reversed(chat.history.messages):
        if message.date <= start:
            break
        if message.sender == call.me.id and message.action is None:
            return message.date + chat.slowmode_seconds
    return 0


def member_may(call: Call, chat: Chat, right: str) -> bool:
    """Whether the caller may do what members usually may (`pin_messages`, `invite_users`, …).

    Admins by their own right, members while neither they nor all are barred from it.
    """
    member = chat.member(call.me.id)
    if member is None:
        return False
    if admin_may(call, chat, right):
        return True
    if chat.kind is Kind.CHANNEL:
        return False
    now = call.world.now()
    return not (
        _forbids(member.banned_rights, right, now) or _forbids(chat.banned_rights, right, now)
    )


def admin_may(call: Call, chat: Chat, right: str) -> bool:
    """Whether the caller is the creator, or an administrator with this right."""
    member = chat.member(call.me.id)
    if member is None:
        return False
    rights = member.admin_rights
    return member.creator or (rights is not None and bool(getattr(rights, right)))
