"""One event loop, in a thread of its own, for what outlives a request: fills and jobs.

Streams on the web loop, synchronous views and commands all meet here, so that who asks for the
same range joins one fill, whichever loop or thread they come from.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import uvloop

from core.threads import DatabaseThreads

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def start() -> asyncio.AbstractEventLoop:
    """Return the loop, started with its first use."""
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            _loop = uvloop.new_event_loop()
            _thread = threading.Thread(target=_main, args=(_loop,), name="scraper", daemon=True)
            _thread.start()
        return _loop


def _main(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def stop(deadline_seconds: float = 5.0) -> None:
    """Cancel what runs, end the thread and close the reader's connections. It can start again."""
    global _loop, _thread
    with _lock:
        loop, thread = _loop, _thread
        _loop = _thread = None
    if loop is None or thread is None:
        return
    asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(deadline_seconds)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(deadline_seconds)
    if not thread.is_alive():
        loop.close()
    for forget in _on_stop:
        forget()
    for threads in (_asker, _reader):
        threads.close_connections(deadline_seconds)


_on_stop: list[Callable[[], None]] = []


def on_stop(forget: Callable[[], None]) -> None:
    """Have `forget` called when the loop has stopped: what was bound to it is of no use."""
    _on_stop.append(forget)


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def submit(work: Coroutine[Any, Any, T]) -> "Future[T]":
    """Run a coroutine on the loop. Cancelling the future cancels it there."""
    loop = start()
    # A clean context: asgiref would run the caller's ORM calls on a thread that waits for us.
    return contextvars.Context().run(asyncio.run_coroutine_threadsafe, work, loop)


async def here(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop and wait for it on this one; cancelling reaches it.

    What it returned in the very moment of a cancellation is closed, where it can be.
    """
    if asyncio.get_running_loop() is _loop:
        return await work
    came: list[T] = []

    async def run() -> T:
        result = await work
        came.append(result)
        return result

    future = submit(run())
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        # Behind the cancellation, which stands in the loop's line by now.
        start().call_soon_threadsafe(_close_all, came)
        raise


def _close_all(came: list[Any]) -> None:
    for result in came:
        close = getattr(result, "close", None)
        if close is not None:
            close()


_reader = DatabaseThreads("scraper-read")
"""All paging through cached rows: with more threads SQLite is slower, it drops the GIL at each."""

_asker = DatabaseThreads("scraper-ask")
"""Short questions, which would stand in line behind the pages of every stream."""


async def read(function: Callable[..., T], *args: Any) -> T:
    """Run a synchronous function that asks the database something short, in a thread."""
    return await _asker.run(function, *args)


async def read_page(function: Callable[..., T], *args: Any) -> T:
    """Do as `read` for a page of a stream, in turn with the pages of all others."""
    return await _reader.run(function, *args)
