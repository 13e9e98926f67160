"""Threads for what would hold up the web loop: reading the log, looking things up, login steps.

Django's own `sync_to_async` has one thread for all; a login that waits for Telegram would stop
every socket there.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

P = ParamSpec("P")
R = TypeVar("R")

# One for the log: with more, SQLite is slower, for it drops the GIL at each row.
_log = ThreadPoolExecutor(1, thread_name_prefix="events")
_lookups = ThreadPoolExecutor(2, thread_name_prefix="realtime")
_steps = ThreadPoolExecutor(16, thread_name_prefix="realtime-login")


async def read_log(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that reads the event log; its connection stays open."""

    def run() -> R:
        try:
            return function(*args, **kwargs)
        except (DatabaseError, InterfaceError):
            connection.close()
            raise

    return await asyncio.get_running_loop().run_in_executor(_log, run)


async def look_up(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that asks the database and never Telegram."""
    return await _fresh(_lookups, function, *args, **kwargs)


async def step(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that may wait for Telegram."""
    return await _fresh(_steps, function, *args, **kwargs)


async def _fresh(
    executor: ThreadPoolExecutor, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    def run() -> R:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(executor, run)


def close_connections() -> None:
    """Close the connection of the log's thread."""
    _log.submit(lambda: connection.close()).result(10)
