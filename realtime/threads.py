"""Threads for what would hold up the web loop: reading the log, looking things up, login steps.

Django's own `sync_to_async` has one thread for all; a login that waits for Telegram would stop
every socket there.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections, connection

P = ParamSpec("P")
R = TypeVar("R")

# One for the log: with more, SQLite is slower, for it drops the GIL at each row.
_log = ThreadPoolExecutor(1, thread_name_prefix="events")
_LOOKUPS = 2
_lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="realtime")
_steps = ThreadPoolExecutor(16, thread_name_prefix="realtime-login")


async def read_log(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that reads the event log."""
    return await _kept(_log, function, *args, **kwargs)


async def look_up(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that asks the database and never Telegram."""
    return await _kept(_lookups, function, *args, **kwargs)


async def _kept(
    executor: ThreadPoolExecutor, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Keep the connection, unless there were errors: a new one takes longer than most questions."""

    def run() -> R:
        try:
            return function(*args, **kwargs)
        finally:
            if connection.errors_occurred:
                connection.close()

    return await asyncio.get_running_loop().run_in_executor(executor, run)


async def step(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that may wait for Telegram."""

    def run() -> R:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(_steps, run)


def close_connections() -> None:
    """Close the connections that are kept."""
    together = threading.Barrier(_LOOKUPS, timeout=10)

    def close() -> None:
        together.wait()  # or one thread would take the turns of all
        connection.close()

    for closing in [_lookups.submit(close) for _ in range(_LOOKUPS)]:
        closing.result(10)
    _log.submit(lambda: connection.close()).result(10)
