"""Threads for what would hold up the web loop: reading the log, looking things up, login steps.

Django's own `sync_to_async` has one thread for all; a login that waits for Telegram would stop
every socket there.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

from core.threads import DatabaseThreads

P = ParamSpec("P")
R = TypeVar("R")

# One for the log: with more, SQLite is slower, for it drops the GIL at each row.
_log = DatabaseThreads("events")
_lookups = DatabaseThreads("realtime", 2)
_steps = ThreadPoolExecutor(16, thread_name_prefix="realtime-login")


async def read_log(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that reads the event log."""
    return await _log.run(function, *args, **kwargs)


async def look_up(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that asks the database and never Telegram."""
    return await _lookups.run(function, *args, **kwargs)


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
    _log.close_connections()
    _lookups.close_connections()
