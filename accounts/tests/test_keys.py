import hashlib
import hmac
import re
from datetime import timedelta

import pytest
from django.core import serializers
from django.db import IntegrityError
from django.utils import timezone

from accounts import callers, models
from accounts.callers import authenticate, find_key, recheck
from accounts.models import KEY_PATTERN, ApiKey
from accounts.tests.helpers import make_key, make_user
from core import limits
from core.errors import TooManyRequests, Unauthorized

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_limits():
    limits.reset()
    yield
    limits.reset()


def refusal(plaintext, ip=None):
    with pytest.raises(Unauthorized) as caught:
        authenticate(plaintext, ip)
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}
    assert plaintext not in caught.value.detail or not plaintext
    return caught.value.code


def test_it_works():
    key, plaintext = make_key(scopes=["send", "read"])
    assert re.fullmatch(KEY_PATTERN, plaintext)
    caller = authenticate(plaintext)
    assert (caller.user, caller.key) == (key.user, key)
    assert caller.scopes == {"read", "send"}


def test_only_a_hash_is_kept():
    key, plaintext = make_key()
    row = ApiKey.objects.get(pk=key.pk)
    assert bytes(row.secret_sha256) == hashlib.sha256(plaintext.encode()).digest()
    secret = plaintext.split("_", 2)[2]
    assert secret not in serializers.serialize("json", [row])
    assert secret not in f"{row!r}{row}{row.__dict__}"


def test_no_two_keys_are_alike():
    made = [make_key() for _ in range(20)]
    assert len({plaintext for _, plaintext in made}) == 20
    assert len({key.prefix for key, _ in made}) == 20


def test_a_prefix_is_unique():
    key, _ = make_key()
    with pytest.raises(IntegrityError):
        ApiKey.objects.create(user=key.user, prefix=key.prefix, secret_sha256=b"x" * 32)


def test_it_refuses_unknown_scopes():
    with pytest.raises(ValueError, match="unknown scope: fly"):
        make_key(scopes=["read", "fly"])


def test_it_refuses_a_wrong_secret():
    _, plaintext = make_key()
    assert refusal(plaintext[:-1] + ("a" if plaintext[-1] != "a" else "b")) == "wrong_key"


@pytest.mark.parametrize(
    "plaintext",
    [
        "tgh_00000000_" + "a" * 43,
        "x",
        "tgh_",
        "tgh_00000000_" + "a" * 43 + "\n",
        "ключ",
        "a" * 10000,
    ],
)
def test_it_refuses_what_is_no_key(plaintext):
    assert refusal(plaintext) == "wrong_key"


def test_it_refuses_a_revoked_key():
    key, plaintext = make_key()
    assert key.revoke()
    assert not key.revoke()
    assert refusal(plaintext) == "revoked_key"


def test_it_refuses_an_expired_key():
    _, plaintext = make_key(expires_at=timezone.now())
    assert refusal(plaintext) == "expired_key"
    _, plaintext = make_key(expires_at=timezone.now() + timedelta(hours=1))
    authenticate(plaintext)


def test_it_refuses_an_inactive_user():
    _, plaintext = make_key(make_user("bob", is_active=False))
    assert refusal(plaintext) == "inactive_user"


def test_scopes_that_do_not_exist_count_for_nothing():
    key, plaintext = make_key()
    ApiKey.objects.filter(pk=key.pk).update(scopes=["read", "fly"])
    assert authenticate(plaintext).scopes == {"read"}


def test_a_known_and_an_unknown_prefix_cost_the_same(django_assert_num_queries, monkeypatch):
    """The same queries and the same comparison, whichever part of the key is wrong."""
    compared: list[int] = []

    def compare(a, b):
        compared.append(len(b))
        return hmac.compare_digest(a, b)

    class Watched:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(models, "hmac", Watched)
    key, _ = make_key()
    for prefix in (key.prefix, "00000000"):
        with django_assert_num_queries(1):
            assert find_key(f"tgh_{prefix}_{'a' * 43}") is None
    assert compared == [32, 32]


def test_the_last_use_is_written_once_a_minute(django_assert_num_queries):
    key, plaintext = make_key()
    with django_assert_num_queries(2):
        authenticate(plaintext)
    first = ApiKey.objects.get(pk=key.pk).last_used_at
    assert first is not None
    with django_assert_num_queries(1):
        authenticate(plaintext)
    assert ApiKey.objects.get(pk=key.pk).last_used_at == first
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=first - timedelta(seconds=61))
    authenticate(plaintext)
    assert ApiKey.objects.get(pk=key.pk).last_used_at >= first


def test_a_refused_key_was_not_used():
    key, plaintext = make_key()
    key.revoke()
    refusal(plaintext)
    assert ApiKey.objects.get(pk=key.pk).last_used_at is None


def test_guessing_is_slowed_down_by_address(settings):
    settings.TGHUB_RATES = {"failed_key": "3/minute"}
    key, plaintext = make_key()
    for _ in range(3):
        refusal("guess", "192.0.2.1")
    with pytest.raises(TooManyRequests):
        authenticate("guess", "192.0.2.1")
    refusal("guess", "192.0.2.2")
    # Who shares the address and has a right key goes on.
    assert authenticate(plaintext, "192.0.2.1").key == key


def test_an_open_connection_is_asked_again():
    key, plaintext = make_key(scopes=["read", "send"])
    caller = authenticate(plaintext)
    ApiKey.objects.filter(pk=key.pk).update(scopes=["read"])
    assert recheck(caller).scopes == {"read"}
    key.revoke()
    with pytest.raises(Unauthorized):
        recheck(caller)
    ApiKey.objects.filter(pk=key.pk).delete()
    with pytest.raises(Unauthorized):
        recheck(caller)
    local = callers.local_caller()
    assert recheck(local) is local
