"""How long the engine waits for what: one place, so that tests can use short times."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, where a name does not say otherwise.

    A session is *degraded* when Telegram is ahead of it for `grace`, looked at every `check`;
    a request that Telegram does not answer within `answer` makes the connection half-dead.
    """

    connect: float = 10.0
    check: float = 25.0
    answer: float = 10.0
    grace: float = 5.0
    reconcile: float = 900.0
    reconcile_gap: float = 60.0
    backoff_first: float = 1.0
    backoff_max: float = 300.0
    reconnect_gap: float = 0.25
    reconnect_max: float = 45.0
    flush: float = 2.0
    retry_difference: float = 5.0
    drain: float = 2.0
    login_idle: float = 900.0
    carried_idle: float = 120.0
    carried_max: int = 64
    opening_max: int = 16
    queue_units: int = 2000
    batch_events: int = 500


NORMAL = Timing()


@dataclass(slots=True)
class Backoff:
    """Growing waits with jitter, so that many sessions do not come back at once.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first: float
    longest: float
    tries: int = 0

    def next(self) -> float:
        """Return the next wait in seconds: between half and all of what doubles each time."""
        ceiling = min(self.longest, self.first * 2 ** min(self.tries, 30))
        self.tries += 1
        return random.uniform(ceiling / 2, ceiling)

    def reset(self) -> None:
        self.tries = 0


@dataclass(slots=True)
class Queue:
    """Hands out moments one `gap` apart: links that drop together return one after another."""

    gap: float
    longest: float
    now: Callable[[], float]
    _last: float = float("-inf")

    def wait(self) -> float:
        """Return how many seconds to wait for a turn; the first in a while waits for none."""
        now = self.now()
        turn = max(now, self._last + self.gap * random.uniform(0.6, 1.4))
        if turn - now > self.longest:
            return random.uniform(0, self.longest)
        self._last = turn
        return turn - now
