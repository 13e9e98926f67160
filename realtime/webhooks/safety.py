"""Which URLs may be posted to: none that leads into this machine or its network.

A URL comes from a user, and the hub sits where the user does not. So the name is looked
up once, every address that it has must be a public one, and the connection goes to an
address that was checked, whatever the name may say a moment later.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urlsplit

from django.conf import settings

from core.network import Address, Network, network

PORTS = frozenset({443, 8443})
MAX_URL = 2048

_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Public by the tables of older Pythons, and still nobody's web server.
_NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "2001::/23")))
_HOST = re.compile(r"(?=.{1,253}\.?\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_-]+)*\.?\Z")


class UnsafeUrl(ValueError):
    """The URL, or what its name leads to, is not one to post to; the text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart. `host` is a name in ASCII or an address without brackets.

    The path may carry a secret of the receiver's, so it is shown nowhere.
    """

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"

    @property
    def literal(self) -> Address | None:
        """The address that stands in the URL itself, None for a name."""
        return literal_address(self.host)


def allowed_networks() -> tuple[Network, ...]:
    """Return the networks of TGHUB_WEBHOOK_ALLOW_NETS."""
    return tuple(map(network, settings.TGHUB_WEBHOOK_ALLOW_NETS))


def parse_url(url: str) -> Target:
    """Return the parts of a URL that may be posted to, as far as its text tells.

    Raises UnsafeUrl.
    """
    if len(url) > MAX_URL:
        raise UnsafeUrl(f"A URL has at most {MAX_URL} characters.")
    if not url.isprintable() or any(c.isspace() or c in '\\<>"{}|^`' for c in url):
        raise UnsafeUrl("The URL holds a character that URLs do not have.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UnsafeUrl("This is no URL.") from None
    scheme = parts.scheme.lower()
    if scheme not in ("https", "http") or (scheme == "http" and not allowed_networks()):
        raise UnsafeUrl("The URL must begin with https://.")
    if "@" in parts.netloc:
        raise UnsafeUrl("The URL must not hold a user name or a password.")
    if parts.fragment:
        raise UnsafeUrl("The URL must not hold a fragment.")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        path += "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=~-._[]")
    if port is None:
        port = 443 if scheme == "https" else 80
    target = Target(scheme, _host(parts.hostname or ""), port, path)
    if target.literal is not None:
        check_address(target.literal, target)
    elif _is_private_name(target.host) and not allowed_networks():
        raise UnsafeUrl("The URL leads into a private network.")
    if target.port not in PORTS and not allowed_networks():
        raise UnsafeUrl("The port must be 443 or 8443.")
    return target


def _is_private_name(host: str) -> bool:
    """Tell whether a name can only mean this machine or its network."""
    return host.rstrip(".").rpartition(".")[2] in ("localhost", "local", "internal")


def _host(text: str) -> str:
    """Return a host in ASCII; raises UnsafeUrl."""
    if literal_address(text) is not None:
        return text
    try:
        # Full-width digits and dots become plain ones here, so check afterwards.
        host = text.encode("idna").decode().lower()
    except UnicodeError:
        raise UnsafeUrl("The URL names no valid host.") from None
    if literal_address(host) is None and not _HOST.match(host):
        raise UnsafeUrl("The URL names no valid host.")
    return host


def literal_address(host: str) -> Address | None:
    """Return the address that `host` spells, in any way that a resolver takes: `0x7f.1`, `127.1`.

    None for a name.
    """
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (OSError, ValueError):
        return None


def check_addresses(texts: Sequence[str], target: Target) -> list[str]:
    """Return the addresses that a name has, all of them checked; raises UnsafeUrl."""
    if not texts:
        raise UnsafeUrl("The name has no address.")
    for text in texts:
        try:
            address = ip_address(text)
        except ValueError:
            raise UnsafeUrl("The name has an address that is none.") from None
        check_address(address, target)
    return list(dict.fromkeys(texts))


def check_address(address: Address, target: Target) -> None:
    """Raise UnsafeUrl unless `target` may be reached at `address`.

    Inside TGHUB_WEBHOOK_ALLOW_NETS everything is allowed, elsewhere https on the usual
    ports of public addresses.
    """
    if is_allowed(address):
        return
    if not is_public(address):
        raise UnsafeUrl("The URL leads to an address that is not public.")
    if target.scheme != "https":
        raise UnsafeUrl("The URL must begin with https://.")
    if target.port not in PORTS:
        raise UnsafeUrl("The port must be 443 or 8443.")


def is_allowed(address: Address) -> bool:
    """Tell whether `address` lies in TGHUB_WEBHOOK_ALLOW_NETS."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address.version == net.version and address in net for net in allowed_networks())


def is_public(address: Address) -> bool:
    """Tell whether anybody's host may have `address`, also when it carries an IPv4 address."""
    if isinstance(address, IPv4Address):
        odd = address.is_multicast or address.is_reserved or address.is_unspecified
        return address.is_global and not odd and not _in(address, _NOT_PUBLIC)
    if address.scope_id is not None:
        return False
    embedded = embedded_addresses(address)
    if embedded:
        return all(map(is_public, embedded))
    return address in _GLOBAL_UNICAST and address.is_global and not _in(address, _NOT_PUBLIC)


def _in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == net.version and address in net for net in networks)


def embedded_addresses(address: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that packets to `address` may end at.

    Mapped (RFC 4291), 6to4 (RFC 3056), Teredo (RFC 4380), NAT64 (RFC 6052).
    """
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return list(address.teredo)
    if address in _NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    return []
