"""Who a request names: input peers, users and channels, with their access hashes checked.

An access hash belongs to the account that it was given to; with another account's, or with
the one of a *min* user, a peer is not named at all.
Sources: https://core.telegram.org/api/peers, https://core.telegram.org/api/min
"""

from __future__ import annotations

from typing import Any

from telethon.tl import types

from sandbox.rpc import Call, RpcError
from sandbox.world.model import Chat, Member, Message, PeerId, User, channel_peer, group_peer
from sandbox.world.render import message_peers

CHANNEL_PRIVATE = RpcError(406, "CHANNEL_PRIVATE")


def input_peer(call: Call, peer: Any) -> PeerId:
    """Return the marked id that an `InputPeer` names.

    Raises `PEER_ID_INVALID` (unknown, wrong hash, empty), `CHANNEL_INVALID` (wrong hash of a
    channel), `CHANNEL_PRIVATE` (no access to it), `MSG_ID_INVALID` (…FromMessage).
    """
    match peer:
        case types.InputPeerSelf():
            return call.me.id
        case types.InputPeerUser() | types.InputPeerUserFromMessage():
            return _user(call, peer, "PEER_ID_INVALID").id
        case types.InputPeerChat():
            chat = call.world.chats.get(group_peer(peer.chat_id))
            if chat is None or call.me.id not in chat.members:
                raise RpcError(400, "PEER_ID_INVALID")
            return chat.peer
        case types.InputPeerChannel() | types.InputPeerChannelFromMessage():
            return input_channel(call, peer).peer
        case _:
            raise RpcError(400, "PEER_ID_INVALID")


def input_user(call: Call, user: Any, error: str = "USER_ID_INVALID") -> User:
    """Return the user that an `InputUser` (or a user's `InputPeer`) names."""
    if isinstance(user, types.InputUserSelf | types.InputPeerSelf):
        return call.me
    return _user(call, user, error)


def _user(call: Call, user: Any, error: str) -> User:
    if isinstance(user, types.InputUserFromMessage | types.InputPeerUserFromMessage):
        named_in(call, user.peer, user.msg_id, user.user_id)
    elif isinstance(user, types.InputUser | types.InputPeerUser):
        if user.access_hash != call.world.access_hash(call.me.id, user.user_id):
            raise RpcError(400, error)
    else:
        raise RpcError(400, error)
    found = call.world.users.get(user.user_id)
    if found is None:
        raise RpcError(400, error)
    return found


def input_channel(call: Call, channel: Any, *, access: bool = True) -> Chat:
    """Return the channel or supergroup that an `InputChannel` (or `InputPeer`) names.

    With `access`, the caller must be allowed to read it, else `CHANNEL_PRIVATE`.
    """
    if isinstance(channel, types.InputChannel | types.InputPeerChannel):
        peer = channel_peer(channel.channel_id)
        if channel.access_hash != call.world.access_hash(call.me.id, peer):
            raise RpcError(400, "CHANNEL_INVALID")
    elif isinstance(channel, types.InputChannelFromMessage | types.InputPeerChannelFromMessage):
        peer = channel_peer(channel.channel_id)
        named_in(call, channel.peer, channel.msg_id, peer)
    else:
        raise RpcError(400, "CHANNEL_INVALID")
    chat = call.world.chats.get(peer)
    if chat is None:
        raise RpcError(400, "CHANNEL_INVALID")
    if access:
        check_access(call, chat)
    return chat


def check_access(call: Call, chat: Chat) -> None:
    """Refuse those who may not read a channel: outsiders of private ones, and the banned."""
    if not call.world.may_read(call.me.id, chat.peer):
        raise RpcError(CHANNEL_PRIVATE.code, CHANNEL_PRIVATE.message)


def named_in(call: Call, peer: Any, message_id: int, named: PeerId) -> Message:
    """Return a message the caller can see that mentions `named` as its sender or otherwise."""
    chat = input_peer(call, peer)
    message = call.world.message(call.me.id, chat, message_id)
    if message is None:
        raise RpcError(400, "MSG_ID_INVALID")
    if named not in message_peers(message, call.me.id):
        raise RpcError(400, "PEER_ID_INVALID")
    return message


def basic_group(call: Call, chat_id: int) -> Chat:
    """Return a basic group that the caller is or was in, else `CHAT_ID_INVALID`."""
    chat = call.world.chats.get(group_peer(chat_id))
    if chat is None or call.me.id not in chat.members:
        raise RpcError(400, "CHAT_ID_INVALID")
    return chat


def own_member(call: Call, chat: Chat) -> Member:
    """Return the caller's standing as one who is inside.

    Raises `CHANNEL_PRIVATE` (channels), `CHAT_FORBIDDEN` (basic groups), `USER_NOT_PARTICIPANT`.
    """
    member = chat.member(call.me.id)
    if member is not None:
        return member
    if chat.is_channel:
        check_access(call, chat)
        raise RpcError(400, "USER_NOT_PARTICIPANT")
    raise RpcError(403, "CHAT_FORBIDDEN")


def require_admin(call: Call, chat: Chat, right: str = "") -> Member:
    """Return the caller's standing when they hold an admin right (any, when none is named).

    The creator has all. Raises `CHAT_ADMIN_REQUIRED`.
    Source: https://core.telegram.org/api/rights
    """
    member = own_member(call, chat)
    if member.creator:
        return member
    rights = member.admin_rights
    if rights is None or (right and not getattr(rights, right)):
        raise RpcError(400, "CHAT_ADMIN_REQUIRED")
    return member


def is_admin(chat: Chat, user_id: int) -> bool:
    """Whether a user is the creator or an administrator."""
    member = chat.member(user_id)
    return member is not None and (member.creator or member.admin_rights is not None)
