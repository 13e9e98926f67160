"""How many pages a session asks for at once: as many as the way to Telegram and back holds.

Pages that only wait in line make other calls on the session wait longer, and nothing faster.
"""

import asyncio
import time

from engine import telegram
from scraper import loop

FIRST_DEPTH = 4
MAX_DEPTH = 32
FEW_IN_LINE = 2.0
MANY_IN_LINE = 5.0
FADE = 1.002


class Pace:
    """The depth of one session. To be used on the scraper's loop alone.

    `depth` grows while the answers of a page come as fast as when it is alone, and shrinks when
    they begin to stand in line (as TCP Vegas does); to one after a flood wait, and for as long
    as somebody waits for another call on the session. `listeners` are told when a page is over.
    """

    def __init__(self, session_id: int) -> None:
        self.session_id = session_id
        self.depth = float(FIRST_DEPTH)
        self.in_flight = 0
        self.flood_until = 0.0
        self.listeners: set[asyncio.Event] = set()
        self._rest_until = 0.0
        self._quickest = float("inf")

    @property
    def flood_seconds(self) -> float:
        """For how long Telegram wants to be left alone."""
        return max(0.0, self.flood_until - time.time())

    @property
    def rest_seconds(self) -> float:
        """For how long no page is to be asked for, whatever the reason."""
        return max(self.flood_seconds, self._rest_until - time.monotonic())

    def may_begin(self) -> bool:
        """Tell whether one more page may be asked for now."""
        limit = 1 if telegram.waited_for(self.session_id) else int(self.depth)
        return self.in_flight < limit and self.rest_seconds <= 0

    def begin(self) -> float:
        """Count a page in; return when it began, for `end`."""
        self.in_flight += 1
        return time.monotonic()

    def end(self, began: float, *, answered: bool) -> None:
        """Count a page out, and learn from how long it took when it was answered."""
        seconds = time.monotonic() - began
        if answered:
            self._learn(seconds)
        self.in_flight -= 1
        for listener in self.listeners:
            listener.set()

    def flooded(self, seconds: float) -> None:
        """Take a pause, and begin again with one page at a time."""
        self.flood_until = max(self.flood_until, time.time() + seconds)
        self.depth = 1.0

    def rest(self, seconds: float) -> None:
        """Take a pause of our own: something failed."""
        self._rest_until = max(self._rest_until, time.monotonic() + seconds)

    def _learn(self, seconds: float) -> None:
        # What was quick once need not stay so: the memory of it fades.
        self._quickest = min(seconds, self._quickest * FADE)
        in_line = self.in_flight * (1 - self._quickest / seconds) if seconds else 0.0
        if in_line > MANY_IN_LINE:
            self.depth = max(2.0, self.depth - 0.5)
        elif in_line < FEW_IN_LINE and self.in_flight >= self.depth - 1:
            self.depth = min(float(MAX_DEPTH), self.depth + 1)


_paces: dict[int, Pace] = {}


def pace_of(session_id: int) -> Pace:
    """Return the pace of a session: one for all that is read through it."""
    return _paces.setdefault(session_id, Pace(session_id))


loop.on_stop(_paces.clear)
