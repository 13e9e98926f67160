"""What rooms above run beside the engine for as long as a hub serves, such as its webhooks."""

import logging
from collections.abc import Callable

from sessions_app.lease import Lease

logger = logging.getLogger(__name__)

Stop = Callable[[], None]
Start = Callable[[Lease], Stop]

_starts: list[Start] = []


def register_runner(start: Start) -> None:
    """Have `start(lease)` called when a hub begins to serve (from `AppConfig.ready()`).

    It must return at once, with what stops it again within two seconds. The lease may
    not be held yet, and may be lost: ask it before each act that one node alone may do.
    """
    if start not in _starts:
        _starts.append(start)


def start_runners(lease: Lease) -> list[Stop]:
    """Start all of them; one that fails stops no other. Return how to stop them."""
    stops = []
    for start in _starts:
        try:
            stops.append(start(lease))
        except Exception:
            logger.exception("%s did not start", start.__name__)
    return stops


def stop_runners(stops: list[Stop]) -> None:
    for stop in stops:
        try:
            stop()
        except Exception:
            logger.exception("stopping failed")
    stops.clear()
