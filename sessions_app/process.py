"""Who is doing a step that a row says is being done, and whether that process still lives.

A token names the machine's boot, the pid namespace, the pid and its start: a pid that
was given to another process since then is not mistaken for the first.
"""

import functools
import os
from pathlib import Path

from sessions_app.lock import boot_id


def _start_ticks(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in brackets may hold blanks and brackets itself.
    return stat.rpartition(")")[2].split()[19]


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "0"


@functools.cache
def _token(pid: int) -> str:
    return f"{boot_id()[:8]}.{_namespace()}.{pid}.{_start_ticks(pid) or 0}"


def process_token() -> str:
    """Return this process's own token."""
    return _token(os.getpid())


def is_alive(token: str) -> bool | None:
    """Tell whether the process lives; None when it cannot be seen from here."""
    try:
        boot, namespace, pid, start = token.split(".")
    except ValueError:
        return False
    if boot != boot_id()[:8] or namespace != _namespace() or start == "0":
        return None
    return _start_ticks(int(pid)) == start
