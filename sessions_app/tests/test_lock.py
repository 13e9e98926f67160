"""The lock file tells at once whether its holder lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from sessions_app.lock import DataDirLock, node_name
from sessions_app.process import is_alive, process_token

HOLDER = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from sessions_app.lock import DataDirLock
from sessions_app.process import process_token
print(DataDirLock(Path({path!r})).acquire(), process_token(), flush=True)
sys.stdin.read()
"""
ROOT = str(Path(__file__).resolve().parents[2])


def start_holder(path: Path) -> tuple["subprocess.Popen[str]", str]:
    script = HOLDER.format(root=ROOT, path=str(path))
    holder = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    acquired, token = holder.stdout.readline().split()
    assert acquired == "True"
    return holder, token


def end(holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.communicate()


def test_it_works(tmp_path: Path) -> None:
    first, second = DataDirLock(tmp_path), DataDirLock(tmp_path)
    assert first.acquire() and first.acquire()
    assert not second.acquire()
    assert second.holder()["pid"] == os.getpid()
    lock_id = first.lock_id
    first.release()
    assert second.acquire() and second.lock_id == lock_id
    second.release()


def test_a_killed_holder_is_gone_at_once(tmp_path: Path) -> None:
    holder, token = start_holder(tmp_path)
    lock = DataDirLock(tmp_path)
    assert not lock.acquire()
    assert lock.holder()["pid"] == holder.pid
    assert is_alive(token)
    end(holder)
    assert is_alive(token) is False
    assert lock.acquire()
    lock.release()


def test_a_frozen_holder_is_not(tmp_path: Path) -> None:
    holder, token = start_holder(tmp_path)
    holder.send_signal(signal.SIGSTOP)
    assert not DataDirLock(tmp_path).acquire()
    assert is_alive(token)
    end(holder)


def test_another_directory_is_another_lock(tmp_path: Path) -> None:
    ids = set()
    for name in "ab":
        (tmp_path / name).mkdir()
        lock = DataDirLock(tmp_path / name)
        assert lock.acquire()
        ids.add(lock.lock_id)
        lock.release()
    assert len(ids) == 2


def test_a_node_keeps_its_name(tmp_path: Path) -> None:
    assert node_name(tmp_path) == node_name(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["node_id"]


def test_process_tokens() -> None:
    assert is_alive(process_token())
    assert is_alive("nonsense") is False
    boot, namespace, pid, start = process_token().split(".")
    assert is_alive(f"{boot}.{namespace}.{pid}.{int(start) + 1}") is False
    assert is_alive(f"otherone.{namespace}.{pid}.{start}") is None
