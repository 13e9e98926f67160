"""users.*: people, briefly and in full.

Source: https://core.telegram.org/api/peers
"""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from sandbox.methods.peers import input_user
from sandbox.rpc import Call, RpcError, handles
from sandbox.world import render
from sandbox.world.media import tl_photo
from sandbox.world.model import User
from sandbox.world.peers import notify_settings


@handles(functions.users.GetUsersRequest)
async def get_users(call: Call, request: Any) -> list[Any]:
    """Users by `InputUser`; those that cannot be named are `userEmpty`.

    Contacts are found with access hash 0 too (Telethon, `client/users.py`, `get_input_entity`).
    Source: https://core.telegram.org/method/users.getUsers
    """
    with call.world.lock:
        return [_one(call, wanted) for wanted in request.id]


def _one(call: Call, wanted: Any) -> Any:
    user_id = getattr(wanted, "user_id", 0)
    if getattr(wanted, "access_hash", None) == 0 and user_id in call.me.contacts:
        return render.user(call.world, call.me.id, user_id)
    try:
        found = input_user(call, wanted)
    except RpcError:
        return types.UserEmpty(user_id)
    return render.user(call.world, call.me.id, found.id)


def common_chats(call: Call, user: User) -> list[int]:
    """Marked ids of the groups that both the caller and `user` are in, newest first."""
    both = [
        chat.peer
        for chat in call.world.chats.values()
        if not chat.broadcast and not chat.deactivated
        if chat.member(call.me.id) and chat.member(user.id)
    ]
    return sorted(both, key=lambda peer: call.world.chat(peer).date, reverse=True)


@handles(functions.users.GetFullUserRequest)
async def get_full_user(call: Call, request: Any) -> Any:
    """A user's profile. Raises `USER_ID_INVALID`.

    Source: https://core.telegram.org/method/users.getFullUser
    """
    with call.world.lock:
        user = input_user(call, request.id)
        dialog = call.me.dialogs.get(user.id)
        pinned = [
            message.id_for(call.me.id)
            for message in call.world.history(call.me.id, user.id)
            if message.pinned
        ]
        photo = tl_photo(call.world, user.photo) if user.photo else None
        own = user.id == call.me.id
        fields: dict[str, Any] = {
            "id": user.id,
            "about": user.about or None,
            "settings": types.PeerSettings(
                add_contact=(not own and user.id not in call.me.contacts) or None,
                block_contact=(not own and user.id not in call.me.contacts) or None,
            ),
            "notify_settings": notify_settings(call.world, call.me.id, user.id),
            "common_chats_count": 0 if own else len(common_chats(call, user)),
            "blocked": user.id in call.me.blocked or None,
            "phone_calls_available": (not own and not user.bot) or None,
            "video_calls_available": (not own and not user.bot) or None,
            "can_pin_message": True,
            "profile_photo": photo,
            "bot_info": bot_info(user) if user.bot else None,
            "pinned_msg_id": pinned[-1] if pinned else None,
            "folder_id": (dialog.folder_id or None) if dialog else None,
        }
        full = types.UserFull(**{**fields, **user.full_user})
        users, chats = call.world.updates.describe(call.me.id, {user.id})
        return types.users.UserFull(full, chats, users)


def bot_info(user: User) -> Any:
    """TL `BotInfo`: what a bot says of itself."""
    return types.BotInfo(
        user_id=user.id,
        description=user.bot_description or None,
        commands=[types.BotCommand(name, text) for name, text in user.bot_commands.items()],
    )


@handles(functions.messages.GetCommonChatsRequest)
async def get_common_chats(call: Call, request: Any) -> Any:
    """Groups shared with a user, `limit` of them older than `max_id`.

    Source: https://core.telegram.org/method/messages.getCommonChats
    """
    with call.world.lock:
        user = input_user(call, request.user_id)
        peers = common_chats(call, user)
        if request.max_id:
            ids = [call.world.chat(peer).id for peer in peers]
            peers = peers[ids.index(request.max_id) + 1 :] if request.max_id in ids else []
        _, chats = call.world.updates.describe(call.me.id, peers[: request.limit or 100])
        return types.messages.Chats(chats)
