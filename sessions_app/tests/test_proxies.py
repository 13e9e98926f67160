"""Proxies as people write them."""

import pytest

from engine.store import Proxy
from sessions_app.proxies import parse_proxy, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("socks5://pat:p%40ss@h:1080", Proxy("socks5", "h", 1080, "pat", "p@ss")),
        ("socks5h://h:1", Proxy("socks5", "h", 1)),
        ("http://[::1]:8080", Proxy("http", "::1", 8080)),
        ("mtproxy://ee00@h:443", Proxy("mtproxy", "h", 443, secret="ee00")),
        ("tg://proxy?server=h&port=443&secret=ee", Proxy("mtproxy", "h", 443, secret="ee")),
        ("https://t.me/proxy?server=h&port=443&secret=ee", Proxy("mtproxy", "h", 443, secret="ee")),
    ],
)
def test_it_works(text: str, expected: Proxy) -> None:
    parsed = parse_proxy(text)
    assert Proxy(**parsed) == expected
    assert shown(parsed) == f"{expected.kind} {expected.host}:{expected.port}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h:1080",
        "ftp://h:21",
        "socks5://h",
        "socks5://:1080",
        "socks5://h:99999",
        "mtproxy://h:443",
        "tg://proxy?server=h",
        "http://[::1",
    ],
)
def test_it_refuses_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="Write socks5") as refused:
        parse_proxy(text)
    assert refused.value.__context__ is None or refused.value.__suppress_context__
