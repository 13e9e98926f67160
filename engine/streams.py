"""Bytes from one thread to another, never more in flight than the reader gave credit for."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future

MAX_CHUNK_BYTES = 256 * 1024
WINDOW = 8
"""Chunks in flight: a reader that stands still holds at most 2 MB."""


class PipeClosed(Exception):
    """The reader has gone: nobody wants more bytes."""


class UploadAborted(Exception):
    """The bytes of an upload ended before they were complete."""


class Pipe:
    """A bounded queue of chunks between two threads (or two tasks of one loop).

    One writer calls `send` (a coroutine) or `put` (blocking), then `finish`; one reader
    iterates. Either side may end it: the reader by `close`, the writer by `finish(error)`, which
    raises the error at the reader. `on_take` is told of each chunk that was read (a socket gives
    credit then).
    """

    def __init__(self, window: int = WINDOW, on_take: Callable[[], object] | None = None) -> None:
        self.window = window
        self.on_take = on_take
        self._lock = threading.Lock()
        self._chunks: deque[bytes] = deque()
        self._finished = False
        self._closed = False
        self._error: BaseException | None = None
        self._waiter: Future[None] | None = None

    # the writer

    async def send(self, chunk: bytes) -> None:
        """Hand over bytes, waiting for credit; PipeClosed when the reader has gone."""
        for piece in pieces(chunk):
            while (waiter := self._try_put(piece)) is not None:
                await asyncio.wrap_future(waiter)

    def put(self, chunk: bytes, timeout_seconds: float | None = None) -> None:
        """Do as `send`, blocking this thread; TimeoutError when the reader does not read."""
        for piece in pieces(chunk):
            while (waiter := self._try_put(piece)) is not None:
                waiter.result(timeout_seconds)

    def offer(self, chunk: bytes) -> bool:
        """Hand over one chunk at once; False when there is no credit for it."""
        with self._lock:
            if self._finished or self._closed:
                return True
            if len(self._chunks) >= self.window:
                return False
            self._chunks.append(chunk)
            self._wake()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """End the bytes. What was sent before is still read, `error` raised after it."""
        with self._lock:
            if not self._finished:
                self._finished = True
                self._error = error
                self._wake()

    @property
    def closed(self) -> bool:
        """Whether the reader has gone."""
        return self._closed

    # the reader

    async def receive(self) -> bytes | None:
        """Return the next chunk, None at the end; raises what the writer finished with."""
        while True:
            with self._lock:
                if self._chunks:
                    chunk = self._chunks.popleft()
                    self._wake()
                    break
                if self._finished or self._closed:
                    if self._error is not None and not self._closed:
                        raise self._error
                    return None
                waiter = self._wait()
            await asyncio.wrap_future(waiter)
        if self.on_take is not None:
            self.on_take()
        return chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self.receive()) is not None:
            yield chunk

    def close(self) -> None:
        """Take no more: the writer's next `send` raises PipeClosed."""
        with self._lock:
            self._closed = True
            self._chunks.clear()
            self._wake()

    # Only one side ever waits (the queue is full or empty), so one waiter is enough.

    def _try_put(self, chunk: bytes) -> Future[None] | None:
        with self._lock:
            if self._closed or self._finished:
                raise PipeClosed
            if len(self._chunks) >= self.window:
                return self._wait()
            self._chunks.append(chunk)
            self._wake()
            return None

    def _wait(self) -> Future[None]:
        if self._waiter is None or self._waiter.done():
            self._waiter = Future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and waiter.set_running_or_notify_cancel():
            waiter.set_result(None)


def pieces(chunk: bytes) -> Iterator[bytes]:
    """Cut `chunk` into parts of at most MAX_CHUNK_BYTES; nothing for no bytes."""
    if 0 < len(chunk) <= MAX_CHUNK_BYTES:
        yield bytes(chunk)
        return
    view = memoryview(chunk)
    for start in range(0, len(chunk), MAX_CHUNK_BYTES):
        yield bytes(view[start : start + MAX_CHUNK_BYTES])
