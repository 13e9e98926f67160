"""File contents: stored bytes, or endless-looking bytes made from a seed when they are read."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from functools import lru_cache

# Each block begins with the seed and its own number, so that a misplaced part is noticed; the
# rest repeats only behind zlib's window.
_BLOCK = 4096
_FILLER = 32 * _BLOCK
_STAMP = struct.Struct("<QQ")
_MASK = (1 << 64) - 1


@dataclass(slots=True, frozen=True)
class Blob:
    """`size` bytes; `data` when they are stored, else a deterministic stream from `seed`."""

    size: int
    seed: int = 0
    data: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, data: bytes) -> Blob:
        return cls(len(data), 0, data)

    def read(self, offset: int = 0, limit: int | None = None) -> bytes:
        """Bytes `offset` to `offset + limit`, fewer at the end, none behind it."""
        end = self.size if limit is None else min(self.size, offset + limit)
        if offset >= end:
            return b""
        if self.data is not None:
            return self.data[offset:end]
        first = offset // _BLOCK
        filler = _filler(self.seed)
        pieces: list[bytes] = []
        for block in range(first, (end - 1) // _BLOCK + 1):
            start = block * _BLOCK % _FILLER
            pieces.append(_STAMP.pack(self.seed & _MASK, block))
            pieces.append(filler[start + _STAMP.size : start + _BLOCK])
        skip = offset - first * _BLOCK
        return b"".join(pieces)[skip : skip + end - offset]


@lru_cache(maxsize=64)
def _filler(seed: int) -> bytes:
    return hashlib.shake_128(str(seed).encode()).digest(_FILLER)
