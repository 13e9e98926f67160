"""What a user's URL must not reach: this machine, its network, a cloud's metadata."""

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from realtime.webhooks import sender
from realtime.webhooks.checks import check_allowed_networks
from realtime.webhooks.safety import UnsafeUrl, check_addresses, is_public, parse_url
from tests.receiver import Receiver, receiving

# Each is tried against a listener: on this port, at each loopback address.
URLS = [
    "http://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "https://127.0.0.1/",
    "https://127.1:{port}/",
    "https://127.0.1:{port}/",
    "https://2130706433:{port}/",
    "https://0x7f000001:{port}/",
    "https://0x7f.0x0.0x0.0x1:{port}/",
    "https://017700000001:{port}/",
    "https://0177.0.0.1:{port}/",
    "https://127.127.127.127:{port}/",
    "https://0.0.0.0:{port}/",
    "https://0:{port}/",
    "https://127.0.0.1.:{port}/",
    "https://localhost:{port}/",
    "https://LOCALHOST.:{port}/",
    "https://hook.localhost:{port}/",
    "https://[::1]:{port}/",
    "https://[::]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[::ffff:7f00:1]:{port}/",
    "https://[::127.0.0.1]:{port}/",
    "https://[::ffff:0:127.0.0.1]:{port}/",
    "https://[2002:7f00:1::]:{port}/",
    "https://[2001:0:7f00:1::]:{port}/",
    "https://[64:ff9b::7f00:1]:{port}/",
    "https://[64:ff9b:1::7f00:1]:{port}/",
    "https://[fe80::1%25lo]:{port}/",
    "https://[fc00::1]:{port}/",
    "https://10.0.0.1/",
    "https://192.168.0.1/",
    "https://172.16.0.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fd00:ec2::254]/",
    "https://metadata.google.internal/",
    "https://１２７.０.０.１:{port}/",
    "https://127。0。0。1:{port}/",
    "https://ⓛocalhost:{port}/",
    "https://example.com@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}#@example.com/",
    "https://example.com:{port}\\@127.0.0.1/",
    "https:// 127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/\r\nHost: x",
    "https://127.0.0.1:22/",
    "gopher://127.0.0.1:{port}/_POST",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "https:///",
    "https://",
    "",
    # These have names, which are looked up.
    "https://rebind.example/",
    "https://mixed.example/",
    "https://mapped.example:8443/",
    "https://nothing.example/",
]
NAMES = {
    "rebind.example": ["127.0.0.1"],
    "mixed.example": ["93.184.216.34", "127.0.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nothing.example": [],
}


async def resolve(host: str, port: int) -> list[str]:
    if host in NAMES:
        return NAMES[host]
    return [entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@pytest.fixture(scope="module")
def listener() -> Iterator[Receiver]:
    with receiving(host="0.0.0.0") as receiver:
        yield receiver


@pytest.mark.parametrize("url", URLS)
async def test_it_never_reaches_this_machine(url: str, listener: Receiver) -> None:
    outcome = await sender.post(
        url.replace("{port}", str(listener.port)), b"{}", {}, resolve=resolve
    )
    assert outcome.status == 0 and outcome.error
    assert listener.posts == []


@pytest.mark.parametrize("url", [u for u in URLS if ".example/" not in u and ".example:" not in u])
def test_it_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(UnsafeUrl):
        parse_url(url.replace("{port}", "8443"))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "https://example.com",
        "https://Example.com:8443/a%20b?token=x&y=[1]",
        "https://hooks.exämple.org/",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
        "https://under_score.example.com/",
    ],
)
def test_public_urls_are_taken(url: str) -> None:
    assert parse_url(url).scheme == "https"


@pytest.mark.parametrize("port", [80, 22, 6379, 8080, 65535])
def test_other_ports_are_refused(port: int) -> None:
    with pytest.raises(UnsafeUrl, match="port"):
        parse_url(f"https://example.com:{port}/")


def test_a_url_may_not_be_endless() -> None:
    with pytest.raises(UnsafeUrl):
        parse_url("https://example.com/" + "a" * 2048)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.31.0.1",
        "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fec0::1", "fc00::1", "ff02::1", "2001:db8::1", "3fff::1",
        "100::1", "5f00::1", "::ffff:10.0.0.1", "2002:a00:1::", "64:ff9b::a00:1",
        "2001:0:a00:1::", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_addresses_that_are_nobodys_web_server(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


async def test_a_rebinding_name_is_looked_up_once(settings: Any) -> None:
    """The first answer is checked and connected to; a second one would be the attack."""
    settings.TGHUB_WEBHOOK_ALLOW_NETS = ["127.0.0.2/32"]
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    with receiving(host="127.0.0.2") as good, receiving(port=good.port) as evil:
        url = f"http://rebind.example:{good.port}/"
        outcome = await sender.post(url, b"{}", {}, resolve=rebinding)
        assert outcome.status == 204 and asked == ["rebind.example"]
        assert (len(good.posts), len(evil.posts)) == (1, 0)
        assert good.posts[0].headers["host"] == f"rebind.example:{good.port}"
        again = await sender.post(url, b"{}", {}, resolve=rebinding)
        assert again.error == "The URL leads to an address that is not public."
        assert evil.posts == []


async def test_each_address_of_a_name_must_be_allowed(settings: Any) -> None:
    settings.TGHUB_WEBHOOK_ALLOW_NETS = ["127.0.0.2/32"]
    with pytest.raises(UnsafeUrl):
        check_addresses(["127.0.0.2", "127.0.0.1"], parse_url("http://mixed.example/"))


def test_allowed_networks_open_plain_http_and_any_port(settings: Any) -> None:
    settings.TGHUB_WEBHOOK_ALLOW_NETS = ["127.0.0.0/8", "fd00::/8"]
    for url in ("http://127.0.0.1:9000/", "https://[fd00::1]:9000/", "http://[::ffff:127.0.0.1]/"):
        parse_url(url)
    for url in ("http://10.0.0.1/", "http://93.184.216.34/", "https://93.184.216.34:9000/"):
        with pytest.raises(UnsafeUrl):
            parse_url(url)
    # Where a name leads is known when it is looked up.
    target = parse_url("http://name.example:9000/")
    assert check_addresses(["127.0.0.1"], target) == ["127.0.0.1"]
    for address in ("93.184.216.34", "10.0.0.1"):
        with pytest.raises(UnsafeUrl):
            check_addresses([address], target)


@pytest.mark.parametrize(
    ("networks", "errors"), [([], 0), (["10.0.0.0/8", "::1"], 0), (["lan", "10.0.0.0/99"], 2)]
)
def test_what_is_no_network_is_found_at_the_start(
    settings: Any, networks: list[str], errors: int
) -> None:
    settings.TGHUB_WEBHOOK_ALLOW_NETS = networks
    assert [error.id for error in check_allowed_networks()] == ["realtime.E001"] * errors
