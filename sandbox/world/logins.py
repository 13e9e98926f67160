"""Logging in: codes, QR tokens, password challenges, copies of a login on other DCs."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlparse

from telethon.tl import types

from sandbox.world import srp
from sandbox.world.dates import utc
from sandbox.world.folders import Folders
from sandbox.world.model import Authorization, CloudPassword, User
from sandbox.world.state import SERVICE_NOTIFICATIONS, Who, normal_phone

CODE_TYPES = ("app", "sms", "call", "flash_call", "missed_call", "fragment", "email")
NEXT_TYPES = {"app": "sms", "email": "sms", "fragment": "sms", "sms": "call"}
CODE_MESSAGE = (
    "Login code: {code}. Do not give this code to anyone, even if they say they are from "
    "Telegram!\n\n❗️This code can be used to log in to your Telegram account. We never ask it for "
    "anything else.\n\nIf you didn't request this code by trying to log in on another device, "
    "simply ignore this message."
)


class TokenRefused(Exception):
    """A login token that cannot be accepted; the text is Telegram's error."""


@dataclass(slots=True)
class SentCode:
    """The newest code of a phone number."""

    phone: str
    hash: str = field(repr=False)
    code: str = field(repr=False)
    kind: str
    date: int
    wrong: int = 0


@dataclass(slots=True)
class LoginToken:
    """A QR code on somebody's screen."""

    token: bytes = field(repr=False)
    auth_key_id: int
    expires: int
    except_ids: frozenset[int]
    user_id: int | None = None  # who scanned it
    used: bool = False


@dataclass(slots=True)
class PendingEmail:
    """2FA settings that wait for the code that was sent to the recovery address."""

    email: str
    code: str = field(repr=False)
    password: CloudPassword | None = field(repr=False)


class Logins(Folders):
    """What is under way before somebody is logged in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sent_codes: dict[str, SentCode] = {}
        self.code_dates: dict[str, deque[int]] = {}
        self.login_tokens: dict[bytes, LoginToken] = {}
        self.challenges: dict[int, srp.Challenge] = {}
        self.wrong_passwords: dict[int, tuple[int, int]] = {}  # user → (how many, since when)
        self.exported: dict[int, dict[bytes, int]] = {}  # user → bytes → home auth key
        self.pending_emails: dict[int, PendingEmail] = {}
        self.new_salts: dict[int, tuple[bytes, bytes]] = {}  # offered to a key for a new password
        self.recovery_codes: dict[int, str] = {}

    # Codes

    def default_code(self, phone: str) -> str:
        """The code that this world always makes up for a phone number."""
        text = f"code {self.seed} {normal_phone(phone)}".encode()
        return f"{int.from_bytes(hashlib.sha256(text).digest()[:4], 'big') % 100_000:05d}"

    def login_code(self, phone: str) -> str:
        """The code last sent to a phone; before any was sent, the one that will be."""
        sent = self.sent_codes.get(normal_phone(phone))
        return sent.code if sent is not None else self.default_code(phone)

    def send_code(self, phone: str) -> SentCode:
        """Send a code by the best way: to the user's other sessions, else by SMS."""
        with self.lock:
            digits = normal_phone(phone)
            user = self.by_phone(digits)
            kind = user.code_type if user is not None else "sms"
            if not kind:
                kind = "app" if user is not None and self.authorizations_of(user) else "sms"
            sent = SentCode(
                digits, secrets.token_hex(9), self.default_code(digits), kind, self.now()
            )
            self.sent_codes[digits] = sent
            self._announce(user, sent)
            return sent

    def resend_code(self, sent: SentCode) -> bool:
        """Send the code the next way; False when no way is left."""
        with self.lock:
            following = NEXT_TYPES.get(sent.kind)
            if following is None:
                return False
            sent.kind, sent.date = following, self.now()
            return True

    def expire_code(self, phone: str) -> None:
        """Let the code that was sent to a phone expire now."""
        with self.lock:
            self.sent_codes.pop(normal_phone(phone), None)

    def _announce(self, user: User | None, sent: SentCode) -> None:
        if user is not None and sent.kind == "app":
            text = CODE_MESSAGE.format(code=sent.code)
            bold = types.MessageEntityBold(0, len("Login code:"))
            self.post(SERVICE_NOTIFICATIONS, user, text, entities=[bold])

    def email_code(self, user: Who) -> str:
        """The code last sent to a user's (new) recovery e-mail address."""
        user_id = self.resolve(user)
        pending = self.pending_emails.get(user_id)
        return pending.code if pending is not None else self.recovery_codes[user_id]

    def make_email_code(self, user_id: int) -> str:
        text = f"email {self.seed} {user_id}".encode()
        return f"{int.from_bytes(hashlib.sha256(text).digest()[:4], 'big') % 1_000_000:06d}"

    # Password challenges

    def make_challenge(self, authorization: Authorization, password: CloudPassword) -> Any:
        """Ask one key to prove that it knows a password; its older challenges lapse."""
        with self.lock:
            key = authorization.auth_key_id
            for old in [one for one in self.challenges.values() if one.auth_key_id == key]:
                del self.challenges[old.id]
            asked = srp.challenge(password, key)
            self.challenges[asked.id] = asked
            return asked

    # QR codes

    def make_login_token(self, authorization: Authorization, except_ids: list[int]) -> LoginToken:
        with self.lock:
            now = self.now()
            old = [one.token for one in self.login_tokens.values() if one.expires < now - 3600]
            for token in old:
                del self.login_tokens[token]
            made = LoginToken(
                secrets.token_bytes(32),
                authorization.auth_key_id,
                now + self.limits.login_token_seconds,
                frozenset(except_ids),
            )
            self.login_tokens[made.token] = made
            return made

    def accept_login_token(self, url: str | bytes, user: Who) -> LoginToken:
        """Scan a QR code (`tg://login?token=…`, or the token) as `user`.

        The client that shows it gets `updateLoginToken`. Raises TokenRefused.
        https://core.telegram.org/api/qr-login
        """
        with self.lock:
            user_id = self.resolve(user)
            found = self.login_tokens.get(token_of(url))
            if found is None:
                raise TokenRefused("AUTH_TOKEN_INVALIDX")
            if found.user_id is not None or found.used:
                raise TokenRefused("AUTH_TOKEN_ALREADY_ACCEPTED")
            if found.expires <= self.now():
                raise TokenRefused("AUTH_TOKEN_EXPIRED")
            if user_id in found.except_ids:
                raise TokenRefused("AUTH_TOKEN_EXCEPTION")
            found.user_id = user_id
            sink: Callable[[int, Any], None] | None = self.updates.key_sink
            if sink is not None:
                update = types.UpdateShort(types.UpdateLoginToken(), utc(self.now()))
                sink(found.auth_key_id, update)
            return found

    def accepted_token(self, authorization: Authorization) -> LoginToken | None:
        """The token of this key that somebody has scanned and that was not used yet."""
        mine = authorization.auth_key_id
        for one in self.login_tokens.values():
            if one.auth_key_id == mine and one.user_id is not None and not one.used:
                return one
        return None


def token_of(url: str | bytes) -> bytes:
    """The token's bytes; of a `tg://login?token=` URL its base64url argument."""
    if isinstance(url, bytes):
        return url
    text = parse_qs(urlparse(url).query).get("token", [url])[0]
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
