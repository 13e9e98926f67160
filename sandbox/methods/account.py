"""account.*: the caller's own sessions, profile, status and settings.

Sources: the page of each method under https://core.telegram.org/method/
"""

from __future__ import annotations

import re
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.auth import refuse_fresh, tell_ended
from sandbox.methods.peers import input_peer
from sandbox.rpc import Call, RpcError, handles
from sandbox.world import render
from sandbox.world.model import PeerId
from sandbox.world.peers import notify_settings

USERNAME = re.compile(r"^[A-Za-z](?:_?[A-Za-z0-9]){4,31}$")
AUTHORIZATION_TTL_DAYS = 183
ONLINE_SECONDS = 300


@handles(functions.account.GetAuthorizationsRequest)
async def get_authorizations(call: Call, request: Any) -> Any:
    """Sessions of the account, the caller's own first with hash 0.

    Source: https://core.telegram.org/method/account.getAuthorizations
    """
    with call.world.lock:
        mine = call.auth.auth_key_id if call.auth.home is None else call.auth.home
        sessions = call.world.authorizations_of(call.me)
        sessions.sort(key=lambda one: (one.auth_key_id != mine, -one.date_active))
        rows = [
            call.world.tl_authorization(one, current=one.auth_key_id == mine) for one in sessions
        ]
        return types.account.Authorizations(AUTHORIZATION_TTL_DAYS, rows)


@handles(functions.account.ResetAuthorizationRequest)
async def reset_authorization(call: Call, request: Any) -> bool:
    """End another session by its hash.

    Raises `HASH_INVALID`, 406 `FRESH_RESET_AUTHORISATION_FORBIDDEN`.
    Source: https://core.telegram.org/method/account.resetAuthorization
    """
    with call.world.lock:
        for one in call.world.authorizations_of(call.me):
            if one.hash == request.hash and one is not call.auth:
                refuse_fresh(call)
                call.world.log_out(one, refusal="SESSION_REVOKED")
                tell_ended(call, [one.auth_key_id])
                return True
    raise RpcError(400, "HASH_INVALID")


@handles(functions.account.SetAuthorizationTTLRequest)
async def set_authorization_ttl(call: Call, request: Any) -> bool:
    """Source: https://core.telegram.org/method/account.setAuthorizationTTL"""
    if request.authorization_ttl_days < 1:
        raise RpcError(400, "TTL_DAYS_INVALID")
    return True


@handles(functions.account.GetWebAuthorizationsRequest)
async def get_web_authorizations(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/account.getWebAuthorizations"""
    return types.account.WebAuthorizations([], [])


@handles(functions.account.GetAccountTTLRequest)
async def get_account_ttl(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/account.getAccountTTL"""
    return types.AccountDaysTTL(call.me.account_ttl_days)


@handles(functions.account.SetAccountTTLRequest)
async def set_account_ttl(call: Call, request: Any) -> bool:
    """Raises `TTL_DAYS_INVALID`. Source: https://core.telegram.org/method/account.setAccountTTL"""
    if not 30 <= request.ttl.days <= 730:
        raise RpcError(400, "TTL_DAYS_INVALID")
    call.me.account_ttl_days = request.ttl.days
    return True


@handles(functions.account.UpdateStatusRequest)
async def update_status(call: Call, request: Any) -> bool:
    """Come online for five minutes, or go offline; those who know the account are told.

    Source: https://core.telegram.org/method/account.updateStatus
    """
    call.world.set_online(call.me, not request.offline, ONLINE_SECONDS)
    return True


@handles(functions.account.UpdateProfileRequest)
async def update_profile(call: Call, request: Any) -> Any:
    """Change name and bio. Raises `FIRSTNAME_INVALID`, `ABOUT_TOO_LONG`.

    Source: https://core.telegram.org/method/account.updateProfile
    """
    if request.first_name is not None and not request.first_name.strip():
        raise RpcError(400, "FIRSTNAME_INVALID")
    if request.about is not None and len(request.about) > (140 if call.me.premium else 70):
        raise RpcError(400, "ABOUT_TOO_LONG")
    with call.world.acting(call.me.id, call.origin):
        call.world.set_profile(
            call.me,
            first_name=request.first_name,
            last_name=request.last_name,
            about=request.about,
        )
        return render.user(call.world, call.me.id, call.me.id)


def check_username(call: Call, username: str) -> None:
    """Raises `USERNAME_INVALID`, `USERNAME_OCCUPIED`."""
    if not USERNAME.match(username):
        raise RpcError(400, "USERNAME_INVALID")
    owner = call.world.by_username(username)
    if owner is not None and owner != call.me.id:
        raise RpcError(400, "USERNAME_OCCUPIED")


@handles(functions.account.CheckUsernameRequest)
async def check_username_request(call: Call, request: Any) -> bool:
    """Source: https://core.telegram.org/method/account.checkUsername"""
    try:
        check_username(call, request.username)
    except RpcError as error:
        if error.message == "USERNAME_OCCUPIED":
            return False
        raise
    return True


@handles(functions.account.UpdateUsernameRequest)
async def update_username(call: Call, request: Any) -> Any:
    """Take a username, or none. Also raises `USERNAME_NOT_MODIFIED`.

    Source: https://core.telegram.org/method/account.updateUsername
    """
    with call.world.acting(call.me.id, call.origin):
        if request.username == call.me.username:
            raise RpcError(400, "USERNAME_NOT_MODIFIED")
        if request.username:
            check_username(call, request.username)
        call.world.set_username(call.me, request.username)
        return render.user(call.world, call.me.id, call.me.id)


# Settings


def _notified_peer(call: Call, peer: Any) -> PeerId | None:
    return input_peer(call, peer.peer) if isinstance(peer, types.InputNotifyPeer) else None


@handles(functions.account.GetNotifySettingsRequest)
async def get_notify_settings(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/account.getNotifySettings"""
    with call.world.lock:
        peer = _notified_peer(call, request.peer)
        if peer is None:
            return types.PeerNotifySettings(show_previews=True, silent=False)
        return notify_settings(call.world, call.me.id, peer)


@handles(functions.account.UpdateNotifySettingsRequest)
async def update_notify_settings(call: Call, request: Any) -> bool:
    """Mute or unmute a chat. Source: https://core.telegram.org/method/account.updateNotifySettings"""
    with call.world.acting(call.me.id, call.origin):
        peer = _notified_peer(call, request.peer)
        until = request.settings.mute_until
        if peer is not None:
            call.world.mute(call.me, peer, int(until.timestamp()) if until else 0)
        return True


@handles(functions.account.GetPrivacyRequest)
async def get_privacy(call: Call, request: Any) -> Any:
    """Phone numbers are for contacts unless shown, the rest is for all.

    Source: https://core.telegram.org/method/account.getPrivacy
    """
    rule: Any = types.PrivacyValueAllowAll()
    if isinstance(request.key, types.InputPrivacyKeyPhoneNumber) and call.me.hides_phone:
        rule = types.PrivacyValueAllowContacts()
    if isinstance(request.key, types.InputPrivacyKeyForwards) and call.me.hides_forwards:
        rule = types.PrivacyValueDisallowAll()
    return types.account.PrivacyRules([rule], [], [])


@handles(functions.account.GetContentSettingsRequest)
async def get_content_settings(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/account.getContentSettings"""
    return types.account.ContentSettings()


@handles(functions.account.RegisterDeviceRequest)
async def register_device(call: Call, request: Any) -> bool:
    """Push tokens lead nowhere here. Source: https://core.telegram.org/method/account.registerDevice"""
    return True


@handles(functions.account.UnregisterDeviceRequest)
async def unregister_device(call: Call, request: Any) -> bool:
    """Source: https://core.telegram.org/method/account.unregisterDevice"""
    return True
