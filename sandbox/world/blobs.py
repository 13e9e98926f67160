"""File contents: stored bytes, or endless-looking bytes made from a seed when they are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

_BLOCK = 4096


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
        blocks = (self._block(index) for index in range(first, (end - 1) // _BLOCK + 1))
        start = offset - first * _BLOCK
        return b"".join(blocks)[start : start + end - offset]

    def _block(self, index: int) -> bytes:
        return hashlib.shake_128(f"{self.seed}:{index}".encode()).digest(_BLOCK)
