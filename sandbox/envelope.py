"""MTProto 2.0 envelopes: from encrypted packets to messages and back.

Source: https://core.telegram.org/mtproto/description
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import cryptg

from sandbox.authkeys import AuthKey

CONTAINER = b"\xdc\xf8\xf1\x73"
FROM_CLIENT, TO_CLIENT = 0, 1
_INNER = struct.Struct("<qqqii")
_MESSAGE = struct.Struct("<qii")


class Message(NamedTuple):
    msg_id: int
    seq_no: int
    body: bytes


class Envelope(NamedTuple):
    """A decrypted packet; `token` identifies it in a quick acknowledgement."""

    salt: int
    session_id: int
    message: Message
    token: bytes


def _aes(key: AuthKey, msg_key: bytes, side: int) -> tuple[bytes, bytes]:
    a = sha256(msg_key + key.head[side]).digest()
    b = sha256(key.tail[side] + msg_key).digest()
    return a[:8] + b[8:24] + a[24:32], b[:8] + a[8:24] + b[24:32]


def decrypt(key: AuthKey, packet: bytes, side: int = FROM_CLIENT) -> Envelope:
    """Open a packet (auth key id, msg_key, ciphertext).

    Raises ValueError when it is malformed, altered or made with another key.
    Source: https://core.telegram.org/mtproto/security_guidelines
    """
    msg_key, ciphertext = packet[8:24], packet[24:]
    if len(ciphertext) < 48 or len(ciphertext) % 16:
        raise ValueError("wrong packet length")
    plain = cryptg.decrypt_ige(ciphertext, *_aes(key, msg_key, side))
    large = sha256(key.check[side] + plain).digest()
    if large[8:24] != msg_key:
        raise ValueError("wrong msg_key")
    salt, session_id, msg_id, seq_no, length = _INNER.unpack_from(plain)
    if length < 0 or length % 4 or not 12 <= len(plain) - 32 - length <= 1024:
        raise ValueError("wrong message length")
    return Envelope(salt, session_id, Message(msg_id, seq_no, plain[32 : 32 + length]), large[:4])


def encrypt(
    key: AuthKey, salt: int, session_id: int, message: Message, side: int = TO_CLIENT
) -> bytes:
    """Close one message into a packet."""
    msg_id, seq_no, body = message
    padding = 12 + -(len(body) + 32 + 12) % 16
    plain = b"".join(
        (_INNER.pack(salt, session_id, msg_id, seq_no, len(body)), body, os.urandom(padding))
    )
    msg_key = sha256(key.check[side] + plain).digest()[8:24]
    return key.id_bytes + msg_key + cryptg.encrypt_ige(plain, *_aes(key, msg_key, side))


def pack(messages: Sequence[Message]) -> bytes:
    """Put messages into the body of a container.

    Source: https://core.telegram.org/mtproto/service_messages#containers
    """
    parts = [CONTAINER, struct.pack("<i", len(messages))]
    for msg_id, seq_no, body in messages:
        parts += (_MESSAGE.pack(msg_id, seq_no, len(body)), body)
    return b"".join(parts)


def unpack(body: bytes) -> list[Message]:
    """Take the messages out of a container's body.

    Raises ValueError when the counts and lengths do not fit.
    """
    (count,) = struct.unpack_from("<i", body, 4)
    messages, position = [], 8
    for _ in range(count):
        if position + 16 > len(body):
            raise ValueError("container is cut off")
        msg_id, seq_no, length = _MESSAGE.unpack_from(body, position)
        position += 16
        if length < 4 or length % 4 or position + length > len(body):
            raise ValueError("wrong length in container")
        messages.append(Message(msg_id, seq_no, body[position : position + length]))
        position += length
    if count < 0 or position != len(body):
        raise ValueError("container has a wrong count")
    return messages
