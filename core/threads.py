"""Threads that ask the database for coroutines, and keep their connections."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
R = TypeVar("R")


class DatabaseThreads:
    """So many threads, each with a connection of its own.

    Connections stay open, however old: to open one takes longer than most questions. One that
    has failed is closed. `name` is the threads' prefix.
    """

    def __init__(self, name: str, count: int = 1) -> None:
        self._count = count
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in the next thread that is free."""

        def run() -> R:
            try:
                return function(*args, **kwargs)
            finally:
                for connection in connections.all(initialized_only=True):
                    if connection.errors_occurred:
                        connection.close_if_unusable_or_obsolete()

        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    def close_connections(self, deadline_seconds: float = 10.0) -> None:
        """Close the connections; the next question opens new ones."""
        together = threading.Barrier(self._count, timeout=deadline_seconds)

        def close() -> None:
            together.wait()  # or one thread would take the turns of all
            connections.close_all()

        for closing in [self._executor.submit(close) for _ in range(self._count)]:
            closing.result(deadline_seconds)
