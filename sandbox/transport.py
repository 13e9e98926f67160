"""How MTProto packets lie on a TCP stream: abridged, intermediate, padded, full, obfuscated.

A `Framing` recognises the variant by the client's first bytes, as Telegram does, and then
cuts the stream into packets. It does no I/O.
Source: https://core.telegram.org/mtproto/mtproto-transports
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple
from zlib import crc32

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

MAX_PACKET = 16 * 1024 * 1024
ABRIDGED, INTERMEDIATE, PADDED = b"\xef\xef\xef\xef", b"\xee\xee\xee\xee", b"\xdd\xdd\xdd\xdd"
NAMES = {ABRIDGED: "abridged", INTERMEDIATE: "intermediate", PADDED: "padded intermediate"}
QUICK_ACK = 0x80000000
Stream = Callable[[bytes], bytes]


class TransportError(Exception):
    """The bytes are no MTProto; the connection has to be closed."""


class Packet(NamedTuple):
    payload: bytes
    quick_ack: bool  # the client wants to hear at once that the packet has come


class Obfuscation(NamedTuple):
    """The two cipher streams of an obfuscated connection, and what its header says."""

    decrypt: Stream
    encrypt: Stream
    tag: bytes
    dc: int


def open_obfuscated(header: bytes, secret: bytes = b"") -> Obfuscation:
    """Read the first 64 bytes of an obfuscated connection, as its server.

    `secret` has the 16 bytes of an MTProxy, or none for a connection to a data centre.
    Source: https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation
    """

    def stream(material: bytes) -> Stream:
        key = sha256(material[:32] + secret).digest() if secret else material[:32]
        update: Stream = Cipher(AES(key), CTR(material[32:48])).encryptor().update
        return update

    decrypt = stream(header[8:56])
    encrypt = stream(header[8:56][::-1])
    plain = decrypt(header)
    (dc,) = struct.unpack("<h", plain[60:62])
    return Obfuscation(decrypt, encrypt, plain[56:60], dc)


class Framing:
    """Cuts one connection's incoming bytes into packets and frames the outgoing ones."""

    def __init__(self) -> None:
        self.variant = ""
        self._buffer = bytearray()
        self._decrypt: Stream | None = None
        self._encrypt: Stream | None = None
        self._tag = b""
        self._received = self._sent = 0

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that are complete now. Raises TransportError."""
        self._buffer += self._decrypt(data) if self._decrypt else data
        if not self._tag and not self._recognise():
            return
        cut = self._cut_full if self._tag == b"full" else self._cut
        while (packet := cut()) is not None:
            yield packet

    def frame(self, payload: bytes) -> bytes:
        """Return the bytes to send for a packet (or for a 4-byte transport error)."""
        if self._tag == ABRIDGED:
            words = len(payload) >> 2
            head = bytes((words,)) if words < 127 else b"\x7f" + words.to_bytes(3, "little")
            framed = head + payload
        elif self._tag == b"full":
            framed = struct.pack("<ii", len(payload) + 12, self._sent) + payload
            framed += struct.pack("<I", crc32(framed))
            self._sent += 1
        elif self._tag == PADDED and len(payload) > 4:
            payload += os.urandom(random.randrange(4))
            framed = struct.pack("<i", len(payload)) + payload
        else:
            framed = struct.pack("<i", len(payload)) + payload
        return self._encrypt(framed) if self._encrypt else framed

    def frame_quick_ack(self, token: bytes) -> bytes:
        """Return the bytes that acknowledge a packet: its token with the highest bit set."""
        value = struct.unpack("<I", token)[0] | QUICK_ACK
        framed = struct.pack(">I" if self._tag == ABRIDGED else "<I", value)
        return self._encrypt(framed) if self._encrypt else framed

    def _recognise(self) -> bool:
        buffer = self._buffer
        if buffer[:1] == b"\xef":
            self._begin(ABRIDGED, "abridged", 1)
        elif len(buffer) < 4:
            return False
        elif bytes(buffer[:4]) in (INTERMEDIATE, PADDED):
            self._begin(bytes(buffer[:4]), NAMES[bytes(buffer[:4])], 4)
        elif len(buffer) < 8:
            return False
        elif buffer[4:8] == b"\0\0\0\0":
            self._begin(b"full", "full", 0)
        elif len(buffer) < 64:
            return False
        else:
            self._begin_obfuscated()
        return True

    def _begin(self, tag: bytes, variant: str, used: int) -> None:
        self._tag, self.variant = tag, variant
        del self._buffer[:used]

    def _begin_obfuscated(self) -> None:
        streams = open_obfuscated(bytes(self._buffer[:64]))
        if streams.tag not in NAMES:
            raise TransportError("unknown transport")
        rest = streams.decrypt(bytes(self._buffer[64:]))
        self._begin(streams.tag, "obfuscated " + NAMES[streams.tag], len(self._buffer))
        self._decrypt, self._encrypt = streams.decrypt, streams.encrypt
        self._buffer += rest

    def _cut(self) -> Packet | None:
        buffer = self._buffer
        if self._tag == ABRIDGED:
            if not buffer:
                return None
            quick_ack, length, head = bool(buffer[0] & 0x80), (buffer[0] & 0x7F) << 2, 1
            if length == 0x7F << 2:
                if len(buffer) < 4:
                    return None
                length, head = int.from_bytes(buffer[1:4], "little") << 2, 4
        else:
            if len(buffer) < 4:
                return None
            length, head = int.from_bytes(buffer[:4], "little"), 4
            quick_ack, length = bool(length & QUICK_ACK), length & ~QUICK_ACK
        if length > MAX_PACKET:
            raise TransportError("packet is too long")
        if len(buffer) < head + length:
            return None
        payload = bytes(buffer[head : head + length])
        del buffer[: head + length]
        if self._tag == PADDED:
            payload = _without_padding(payload)
        return Packet(payload, quick_ack)

    def _cut_full(self) -> Packet | None:
        buffer = self._buffer
        if len(buffer) < 12:
            return None
        length, number = struct.unpack_from("<ii", buffer)
        if not 12 <= length <= MAX_PACKET or number != self._received:
            raise TransportError("wrong length or number of packet")
        if len(buffer) < length:
            return None
        if crc32(buffer[: length - 4]) != struct.unpack_from("<I", buffer, length - 4)[0]:
            raise TransportError("wrong checksum")
        payload = bytes(buffer[8 : length - 4])
        del buffer[:length]
        self._received += 1
        return Packet(payload, False)


def _without_padding(payload: bytes) -> bytes:
    """Take off 0 to 15 random bytes: plain messages tell their length, others fill blocks."""
    if len(payload) >= 20 and payload[:8] == bytes(8):
        return payload[: 20 + int.from_bytes(payload[16:20], "little")]
    return payload[: len(payload) - (len(payload) - 24) % 16] if len(payload) >= 24 else payload
