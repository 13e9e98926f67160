"""Proxies as people write them: one URL."""

from typing import TypedDict
from urllib.parse import parse_qs, unquote, urlsplit

SCHEMES = {"socks5": "socks5", "socks5h": "socks5", "http": "http", "mtproxy": "mtproxy"}
FORMS = (
    "Write socks5://user:password@host:port, http://user:password@host:port, "
    "mtproxy://secret@host:port or a t.me/proxy link."
)


class ProxyDict(TypedDict):
    """The fields of `engine.store.Proxy`, as they are stored (encrypted)."""

    kind: str
    host: str
    port: int
    username: str | None
    password: str | None
    secret: str | None


def parse_proxy(text: str) -> ProxyDict:
    """Return what the URL says; raises ValueError with how to write one, never with the text."""
    try:
        return _parse(text.strip())
    except (ValueError, KeyError, IndexError):
        raise ValueError(FORMS) from None


def _parse(text: str) -> ProxyDict:
    parts = urlsplit(text)
    if (parts.scheme, parts.hostname) in {("tg", "proxy"), ("https", "t.me"), ("http", "t.me")}:
        query = parse_qs(parts.query, strict_parsing=True)
        server, port, key = (query[name][0] for name in ("server", "port", "secret"))
        return _checked(
            ProxyDict(
                kind="mtproxy",
                host=server,
                port=int(port),
                username=None,
                password=None,
                secret=key,
            )
        )
    kind = SCHEMES[parts.scheme]
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    secret = username if kind == "mtproxy" else None
    if kind == "mtproxy":
        username = password = None
    return _checked(
        ProxyDict(
            kind=kind,
            host=parts.hostname or "",
            port=parts.port or 0,
            username=username,
            password=password,
            secret=secret,
        )
    )


def _checked(proxy: ProxyDict) -> ProxyDict:
    if not proxy["host"] or not 0 < proxy["port"] < 65536:
        raise ValueError
    if proxy["kind"] == "mtproxy" and not proxy["secret"]:
        raise ValueError
    return proxy


def shown(proxy: ProxyDict | None) -> str:
    """Return the proxy without its secrets."""
    return f"{proxy['kind']} {proxy['host']}:{proxy['port']}" if proxy else "none"
