"""auth.*LoginToken: logging in by QR code.

Source: https://core.telegram.org/api/qr-login
"""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from sandbox.methods.auth import check_app, finish_login
from sandbox.rpc import Call, RpcError, handles
from sandbox.world import render
from sandbox.world.dates import utc
from sandbox.world.logins import LoginToken, TokenRefused


@handles(functions.auth.ExportLoginTokenRequest, anonymous=True)
async def export_login_token(call: Call, request: Any) -> Any:
    """Give a token to show as a QR code, or, once it was scanned, the login.

    The token lives 30 seconds. After the scan the same key gets `auth.loginTokenSuccess`,
    `auth.loginTokenMigrateTo` when the account lives on another data centre, or
    401 `SESSION_PASSWORD_NEEDED`.
    Source: https://core.telegram.org/method/auth.exportLoginToken
    """
    check_app(request.api_id, request.api_hash)
    with call.world.lock:
        if call.user is not None:
            own = render.user(call.world, call.user.id, call.user.id)
            return types.auth.LoginTokenSuccess(types.auth.Authorization(user=own))
        accepted = call.world.accepted_token(call.auth)
        if accepted is not None:
            return _login(call, accepted)
        made = call.world.make_login_token(call.auth, request.except_ids)
        return types.auth.LoginToken(utc(made.expires), made.token)


def _login(call: Call, accepted: LoginToken) -> Any:
    assert accepted.user_id is not None
    user = call.world.user(accepted.user_id)
    if user.dc != call.dc:
        return types.auth.LoginTokenMigrateTo(user.dc, accepted.token)
    accepted.used = True
    return types.auth.LoginTokenSuccess(finish_login(call, user))


@handles(functions.auth.ImportLoginTokenRequest, anonymous=True)
async def import_login_token(call: Call, request: Any) -> Any:
    """Finish, on the account's own data centre, a QR login that was begun on another.

    Raises `AUTH_TOKEN_INVALID`, `AUTH_TOKEN_EXPIRED` (also when nobody has scanned it yet),
    `AUTH_TOKEN_ALREADY_ACCEPTED` (it was used), 401 `SESSION_PASSWORD_NEEDED`.
    Source: https://core.telegram.org/method/auth.importLoginToken
    """
    with call.world.lock:
        found = call.world.login_tokens.get(request.token)
        if found is None:
            raise RpcError(400, "AUTH_TOKEN_INVALID")
        if found.used:
            raise RpcError(400, "AUTH_TOKEN_ALREADY_ACCEPTED")
        if found.user_id is None:
            raise RpcError(400, "AUTH_TOKEN_EXPIRED")
        return _login(call, found)


@handles(functions.auth.AcceptLoginTokenRequest)
async def accept_login_token(call: Call, request: Any) -> Any:
    """Scan a QR code with a logged-in client: TL `Authorization` of the new session.

    The waiting client gets `updateLoginToken`. Raises `AUTH_TOKEN_INVALIDX`,
    `AUTH_TOKEN_EXPIRED`, `AUTH_TOKEN_ALREADY_ACCEPTED`, `AUTH_TOKEN_EXCEPTION`.
    Source: https://core.telegram.org/method/auth.acceptLoginToken
    """
    try:
        accepted = call.world.accept_login_token(request.token, call.me)
    except TokenRefused as refused:
        raise RpcError(400, str(refused)) from None
    return call.world.tl_authorization(call.world.authorizations[accepted.auth_key_id])
