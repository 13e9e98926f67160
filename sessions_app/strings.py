"""Session strings of other programs: Telethon's and Pyrogram's.

Source: telethon/sessions/string.py, pyrogram/storage/storage.py
"""

import base64
import binascii
import ipaddress
import struct
from typing import NamedTuple

from sessions_app.seeds import KEY_BYTES, Unreadable, parse_string_session

# Telegram's data centres, for strings that name them by number alone.
# https://core.telegram.org/getProxyConfig, https://docs.telethon.dev/en/stable/
PRODUCTION = {
    1: ("149.154.175.53", 443),
    2: ("149.154.167.51", 443),
    3: ("149.154.175.100", 443),
    4: ("149.154.167.91", 443),
    5: ("91.108.56.130", 443),
}
TEST = {
    1: ("149.154.175.10", 80),
    2: ("149.154.167.40", 80),
    3: ("149.154.175.117", 80),
}

# By the length of what base64 holds: DC, [API id], test servers, key, user, bot.
_PYROGRAM = {struct.calcsize(layout): layout for layout in (">BI?256sQ?", ">B?256sQ?", ">B?256sI?")}


class SessionString(NamedTuple):
    """What a string holds. `host` is empty where it names the data centre by number alone."""

    dc_id: int
    host: str
    port: int
    auth_key: bytes
    api_id: int | None = None
    user_id: int | None = None
    test: bool = False


def parse(text: str) -> SessionString:
    """Return what a Telethon or Pyrogram string holds; raises Unreadable."""
    text = text.strip()
    try:
        return SessionString(*parse_string_session(text))
    except Unreadable:
        return parse_pyrogram(text)


def parse_pyrogram(text: str) -> SessionString:
    """Return what a Pyrogram string (any of its three layouts) holds; raises Unreadable."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("not a session string") from None
    layout = _PYROGRAM.get(len(raw))
    if layout is None:
        raise Unreadable("not a session string")
    fields = struct.unpack(layout, raw)
    api_id = fields[1] if layout == ">BI?256sQ?" else None
    dc_id, (test, key, user_id, _) = fields[0], fields[-4:]
    if not any(key) or dc_id not in PRODUCTION:
        raise Unreadable("not a session string")
    host, port = (TEST if test else PRODUCTION).get(dc_id, ("", 0))
    return SessionString(dc_id, host, port, key, api_id, user_id or None, test)


def telethon_string(*, dc_id: int, host: str, port: int, auth_key: bytes) -> str:
    """Return a Telethon string session; raises ValueError for a host that is no address."""
    if len(auth_key) != KEY_BYTES:
        raise ValueError("an auth key has 256 bytes")
    address = ipaddress.ip_address(host).packed
    raw = struct.pack(f">B{len(address)}sH{KEY_BYTES}s", dc_id, address, port, auth_key)
    return "1" + base64.urlsafe_b64encode(raw).decode()


def pyrogram_string(*, dc_id: int, api_id: int, user_id: int, auth_key: bytes) -> str:
    """Return a Pyrogram string in its current layout (of Telegram's production servers)."""
    raw = struct.pack(">BI?256sQ?", dc_id, api_id, False, auth_key, user_id, False)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
