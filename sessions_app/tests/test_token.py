"""The session string: what opens it, and everything that does not."""

import base64
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from core.crypto import forget_cached_keys
from core.errors import Unauthorized
from engine.store import Device
from engine.wire import Carried
from sessions_app.stateless import token
from sessions_app.stateless.token import Login, Token, mint, read

KEY = bytes(range(256))
FIRST, SECOND = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
CARRIED = Carried(123, "hash", 2, "149.154.167.51", 443, KEY, Device("laptop"))


@pytest.fixture
def count() -> Callable[[int, int], int]:
    return lambda small, full: full if os.environ.get("TGHUB_PROVE") else small


@pytest.fixture(autouse=True)
def keys(settings):
    settings.TGHUB_ENCRYPTION_KEYS = [FIRST]
    yield settings
    forget_cached_keys()


def refused(text: str, code: str = token.BAD) -> bool:
    with pytest.raises(Unauthorized) as refusal:
        read(text)
    assert refusal.value.code == code
    return True


def test_it_works():
    assert read(mint(Token(CARRIED))) == Token(CARRIED)


def test_it_tells_nothing():
    text = mint(Token(CARRIED))
    for secret in (b"hash", KEY[:32], b"149.154"):
        assert secret not in base64.urlsafe_b64decode(text.partition(".")[2] + "==")
    assert mint(Token(CARRIED)) != text


@pytest.mark.parametrize("host", ["127.0.0.1", "2001:67c:4e8:f002::a", "telegram.internal"])
def test_every_kind_of_host(host):
    carried = replace(CARRIED, host=host)
    assert read(mint(Token(carried))).carried == carried


def test_a_login_under_way_lapses(monkeypatch):
    started = token.logging_in(CARRIED, phone="+15550000001", phone_code_hash="h")
    text = mint(started)
    assert read(text) == started
    later = time.time() + token.LOGIN_SECONDS + 1
    monkeypatch.setattr(token.time, "time", lambda: later)
    assert refused(text, token.EXPIRED)
    assert read(mint(Token(CARRIED))).login is None


def test_the_password_has_its_own_ten_minutes():
    login = Login("+15550000001", "h", "code", time.time() + 1)
    waiting = token.wants_password(Token(CARRIED, login), CARRIED)
    assert waiting.login is not None
    assert waiting.login.step == "password"
    assert waiting.login.expires_at > time.time() + 500


def test_no_secret_in_repr():
    login = Login("+15550000001", "the-hash", "code", 0)
    shown = repr(Token(replace(CARRIED, api_hash="secrethash"), login))
    for secret in ("secrethash", "the-hash", "15550000001", "\\x01\\x02"):
        assert secret not in shown


def test_keys_rotate_and_retire(keys):
    text = mint(Token(CARRIED))
    keys.TGHUB_ENCRYPTION_KEYS = [SECOND, FIRST]
    assert read(text).carried == CARRIED
    assert not token.is_current(text)
    assert token.is_current(mint(Token(CARRIED)))
    keys.TGHUB_ENCRYPTION_KEYS = [SECOND]
    assert refused(text)


def test_a_foreign_token(keys):
    keys.TGHUB_ENCRYPTION_KEYS = [SECOND]
    foreign = mint(Token(CARRIED))
    keys.TGHUB_ENCRYPTION_KEYS = [FIRST]
    assert refused(foreign)


def test_an_older_and_a_newer_version():
    body = mint(Token(CARRIED)).partition(".")[2]
    for version in ("tgs0", "tgs2", "TGS1", "", "tgs1 "):
        assert refused(f"{version}.{body}")
    assert refused(body)


def test_a_value_of_another_purpose():
    from core import crypto

    sealed = crypto.seal(b"{}", aad=b"another purpose")
    assert refused("tgs1." + base64.urlsafe_b64encode(sealed).decode().rstrip("="))


def test_every_truncation():
    text = mint(Token(CARRIED))
    assert all(refused(text[:length]) for length in range(0, len(text)))


def test_sealed_nonsense():
    from core import crypto

    for content in (b"{}", b"[]", b'{"session":"1"}', b'"x"', b"null", b"{"):
        sealed = crypto.seal(content, aad=token.PURPOSE)
        assert refused("tgs1." + base64.urlsafe_b64encode(sealed).decode().rstrip("="))


def test_mutated_tokens_are_never_accepted(count):
    text = mint(Token(CARRIED))
    rng = random.Random(7)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n\0é"
    accepted = tried = 0
    while tried < count(1000, 10_000):
        letters = list(text)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(letters))
            match rng.randrange(4):
                case 0:
                    letters[place] = rng.choice(alphabet)
                case 1:
                    letters.insert(place, rng.choice(alphabet))
                case 2:
                    del letters[place]
                case _:
                    other = rng.randrange(len(letters))
                    letters[place], letters[other] = letters[other], letters[place]
        mutated = "".join(letters)
        if mutated == text:
            continue
        tried += 1
        try:
            read(mutated)
            accepted += 1
        except Unauthorized:
            pass
    assert accepted == 0


def test_the_last_character_has_no_other_spelling():
    text = mint(Token(CARRIED))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [text[:-1] + letter for letter in alphabet if letter != text[-1]]
    assert all(refused(other) for other in others)
    assert refused(text + "=")
    assert refused(text + "A")
