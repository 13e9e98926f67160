"""The lock file of a data directory: held by the process that runs its engine.

The kernel lets go of it when the holder dies, however it dies, so the next process
sees at once that the former owner is gone.
"""

import fcntl
import functools
import json
import os
import socket
import time
import uuid
from pathlib import Path
from typing import TypedDict

LOCK_NAME = "engine.lock"
NODE_NAME = "node_id"


class Holder(TypedDict):
    pid: int
    host: str
    started_at: float


class DataDirLock:
    """An exclusive `flock` on DATA_DIR/engine.lock, with the holder's pid inside."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / LOCK_NAME
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock; False when another process, or another holder here, has it."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        # The file may have been removed and made anew between open and flock.
        try:
            same = os.stat(self.path).st_ino == os.fstat(descriptor).st_ino
        except FileNotFoundError:
            same = False
        if not same:
            os.close(descriptor)
            return self.acquire()
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), started_at=time.time())
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> Holder | None:
        """Return who wrote itself into the file last, None when it is empty or unreadable."""
        try:
            found = json.loads(self.path.read_text())
            return Holder(
                pid=int(found["pid"]),
                host=str(found["host"]),
                started_at=float(found["started_at"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def lock_id(self) -> str:
        """Name this very lock: the running kernel and the file's inode.

        Two processes that hold the same one after the other exclude each other; a
        copied directory or another machine has another one.
        """
        status = os.stat(self.path)
        return f"{boot_id()}:{status.st_dev}:{status.st_ino}"


def node_name(data_dir: Path) -> str:
    """Return the lasting name of the node that lives in this data directory."""
    path = data_dir / NODE_NAME
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        draft = path.with_name(f".{NODE_NAME}.{os.getpid()}")
        draft.write_text(uuid.uuid4().hex)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_text().strip()


@functools.cache
def boot_id() -> str:
    """Return an id of the running kernel's boot: equal in all containers of a machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{socket.gethostname()}-{int(time.time() - time.monotonic()) // 600}"
