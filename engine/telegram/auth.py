"""Bodies of `engine.methods.auth`."""

import asyncio
import os
from typing import Any

from telethon import TelegramClient, types
from telethon import password as srp
from telethon.tl.functions import account, auth

from engine.errors import BadRequest, Conflict, from_rpc
from engine.methods.answers import LoginDict, PasswordDict, QrDict, SentCodeDict
from engine.telegram import convert, qr
from engine.telegram.rpc import Refusal, number_in, refused_with

RESTARTS = 3

_CODE_TYPES = {
    types.auth.SentCodeTypeApp: "app",
    types.auth.SentCodeTypeSms: "sms",
    types.auth.SentCodeTypeCall: "call",
    types.auth.SentCodeTypeFlashCall: "flash_call",
    types.auth.SentCodeTypeMissedCall: "missed_call",
    types.auth.SentCodeTypeEmailCode: "email",
    types.auth.SentCodeTypeSetUpEmailRequired: "email_setup_required",
    types.auth.SentCodeTypeFragmentSms: "fragment",
    types.auth.SentCodeTypeFirebaseSms: "firebase",
    types.auth.SentCodeTypeSmsWord: "sms_word",
    types.auth.SentCodeTypeSmsPhrase: "sms_phrase",
}
_NEXT_TYPES = {
    types.auth.CodeTypeSms: "sms",
    types.auth.CodeTypeCall: "call",
    types.auth.CodeTypeFlashCall: "flash_call",
    types.auth.CodeTypeMissedCall: "missed_call",
    types.auth.CodeTypeFragmentSms: "fragment",
}


async def send_code(client: TelegramClient, *, phone: str) -> SentCodeDict:
    digits = phone_digits(phone)
    for attempt in range(RESTARTS):
        try:
            sent = await client(
                auth.SendCodeRequest(digits, client.api_id, client.api_hash, types.CodeSettings())
            )
            return _sent_code(sent)
        except Refusal as error:
            # "Repeat the query": https://core.telegram.org/method/auth.sendCode
            if not refused_with(error, "AUTH_RESTART") or attempt + 1 == RESTARTS:
                raise
    raise AssertionError("unreachable")


async def resend_code(client: TelegramClient, *, phone: str, phone_code_hash: str) -> SentCodeDict:
    return _sent_code(await client(auth.ResendCodeRequest(phone_digits(phone), phone_code_hash)))


async def cancel_code(client: TelegramClient, *, phone: str, phone_code_hash: str) -> bool:
    try:
        return bool(await client(auth.CancelCodeRequest(phone_digits(phone), phone_code_hash)))
    except Refusal as error:
        if refused_with(error, "PHONE_CODE_EXPIRED", "PHONE_CODE_HASH_EMPTY"):
            return False
        raise


async def sign_in(
    client: TelegramClient, *, phone: str, code: str, phone_code_hash: str
) -> LoginDict:
    try:
        result = await client(auth.SignInRequest(phone_digits(phone), phone_code_hash, code))
    except Refusal as error:
        if refused_with(error, "SESSION_PASSWORD_NEEDED"):
            return {"state": "wait_password", "user": None, "hint": await password_hint(client)}
        raise
    return await _logged_in(client, result)


async def check_password(client: TelegramClient, *, password: str) -> LoginDict:
    # Each challenge serves one attempt: https://core.telegram.org/api/srp
    challenge = await client(account.GetPasswordRequest())
    if not challenge.has_password:
        raise Conflict("password_not_set", "The account has no cloud password.")
    if not password:
        raise from_rpc(400, "PASSWORD_HASH_INVALID", "auth.checkPassword")
    # 100 000 rounds of a hash: not on the loop that other sessions share.
    proof = await asyncio.to_thread(srp.compute_check, challenge, password)
    login = await _logged_in(client, await client(auth.CheckPasswordRequest(proof)))
    if login["user"] is not None:
        qr.finish(client, login["user"])
    return login


async def start_qr(
    client: TelegramClient, *, except_ids: list[int] | None = None, lifetime_seconds: int = 300
) -> QrDict:
    return await qr.start(client, except_ids or [], lifetime_seconds)


async def qr_status(
    client: TelegramClient, *, wait_seconds: float = 0, known_url: str | None = None
) -> QrDict:
    return await qr.status(client, wait_seconds, known_url)


async def cancel_qr(client: TelegramClient) -> bool:
    return await qr.cancel(client)


async def accept_login_token(client: TelegramClient, *, url: str) -> bool:
    await client(auth.AcceptLoginTokenRequest(qr.token_of(url)))
    return True


async def log_out(client: TelegramClient) -> bool:
    # Not client.log_out(): it takes a refusal for a logout that failed, and deletes the session.
    try:
        await client(auth.LogOutRequest())
    except Refusal as error:
        if refused_with(
            error,
            "AUTH_KEY_UNREGISTERED",
            "AUTH_KEY_INVALID",
            "SESSION_REVOKED",
            "SESSION_EXPIRED",
            "USER_DEACTIVATED",
            "USER_DEACTIVATED_BAN",
        ):
            return False
        raise
    client._mb_entity_cache.set_self_user(None, None, None)
    client._authorized = False
    return True


async def get_password(client: TelegramClient) -> PasswordDict:
    return _password(await client(account.GetPasswordRequest()))


async def edit_2fa(
    client: TelegramClient,
    *,
    current_password: str | None = None,
    new_password: str | None = None,
    hint: str = "",
    email: str | None = None,
) -> PasswordDict:
    state = await client(account.GetPasswordRequest())
    if not new_password and not state.has_password:
        raise Conflict("password_not_set", "The account has no cloud password.")
    if state.has_password and not current_password:
        raise from_rpc(400, "PASSWORD_HASH_INVALID", "account.updatePasswordSettings")
    proof = types.InputCheckPasswordEmpty()
    if state.has_password:
        proof = await asyncio.to_thread(srp.compute_check, state, current_password)
    settings = types.account.PasswordInputSettings(
        new_algo=types.PasswordKdfAlgoUnknown(), new_password_hash=b"", hint="", email=email
    )
    if new_password:
        algorithm = state.new_algo
        # The client makes the salt longer: https://core.telegram.org/api/srp
        algorithm.salt1 += os.urandom(32)
        settings.new_algo = algorithm
        settings.new_password_hash = await asyncio.to_thread(
            srp.compute_digest, algorithm, new_password
        )
        settings.hint = hint
    else:
        settings.email = None
    try:
        await client(account.UpdatePasswordSettingsRequest(proof, settings))
    except Refusal as error:
        if not refused_with(error, "EMAIL_UNCONFIRMED"):
            raise
        result = await get_password(client)
        return {**result, "state": "wait_email_code", "code_length": number_in(error) or None}
    return await get_password(client)


async def confirm_2fa_email(client: TelegramClient, *, code: str) -> PasswordDict:
    await client(account.ConfirmPasswordEmailRequest(code))
    return await get_password(client)


async def password_hint(client: TelegramClient) -> str | None:
    """Return the hint that the owner gave to the cloud password."""
    challenge = await client(account.GetPasswordRequest())
    return challenge.hint or None


def phone_digits(phone: str) -> str:
    """Return the digits of an international number; PHONE_NUMBER_INVALID when it is none."""
    digits = phone.strip().removeprefix("+").translate(str.maketrans("", "", " -().\u00a0"))
    if not (digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 17):
        raise from_rpc(400, "PHONE_NUMBER_INVALID", "auth.sendCode")
    return digits


def _sent_code(sent: Any) -> SentCodeDict:
    if not isinstance(sent, types.auth.SentCode):
        # Paid codes, and logins without one, are for official applications.
        raise BadRequest("code_type_unsupported", "Telegram asks for a login that needs its app.")
    kind = sent.type
    pattern = getattr(kind, "email_pattern", None)
    return {
        "phone_code_hash": sent.phone_code_hash,
        "type": _CODE_TYPES.get(type(kind), type(kind).__name__),
        "next_type": _NEXT_TYPES.get(type(sent.next_type)),
        "timeout_seconds": sent.timeout,
        "length": getattr(kind, "length", None),
        "email_pattern": pattern,
    }


async def _logged_in(client: TelegramClient, result: Any) -> LoginDict:
    if isinstance(result, types.auth.AuthorizationSignUpRequired):
        raise from_rpc(400, "PHONE_NUMBER_UNOCCUPIED", "auth.signIn")
    await client._on_login(result.user)
    return {"state": "ready", "user": convert.user_dict(result.user), "hint": None}


def _password(state: Any) -> PasswordDict:
    return {
        "state": "set" if state.has_password else "none",
        "hint": state.hint or None,
        "has_recovery_email": bool(state.has_recovery),
        "email_pattern": state.email_unconfirmed_pattern or None,
        "code_length": None,
    }
