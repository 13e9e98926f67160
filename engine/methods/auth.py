"""Logging in and out: by code, by QR, by cloud password.

Needing a password is a state in the answer (`wait_password`), never an error.
"""

from engine.methods.answers import LoginDict, PasswordDict, QrDict, SentCodeDict
from engine.methods.registry import method


@method
async def send_code(*, phone: str) -> SentCodeDict:
    """Have Telegram send a login code to `phone` (E.164); save key and hash right afterwards.

    Raises BadRequest: PHONE_NUMBER_INVALID, PHONE_NUMBER_BANNED, PHONE_NUMBER_UNOCCUPIED;
    FloodWait.
    Source: https://core.telegram.org/method/auth.sendCode
    """


@method
async def resend_code(*, phone: str, phone_code_hash: str) -> SentCodeDict:
    """Send the code again by the next way (`next_type`); the hash may change.

    Raises BadRequest: PHONE_CODE_EXPIRED, SEND_CODE_UNAVAILABLE.
    Source: https://core.telegram.org/method/auth.resendCode
    """


@method
async def cancel_code(*, phone: str, phone_code_hash: str) -> bool:
    """Make a sent code worthless; false when it already was.

    Source: https://core.telegram.org/method/auth.cancelCode
    """


@method
async def sign_in(*, phone: str, code: str, phone_code_hash: str) -> LoginDict:
    """Log in with the code; the answer is `ready` or `wait_password`.

    Raises BadRequest: PHONE_CODE_INVALID (the login stays open), PHONE_CODE_EXPIRED,
    PHONE_NUMBER_UNOCCUPIED (no account has this number).
    Source: https://core.telegram.org/method/auth.signIn
    """


@method
async def check_password(*, password: str) -> LoginDict:
    """Finish a login with the cloud password (SRP; the password itself is not sent).

    Raises BadRequest: PASSWORD_HASH_INVALID (the login stays open).
    Source: https://core.telegram.org/api/srp
    """


@method
async def start_qr(*, except_ids: list[int] | None = None, lifetime_seconds: int = 300) -> QrDict:
    """Begin a QR login: the engine waits for the scan, and renews the token before it expires.

    `except_ids` are the users that may not log in again. A login under way on this session is
    begun anew. Nothing has to be running above the engine while the code is scanned.
    Source: https://core.telegram.org/api/qr-login
    """


@method
async def qr_status(*, wait_seconds: float = 0, known_url: str | None = None) -> QrDict:
    """Tell where the QR login stands; with `wait_seconds`, wait for a change from `known_url`.

    Raises NotFound: QR_NOT_STARTED.
    """


@method
async def cancel_qr() -> bool:
    """Stop the QR login; false when none was under way."""


@method
async def accept_login_token(*, url: str) -> bool:
    """Scan a QR code: let the client that shows `url` (tg://login?token=…) in to this account.

    Raises BadRequest: AUTH_TOKEN_EXPIRED, AUTH_TOKEN_INVALID, AUTH_TOKEN_ALREADY_ACCEPTED.
    Source: https://core.telegram.org/method/auth.acceptLoginToken
    """


@method
async def log_out() -> bool:
    """Destroy the authorization at Telegram; its auth key is worthless afterwards.

    False when Telegram had already revoked it.
    Source: https://core.telegram.org/method/auth.logOut
    """


@method
async def get_password() -> PasswordDict:
    """Tell whether the account has a cloud password, and its hint.

    Source: https://core.telegram.org/method/account.getPassword
    """


@method
async def edit_2fa(
    *,
    current_password: str | None = None,
    new_password: str | None = None,
    hint: str = "",
    email: str | None = None,
) -> PasswordDict:
    """Set, change or (without `new_password`) remove the cloud password.

    With an `email` the answer is `wait_email_code` until `confirm_2fa_email`.
    Raises BadRequest: PASSWORD_HASH_INVALID (the current one is wrong or missing),
    NEW_SETTINGS_INVALID, EMAIL_INVALID; Conflict: PASSWORD_NOT_SET.
    Source: https://core.telegram.org/method/account.updatePasswordSettings
    """


@method
async def confirm_2fa_email(*, code: str) -> PasswordDict:
    """Confirm the recovery address with the code that was sent to it.

    Raises BadRequest: CODE_INVALID, EMAIL_HASH_EXPIRED.
    Source: https://core.telegram.org/method/account.confirmPasswordEmail
    """
