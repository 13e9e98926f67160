"""auth.*: logging in by code, ending a login, moving it between data centres.

Sources: https://core.telegram.org/api/auth, https://core.telegram.org/api/datacenter and the page
of each method; error names and codes as Telethon's list has them.
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import Any

from telethon.tl import functions, types

from sandbox.rpc import Call, RpcError, handles
from sandbox.world import render
from sandbox.world.logins import NEXT_TYPES, SentCode
from sandbox.world.model import User
from sandbox.world.state import normal_phone

CODE_LENGTH = 5
NEXT_CODE_TYPES = {"sms": types.auth.CodeTypeSms, "call": types.auth.CodeTypeCall}


def check_app(api_id: int, api_hash: str) -> None:
    """Refuse what cannot be an application: `API_ID_INVALID`."""
    if api_id < 1 or not api_hash:
        raise RpcError(400, "API_ID_INVALID")


def check_phone(call: Call, phone: str) -> str:
    """Return the digits of a number that may log in here.

    Raises `PHONE_NUMBER_INVALID`, `PHONE_NUMBER_BANNED`, 303 `PHONE_MIGRATE_x` (the account lives
    on data centre x).
    """
    digits = normal_phone(phone)
    if not 7 <= len(digits) <= 15 or any(letter.isalpha() for letter in phone):
        raise RpcError(400, "PHONE_NUMBER_INVALID")
    if digits in call.world.banned_phones:
        raise RpcError(400, "PHONE_NUMBER_BANNED")
    user = call.world.by_phone(digits)
    if user is not None and user.dc != call.dc:
        raise RpcError(303, f"PHONE_MIGRATE_{user.dc}")
    return digits


def sent_code(call: Call, sent: SentCode) -> Any:
    """TL `auth.SentCode`; `timeout` is when a client should ask for the next way."""
    user = call.world.by_phone(sent.phone)
    kinds: dict[str, Any] = {
        "app": types.auth.SentCodeTypeApp(CODE_LENGTH),
        "sms": types.auth.SentCodeTypeSms(CODE_LENGTH),
        "call": types.auth.SentCodeTypeCall(CODE_LENGTH),
        "flash_call": types.auth.SentCodeTypeFlashCall("*"),
        "missed_call": types.auth.SentCodeTypeMissedCall("1555", CODE_LENGTH),
        "fragment": types.auth.SentCodeTypeFragmentSms("https://fragment.com/", CODE_LENGTH),
        "email": types.auth.SentCodeTypeEmailCode(
            email_pattern=email_pattern(user.login_email if user else ""), length=CODE_LENGTH
        ),
    }
    following = NEXT_TYPES.get(sent.kind)
    return types.auth.SentCode(
        type=kinds[sent.kind],
        phone_code_hash=sent.hash,
        next_type=NEXT_CODE_TYPES[following]() if following else None,
        timeout=call.world.limits.resend_seconds if sent.kind in ("sms", "call") else None,
    )


def email_pattern(address: str) -> str:
    """`j***e@example.org`, as Telegram hides an address."""
    name, at, host = address.partition("@")
    return f"{name[:1]}***{name[-1:]}{at}{host}"


@handles(functions.auth.SendCodeRequest, anonymous=True)
async def send_code(call: Call, request: Any) -> Any:
    """Send a login code.

    A number without an account gets one too (by SMS); `auth.signIn` then tells. Raises
    `API_ID_INVALID`, `PHONE_NUMBER_INVALID`, `PHONE_NUMBER_BANNED`, `PHONE_NUMBER_FLOOD`,
    `PHONE_MIGRATE_x`. Source: https://core.telegram.org/method/auth.sendCode
    """
    check_app(request.api_id, request.api_hash)
    digits = check_phone(call, request.phone_number)
    with call.world.lock:
        dates = call.world.code_dates.setdefault(digits, deque())
        while dates and dates[0] <= call.world.now() - 86_400:
            dates.popleft()
        if len(dates) >= call.world.limits.codes_a_day:
            raise RpcError(400, "PHONE_NUMBER_FLOOD")
        dates.append(call.world.now())
        return sent_code(call, call.world.send_code(digits))


def find_code(call: Call, phone: str, phone_code_hash: str) -> SentCode:
    """Return the code under way that a client names.

    Raises `PHONE_CODE_HASH_EMPTY`, `PHONE_CODE_EXPIRED` (too old, or of another hash).
    """
    digits = check_phone(call, phone)
    if not phone_code_hash:
        raise RpcError(400, "PHONE_CODE_HASH_EMPTY")
    sent = call.world.sent_codes.get(digits)
    age = call.world.now() - sent.date if sent else 0
    if sent is None or sent.hash != phone_code_hash or age > call.world.limits.code_seconds:
        raise RpcError(400, "PHONE_CODE_EXPIRED")
    return sent


@handles(functions.auth.ResendCodeRequest, anonymous=True)
async def resend_code(call: Call, request: Any) -> Any:
    """Send the code again in the next way; 406 `SEND_CODE_UNAVAILABLE` when there is none left.

    Source: https://core.telegram.org/method/auth.resendCode
    """
    with call.world.lock:
        sent = find_code(call, request.phone_number, request.phone_code_hash)
        if not call.world.resend_code(sent):
            raise RpcError(406, "SEND_CODE_UNAVAILABLE")
        return sent_code(call, sent)


@handles(functions.auth.CancelCodeRequest, anonymous=True)
async def cancel_code(call: Call, request: Any) -> bool:
    """Cancel a code under way. Source: https://core.telegram.org/method/auth.cancelCode"""
    with call.world.lock:
        sent = find_code(call, request.phone_number, request.phone_code_hash)
        del call.world.sent_codes[sent.phone]
        return True


def check_code(call: Call, request: Any) -> SentCode:
    """Return the code under way when the client brings it.

    Raises `PHONE_CODE_EMPTY`, `PHONE_CODE_INVALID`, `PHONE_CODE_EXPIRED` (also after too many
    wrong ones).
    """
    given = request.phone_code
    if request.email_verification is not None:
        given = getattr(request.email_verification, "code", "")
    if not given:
        raise RpcError(400, "PHONE_CODE_EMPTY")
    sent = find_code(call, request.phone_number, request.phone_code_hash)
    if not secrets.compare_digest(str(given).encode(), sent.code.encode()):
        sent.wrong += 1
        if sent.wrong >= call.world.limits.code_attempts:
            del call.world.sent_codes[sent.phone]
        raise RpcError(400, "PHONE_CODE_INVALID")
    return sent


@handles(functions.auth.SignInRequest, anonymous=True)
async def sign_in(call: Call, request: Any) -> Any:
    """Log in with a code.

    401 `SESSION_PASSWORD_NEEDED` when the account has a cloud password; a number without an
    account answers `auth.authorizationSignUpRequired`. The errors are those of `check_code`.
    Source: https://core.telegram.org/method/auth.signIn
    """
    with call.world.lock:
        sent = check_code(call, request)
        user = call.world.by_phone(sent.phone)
        if user is None:
            return types.auth.AuthorizationSignUpRequired()
        del call.world.sent_codes[sent.phone]
        return finish_login(call, user)


def finish_login(call: Call, user: User) -> Any:
    """Log the call's key in, or ask for the cloud password first."""
    if user.password is not None:
        call.auth.pending_user_id = user.id
        raise RpcError(401, "SESSION_PASSWORD_NEEDED")
    return log_in(call, user)


def log_in(call: Call, user: User) -> Any:
    """Let the call's key act for `user`; TL `auth.Authorization`."""
    call.world.log_in(call.auth, user, call.client)
    return types.auth.Authorization(user=render.user(call.world, user.id, user.id))


@handles(functions.auth.SignUpRequest, anonymous=True)
async def sign_up(call: Call, request: Any) -> Any:
    """Refuse: only Telegram's own applications register new accounts.

    Raises `PHONE_CODE_EXPIRED`, `PHONE_NUMBER_OCCUPIED`, `PHONE_NUMBER_APP_SIGNUP_FORBIDDEN`.
    Source: https://core.telegram.org/method/auth.signUp
    """
    sent = find_code(call, request.phone_number, request.phone_code_hash)
    if call.world.by_phone(sent.phone) is not None:
        raise RpcError(400, "PHONE_NUMBER_OCCUPIED")
    raise RpcError(400, "PHONE_NUMBER_APP_SIGNUP_FORBIDDEN")


@handles(functions.auth.LogOutRequest)
async def log_out(call: Call, request: Any) -> Any:
    """End the login of this key, and its copies on other data centres.

    Source: https://core.telegram.org/method/auth.logOut
    """
    call.world.log_out(call.auth)
    return types.auth.LoggedOut()


@handles(functions.auth.ResetAuthorizationsRequest)
async def reset_authorizations(call: Call, request: Any) -> bool:
    """End all other sessions of the account.

    406 `FRESH_RESET_AUTHORISATION_FORBIDDEN` in the first 24 hours of this one.
    Source: https://core.telegram.org/method/auth.resetAuthorizations
    """
    refuse_fresh(call)
    tell_ended(call, call.world.revoke_sessions(call.me, keep=call.auth.auth_key_id))
    return True


def refuse_fresh(call: Call) -> None:
    age = call.world.now() - call.auth.date_created
    if age < call.world.limits.fresh_session_seconds:
        raise RpcError(406, "FRESH_RESET_AUTHORISATION_FORBIDDEN")


def tell_ended(call: Call, keys: list[int]) -> None:
    """Let clients that were logged out notice at once: they ask for a difference, and get 401."""
    for key in keys:
        call.server.push_to_key(key, types.UpdatesTooLong())


@handles(functions.auth.ExportAuthorizationRequest)
async def export_authorization(call: Call, request: Any) -> Any:
    """Make a login on another data centre possible: TL `auth.ExportedAuthorization`.

    Raises `DC_ID_INVALID`. Source: https://core.telegram.org/method/auth.exportAuthorization
    """
    if request.dc_id == call.dc or request.dc_id not in {one.dc for one in call.server.dc_options}:
        raise RpcError(400, "DC_ID_INVALID")
    token = secrets.token_bytes(96)
    with call.world.lock:
        call.world.exported.setdefault(call.me.id, {})[token] = call.auth.auth_key_id
        call.auth.exported_to.add(request.dc_id)
    return types.auth.ExportedAuthorization(call.me.id, token)


@handles(functions.auth.ImportAuthorizationRequest, anonymous=True)
async def import_authorization(call: Call, request: Any) -> Any:
    """Log in with what another data centre exported; each export is good for one import.

    Raises `USER_ID_INVALID`, `AUTH_BYTES_INVALID`.
    Source: https://core.telegram.org/method/auth.importAuthorization
    """
    with call.world.lock:
        user = call.world.users.get(request.id)
        if user is None:
            raise RpcError(400, "USER_ID_INVALID")
        home = call.world.exported.get(user.id, {}).pop(request.bytes, None)
        origin = call.world.authorizations.get(home) if home is not None else None
        if origin is None or origin.user_id != user.id:
            raise RpcError(400, "AUTH_BYTES_INVALID")
        result = log_in(call, user)
        call.auth.home = home
        return result
