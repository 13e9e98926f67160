"""The node's lease: the right to hold connections on the auth keys of its sessions.

Two connections on one auth key from two places can end in `AUTH_KEY_DUPLICATED`, which
costs the session. So one row per node says until when, by the database's clock, and
under which epoch it may use the sessions that name it as owner. Renewed by one
conditional UPDATE; an expired lease is never renewed, only taken anew with a higher
epoch, and then every session has to be claimed again.

The holder counts on its own clock, from before the UPDATE was sent, so that its idea of
the end is always earlier than the database's. That clock goes on while the machine
sleeps, and it is asked before each use: a process that was frozen and thawed does
nothing late.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.db.models import F, Q
from django.db.models.functions import Now

from engine.errors import Unavailable
from sessions_app.models import Node, TelegramSession

logger = logging.getLogger(__name__)

TTL_SECONDS = 20.0
RENEW_SECONDS = 4.0
# So long before its end the engine is told to disconnect; closing takes less.
MARGIN_SECONDS = 4.0
# Clocks of two machines run at slightly different speeds.
DRIFT_SECONDS = 1.0


def boot_time() -> float:
    """Seconds on a clock that nobody sets and that goes on while the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Lease:
    """The lease of this process's node; the engine's `Guard`.

    `on_lost()` must bring the connections down within MARGIN_SECONDS; `on_held(epoch)`
    is called after the lease was taken, at first and after each loss. Both are called
    in the lease's own threads.
    """

    def __init__(
        self,
        *,
        name: str,
        lock_id: str,
        ttl_seconds: float = TTL_SECONDS,
        renew_seconds: float = RENEW_SECONDS,
        margin_seconds: float = MARGIN_SECONDS,
        on_lost: Callable[[], None] | None = None,
        on_held: Callable[[int], None] | None = None,
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self.name = name
        self.lock_id = lock_id
        self.ttl_seconds = ttl_seconds
        self.renew_seconds = renew_seconds
        self.margin_seconds = margin_seconds
        self.on_lost = on_lost
        self.on_held = on_held
        self.epoch = 0
        self._clock = clock
        self._deadline = 0.0
        self._held = False
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def held(self) -> bool:
        return self._held and self._clock() < self._deadline - self._safety

    @property
    def _safety(self) -> float:
        return min(DRIFT_SECONDS, self.ttl_seconds / 10)

    def check(self) -> None:
        """Raise Unavailable when the lease may be over; costs a clock reading."""
        if not self.held:
            raise Unavailable(
                code="lease_lost",
                detail="This node does not hold its lease; try again.",
                seconds=max(1, round(self.renew_seconds)),
            )

    def acquire(self) -> None:
        """Take the lease under a new epoch, or raise Unavailable(seconds until it is free).

        A lease that names our own lock file is free at once: we hold that lock, so
        its writer is dead.
        """
        row, _ = Node.objects.get_or_create(
            name=self.name, defaults={"expires_at": datetime.fromtimestamp(0, UTC)}
        )
        started = self._clock()
        taken = (
            Node.objects.filter(pk=row.pk, epoch=row.epoch)
            .filter(
                Q(expires_at__lt=Now() - timedelta(seconds=self._safety)) | Q(lock_id=self.lock_id)
            )
            .update(
                epoch=F("epoch") + 1,
                expires_at=Now() + timedelta(seconds=self.ttl_seconds),
                pid=os.getpid(),
                host=socket.gethostname(),
                lock_id=self.lock_id,
                started_at=Now(),
            )
        )
        if not taken:
            raise Unavailable(
                code="lease_held",
                detail="Another process held this node; its lease is not over yet.",
                seconds=seconds_left(self.name),
            )
        self.epoch = row.epoch + 1
        with self._changed:
            self._deadline = started + self.ttl_seconds
            self._held = True
            self._changed.notify_all()
        logger.info("Lease of node %.8s held, epoch %d", self.name, self.epoch)
        if self.on_held is not None:
            self.on_held(self.epoch)

    def start(self) -> None:
        """Keep the lease from now on; take it as soon as it is free when it is not held."""
        for target, name in ((self._renew_forever, "lease"), (self._watch, "lease-watch")):
            thread = threading.Thread(target=target, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def release(self, seconds: float | None = None) -> None:
        """Stop renewing and free the lease; call it when the connections are down.

        A database that does not answer within `seconds` keeps the lease until it is over; whoever
        has our lock file need not wait for that.
        """
        until = None if seconds is None else time.monotonic() + seconds
        self._stopping.set()
        with self._changed:
            held, self._held = self._held, False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(self.ttl_seconds if until is None else max(0.0, until - time.monotonic()))
        self._threads.clear()
        if not held:
            return
        if until is None:
            self._free()
            return
        freeing = threading.Thread(target=self._free_and_close, name="lease-free", daemon=True)
        freeing.start()
        freeing.join(max(0.1, until - time.monotonic()))

    def _free(self) -> None:
        with contextlib.suppress(DatabaseError, InterfaceError):
            Node.objects.filter(name=self.name, epoch=self.epoch).update(expires_at=Now())

    def _free_and_close(self) -> None:
        self._free()
        connection.close()

    def renew(self) -> bool:
        """Prolong the lease; False when it is over and has to be taken anew."""
        started = self._clock()
        count = Node.objects.filter(name=self.name, epoch=self.epoch, expires_at__gt=Now()).update(
            expires_at=Now() + timedelta(seconds=self.ttl_seconds)
        )
        with self._changed:
            # An answer that comes after the old end is none: the next owner may have
            # looked before our UPDATE was committed.
            if not count or self._clock() >= self._deadline - self._safety:
                return False
            self._deadline = started + self.ttl_seconds
            self._changed.notify_all()
            return self._held

    def _renew_forever(self) -> None:
        while not self._stopping.wait(self.renew_seconds if self._held else self._pause()):
            close_old_connections()
            try:
                if self._held:
                    if not self.renew():
                        self._lose()
                else:
                    self.acquire()
            except Unavailable:
                continue
            except (DatabaseError, InterfaceError) as exc:
                logger.warning("Lease not renewed: %s", type(exc).__name__)
                connection.close()
            except Exception:
                logger.exception("Lease not renewed")
        connection.close()

    def _pause(self) -> float:
        return min(1.0, self.renew_seconds / 4)

    def _watch(self) -> None:
        """Tell the engine in time, also while the renewing thread waits for the database."""
        while not self._stopping.is_set():
            with self._changed:
                left = self._deadline - self.margin_seconds - self._clock()
                if not self._held or left > 0:
                    self._changed.wait(left if self._held else None)
                    continue
            self._lose()

    def _lose(self) -> None:
        with self._changed:
            if not self._held or self._stopping.is_set():
                return
            self._held = False
            self._changed.notify_all()
        logger.error("Lease of node %.8s lost, epoch %d: disconnecting", self.name, self.epoch)
        if self.on_lost is not None:
            try:
                self.on_lost()
            except Exception:
                logger.exception("Disconnecting after the loss of the lease failed")


def seconds_left(node_name: str) -> int:
    """Whole seconds until the node's lease is over, at least 1, by the database's clock."""
    row = Node.objects.filter(name=node_name).annotate(now=Now()).values("expires_at", "now")
    for found in row:
        left = (found["expires_at"] - found["now"]).total_seconds() + DRIFT_SECONDS
        return max(1, int(left) + 1)
    return 1


def claim_session(session_id: int, lease: Lease) -> int:
    """Make this node the session's owner and return the epoch.

    Raises Unavailable(seconds) while another node that lives owns it.
    """
    lease.check()
    epoch = lease.epoch
    living = Node.objects.filter(expires_at__gte=Now() - timedelta(seconds=DRIFT_SECONDS))
    session = TelegramSession.objects.filter(pk=session_id)
    owner = session.values_list("owner_node", "owner_epoch").first()
    if owner is None:
        from engine.errors import NotFound

        raise NotFound(code="session_not_found", detail="There is no such session.")
    owner_name, owner_epoch = owner
    free = session.filter(owner_node=owner_name, owner_epoch=owner_epoch)
    if owner_name not in ("", lease.name):
        free = free.exclude(
            owner_node__in=living.filter(name=owner_name, epoch=owner_epoch).values("name")
        )
    if not free.update(owner_node=lease.name, owner_epoch=epoch):
        raise Unavailable(
            code="session_owned_elsewhere",
            detail="Another node owns this session.",
            seconds=seconds_left(owner_name),
        )
    lease.check()
    return epoch
