import base64
import os
import uuid

import pytest
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test.utils import isolate_apps
from hypothesis import given
from hypothesis import strategies as st

from core import crypto
from core.checks import check_keyring, check_stored_secrets
from core.crypto import BadKeyring, Keyring, Tampered, WrongKey
from core.fields import EncryptedJSONField, EncryptedTextField, Sealed, field_of
from core.models import Secret

CANARY = b"canary-in-the-auth-key"


def make_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def stored(pk: int) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM core_secret WHERE id = %s", [pk])
        return bytes(cursor.fetchone()[0])


def make_secret(value: bytes = CANARY, name: str = "test") -> Secret:
    return Secret.objects.create(name=name, value=value)


def test_it_works(db):
    secret = make_secret()
    assert secret.value == CANARY
    assert Secret.objects.get(pk=secret.pk).value == CANARY
    assert CANARY not in stored(secret.pk)


def test_equal_values_look_different(db):
    first, second = make_secret(name="a"), make_secret(name="b")
    assert stored(first.pk) != stored(second.pk)


def test_saving_again_keeps_what_is_stored(db):
    secret = Secret.objects.get(pk=make_secret().pk)
    before = stored(secret.pk)
    secret.save()
    assert stored(secret.pk) == before


def test_a_new_value_replaces_it(db):
    secret = make_secret()
    secret.value = b"other"
    secret.save(update_fields=["value"])
    assert Secret.objects.get(pk=secret.pk).value == b"other"


def test_a_deferred_value_is_loaded(db):
    secret = Secret.objects.defer("value").get(pk=make_secret().pk)
    assert secret.value == CANARY


def test_a_value_moved_to_another_row_does_not_open(db):
    first, second = make_secret(name="a"), make_secret(name="b")
    field = field_of(Secret, "value")
    sealed = Secret.objects.values_list("value", flat=True).get(pk=first.pk)
    assert field.unseal(first.uid, sealed) == CANARY
    Secret.objects.filter(pk=second.pk).update(value=sealed)
    with pytest.raises(Tampered):
        _ = Secret.objects.get(pk=second.pk).value


@pytest.mark.parametrize("position", [0, 1, 6, 20, -1])
def test_a_damaged_value_does_not_open(db, position):
    secret = make_secret()
    damaged = bytearray(stored(secret.pk))
    damaged[position] ^= 1
    Secret.objects.filter(pk=secret.pk).update(value=Sealed(damaged))
    with pytest.raises((Tampered, WrongKey)):
        _ = Secret.objects.get(pk=secret.pk).value


def test_a_short_value_does_not_open():
    with pytest.raises(Tampered):
        crypto.unseal(b"\x01short", aad=b"x")


def test_a_wrong_key_raises_and_returns_nothing(db, settings):
    secret = make_secret()
    settings.TGHUB_ENCRYPTION_KEYS = [make_key()]
    with pytest.raises(WrongKey) as caught:
        _ = Secret.objects.get(pk=secret.pk).value
    assert "TGHUB_ENCRYPTION_KEYS" in str(caught.value)


def test_plain_values_are_not_written_past_an_instance(db):
    secret = make_secret()
    with pytest.raises(TypeError) as caught:
        Secret.objects.filter(pk=secret.pk).update(value=CANARY)
    assert CANARY.decode() not in str(caught.value)
    secret.value = CANARY
    with pytest.raises(TypeError):
        Secret.objects.bulk_update([secret], ["value"])


def test_sealed_values_are_written_past_an_instance(db):
    secret = make_secret()
    sealed = field_of(Secret, "value").seal(secret.uid, b"new")
    Secret.objects.filter(pk=secret.pk).update(value=sealed)
    assert Secret.objects.get(pk=secret.pk).value == b"new"


def test_bulk_create_encrypts(db):
    Secret.objects.bulk_create([Secret(name="a", value=CANARY), Secret(name="b", value=CANARY)])
    for secret in Secret.objects.filter(name__in="ab"):
        assert secret.value == CANARY
        assert CANARY not in stored(secret.pk)


def test_nothing_shows_it(db):
    secret = make_secret()
    loaded = Secret.objects.get(pk=secret.pk)
    texts = [repr(loaded), str(loaded), repr(loaded.__dict__), repr(secret.__dict__)]
    texts.append(serializers.serialize("json", [loaded]))
    texts.append(serializers.serialize("json", [Secret(name="x", value=CANARY)]))
    assert not any(CANARY.decode() in text for text in texts)
    assert not Secret._meta.get_field("value").editable


def test_a_fixture_brings_it_back(db):
    secret = make_secret()
    fixture = serializers.serialize("json", [secret])
    secret.delete()
    for row in serializers.deserialize("json", fixture):
        row.save()
    assert Secret.objects.get(name="test").value == CANARY


@isolate_apps("core")
def test_texts_and_json_keep_their_shape():
    class Sample(models.Model):  # noqa: DJ008
        uid = models.UUIDField(default=uuid.uuid4)
        text = EncryptedTextField(null=True)
        document = EncryptedJSONField(null=True)

        class Meta:
            app_label = "core"

    sample = Sample(text="Пароль \ud83d \0", document={"a": [1, None, "x"], "big": 2**70})
    for name in ("text", "document"):
        value = getattr(sample, name)
        sealed = Sample._meta.get_field(name).pre_save(sample, add=True)
        assert isinstance(sealed, Sealed)
        assert getattr(sample, name) == value
    sample.text = None
    assert Sample._meta.get_field("text").pre_save(sample, add=False) is None
    with pytest.raises(TypeError):
        field_of(Sample, "uid")


@given(st.binary(max_size=300), st.binary(max_size=50))
def test_sealing_is_reversible_and_bound(plaintext, aad):
    sealed = crypto.seal(plaintext, aad=aad)
    assert crypto.unseal(sealed, aad=aad) == plaintext
    with pytest.raises(Tampered):
        crypto.unseal(sealed, aad=aad + b"x")


@pytest.mark.parametrize(
    "keys", [[], [""], ["short"], ["!!!"], [base64.b64encode(b"x" * 31).decode()]]
)
def test_a_bad_keyring_is_a_startup_error(settings, keys):
    settings.TGHUB_ENCRYPTION_KEYS = keys
    with pytest.raises(BadKeyring):
        crypto.keyring()
    (message,) = check_keyring()
    assert message.id == "core.E001"
    assert not any(key and key in message.msg for key in keys)


def test_keys_may_be_url_safe_and_unpadded():
    key = os.urandom(32)
    text = base64.urlsafe_b64encode(key).decode().rstrip("=")
    assert crypto.parse_keys([f" {text} ", base64.b64encode(key).decode()]) == [key, key]


def test_the_keyring_shows_no_key():
    key = os.urandom(32)
    assert repr(Keyring([key])) == "<Keyring of 1>"


def test_fingerprints_are_stable_and_separate(db, settings):
    first = crypto.fingerprint("auth_key", b"id")
    assert len(first) == 64
    assert crypto.fingerprint("auth_key", b"other") != first
    assert crypto.fingerprint("random_id", b"id") != first
    old, new = settings.TGHUB_ENCRYPTION_KEYS[0], make_key()
    settings.TGHUB_ENCRYPTION_KEYS = [new, old]
    call_command("rotate_keys", verbosity=0)
    settings.TGHUB_ENCRYPTION_KEYS = [new]
    assert crypto.fingerprint("auth_key", b"id") == first


def test_rotation_lets_the_old_key_go(db, settings, capsys):
    secrets = [make_secret(name=f"s{n}") for n in range(7)]
    old, new = settings.TGHUB_ENCRYPTION_KEYS[0], make_key()
    settings.TGHUB_ENCRYPTION_KEYS = [new, old]
    fresh = make_secret(name="fresh")
    call_command("rotate_keys", batch=3)
    assert "core.Secret.value: 7 rotated, 1 were current" in capsys.readouterr().out
    settings.TGHUB_ENCRYPTION_KEYS = [new]
    assert all(Secret.objects.get(pk=s.pk).value == CANARY for s in [*secrets, fresh])


def test_a_rotation_that_was_killed_goes_on(db, settings):
    secrets = [make_secret(name=f"s{n}") for n in range(6)]
    old, new = settings.TGHUB_ENCRYPTION_KEYS[0], make_key()
    settings.TGHUB_ENCRYPTION_KEYS = [new, old]
    field, ring = field_of(Secret, "value"), crypto.keyring()
    for secret in secrets[:3]:  # as far as the killed run came
        sealed = field.seal(secret.uid, CANARY)
        Secret.objects.filter(pk=secret.pk).update(value=sealed)
    from core.rotation import rotate

    counts = {column: (rotated, current) for column, rotated, current in rotate(batch=2)}
    assert counts["core.Secret.value"] == (3, 3)
    assert all(ring.is_current(stored(s.pk)) for s in secrets)
    assert {column: rotated for column, rotated, _ in rotate()}["core.Secret.value"] == 0


def test_rotation_without_the_old_key_says_so(db, settings):
    make_secret()
    settings.TGHUB_ENCRYPTION_KEYS = [make_key()]
    with pytest.raises(CommandError, match="TGHUB_ENCRYPTION_KEYS"):
        call_command("rotate_keys")


def test_a_wrong_key_is_a_startup_error(db, settings):
    make_secret()
    assert check_stored_secrets() == []
    settings.TGHUB_ENCRYPTION_KEYS = [make_key()]
    (message,) = check_stored_secrets()
    assert message.id == "core.E002"
    assert "core.Secret.value" in message.msg


def test_a_damaged_row_is_a_startup_error(db):
    secret = make_secret()
    Secret.objects.filter(pk=secret.pk).update(value=Sealed(stored(secret.pk)[:-1]))
    (message,) = check_stored_secrets()
    assert message.id == "core.E003"
