"""The key exchange, server side: how a client and a data centre come to share an auth key.

Source: https://core.telegram.org/mtproto/auth_key
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from typing import Any

import cryptg
from telethon.extensions import BinaryReader
from telethon.helpers import generate_key_data_from_nonce
from telethon.tl import TLObject, functions, types

from sandbox.authkeys import AuthKey
from sandbox.keys import ServerKey

# The group that Telegram's servers use; clients know it to be safe.
# Source: telethon/password.py, check_prime_and_good
DH_PRIME = int(
    "C71CAEB9C6B1C9048E6C522F70F13F73980D40238E3E21C14934D037563D930F"
    "48198A0AA7C14058229493D22530F4DBFA336F6E0AC925139543AED44CCE7C37"
    "20FD51F69458705AC68CD4FE6B6B13ABDC9746512969328454F18FAF8C595F64"
    "2477FE96BB2A941D5BCD1D4AC8CC49880708FA9B378E3C4F3A9060BEE67CF9A4"
    "A4A695811051907E162753B56B0F6B410DBA74D8A84B2A14B3144E0EF1284754"
    "FD17ED950D5965B4B9DD46582DB1178D169C6BC465B0D6FF9CA3928FEF5B9AE4"
    "E418FC15E83EBEA0F87FA9FF5EED70050DED2849F47BF959D956850CE929851F"
    "0D8115F635B105EE2E4E15D04B2454BF6F4FADF034B10403119CD8E3B92FCC5B",
    16,
)
DH_G = 3
DH_SAFE = 1 << (2048 - 64)
# Twice the group's strength suffices for a safe prime, and is eight times as fast as 2048 bits.
# Source: RFC 7919, section 5.2
DH_EXPONENT_BYTES = 32
INNER_DATA = (
    types.PQInnerData,
    types.PQInnerDataDc,
    types.PQInnerDataTemp,
    types.PQInnerDataTempDc,
)
TEST_DC = 10_000

NOT_FOUND, WRONG_DC = 404, 444


class HandshakeError(Exception):
    """The exchange cannot go on; `code` is the transport error that the client gets."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class _Exchange:
    nonce: int
    server_nonce: int
    p: int
    q: int
    new_nonce: int | None = field(default=None, repr=False)
    a: int = field(default=0, repr=False)
    expires_in: int = 0
    dh_inner: bytes = field(default=b"", repr=False)


class Handshake:
    """One connection's key exchanges; a client that fails may begin again.

    `accept(key)` is called with each finished key and returns False when its id is taken
    (the client gets `dh_gen_retry`). `fault` may name a forced outcome: "retry", "fail".
    """

    def __init__(
        self,
        server_key: ServerKey,
        dc: int,
        accept: Callable[[AuthKey], bool],
        fault: Callable[[], str] = lambda: "",
    ) -> None:
        self._server_key = server_key
        self._dc = dc
        self._accept = accept
        self._fault = fault
        self._exchange: _Exchange | None = None

    def answer(self, request: Any) -> TLObject:
        """Return the answer to one step. Raises HandshakeError."""
        match request:
            case functions.ReqPqMultiRequest() | functions.ReqPqRequest():
                return self._begin(request)
            case functions.ReqDHParamsRequest():
                return self._dh_params(self._current(request), request)
            case functions.SetClientDHParamsRequest():
                return self._finish(self._current(request), request)
        raise HandshakeError(NOT_FOUND, "not a step of the key exchange")

    def _begin(self, request: Any) -> TLObject:
        p, q = sorted((random_prime(), random_prime()))
        while p == q:
            p, q = sorted((random_prime(), random_prime()))
        server_nonce = int.from_bytes(os.urandom(16), "little", signed=True)
        self._exchange = _Exchange(request.nonce, server_nonce, p, q)
        return types.ResPQ(
            request.nonce, server_nonce, _bytes(p * q), [self._server_key.fingerprint]
        )

    def _current(self, request: Any) -> _Exchange:
        exchange = self._exchange
        if (
            exchange is None
            or request.nonce != exchange.nonce
            or request.server_nonce != exchange.server_nonce
        ):
            raise HandshakeError(NOT_FOUND, "unknown nonce")
        return exchange

    def _dh_params(self, exchange: _Exchange, request: Any) -> TLObject:
        if request.public_key_fingerprint != self._server_key.fingerprint:
            raise HandshakeError(NOT_FOUND, "unknown RSA key")
        inner = _read_inner(self._server_key, request.encrypted_data)
        if (inner.nonce, inner.server_nonce) != (exchange.nonce, exchange.server_nonce):
            raise HandshakeError(NOT_FOUND, "the encrypted nonces differ")
        if isinstance(inner, types.PQInnerDataDc | types.PQInnerDataTempDc) and (
            abs(inner.dc) % TEST_DC != self._dc
        ):
            raise HandshakeError(WRONG_DC, "another data centre is meant")
        exchange.new_nonce = inner.new_nonce
        exchange.expires_in = getattr(inner, "expires_in", 0)
        if (_int(inner.p), _int(inner.q)) != (exchange.p, exchange.q):
            return types.ServerDHParamsFail(
                exchange.nonce, exchange.server_nonce, _nonce_fail_hash(inner.new_nonce)
            )
        exchange.a = int.from_bytes(os.urandom(DH_EXPONENT_BYTES), "big")
        exchange.dh_inner = bytes(
            types.ServerDHInnerData(
                exchange.nonce,
                exchange.server_nonce,
                DH_G,
                _bytes(DH_PRIME),
                _bytes(pow(DH_G, exchange.a, DH_PRIME)),
                int(time.time()),
            )
        )
        return types.ServerDHParamsOk(
            exchange.nonce, exchange.server_nonce, self._encrypt(exchange, exchange.dh_inner)
        )

    def _finish(self, exchange: _Exchange, request: Any) -> TLObject:
        new_nonce = exchange.new_nonce
        if new_nonce is None or not exchange.a:
            raise HandshakeError(NOT_FOUND, "a step was left out")
        inner = self._decrypt(exchange, request.encrypted_data)
        g_b = _int(inner.g_b)
        fault = self._fault()
        if not DH_SAFE <= g_b <= DH_PRIME - DH_SAFE:
            fault = "fail"
        data = pow(g_b, exchange.a, DH_PRIME).to_bytes(256, "big")
        expires_at = time.time() + exchange.expires_in if exchange.expires_in else 0
        key = AuthKey(data, self._dc, expires_at=expires_at)
        if fault == "fail":
            self._exchange = None
            answer, number = types.DhGenFail, 3
        elif fault == "retry" or not self._accept(key):
            answer, number = types.DhGenRetry, 2
        else:
            self._exchange = None
            answer, number = types.DhGenOk, 1
        return answer(
            exchange.nonce, exchange.server_nonce, _new_nonce_hash(new_nonce, number, key)
        )

    def _encrypt(self, exchange: _Exchange, inner: bytes) -> bytes:
        answer = sha1(inner).digest() + inner
        answer += os.urandom(-len(answer) % 16)
        return cryptg.encrypt_ige(answer, *self._temporary(exchange))

    def _decrypt(self, exchange: _Exchange, encrypted: bytes) -> Any:
        if not encrypted or len(encrypted) % 16:
            raise HandshakeError(NOT_FOUND, "wrong length of client_DH_inner_data")
        plain = cryptg.decrypt_ige(encrypted, *self._temporary(exchange))
        inner = _read_hashed(plain, (types.ClientDHInnerData,))
        if (inner.nonce, inner.server_nonce) != (exchange.nonce, exchange.server_nonce):
            raise HandshakeError(NOT_FOUND, "the encrypted nonces differ")
        return inner

    @staticmethod
    def _temporary(exchange: _Exchange) -> tuple[bytes, bytes]:
        key, iv = generate_key_data_from_nonce(exchange.server_nonce, exchange.new_nonce)
        return key, iv


def _read_inner(server_key: ServerKey, encrypted: bytes) -> Any:
    """Decrypt `p_q_inner_data` in either padding: RSA_PAD or the older SHA-1 one.

    Source: https://core.telegram.org/mtproto/auth_key#41-rsa-paddata-server-public-key-mentioned-above-is-implemented-as-follows
    """
    try:
        block = server_key.decrypt(encrypted)
    except ValueError as error:
        raise HandshakeError(NOT_FOUND, str(error)) from None
    temp_xor, ciphertext = block[:32], block[32:]
    digest = sha256(ciphertext).digest()
    temp_key = bytes(a ^ b for a, b in zip(temp_xor, digest, strict=True))
    with_hash = cryptg.decrypt_ige(ciphertext, temp_key, bytes(32))
    padded = with_hash[:192][::-1]
    if sha256(temp_key + padded).digest() == with_hash[192:]:
        return _read_object(padded, INNER_DATA)[0]
    return _read_hashed(block[1:], INNER_DATA)


def _read_hashed(plain: bytes, expected: tuple[type, ...]) -> Any:
    """Read SHA-1, an object and padding; the SHA-1 is of the object alone."""
    value, end = _read_object(plain[20:], expected)
    if sha1(plain[20 : 20 + end]).digest() != plain[:20]:
        raise HandshakeError(NOT_FOUND, "wrong SHA-1")
    return value


def _read_object(plain: bytes, expected: tuple[type, ...]) -> tuple[Any, int]:
    reader = BinaryReader(plain)
    try:
        value = reader.tgread_object()
    except Exception as error:
        raise HandshakeError(NOT_FOUND, "unreadable inner data") from error
    if not isinstance(value, expected):
        raise HandshakeError(NOT_FOUND, "unexpected inner data")
    return value, reader.tell_position()


def _new_nonce_hash(new_nonce: int, number: int, key: AuthKey) -> int:
    data = new_nonce.to_bytes(32, "little", signed=True) + struct.pack("<B", number)
    return int.from_bytes(sha1(data + key.aux_hash).digest()[4:20], "little", signed=True)


def _nonce_fail_hash(new_nonce: int) -> int:
    data = new_nonce.to_bytes(32, "little", signed=True)
    return int.from_bytes(sha1(data).digest()[4:20], "little", signed=True)


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _int(data: bytes) -> int:
    return int.from_bytes(data, "big")


def random_prime() -> int:
    """Return a prime just below 2^31, so that a product of two is below 2^63."""
    while True:
        candidate = random.randrange(1 << 30, 1 << 31) | 1
        if _is_prime(candidate):
            return candidate


def _is_prime(n: int) -> bool:
    """Miller-Rabin, exact below 3 215 031 751 with these bases."""
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for base in (2, 3, 5, 7):
        x = pow(base, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True
