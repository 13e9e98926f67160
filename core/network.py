"""Addresses: who is at the other end, and which proxies are believed."""

import ipaddress
from functools import lru_cache

from django.conf import settings

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_address(text: str | None) -> Address | None:
    """Return the address in `text` (an IPv4 address mapped to IPv6 as IPv4), or None."""
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def is_loopback(peer: str | None) -> bool:
    address = parse_address(peer)
    return address is not None and address.is_loopback


def network(text: str) -> Network:
    """Return the network (or single address) that `text` names; raises ValueError."""
    return ipaddress.ip_network(text.strip(), strict=False)


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(network, texts))


def is_trusted_proxy(address: Address) -> bool:
    networks = _networks(tuple(settings.TRUSTED_PROXIES))
    return any(address.version == net.version and address in net for net in networks)


def client_address(peer: str | None, forwarded_for: str | None) -> str | None:
    """Return the client's address: the peer, or what trusted proxies say of it.

    `X-Forwarded-For` is read from its end, as long as the hop that wrote an entry
    is one of TRUSTED_PROXIES; what lies beyond could be forged.
    """
    address = parse_address(peer)
    if address is None:
        return None
    for entry in reversed((forwarded_for or "").split(",")):
        hop = parse_address(entry)
        if hop is None or not is_trusted_proxy(address):
            break
        address = hop
    return str(address)
