"""The session string that a stateless client carries: everything, sealed, and nothing here.

    tgs1.<base64url of what core.crypto seals>

The text before the dot is the version of what is inside. It is sealed with the first of
TGHUB_ENCRYPTION_KEYS and names the key, so that it opens on every node that has the key, until
the key is retired. The encoding is canonical: one token has one spelling.
"""

import base64
import binascii
import ipaddress
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from core import crypto, json
from core.errors import Unauthorized
from engine.store import Device
from engine.wire import Carried
from sessions_app.seeds import Unreadable, parse_string_session
from sessions_app.strings import telethon_string

VERSION = "tgs1"
PURPOSE = b"tghub session string|" + VERSION.encode()
LOGIN_SECONDS = 600
MAX_CHARACTERS = 8192


@dataclass(frozen=True, slots=True)
class Login:
    """A login under way. `expires_at` is Unix seconds."""

    phone: str = field(repr=False)
    phone_code_hash: str = field(repr=False)
    step: Literal["code", "password"]
    expires_at: float


@dataclass(frozen=True, slots=True)
class Token:
    """What a session string says; `login` is None once it is logged in."""

    carried: Carried
    login: Login | None = None

    @property
    def name(self) -> str:
        """What limits count the session by; tells nothing of its key."""
        return self.carried.fingerprint()


def mint(token: Token) -> str:
    """Return the session string of `token`; its session has an auth key."""
    sealed = crypto.seal(json.dumps(_to_json(token)), aad=PURPOSE)
    return f"{VERSION}.{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"


def read(text: str) -> Token:
    """Return what a session string says.

    Raises Unauthorized: `bad_session_string` for one that this hub's keys did not seal, that
    was changed, or is of another version; `session_string_expired` when its login has lapsed.
    """
    token = _parsed(_opened(text))
    if token.login is not None and token.login.expires_at < time.time():
        raise Unauthorized("The login of this session string has lapsed.", code=EXPIRED)
    return token


def is_current(text: str) -> bool:
    """Tell whether a valid session string was sealed with the key that seals now."""
    return crypto.keyring().is_current(_sealed(text))


def renewed(text: str, held: Token, carried: Carried) -> str | None:
    """Return a new string where the old one's key will be retired, or the session has moved."""
    if carried.auth_key is None or (carried == held.carried and is_current(text)):
        return None
    return mint(Token(carried))


def logging_in(carried: Carried, *, phone: str, phone_code_hash: str) -> Token:
    """Return the token of a login whose code is on its way."""
    expires_at = time.time() + LOGIN_SECONDS
    return Token(carried, Login(phone, phone_code_hash, "code", expires_at))


def wants_password(token: Token, carried: Carried) -> Token:
    """Return the token of a login that goes on with the cloud password."""
    assert token.login is not None
    expires_at = time.time() + LOGIN_SECONDS
    return Token(carried, replace(token.login, step="password", expires_at=expires_at))


EXPIRED = "session_string_expired"
BAD = "bad_session_string"


def _bad() -> Unauthorized:
    return Unauthorized("The session string is not valid.", code=BAD)


def _opened(text: str) -> bytes:
    sealed = _sealed(text)
    try:
        return crypto.unseal(sealed, aad=PURPOSE)
    except crypto.CryptoError:
        raise _bad() from None


def _sealed(text: str) -> bytes:
    version, dot, body = text.partition(".")
    if version != VERSION or not dot or len(text) > MAX_CHARACTERS:
        raise _bad()
    try:
        sealed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _bad() from None
    # base64 has spare bits, and knows two alphabets: only our own spelling counts.
    if base64.urlsafe_b64encode(sealed).decode().rstrip("=") != body:
        raise _bad()
    return sealed


def _to_json(token: Token) -> dict[str, Any]:
    carried = token.carried
    if carried.auth_key is None:
        raise ValueError("a session without an auth key cannot be carried")
    # A string session holds an address; a host that has a name stands beside it.
    address = carried.host if _is_address(carried.host) else "0.0.0.0"
    content: dict[str, Any] = {
        "api_id": carried.api_id,
        "api_hash": carried.api_hash,
        "session": telethon_string(
            dc_id=carried.dc_id, host=address, port=carried.port, auth_key=carried.auth_key
        ),
        "device": asdict(carried.device or Device()),
    }
    if address != carried.host:
        content["host"] = carried.host
    if token.login is not None:
        content["login"] = asdict(token.login)
    return content


def _parsed(document: bytes) -> Token:
    try:
        content = json.loads(document)
        dc_id, host, port, auth_key = parse_string_session(content["session"])
        carried = Carried(
            api_id=content["api_id"],
            api_hash=content["api_hash"],
            dc_id=dc_id,
            host=content.get("host", host),
            port=port,
            auth_key=auth_key,
            device=Device(**content["device"]),
        )
        login = content.get("login")
        return Token(carried, None if login is None else Login(**login))
    except (KeyError, TypeError, ValueError, Unreadable):
        raise _bad() from None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
