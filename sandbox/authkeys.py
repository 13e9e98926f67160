"""Authorization keys as the transport sees them: key material, salts, layer, sessions."""

from __future__ import annotations

import struct
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

from sandbox.rpc import ClientInfo

if TYPE_CHECKING:
    from sandbox.session import Session

SALT_SECONDS = 1800
"""A salt is current for half an hour and accepted for another half.

Source: https://core.telegram.org/mtproto/description#server-salt
"""


class AuthKey:
    """A 2048-bit key shared with one client, valid on one data centre.

    `key_id` is the signed 64-bit id; `layer` and `client` belong to the key, not to a
    connection: a client that reconnects need not send `initConnection` again.
    """

    def __init__(self, data: bytes, dc: int, *, expires_at: float = 0) -> None:
        if len(data) != 256:
            raise ValueError("an auth key has 256 bytes")
        digest = sha1(data).digest()
        self.data = data
        self.dc = dc
        self.expires_at = expires_at  # temporary keys only; Unix seconds
        self.aux_hash = digest[:8]
        self.key_id: int = struct.unpack("<q", digest[12:20])[0]
        self.id_bytes = digest[12:20]
        self.layer = 0
        self.client = ClientInfo()
        self.sessions: dict[int, Session] = {}
        # The parts of the key that MTProto 2.0 hashes, for messages from (0) and to (8) clients.
        self.check = (data[88:120], data[96:128])
        self.head = (data[0:36], data[8:44])
        self.tail = (data[40:76], data[48:84])
        self._salt_epoch = 0
        self._current: tuple[int, int] = (-1, 0)

    def __repr__(self) -> str:
        return f"<AuthKey {self.key_id} of DC {self.dc}>"

    def _salt(self, period: int) -> int:
        seed = self.data[:64] + struct.pack("<qq", self._salt_epoch, period)
        value: int = struct.unpack("<q", sha256(seed).digest()[:8])[0]
        return value

    def salt(self, now: float) -> int:
        """Return the salt for new messages."""
        period = int(now) // SALT_SECONDS
        if self._current[0] != period:
            self._current = (period, self._salt(period))
        return self._current[1]

    def accepts_salt(self, salt: int, now: float) -> bool:
        """Tell whether a message may carry `salt`: the current or the previous one."""
        period = int(now) // SALT_SECONDS
        return salt == self.salt(now) or salt == self._salt(period - 1)

    def future_salts(self, count: int, now: float) -> list[tuple[int, int, int]]:
        """Return `(valid_since, valid_until, salt)` of the current and following salts."""
        period = int(now) // SALT_SECONDS
        return [
            (n * SALT_SECONDS, (n + 2) * SALT_SECONDS, self._salt(n))
            for n in range(period, period + count)
        ]

    def rotate_salts(self) -> None:
        """Make every salt that the client knows invalid at once."""
        self._salt_epoch += 1
        self._current = (-1, 0)
