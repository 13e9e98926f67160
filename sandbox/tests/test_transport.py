"""Framing: every transport, cut anywhere."""

import os
import struct
from hashlib import sha256
from zlib import crc32

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given
from hypothesis import strategies as st

from sandbox.transport import ABRIDGED, INTERMEDIATE, PADDED, Framing, TransportError

PACKETS = [os.urandom(24 + 16 * n) for n in (0, 1, 40)] + [os.urandom(24 + 1024 * 1024)]


def abridged(payload, quick=False):
    words = len(payload) // 4
    flag = 0x80 if quick else 0
    if words < 127:
        return bytes((words | flag,)) + payload
    return bytes((0x7F | flag,)) + words.to_bytes(3, "little") + payload


def intermediate(payload, quick=False):
    return struct.pack("<I", len(payload) | (0x80000000 if quick else 0)) + payload


def padded(payload, quick=False):
    return intermediate(payload + os.urandom(len(payload) % 7 + 3), quick)


def full(payload, number):
    framed = struct.pack("<ii", len(payload) + 12, number) + payload
    return framed + struct.pack("<I", crc32(framed))


def obfuscated(tag, stream):
    """Return the bytes of an obfuscated client, and its cipher for answers."""
    header = bytearray(os.urandom(64))
    header[0], header[4] = 0x11, 0x11
    key, reverse = bytes(header[8:56]), bytes(header[8:56])[::-1]
    encrypt = Cipher(AES(key[:32]), CTR(key[32:])).encryptor().update
    decrypt = Cipher(AES(reverse[:32]), CTR(reverse[32:])).encryptor().update
    header[56:60] = tag
    header[56:64] = encrypt(bytes(header))[56:64]
    return bytes(header) + encrypt(stream), decrypt


def streams():
    yield "abridged", b"\xef" + b"".join(map(abridged, PACKETS))
    yield "intermediate", INTERMEDIATE + b"".join(map(intermediate, PACKETS))
    yield "padded intermediate", PADDED + b"".join(map(padded, PACKETS))
    yield "full", b"".join(full(p, n) for n, p in enumerate(PACKETS))
    for tag, frame in ((ABRIDGED, abridged), (INTERMEDIATE, intermediate), (PADDED, padded)):
        name = {ABRIDGED: "abridged", INTERMEDIATE: "intermediate"}.get(tag, "padded intermediate")
        yield f"obfuscated {name}", obfuscated(tag, b"".join(map(frame, PACKETS)))[0]


STREAMS = dict(streams())


@pytest.mark.parametrize("variant", STREAMS)
@pytest.mark.parametrize("step", [1 << 24, 65536, 7919])
def test_each_transport_gives_its_packets(variant, step):
    stream = STREAMS[variant]
    framing = Framing()
    found = []
    for start in range(0, len(stream), step):
        found += framing.feed(stream[start : start + step])
    assert framing.variant == variant
    assert [packet.payload for packet in found] == PACKETS


@given(cuts=st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_the_stream_may_be_cut_anywhere(cuts):
    for variant, stream in [
        ("abridged", b"\xef" + b"".join(map(abridged, PACKETS[:3]))),
        ("full", b"".join(full(p, n) for n, p in enumerate(PACKETS[:3]))),
        ("obfuscated abridged", obfuscated(ABRIDGED, b"".join(map(abridged, PACKETS[:3])))[0]),
    ]:
        framing, found, position, index = Framing(), [], 0, 0
        while position < len(stream):
            step = cuts[index % len(cuts)]
            found += framing.feed(stream[position : position + step])
            position, index = position + step, index + 1
        assert framing.variant == variant
        assert [packet.payload for packet in found] == PACKETS[:3]


def test_answers_are_framed_alike():
    for tag, cut in ((b"\xef", 1), (INTERMEDIATE, 4)):
        framing = Framing()
        list(framing.feed(tag + (abridged if cut == 1 else intermediate)(PACKETS[0])))
        expected = (abridged if cut == 1 else intermediate)(PACKETS[1])
        assert framing.frame(PACKETS[1]) == expected
    stream, decrypt = obfuscated(INTERMEDIATE, intermediate(PACKETS[0]))
    framing = Framing()
    list(framing.feed(stream))
    assert decrypt(framing.frame(PACKETS[2])) == intermediate(PACKETS[2])
    framing = Framing()
    list(framing.feed(full(PACKETS[0], 0)))
    assert framing.frame(PACKETS[1]) == full(PACKETS[1], 0)
    assert framing.frame(PACKETS[2]) == full(PACKETS[2], 1)


def test_a_quick_ack_is_wanted_and_framed():
    framing = Framing()
    (packet,) = framing.feed(b"\xef" + abridged(PACKETS[1], quick=True))
    assert packet == (PACKETS[1], True)
    assert framing.frame_quick_ack(b"\x01\x02\x03\x04") == b"\x84\x03\x02\x01"
    framing = Framing()
    (packet,) = framing.feed(INTERMEDIATE + intermediate(PACKETS[3], quick=True))
    assert packet.quick_ack
    assert framing.frame_quick_ack(b"\x01\x02\x03\x04") == b"\x01\x02\x03\x84"


def test_it_refuses_a_wrong_checksum():
    framed = bytearray(full(PACKETS[1], 0))
    framed[-1] ^= 1
    with pytest.raises(TransportError):
        list(Framing().feed(bytes(framed)))


def test_it_refuses_a_wrong_packet_number():
    with pytest.raises(TransportError):
        list(Framing().feed(full(PACKETS[0], 0) + full(PACKETS[1], 2)))


def test_it_refuses_a_packet_that_is_too_long():
    with pytest.raises(TransportError):
        list(Framing().feed(INTERMEDIATE + struct.pack("<I", 17 * 1024 * 1024)))


def test_it_refuses_an_unknown_obfuscated_transport():
    with pytest.raises(TransportError):
        list(Framing().feed(obfuscated(b"\x01\x02\x03\x04", b"")[0]))


def test_a_proxy_secret_changes_the_keys():
    from sandbox.transport import open_obfuscated

    secret = os.urandom(16)
    header = bytearray(os.urandom(64))
    material = bytes(header[8:56])
    key = sha256(material[:32] + secret).digest()
    encrypt = Cipher(AES(key), CTR(material[32:48])).encryptor().update
    header[56:62] = PADDED + struct.pack("<h", -2)
    header[56:64] = encrypt(bytes(header))[56:64]
    streams = open_obfuscated(bytes(header), secret)
    assert (streams.tag, streams.dc) == (PADDED, -2)
    assert streams.decrypt(encrypt(b"hello")) == b"hello"
    assert open_obfuscated(bytes(header), bytes(16)).tag != PADDED
