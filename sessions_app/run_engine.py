"""Run the engine of a data directory, or reach the one that runs: for `serve` and commands.

with serving() as node:        # refuses while another process has the directory
    node.start()               # lease, engine, socket, restoring in the background

with engine_for_command():     # the running hub's engine, else one of our own
    telegram.call(...)
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, close_old_connections, connections

from core import events, health
from core.checks import check_stored_secrets
from core.writer import writer
from engine import telegram
from engine.errors import EngineError, Unavailable
from engine.transports.server import UnixServer
from engine.transports.unix import UnixTransport
from sessions_app import alongside, chores, idempotency, login_row, restore
from sessions_app.lease import Lease
from sessions_app.lock import DataDirLock, node_name
from sessions_app.sink import WriterSink
from sessions_app.store import OrmStore

logger = logging.getLogger(__name__)

# For all that `stop` does. What is not stored by then is asked for again after the next start.
STOP_SECONDS = 5.0
SWEEP_SECONDS = 5.0
PRUNE_SECONDS = 600.0


class Node:
    """The engine of one data directory: its lease, its threads, its housekeeping."""

    def __init__(self, data_dir: Path, lock: DataDirLock) -> None:
        self.data_dir = data_dir
        self.lock = lock
        self.lease = Lease(
            name=node_name(data_dir),
            lock_id=lock.lock_id,
            on_lost=self._lost,
            on_held=self._held,
        )
        self._stopping = threading.Event()
        self._restore_now = threading.Event()
        self._keeper: threading.Thread | None = None
        self._socket: UnixServer | None = None
        self._runners: list[alongside.Stop] = []

    def start(self, *, restore_sessions: bool = True) -> None:
        """Start the engine; sessions are restored in the background as soon as the lease is held.

        Calls answer 503 until then. On the machine of the former owner that is at once.
        """
        writer.start()
        telegram.configure(store=OrmStore(self.lease), sink=WriterSink(), guard=self.lease)
        telegram.start()
        path = Path(settings.TELEGRAM["SOCKET"])
        self._socket = UnixServer(telegram.transport(), path, self.lease)
        self._socket.start()
        try:
            self.lease.acquire()
        except Unavailable as exc:
            logger.warning("Waiting for the lease: %s", exc.detail)
        except DatabaseError as exc:
            logger.error("Waiting for the database: %s", type(exc).__name__)
        self.lease.start()
        if restore_sessions:
            self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
            self._keeper.start()
            self._runners = alongside.start_runners(self.lease)

    def wait_for_lease(self, timeout_seconds: float) -> None:
        """Wait until the lease is held; raises Unavailable."""
        until = time.monotonic() + timeout_seconds
        pause = threading.Event()
        while not self.lease.held and time.monotonic() < until:
            pause.wait(0.1)
        self.lease.check()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Drain, disconnect, store what has arrived, free the lease; in this order.

        All of it shares the time: each waits for the database, which may not answer at all.
        """
        until = time.monotonic() + seconds

        def left() -> float:
            return max(0.1, until - time.monotonic())

        self._stopping.set()
        self._restore_now.set()
        runners = threading.Thread(
            target=alongside.stop_runners, args=(self._runners,), name="stop-runners", daemon=True
        )
        runners.start()
        if self._socket is not None:
            self._socket.stop(min(1.0, left()))
            self._socket = None
            telegram.stop(left() * 0.6)
        runners.join(left() * 0.5)
        if self._keeper is not None:
            self._keeper.join(left() * 0.5)
            self._keeper = None
        if not writer.stop(left() * 0.7):
            logger.info("What was not stored is asked for again after the next start")
        self.lease.release(left())

    def _lost(self) -> None:
        telegram.disconnect(self.lease.margin_seconds * 0.75)

    def _held(self, epoch: int) -> None:
        self._restore_now.set()

    def _keep(self) -> None:
        """Restore sessions when the lease was taken, adopt orphans, end what has lapsed."""
        pruned_at = 0.0
        while not self._stopping.is_set():
            close_old_connections()
            try:
                if self.lease.held:
                    if self._restore_now.is_set():
                        self._restore_now.clear()
                        restore.restore_all(stopping=self._stopping)
                    restore.restore_orphans(
                        node=self.lease.name, epoch=self.lease.epoch, stopping=self._stopping
                    )
                    login_row.drop_lapsed_logins()
                    chores.run_chores()
                    if time.monotonic() > pruned_at + PRUNE_SECONDS:
                        pruned_at = time.monotonic()
                        idempotency.prune()
                        events.prune()
            except EngineError as exc:
                logger.info("Housekeeping goes on later: %s", exc.code)
            except Exception:
                logger.exception("Housekeeping failed")
            finally:
                connections.close_all()
            self._restore_now.wait(SWEEP_SECONDS)


@contextlib.contextmanager
def serving() -> Iterator[Node]:
    """Take the data directory for this process and yield its node, not started yet.

    Raises CommandError while another process has the directory, and when the stored
    secrets cannot be opened with the encryption keys that were given.
    """
    with _locked() as lock:
        if lock is None:
            raise CommandError(_taken())
        for error in check_stored_secrets():
            raise CommandError(f"{error.msg} {error.hint}")
        node = Node(settings.DATA_DIR, lock)
        _register_health(node)
        try:
            yield node
        finally:
            health.unregister("engine")
            node.stop()


@contextlib.contextmanager
def engine_for_command() -> Iterator[bool]:
    """Make `telegram` usable in a command; yields whether a running hub's engine serves it.

    Raises CommandError when neither works.
    """
    with _locked() as lock:
        if lock is None:
            with _over_socket():
                yield True
            return
        for error in check_stored_secrets():
            raise CommandError(f"{error.msg} {error.hint}")
        node = Node(settings.DATA_DIR, lock)
        try:
            node.start(restore_sessions=False)
            node.wait_for_lease(node.lease.ttl_seconds + 5)
            yield False
        except Unavailable as exc:
            raise CommandError(exc.detail) from None
        finally:
            node.stop()


@contextlib.contextmanager
def _over_socket() -> Iterator[None]:
    path = Path(settings.TELEGRAM["SOCKET"])
    if not path.exists():
        raise CommandError(_taken())
    telegram.configure(transport=UnixTransport(path))
    telegram.start()
    try:
        yield
    finally:
        telegram.stop(1.0)


@contextlib.contextmanager
def _locked() -> Iterator[DataDirLock | None]:
    """Yield the directory's lock, None while another process has it."""
    lock = DataDirLock(settings.DATA_DIR)
    if not lock.acquire():
        yield None
        return
    try:
        yield lock
    finally:
        lock.release()


def _taken() -> str:
    holder = DataDirLock(settings.DATA_DIR).holder()
    who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
    return (
        f"The data directory {settings.DATA_DIR} is already in use by {who}. Stop it first, or "
        "give this one a DATA_DIR of its own."
    )


def _register_health(node: Node) -> None:
    async def engine() -> None:
        if not telegram.status()["running"]:
            raise health.Unhealthy("not running")
        if not node.lease.held:
            raise health.Unhealthy("waiting for the lease")

    health.register_check("engine", engine)
