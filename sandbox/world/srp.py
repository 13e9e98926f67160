"""The server's half of SRP 2048: https://core.telegram.org/api/srp"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any

from telethon.password import compute_digest
from telethon.tl import types

from sandbox.world.model import CloudPassword

G = 3
P_BYTES = bytes.fromhex(
    "c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f"
    "48198a0aa7c14058229493d22530f4dbfa336f6e0ac925139543aed44cce7c37"
    "20fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64"
    "2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4"
    "a4a695811051907e162753b56b0f6b410dba74d8a84b2a14b3144e0ef1284754"
    "fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4"
    "e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f"
    "0d8115f635b105ee2e4e15d04b2454bf6f4fadf034b10403119cd8e3b92fcc5b"
)
P = int.from_bytes(P_BYTES, "big")
SIZE = 256


@dataclass(slots=True)
class Challenge:
    """One `account.getPassword`: good for one attempt by the key that asked."""

    id: int
    auth_key_id: int
    password: CloudPassword
    secret: int = field(repr=False)
    public: bytes = b""


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _pad(number: int) -> bytes:
    return number.to_bytes(SIZE, "big")


def algorithm(salt1: bytes, salt2: bytes) -> Any:
    """TL `PasswordKdfAlgo…` with Telegram's prime."""
    return types.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow(
        salt1=salt1, salt2=salt2, g=G, p=P_BYTES
    )


def make_password(password: str, salt: bytes, *, hint: str = "", email: str = "") -> CloudPassword:
    """The stored form of a password; `salt` is 32 bytes to derive both salts from."""
    salt1, salt2 = salt + _sha(salt)[:8], _sha(salt, b"2")[:16]
    verifier = compute_digest(algorithm(salt1, salt2), password)
    return CloudPassword(salt1, salt2, verifier, hint, email)


def challenge(password: CloudPassword, auth_key_id: int) -> Challenge:
    """Make a challenge whose `public` (srp_B) is padded to 256 bytes."""
    k = int.from_bytes(_sha(P_BYTES, _pad(G)), "big")
    while True:
        secret = secrets.randbits(2048)
        public = (k * int.from_bytes(password.verifier, "big") + pow(G, secret, P)) % P
        # Clients refuse a B outside of this range.
        if 2 ** (2048 - 64) < public < P - 2 ** (2048 - 64):
            number = secrets.randbits(62)
            return Challenge(number, auth_key_id, password, secret, _pad(public))


def proves(asked: Challenge, a_bytes: bytes, m1: bytes) -> bool:
    """Whether the client's answer (A, M1) shows that it knows the password."""
    a = int.from_bytes(a_bytes, "big")
    if len(a_bytes) > SIZE or not 0 < a < P:
        return False
    a_padded = _pad(a)
    stored = asked.password
    u = int.from_bytes(_sha(a_padded, asked.public), "big")
    shared = pow(a * pow(int.from_bytes(stored.verifier, "big"), u, P), asked.secret, P)
    masked = bytes(x ^ y for x, y in zip(_sha(P_BYTES), _sha(_pad(G)), strict=True))
    expected = _sha(
        masked,
        _sha(stored.salt1),
        _sha(stored.salt2),
        a_padded,
        asked.public,
        _sha(_pad(shared)),
    )
    return secrets.compare_digest(expected, m1)
