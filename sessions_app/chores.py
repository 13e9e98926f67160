"""What rooms above have to do every few seconds while a hub runs: lapsed logins, queued jobs."""

import logging
from collections.abc import Callable

from engine.errors import EngineError

logger = logging.getLogger(__name__)

Chore = Callable[[], object]

_chores: list[Chore] = []


def register_chore(chore: Chore) -> None:
    """Have `chore` called by the housekeeping of each node (from `AppConfig.ready()`).

    It must be quick: it shares its thread with the others, and no transaction is open.
    """
    if chore not in _chores:
        _chores.append(chore)


def run_chores() -> None:
    """Call every chore; one that fails stops no other."""
    for chore in _chores:
        try:
            chore()
        except EngineError as exc:
            logger.info("%s goes on later: %s", chore.__name__, exc.code)
        except Exception:
            logger.exception("%s failed", chore.__name__)
