"""The process's one writer: jobs from any thread, a few short transactions.

Writers that meet in the database wait for each other and fail; one thread does not.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction

from core import events
from core.errors import Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_ITEMS = 500
RETRY_SECONDS = 30.0
# sqlite3.Error.sqlite_errorcode: busy, locked. PostgreSQL classes: connection, rollback,
# out of resources, shutting down.
_SQLITE_BUSY = {5, 6}
_POSTGRES_TRANSIENT = ("08", "40", "53", "57", "55P03")


@dataclass(slots=True, eq=False)
class _Job:
    """`grouped` jobs hand their `item` to a handler that takes many of them."""

    run: Callable[..., Any]
    item: Any
    grouped: bool
    future: Future[Any] = field(default_factory=Future)
    result: Any = None


class Writer:
    """One thread that runs jobs in transactions which it shares among them.

    A job uses the ORM, may call `events.append`, and may run more than once: when a
    transaction fails it is rolled back and its jobs are tried in halves, until the one
    that cannot be stored stands alone and fails alone. Its future is resolved after the
    commit. `transaction.on_commit` works as ever.
    """

    def __init__(
        self,
        name: str = "writer",
        *,
        max_items: int = MAX_ITEMS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self.name = name
        self.max_items = max_items
        self.retry_seconds = retry_seconds
        self._jobs: deque[_Job] = deque()
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._giving_up = threading.Event()

    def start(self) -> None:
        """Start the thread; also after a stop. The first job starts it, too."""
        with self._ready:
            self._closed = False
            self._start()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._giving_up.clear()
            self._thread = threading.Thread(target=self._main, name=self.name, daemon=True)
            self._thread.start()

    @property
    def pending(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Run `job` in a transaction; the future holds its result once that is committed.

        The future fails with Unavailable when the writer is stopped.
        """
        return self._put(_Job(job, None, grouped=False))

    def submit_item(self, handler: Callable[[list[Any]], object], item: Any) -> "Future[None]":
        """Have `handler` store `item` together with the items that wait beside it.

        Neighbouring jobs of one handler become one call `handler([item, ...])`, so
        that a thousand small batches cost one upsert.
        """
        return self._put(_Job(handler, item, grouped=True))

    def _put(self, job: _Job) -> "Future[Any]":
        with self._ready:
            if self._closed:
                job.future.set_exception(Unavailable("The hub is stopping."))
                return job.future
            self._start()
            self._jobs.append(job)
            self._ready.notify()
        return job.future

    def stop(self, deadline_seconds: float = 10.0) -> bool:
        """Take no more jobs, finish those that wait, and tell whether all were finished.

        Jobs that are left at the deadline fail with Unavailable.
        """
        with self._ready:
            self._closed = True
            thread = self._thread
            self._ready.notify()
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(deadline_seconds)
        self._giving_up.set()
        left = []
        with self._ready:
            while self._jobs:
                left.append(self._jobs.popleft())
        for job in left:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(Unavailable("The hub is stopping."))
        return not left and not thread.is_alive()

    def _main(self) -> None:
        try:
            while batch := self._take():
                self._store(batch)
        finally:
            connections.close_all()

    def _take(self) -> list[_Job]:
        """Wait for jobs; an empty list says that the writer is stopped and drained."""
        batch: list[_Job] = []
        with self._ready:
            while not batch:
                while not self._jobs:
                    if self._closed:
                        return []
                    self._ready.wait()
                while self._jobs and len(batch) < self.max_items:
                    job = self._jobs.popleft()
                    if job.future.set_running_or_notify_cancel():
                        batch.append(job)
        return batch

    def _store(self, batch: Sequence[_Job]) -> None:
        try:
            self._store_with_patience(batch)
        except BaseException as error:
            if len(batch) == 1 or _is_transient(error):
                for job in batch:
                    job.future.set_exception(error)
                logger.error("%d jobs failed: %s", len(batch), type(error).__name__, exc_info=error)
                return
            middle = len(batch) // 2
            self._store(batch[:middle])
            self._store(batch[middle:])
        else:
            for job in batch:
                job.future.set_result(job.result)

    def _store_with_patience(self, batch: Sequence[_Job]) -> None:
        """Store `batch`, again and again while only the database's state is in the way."""
        give_up_at = time.monotonic() + self.retry_seconds
        pause = 0.05
        while True:
            try:
                with transaction.atomic(), events.collecting():
                    _run(batch)
                return
            except (OperationalError, InterfaceError) as error:
                if not _is_transient(error) or time.monotonic() + pause > give_up_at:
                    raise
                logger.warning("the database is not available: %s", type(error).__name__)
                connections.close_all()
                if self._giving_up.wait(pause):
                    raise
                pause = min(pause * 2, 2.0)


def _run(batch: Sequence[_Job]) -> None:
    """Run the jobs in order; neighbours with one handler share one call."""
    start = 0
    while start < len(batch):
        job = batch[start]
        end = start + 1
        if not job.grouped:
            job.result = job.run()
        else:
            while end < len(batch) and batch[end].grouped and batch[end].run == job.run:
                end += 1
            job.run([other.item for other in batch[start:end]])
        start = end


def _is_transient(error: BaseException) -> bool:
    """Tell whether the same job may succeed later: the database is busy or away."""
    if not isinstance(error, DatabaseError | InterfaceError):
        return False
    cause = error.__cause__
    sqlite_code = getattr(cause, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return sqlite_code & 0xFF in _SQLITE_BUSY
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(cause, "sqlstate", None)
    return state is None or str(state).startswith(_POSTGRES_TRANSIENT)


writer = Writer()
