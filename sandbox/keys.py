"""The RSA key that proves a data centre to its clients, and its fingerprint."""

from __future__ import annotations

import functools
import os
import struct
from hashlib import sha1
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from telethon.tl import TLObject

from sandbox.files import write_private


class ServerKey:
    """A 2048-bit RSA key pair.

    Clients know it as PKCS #1 PEM (`BEGIN RSA PUBLIC KEY`) and by its fingerprint, the
    low 64 bits of SHA-1 over the TL strings `n` and `e`.
    Source: https://core.telegram.org/mtproto/auth_key
    """

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        numbers = private.private_numbers()
        public = numbers.public_numbers
        self._private = private
        self._p, self._q = numbers.p, numbers.q
        self._dmp1, self._dmq1, self._iqmp = numbers.dmp1, numbers.dmq1, numbers.iqmp
        self.n, self.e = public.n, public.e
        self.public_pem = (
            private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
            .decode("ascii")
        )
        self.fingerprint = fingerprint(self.n, self.e)

    def decrypt(self, block: bytes) -> bytes:
        """Return the 256 raw bytes of `block` to the private exponent, without unpadding.

        Raises ValueError when the block is not below the modulus.
        """
        value = int.from_bytes(block, "big")
        if len(block) > 256 or value >= self.n:
            raise ValueError("not a block of this key")
        m1 = pow(value % self._p, self._dmp1, self._p)
        m2 = pow(value % self._q, self._dmq1, self._q)
        return (m2 + (m1 - m2) * self._iqmp % self._p * self._q).to_bytes(256, "big")

    def private_pem(self) -> bytes:
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )


def fingerprint(n: int, e: int) -> int:
    """Return the signed 64-bit fingerprint of a public key."""
    encoded = b"".join(
        TLObject.serialize_bytes(number.to_bytes((number.bit_length() + 7) // 8, "big"))
        for number in (n, e)
    )
    value: int = struct.unpack("<q", sha1(encoded).digest()[-8:])[0]
    return value


def make_key() -> ServerKey:
    return ServerKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@functools.cache
def process_key() -> ServerKey:
    """Return the key of all data centres of this process, as Telegram's share theirs."""
    return make_key()


def load_key(path: Path) -> ServerKey:
    """Read the private key kept in `path`, made (mode 0600) when there is none yet."""
    if not path.exists():
        key = make_key()
        write_private(path, key.private_pem())
        return key
    private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey) or private.key_size != 2048:
        raise ValueError(f"{os.fspath(path)} holds no 2048-bit RSA private key")
    return ServerKey(private)
