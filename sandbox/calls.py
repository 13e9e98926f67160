"""What was asked of the sandbox: one entry per RPC, for tests to count."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

KEPT = 20_000
HEAVY = ("upload.saveFilePart", "upload.saveBigFilePart")


@dataclass(slots=True)
class Entry:
    """One served RPC. `arguments` holds its plain integers and flags, never text.

    `error` is Telegram's error string, "" for a result; `at` is Unix seconds. `request` is
    the TL object itself (not kept for uploads), for tests in the same process only.
    """

    method: str
    user_id: int | None = None
    auth_key_id: int = 0
    session_id: int = 0
    dc: int = 0
    error: str = ""
    arguments: dict[str, int] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    request: Any = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON, without the request."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "request"}


def arguments(request: Any) -> dict[str, int]:
    """Return the integer and boolean arguments of a request."""
    return {
        name: value
        for name, value in vars(request).items()
        if isinstance(value, int) and not name.startswith("_")
    }


class CallLog:
    """A log that any thread may read; counts are exact, the last `KEPT` entries are kept."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # reentrant: conditions read the log
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._counts: Counter[str] = Counter()

    def add(self, entry: Entry) -> None:
        if entry.method in HEAVY:
            entry.request = None
        with self._changed:
            self._entries.append(entry)
            self._counts[entry.method] += 1
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._entries.clear()
            self._counts.clear()

    def count(self, method: str, *, user_id: int | None = None) -> int:
        """Count calls of a method (`messages.*` also); of a user: among those kept."""
        with self._changed:
            return self._count(method, user_id)

    def counts(self) -> dict[str, int]:
        """Return the number of calls by method."""
        with self._changed:
            return dict(self._counts)

    def entries(self, method: str = "*", *, user_id: int | None = None) -> list[Entry]:
        """Return the entries that match, oldest first."""
        with self._changed:
            return [
                entry
                for entry in self._entries
                if fnmatchcase(entry.method, method) and user_id in (None, entry.user_id)
            ]

    def wait(self, method: str, count: int = 1, *, timeout_seconds: float = 10) -> int:
        """Wait until `method` was called `count` times. Raises TimeoutError."""
        self.wait_for(lambda log: log.count(method) >= count, timeout_seconds)
        return self.count(method)

    def wait_for(self, condition: Callable[[CallLog], bool], timeout_seconds: float = 10) -> None:
        """Wait until `condition` holds of this log. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout_seconds):
                raise TimeoutError("the calls that were waited for did not come")

    def _count(self, method: str, user_id: int | None) -> int:
        if user_id is not None:
            return sum(
                fnmatchcase(entry.method, method) and entry.user_id == user_id
                for entry in self._entries
            )
        if "*" not in method:
            return self._counts[method]
        return sum(n for name, n in self._counts.items() if fnmatchcase(name, method))
