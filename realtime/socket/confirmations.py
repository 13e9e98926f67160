"""Cursors move when the client has answered a ping that was sent after the frames.

A WebSocket client answers pings by itself, in order; so its pong says that every frame
before the ping has come.
"""

from collections import deque
from collections.abc import Awaitable, Callable

from realtime import cursors
from realtime.cursors import CursorKey

PREFIX = b"sent:"
MAX_PENDING = 1000


class Confirmations:
    """What was sent to one socket and not confirmed yet."""

    def __init__(self, ping: Callable[[bytes], Awaitable[None]]) -> None:
        self._ping = ping
        self._number = 0
        self._pending: deque[tuple[int, CursorKey, list[int]]] = deque()

    @property
    def overdue(self) -> bool:
        """Whether the client lets pings pile up."""
        return len(self._pending) >= MAX_PENDING

    async def expect(self, key: CursorKey, ids: list[int]) -> None:
        """Ask the client to confirm what was just sent."""
        self._number += 1
        self._pending.append((self._number, key, ids))
        await self._ping(PREFIX + b"%d" % self._number)

    def pong(self, payload: bytes) -> None:
        """Move the cursors over everything that was sent before this ping."""
        number = payload.removeprefix(PREFIX)
        if not payload.startswith(PREFIX) or not number.isdigit():
            return
        moved = []
        while self._pending and self._pending[0][0] <= int(number):
            _, key, ids = self._pending.popleft()
            moved.append((key, ids))
        cursors.move(moved)
