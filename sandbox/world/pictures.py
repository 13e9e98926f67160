"""Small files that really open: JPEG pictures, Ogg Opus voice notes, a PDF.

The pictures are mosaics of one colour per 8×8 block, the voice notes silence; every file carries
its own number, so that no two are alike.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache

# Baseline JPEG: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annexes B, F and K.3.1
_DC_COUNTS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
_DC_VALUES = bytes(range(12))
_AC_COUNTS = bytes([1]) + bytes(15)  # a single code, "0": end of block
_AC_VALUES = bytes([0])


def _dc_codes() -> list[tuple[int, int]]:
    codes, code, values = [(0, 0)] * 12, 0, iter(_DC_VALUES)
    for length, count in enumerate(_DC_COUNTS, 1):
        for _ in range(count):
            codes[next(values)] = (code, length)
            code += 1
        code <<= 1
    return codes


_DC = _dc_codes()


class _Bits:
    def __init__(self) -> None:
        self.out, self.value, self.count = bytearray(), 0, 0

    def put(self, value: int, length: int) -> None:
        self.value = self.value << length | value
        self.count += length
        while self.count >= 8:
            self.count -= 8
            byte = self.value >> self.count & 0xFF
            self.out.append(byte)
            if byte == 0xFF:
                self.out.append(0)
        self.value &= (1 << self.count) - 1

    def difference(self, value: int) -> None:
        size = abs(value).bit_length()
        self.put(*_DC[size])
        if size:
            self.put(value if value > 0 else value + (1 << size) - 1, size)
        self.put(0, 1)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


@lru_cache(maxsize=64)
def _mosaic(seed: int, width: int, height: int) -> tuple[bytes, bytes]:
    """The JPEG before and after its comment."""
    bits, last = _Bits(), [0, 0, 0]
    hue, tilt = seed * 0.7, 0.3 + seed % 5 * 0.2
    for row in range((height + 7) // 8):
        for column in range((width + 7) // 8):
            x, y = column * 8 / width, row * 8 / height
            wave = math.sin(6 * (x + tilt * y) + seed) + math.cos(9 * x * y + hue)
            levels = (
                int(50 * wave),
                int(55 * math.sin(hue + 2 * y)),
                int(55 * math.cos(hue + 2 * x)),
            )
            for part in range(3):
                bits.difference(levels[part] - last[part])
                last[part] = levels[part]
    bits.put(0x7F, 7)
    head = b"\xff\xd8" + _segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
    frame = struct.pack(">BHHB", 8, height, width, 3)
    tail = (
        _segment(0xDB, b"\0" + bytes([8]) * 64)
        + _segment(0xC0, frame + b"".join(bytes([part, 0x11, 0]) for part in (1, 2, 3)))
        + _segment(0xC4, b"\0" + _DC_COUNTS + _DC_VALUES)
        + _segment(0xC4, b"\x10" + _AC_COUNTS + _AC_VALUES)
        + _segment(0xDA, b"\x03\x01\0\x02\0\x03\0\0\x3f\0")
        + bytes(bits.out)
        + b"\xff\xd9"
    )
    return head, tail


def jpeg(seed: int, width: int, height: int, number: int = 0) -> bytes:
    """A picture of this size; `number` makes the file unique."""
    head, tail = _mosaic(seed, width, height)
    return head + _segment(0xFE, f"sandbox {number}".encode()) + tail


_CRC = []
for _index in range(256):
    _value = _index << 24
    for _ in range(8):
        _value = (_value << 1 ^ 0x04C11DB7 if _value & 0x80000000 else _value << 1) & 0xFFFFFFFF
    _CRC.append(_value)


def _page(kind: int, position: int, serial: int, number: int, packets: list[bytes]) -> bytes:
    table = bytes(len(packet) for packet in packets)  # all packets here are below 255 bytes
    page = struct.pack("<4sBBqIIIB", b"OggS", 0, kind, position, serial, number, 0, len(table))
    page += table + b"".join(packets)
    crc = 0
    for byte in page:
        crc = (crc << 8 ^ _CRC[(crc >> 24) ^ byte]) & 0xFFFFFFFF
    return page[:22] + struct.pack("<I", crc) + page[26:]


def voice(seconds: int, number: int = 0) -> bytes:
    """Silence as Ogg Opus, as Telegram's voice notes are. https://www.rfc-editor.org/rfc/rfc7845"""
    head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 0, 48_000, 0, 0)
    vendor = f"sandbox {number}".encode()
    tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
    serial = number & 0xFFFFFFFF
    pages = [_page(2, 0, serial, 0, [head]), _page(0, 0, serial, 1, [tags])]
    silence = b"\xf8\xff\xfe"  # one frame of 20 ms
    for second in range(seconds):
        last = 4 if second == seconds - 1 else 0
        pages.append(_page(last, (second + 1) * 48_000, serial, second + 2, [silence] * 50))
    return b"".join(pages)


def pdf(title: str, number: int = 0) -> bytes:
    """A one-page PDF with a line of text."""
    line = title.encode("latin-1", "replace").replace(b"(", b"[").replace(b")", b"]")
    stream = b"BT /F1 18 Tf 60 760 Td (" + line + b") Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = b"%%PDF-1.4\n%% sandbox %d\n" % number, []
    for index, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (index, body)
    rows = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, rows)
    out += b"trailer << /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    return out + b"startxref\n%d\n%%%%EOF\n" % start
