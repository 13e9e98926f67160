"""How many pages a session asks for at once: as many as the way to Telegram and back holds.

Pages that only wait in line make other calls on the session wait longer, and nothing faster.
"""

import asyncio
import time

from engine import telegram
from scraper import loop

FIRST_DEPTH = 8
MIN_DEPTH = 3
MAX_DEPTH = 32
NO_LINE = 2.0
LONG_LINE = 3.0
"""How much longer than the quickest page one may take: the rest of it is waiting in line."""
FADE = 1.0003


class Pace:
    """The depth of one session. To be used on the scraper's loop alone.

    `depth` grows while the answers of a page come as fast as when it is alone, and shrinks when
    they stand in line for longer than a page takes (as TCP Vegas does); to one after a flood
    wait, and for as long as somebody waits for another call on the session. `listeners` are told
    when a page is over.
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

    @property
    def is_full(self) -> bool:
        """Whether as many pages are on their way as may be."""
        limit = 1 if telegram.waited_for(self.session_id) else int(self.depth)
        return self.in_flight >= limit

    def may_begin(self) -> bool:
        """Tell whether one more page may be asked for now."""
        return not self.is_full and self.rest_seconds <= 0

    def begin(self) -> "Turn":
        """Count a page in; end the turn when its answer is there."""
        self.in_flight += 1
        return Turn(self)

    def end(self, seconds: float, *, answered: bool) -> None:
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
        if seconds > self._quickest * LONG_LINE:
            self.depth = max(float(MIN_DEPTH), self.depth - 0.25)
        elif seconds < self._quickest * NO_LINE and self.in_flight >= self.depth - 1:
            self.depth = min(float(MAX_DEPTH), self.depth + 1)


class Turn:
    """One page, from when it is asked for until it is answered, failed or given up."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._began = time.monotonic()
        self._ended = False

    def end(self, *, answered: bool) -> None:
        """Count the page out, once; the pace learns from how long an answer took."""
        if not self._ended:
            self._ended = True
            self._pace.end(time.monotonic() - self._began, answered=answered)


_paces: dict[int, Pace] = {}


def pace_of(session_id: int) -> Pace:
    """Return the pace of a session: one for all that is read through it."""
    return _paces.setdefault(session_id, Pace(session_id))


loop.on_stop(_paces.clear)
