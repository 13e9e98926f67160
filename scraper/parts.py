"""A file that is on its way: its bytes so far, in any order, and which ones they are.

`NAME.part` holds the bytes, `NAME.part.json` the intervals that are certain to be on disk, so
that a download goes on where a killed process left it.
"""

import fcntl
import hashlib
import os
import tempfile
import threading
from pathlib import Path

from core import json
from scraper import intervals
from scraper.intervals import Interval

HASH_BYTES = 1024 * 1024
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class PartFile:
    """Bytes of one file by offset. `done` are the byte intervals that were written.

    One process writes a path at a time (`flock`); where another one does, the bytes go to a
    nameless file and are gone with it (`is_named` is false then). Raises OSError when the disk
    is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: list[Interval] = []
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(path, _FLAGS, 0o600)
        self.is_named = self._lock()
        self._noting = threading.Lock()
        self._discarded = False
        if self.is_named:
            self.done = self._load()
            if not self.done:
                self.sidecar.unlink(missing_ok=True)
        else:
            os.close(self._fd)
            self._fd, name = tempfile.mkstemp(dir=path.parent, prefix="nameless-")
            os.unlink(name)
        self._hash = hashlib.sha256()
        self._hashed = 0
        self.unsaved_bytes = 0

    @property
    def sidecar(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def write(self, offset: int, chunk: bytes) -> None:
        """Write bytes at their place; the hash goes along while they come in order."""
        view = memoryview(chunk)
        at = offset
        while view:
            written = os.pwrite(self._fd, view, at)
            at, view = at + written, view[written:]
        if self._hashed == offset:
            self._hash.update(chunk)
            self._hashed = at
        self.done = intervals.add(self.done, offset, at - 1)
        self.unsaved_bytes += len(chunk)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes that were written, fewer at the file's end."""
        return os.pread(self._fd, length, offset)

    def run_from(self, offset: int) -> int:
        """Return the end (exclusive) of the bytes that are here from `offset` on without a gap."""
        missing = intervals.holes(self.done, offset, offset + (1 << 50))
        return missing[0][0] if missing else offset

    def next_present(self, offset: int) -> int | None:
        """Return where the next bytes begin that are here, at or after a missing `offset`."""
        return next((low for low, _ in self.done if low >= offset), None)

    def save(self) -> None:
        """Note what is on disk; blocking, safe to be called from another thread."""
        done, self.unsaved_bytes = list(self.done), 0
        if not self.is_named:
            return
        os.fdatasync(self._fd)
        beside = self.sidecar.with_name(self.sidecar.name + ".new")
        with self._noting:
            if not self._discarded:
                beside.write_bytes(json.dumps({"done": done}))
                beside.replace(self.sidecar)

    def digest(self, size: int) -> str:
        """Cut the file to `size` bytes and return its SHA-256; blocking."""
        os.ftruncate(self._fd, size)
        digest, position = self._hash, self._hashed
        if position > size:
            digest, position = hashlib.sha256(), 0
        while position < size:
            chunk = self.read(position, HASH_BYTES)
            digest.update(chunk)
            position += len(chunk)
        os.fsync(self._fd)
        return digest.hexdigest()

    def discard(self) -> None:
        """Forget the bytes; those who still read have them until `close`."""
        with self._noting:
            self._discarded = True
            if self.is_named:
                # First: a note of bytes that are gone would make zeros of the next ones' holes.
                self.sidecar.unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._fd)

    def _lock(self) -> bool:
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            # Whoever had it may just have moved it away.
            try:
                if os.path.samestat(os.fstat(self._fd), os.stat(self.path)):
                    return True
            except FileNotFoundError:
                pass
            os.close(self._fd)
            self._fd = os.open(self.path, _FLAGS, 0o600)

    def _load(self) -> list[Interval]:
        try:
            noted = json.loads(self.sidecar.read_bytes())["done"]
            done = intervals.normalize((int(low), int(high)) for low, high in noted)
        except (OSError, ValueError, KeyError, TypeError):
            return []
        size = os.fstat(self._fd).st_size
        return intervals.clip(done, 0, size - 1)
