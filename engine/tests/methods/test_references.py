"""What chat references say."""

import pytest

from engine.errors import BadRequest
from engine.telegram.references import Reference, parse

CHANNEL = -1001234567890


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (5, Reference("id", id=5)),
        ("5", Reference("id", id=5)),
        (-77, Reference("id", id=-77)),
        (CHANNEL, Reference("id", id=CHANNEL)),
        (str(CHANNEL), Reference("id", id=CHANNEL)),
        ("me", Reference("self")),
        ("Saved", Reference("self")),
        ("@durov", Reference("username", text="durov")),
        (" durov ", Reference("username", text="durov")),
        ("t.me/durov", Reference("username", text="durov")),
        ("https://t.me/durov", Reference("username", text="durov")),
        ("http://www.telegram.me/durov?start=1", Reference("username", text="durov")),
        ("https://t.me/durov/123", Reference("username", text="durov")),
        ("https://t.me/s/durov", Reference("username", text="durov")),
        ("durov.t.me", Reference("username", text="durov")),
        ("https://t.me/c/1234567890/12", Reference("id", id=CHANNEL)),
        ("https://t.me/+AbC_d-EfGh123", Reference("invite", text="AbC_d-EfGh123")),
        ("https://t.me/joinchat/AbC_d-EfGh", Reference("invite", text="AbC_d-EfGh")),
        ("+AbCdEfGh", Reference("invite", text="AbCdEfGh")),
        ("tg://join?invite=AbCdEfGh", Reference("invite", text="AbCdEfGh")),
        ("tg://resolve?domain=durov", Reference("username", text="durov")),
        ("tg:resolve?domain=durov", Reference("username", text="durov")),
        ("tg://resolve?phone=15550000001", Reference("phone", text="15550000001")),
        ("tg://user?id=77", Reference("id", id=77)),
        ("+1 555 000 00-01", Reference("phone", text="15550000001")),
        ("+15550000001", Reference("phone", text="15550000001")),
        ("https://t.me/+15550000001", Reference("phone", text="15550000001")),
    ],
)
def test_it_reads(text, wanted):
    assert parse(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        0,
        True,
        "",
        " ",
        "@",
        "a",
        "1abc",
        "Анна",
        "no spaces",
        "../etc/passwd",
        "https://example.com/durov",
        "ftp://t.me/durov",
        "https://t.me/",
        "https://t.me/share/url?url=x",
        "https://t.me/addstickers/x",
        "https://t.me.evil.com/durov",
        "+12",
        "+" + "1" * 30,
        "tg://settings",
        "tg://user?id=²",
        "x" * 40,
        "9" * 40,
        2**60,
        -(10**12),
        "nul\x00byte",
        "\ud800",
    ],
)
def test_it_refuses(text):
    with pytest.raises(BadRequest) as caught:
        parse(text)
    assert caught.value.code == "chat_reference_invalid"
