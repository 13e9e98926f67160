"""Secrets at rest: AES-256-GCM under a ring of keys, bound to the place they stand in.

A sealed value is `version (1 byte) · key id (4) · nonce (12) · ciphertext and tag`.
The first key of the ring seals, all of them open, so that keys can be rotated.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed
from django.db import transaction

VERSION = 1
KEY_BYTES = 32
KEY_ID_BYTES = 4
NONCE_BYTES = 12
HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES


class CryptoError(Exception):
    """A secret could not be sealed or opened; the text names no secret."""


class BadKeyring(CryptoError):
    """`TGHUB_ENCRYPTION_KEYS` is empty, or a key is no base64 of 32 bytes."""


class WrongKey(CryptoError):
    """The value was sealed with a key that is not in the ring."""


class Tampered(CryptoError):
    """The value is damaged, or was moved here from another row or column."""


class Keyring:
    """The keys of the hub, the first of which seals."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise BadKeyring("TGHUB_ENCRYPTION_KEYS holds no key.")
        if any(len(key) != KEY_BYTES for key in keys):
            raise BadKeyring("A key in TGHUB_ENCRYPTION_KEYS is not 32 bytes long.")
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self.current = key_id(keys[0])

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._ciphers)}>"

    def seal(self, plaintext: bytes, *, aad: bytes) -> bytes:
        """Return `plaintext` encrypted with the first key and bound to `aad`."""
        header = bytes([VERSION]) + self.current
        nonce = os.urandom(NONCE_BYTES)
        return header + nonce + self._ciphers[self.current].encrypt(nonce, plaintext, header + aad)

    def open(self, sealed: bytes, *, aad: bytes) -> bytes:
        """Return what was sealed; raises WrongKey, Tampered."""
        if len(sealed) < HEADER_BYTES or sealed[0] != VERSION:
            raise Tampered("The value is not one that this hub has sealed.")
        header, nonce = sealed[: 1 + KEY_ID_BYTES], sealed[1 + KEY_ID_BYTES : HEADER_BYTES]
        cipher = self._ciphers.get(header[1:])
        if cipher is None:
            raise WrongKey(
                "The value was sealed with an encryption key that TGHUB_ENCRYPTION_KEYS lacks."
            )
        try:
            return cipher.decrypt(nonce, sealed[HEADER_BYTES:], header + aad)
        except InvalidTag:
            raise Tampered("The value is damaged or belongs to another place.") from None

    def is_current(self, sealed: bytes) -> bool:
        """Tell whether `sealed` was made with the key that seals now."""
        return sealed[1 : 1 + KEY_ID_BYTES] == self.current


def key_id(key: bytes) -> bytes:
    """Return the 4 bytes by which a sealed value names its key."""
    return hashlib.sha256(b"tghub key id\0" + key).digest()[:KEY_ID_BYTES]


def parse_keys(texts: Sequence[str]) -> list[bytes]:
    """Return the keys that `texts` hold in base64 (either alphabet); raises BadKeyring."""
    keys = []
    for text in texts:
        if not text.strip():
            continue
        plain = text.strip().replace("-", "+").replace("_", "/")
        try:
            keys.append(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
        except (binascii.Error, ValueError):
            raise BadKeyring("A key in TGHUB_ENCRYPTION_KEYS is not base64.") from None
    return keys


@lru_cache(maxsize=1)
def keyring() -> Keyring:
    """Return the ring of `TGHUB_ENCRYPTION_KEYS`; raises BadKeyring."""
    return Keyring(parse_keys(settings.TGHUB_ENCRYPTION_KEYS))


def seal(plaintext: bytes, *, aad: bytes) -> bytes:
    """Encrypt `plaintext` for the purpose that `aad` names (tokens that leave the database)."""
    return keyring().seal(plaintext, aad=aad)


def unseal(sealed: bytes, *, aad: bytes) -> bytes:
    """Return what `seal` was given; raises WrongKey, Tampered."""
    return keyring().open(sealed, aad=aad)


def fingerprint(purpose: str, value: bytes) -> str:
    """Return an HMAC (64 hex digits) that is the same for equal values, today and later.

    Its key lives sealed in the database, so that neither a new SECRET_KEY nor a
    rotation of encryption keys changes it. Touches the database once per process.
    """
    message = purpose.encode() + b"\0" + value
    return hmac.new(_fingerprint_key(), message, hashlib.sha256).hexdigest()


_cached_fingerprint_key: bytes | None = None


def _fingerprint_key() -> bytes:
    global _cached_fingerprint_key
    if _cached_fingerprint_key is not None:
        return _cached_fingerprint_key
    # By name: the models need this module for their fields.
    secrets = apps.get_model("core", "Secret")._default_manager
    row = secrets.filter(name="fingerprint").first()
    if row is None:
        row, _ = secrets.get_or_create(
            name="fingerprint", defaults={"value": os.urandom(KEY_BYTES)}
        )
    key: bytes = row.value
    # What a transaction wrote may still be rolled back.
    if not transaction.get_connection().in_atomic_block:
        _cached_fingerprint_key = key
    return key


def forget_cached_keys(**kwargs: Any) -> None:
    """Read the ring and the fingerprint key anew at their next use."""
    global _cached_fingerprint_key
    if kwargs.get("setting") in (None, "TGHUB_ENCRYPTION_KEYS"):
        _cached_fingerprint_key = None
        keyring.cache_clear()


setting_changed.connect(forget_cached_keys)
