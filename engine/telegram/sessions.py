"""Bodies of `engine.methods.sessions`; those about the connection itself get a `Home`."""

from typing import Any

from telethon import TelegramClient, types
from telethon.tl.functions import users

from engine.errors import NotAuthorized
from engine.methods.answers import ConnectionDict, ReconnectedDict
from engine.methods.shapes import UserDict
from engine.seam import Home
from engine.telegram import convert
from engine.telegram.rpc import Refusal, refused_with


async def connect(home: Home) -> ConnectionDict:
    async with home.clients.use(home.ref) as client:
        return _connection(client)


async def disconnect(home: Home) -> bool:
    return bool(await home.clients.close(home.ref))


async def reconnect(home: Home) -> ReconnectedDict:
    was_connected = bool(home.clients.connected(home.ref))
    async with home.clients.use(home.ref) as client:
        try:
            user: UserDict | None = await get_me(client)
        except Refusal as error:
            # Not logged in yet is a state; a session that Telegram has ended is an error.
            if client.authorized or not refused_with(error, "AUTH_KEY_UNREGISTERED"):
                raise
            user = None
    return {"was_connected": was_connected, "user": user}


async def status(home: Home) -> ConnectionDict:
    if not home.clients.connected(home.ref):
        return {"connected": False, "authorized": None, "dc_id": 0, "user_id": None}
    async with home.clients.use(home.ref) as client:
        return _connection(client)


async def get_me(client: TelegramClient) -> UserDict:
    # Not client.get_me(): it answers None when the session was revoked.
    found = await client(users.GetUsersRequest([types.InputUserSelf()]))
    if not found or not isinstance(found[0], types.User):
        raise NotAuthorized()
    me: Any = found[0]
    client._mb_entity_cache.set_self_user(me.id, me.bot, me.access_hash)
    if client._authorized is None:
        # Telegram let it in, and whoever had asked for that died before the answer.
        await client._on_login(me)
    return convert.user_dict(me)


def _connection(client: Any) -> ConnectionDict:
    return {
        "connected": bool(client.is_connected()),
        "authorized": client.authorized,
        "dc_id": client.session.dc_id,
        "user_id": client._self_id,
    }
