"""What a chat reference says, before Telegram is asked: pure text, no Telethon.

Sources: https://core.telegram.org/api/links, https://core.telegram.org/method/account.checkUsername
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from engine.errors import BadRequest

MAX_ID = 1 << 52
CHANNEL_BASE = -1_000_000_000_000

Kind = Literal["id", "username", "phone", "invite", "self"]

_HOSTS = frozenset({"t.me", "telegram.me", "telegram.dog"})
_NO_CHATS = frozenset(
    {
        "addemoji", "addlist", "addstickers", "addtheme", "bg", "boost", "confirmphone", "contact",
        "giftcode", "invoice", "iv", "login", "m", "msg", "nft", "proxy", "setlanguage", "share",
        "socks",
    }
)  # fmt: skip
_SELF = frozenset({"me", "self", "saved"})
_USERNAME = re.compile(r"[a-z](?:[a-z0-9_]{2,31})", re.IGNORECASE)
_PHONE = re.compile(r"\+[\d\s().-]+")
_INVITE = re.compile(r"[A-Za-z0-9_-]{5,64}")
_INTEGER = re.compile(r"-?\d{1,19}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A chat by marked id, username, phone (digits), invite hash, or the account itself.

    A positive `id` may be meant as a user's, a group's or a channel's bare id.
    """

    kind: Kind
    id: int = 0
    text: str = ""


def parse(reference: int | str) -> Reference:
    """Read a chat reference; BadRequest when it can be none."""
    if isinstance(reference, bool):
        raise _invalid()
    if isinstance(reference, int):
        return _by_id(reference)
    text = reference.strip()
    if _INTEGER.fullmatch(text):
        return _by_id(int(text))
    if text.lower() in _SELF:
        return Reference("self")
    if text.startswith("@"):
        return _by_username(text[1:])
    if text.startswith("+"):
        return _by_plus(text)
    if text.lower().startswith("tg:"):
        return _by_app_link(text)
    if "/" in text or "." in text:
        return _by_link(text)
    return _by_username(text)


def _by_id(number: int) -> Reference:
    if number == 0 or abs(number) > MAX_ID or number == CHANNEL_BASE:
        raise _invalid()
    return Reference("id", id=number)


def _by_username(name: str) -> Reference:
    if not _USERNAME.fullmatch(name):
        raise _invalid()
    return Reference("username", text=name)


def _by_plus(text: str) -> Reference:
    """`+49 151 …` is a phone, `+AbCd…` an invite's hash."""
    if _PHONE.fullmatch(text):
        digits = re.sub(r"\D", "", text)
        if 5 <= len(digits) <= 17:
            return Reference("phone", text=digits)
        raise _invalid()
    return _by_invite(text[1:])


def _by_invite(text: str) -> Reference:
    if not _INVITE.fullmatch(text):
        raise _invalid()
    return Reference("invite", text=text)


def _by_app_link(text: str) -> Reference:
    """tg://resolve?domain=name, tg://resolve?phone=…, tg://join?invite=hash, tg://user?id=…"""
    parts = urlsplit(text if "//" in text else text.replace(":", "://", 1))
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    action = parts.netloc.lower()
    if action == "join" and "invite" in query:
        return _by_invite(query["invite"])
    if action == "resolve" and "domain" in query:
        return _by_username(query["domain"])
    if action == "resolve" and "phone" in query:
        return _by_plus("+" + query["phone"].strip().lstrip("+"))
    if action == "user" and query.get("id", "").isascii() and query.get("id", "").isdigit():
        return _by_id(int(query["id"]))
    if action == "privatepost" and query.get("channel", "").isdigit():
        return _by_id(CHANNEL_BASE - int(query["channel"]))
    raise _invalid()


def _by_link(text: str) -> Reference:
    scheme, separator, rest = text.partition("://")
    if not separator:
        rest = scheme
    elif scheme.lower() not in ("http", "https"):
        raise _invalid()
    address = rest.partition("?")[0].partition("#")[0]
    host, _, path = address.partition("/")
    host = host.lower().removeprefix("www.")
    words = [unquote(word) for word in path.split("/") if word]
    if host.endswith(".t.me") and not words:
        return _by_username(host.removesuffix(".t.me"))
    if host not in _HOSTS or not words:
        raise _invalid()
    first = words[0]
    if first.startswith("+"):
        return _by_plus(first)
    if first.lower() == "joinchat" and len(words) > 1:
        return _by_invite(words[1])
    if first.lower() == "c" and len(words) > 1 and words[1].isascii() and words[1].isdigit():
        return _by_id(CHANNEL_BASE - int(words[1]))
    if first.lower() == "s" and len(words) > 1:
        return _by_username(words[1])
    if first.lower() in _NO_CHATS:
        raise _invalid()
    return _by_username(first.removeprefix("@"))


def _invalid() -> BadRequest:
    return BadRequest("chat_reference_invalid", "This is no chat id, username, link or phone.")
