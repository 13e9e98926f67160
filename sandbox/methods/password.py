"""The cloud password (2FA): asking for it, checking it, setting it.

Source: https://core.telegram.org/api/srp
"""

from __future__ import annotations

import secrets
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.auth import email_pattern, log_in
from sandbox.rpc import Call, RpcError, handles
from sandbox.world import srp
from sandbox.world.logins import PendingEmail
from sandbox.world.model import CloudPassword, User

EMAIL_CODE_LENGTH = 6
SALT_PREFIX = 8  # bytes of new_algo.salt1 that the server chooses; the client appends its own


def logging_in(call: Call) -> User:
    """Return the caller, or the account whose code they have already brought."""
    if call.user is not None:
        return call.user
    if call.auth.pending_user_id is not None:
        return call.world.user(call.auth.pending_user_id)
    raise RpcError(401, call.auth.refusal or "AUTH_KEY_UNREGISTERED")


@handles(functions.account.GetPasswordRequest, anonymous=True)
async def get_password(call: Call, request: Any) -> Any:
    """Tell whether there is a cloud password, with an SRP challenge good for one attempt.

    `srp_B` is padded to 256 bytes. Source: https://core.telegram.org/method/account.getPassword
    """
    user = logging_in(call)
    with call.world.lock:
        password = user.password
        pending = call.world.pending_emails.get(user.id)
        asked = call.world.make_challenge(call.auth, password) if password else None
        offered = call.world.new_salts.setdefault(
            call.auth.auth_key_id, (secrets.token_bytes(SALT_PREFIX), secrets.token_bytes(16))
        )
        return types.account.Password(
            has_password=password is not None or None,
            has_recovery=bool(password and password.email) or None,
            current_algo=srp.algorithm(password.salt1, password.salt2) if password else None,
            srp_B=asked.public if asked else None,
            srp_id=asked.id if asked else None,
            hint=(password.hint or None) if password else None,
            email_unconfirmed_pattern=email_pattern(pending.email) if pending else None,
            new_algo=srp.algorithm(*offered),
            new_secure_algo=types.SecurePasswordKdfAlgoSHA512(secrets.token_bytes(8)),
            secure_random=secrets.token_bytes(256),
        )


def check_srp(call: Call, user: User, given: Any) -> None:
    """Check a client's proof; each challenge is good for one attempt.

    Raises `PASSWORD_HASH_INVALID`, `SRP_ID_INVALID` (unknown or used challenge),
    `SRP_PASSWORD_CHANGED`, 420 `FLOOD_WAIT_x` after too many wrong passwords.
    """
    world = call.world
    if user.password is None:
        return
    if not isinstance(given, types.InputCheckPasswordSRP):
        raise RpcError(400, "PASSWORD_HASH_INVALID")
    wrong, since = world.wrong_passwords.get(user.id, (0, world.now()))
    left = since + world.limits.password_wait_seconds - world.now()
    if wrong >= world.limits.password_attempts and left > 0:
        raise RpcError(420, f"FLOOD_WAIT_{left}")
    asked = world.challenges.pop(given.srp_id, None)
    if asked is None or asked.auth_key_id != call.auth.auth_key_id:
        raise RpcError(400, "SRP_ID_INVALID")
    if asked.password is not user.password:
        raise RpcError(400, "SRP_PASSWORD_CHANGED")
    if not srp.proves(asked, given.A, given.M1):
        world.wrong_passwords[user.id] = (wrong + 1 if left > 0 else 1, world.now())
        raise RpcError(400, "PASSWORD_HASH_INVALID")
    world.wrong_passwords.pop(user.id, None)


@handles(functions.auth.CheckPasswordRequest, anonymous=True)
async def check_password(call: Call, request: Any) -> Any:
    """Finish a login with the cloud password.

    Source: https://core.telegram.org/method/auth.checkPassword
    """
    user = logging_in(call)
    with call.world.lock:
        check_srp(call, user, request.password)
        return log_in(call, user)


@handles(functions.account.GetPasswordSettingsRequest)
async def get_password_settings(call: Call, request: Any) -> Any:
    """Tell the recovery address to who knows the password.

    Source: https://core.telegram.org/method/account.getPasswordSettings
    """
    with call.world.lock:
        check_srp(call, call.me, request.password)
        email = call.me.password.email if call.me.password else ""
        return types.account.PasswordSettings(email=email or None)


@handles(functions.account.UpdatePasswordSettingsRequest)
async def update_password_settings(call: Call, request: Any) -> bool:
    """Set, change or remove the cloud password.

    A new address is confirmed first: 400 `EMAIL_UNCONFIRMED_6`, then
    `account.confirmPasswordEmail`. Raises `NEW_SALT_INVALID` (the client must extend the offered
    `salt1`), `NEW_SETTINGS_INVALID`, `EMAIL_INVALID`, and the errors of `check_srp`.
    Source: https://core.telegram.org/method/account.updatePasswordSettings
    """
    user, settings = call.me, request.new_settings
    with call.world.lock:
        check_srp(call, user, request.password)
        renewed = user.password
        if settings.new_algo is not None:
            renewed = _new_password(call, settings)
        elif settings.new_password_hash:
            raise RpcError(400, "NEW_SETTINGS_INVALID")
        email = settings.email
        if email and renewed is not None:
            if "@" not in email:
                raise RpcError(400, "EMAIL_INVALID")
            code = call.world.make_email_code(user.id)
            call.world.pending_emails[user.id] = PendingEmail(email, code, renewed)
            raise RpcError(400, f"EMAIL_UNCONFIRMED_{EMAIL_CODE_LENGTH}")
        if renewed is not None and email is not None:
            renewed.email = email
        user.password = renewed
        return True


def _new_password(call: Call, settings: Any) -> CloudPassword | None:
    if not settings.new_password_hash:
        return None
    algo = settings.new_algo
    offered = call.world.new_salts.pop(call.auth.auth_key_id, None)
    if offered is None or not isinstance(algo, type(srp.algorithm(b"", b""))):
        raise RpcError(400, "NEW_SALT_INVALID")
    extended = algo.salt1.startswith(offered[0]) and len(algo.salt1) > len(offered[0])
    if not extended or algo.salt2 != offered[1]:
        raise RpcError(400, "NEW_SALT_INVALID")
    if (algo.g, algo.p) != (srp.G, srp.P_BYTES) or len(settings.new_password_hash) > srp.SIZE:
        raise RpcError(400, "NEW_SETTINGS_INVALID")
    old = logging_in(call).password
    return CloudPassword(
        algo.salt1,
        algo.salt2,
        settings.new_password_hash,
        settings.hint or "",
        old.email if old else "",
    )


@handles(functions.account.ConfirmPasswordEmailRequest)
async def confirm_password_email(call: Call, request: Any) -> bool:
    """Confirm the recovery address; the settings that waited for it hold from now on.

    Raises `EMAIL_HASH_EXPIRED` (nothing waits), `CODE_INVALID`.
    Source: https://core.telegram.org/method/account.confirmPasswordEmail
    """
    with call.world.lock:
        pending = call.world.pending_emails.get(call.me.id)
        if pending is None:
            raise RpcError(400, "EMAIL_HASH_EXPIRED")
        if not secrets.compare_digest(request.code.encode(), pending.code.encode()):
            raise RpcError(400, "CODE_INVALID")
        del call.world.pending_emails[call.me.id]
        if pending.password is not None:
            pending.password.email = pending.email
        call.me.password = pending.password
        return True


@handles(functions.account.ResendPasswordEmailRequest)
async def resend_password_email(call: Call, request: Any) -> bool:
    """Source: https://core.telegram.org/method/account.resendPasswordEmail"""
    if call.me.id not in call.world.pending_emails:
        raise RpcError(400, "EMAIL_HASH_EXPIRED")
    return True


@handles(functions.account.CancelPasswordEmailRequest)
async def cancel_password_email(call: Call, request: Any) -> bool:
    """Source: https://core.telegram.org/method/account.cancelPasswordEmail"""
    if call.world.pending_emails.pop(call.me.id, None) is None:
        raise RpcError(400, "EMAIL_HASH_EXPIRED")
    return True


@handles(functions.auth.RequestPasswordRecoveryRequest, anonymous=True)
async def request_password_recovery(call: Call, request: Any) -> Any:
    """Send a recovery code to the confirmed address.

    Raises `PASSWORD_EMPTY`, `PASSWORD_RECOVERY_NA`.
    Source: https://core.telegram.org/method/auth.requestPasswordRecovery
    """
    user = logging_in(call)
    if user.password is None:
        raise RpcError(400, "PASSWORD_EMPTY")
    if not user.password.email:
        raise RpcError(400, "PASSWORD_RECOVERY_NA")
    call.world.recovery_codes[user.id] = call.world.make_email_code(user.id)
    return types.auth.PasswordRecovery(email_pattern(user.password.email))


@handles(functions.auth.CheckRecoveryPasswordRequest, anonymous=True)
async def check_recovery_password(call: Call, request: Any) -> bool:
    """Source: https://core.telegram.org/method/auth.checkRecoveryPassword"""
    _check_recovery(call, logging_in(call), request.code)
    return True


@handles(functions.auth.RecoverPasswordRequest, anonymous=True)
async def recover_password(call: Call, request: Any) -> Any:
    """Log in with a recovery code; the password is replaced, or removed.

    Raises `CODE_EMPTY`, `CODE_INVALID`, `PASSWORD_RECOVERY_EXPIRED`.
    Source: https://core.telegram.org/method/auth.recoverPassword
    """
    user = logging_in(call)
    with call.world.lock:
        _check_recovery(call, user, request.code)
        new = request.new_settings
        renewed = _new_password(call, new) if new is not None else None
        del call.world.recovery_codes[user.id]
        user.password = renewed
        return log_in(call, user)


def _check_recovery(call: Call, user: User, code: str) -> None:
    if not code:
        raise RpcError(400, "CODE_EMPTY")
    wanted = call.world.recovery_codes.get(user.id)
    if wanted is None:
        raise RpcError(400, "PASSWORD_RECOVERY_EXPIRED")
    if not secrets.compare_digest(code.encode(), wanted.encode()):
        raise RpcError(400, "CODE_INVALID")
