import pytest

from core.network import client_address, is_loopback


def test_it_works(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address("10.0.0.1", "203.0.113.7") == "203.0.113.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),  # a stranger forges the header
        ("10.0.0.1", "6.6.6.6, 203.0.113.7", "203.0.113.7"),  # the client forges an entry
        ("10.0.0.1", "203.0.113.7, 10.9.9.9", "203.0.113.7"),  # two proxies
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, nonsense, 10.2.2.2", "10.2.2.2"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        (None, "203.0.113.7", None),
        ("unix:", "203.0.113.7", None),
    ],
)
def test_only_trusted_proxies_are_believed(settings, peer, forwarded, client):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address(peer, forwarded) == client


def test_without_proxies_nobody_is_believed():
    assert client_address("127.0.0.1", "203.0.113.7") == "127.0.0.1"


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback(peer):
    assert is_loopback(peer)


@pytest.mark.parametrize(
    "peer", ["192.168.0.1", "0.0.0.0", "::", "", None, "localhost", "128.0.0.1"]
)
def test_not_loopback(peer):
    assert not is_loopback(peer)
