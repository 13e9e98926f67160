"""Kill, freeze, restart: sessions come back, and never have two owners."""

import os
import signal
import sqlite3
from collections.abc import Callable
from datetime import datetime

import psutil
import pytest

from sandbox import Sandbox
from tests.hub import Hub, user_id, wait_until


def add_users(telegram: Sandbox, number: int) -> list[str]:
    phones = [f"+1555030{n:04}" for n in range(number)]
    for phone in phones:
        telegram.world.add_user(phone=phone, first_name=f"User{phone[-4:]}")
    return phones


def log_in_all(hub: Hub, telegram: Sandbox, phones: list[str]) -> list[str]:
    """Log everyone in and return the sessions' names."""
    names = [f"user{number}" for number in range(len(phones))]
    for name, phone in zip(names, phones, strict=True):
        hub.log_in(name, phone, telegram.login_code)
    return names


def connected(hub: Hub) -> int:
    sessions = hub.get("/sessions").json()["sessions"]
    return sum(session["is_connected"] for session in sessions)


def test_sessions_come_back_after_a_kill(hub: Hub, telegram: Sandbox) -> None:
    phones = add_users(telegram, 3)
    names = log_in_all(hub, telegram, phones)
    asked = telegram.calls.count("auth.sendCode")
    hub.kill()
    hub.start()
    assert hub.get("/health").json()["status"] == "healthy"
    wait_until(lambda: connected(hub) == 3)
    assert telegram.calls.count("auth.sendCode") == asked
    sent = hub.post(
        "/message/send", {"session_id": names[0], "chat_id": "me", "message": "Still here"}
    )
    assert sent.json()["status"] == "success", sent.text
    wait_until(lambda: "Session restoration complete: 3 sessions restored" in hub.log())
    assert f"Session {names[0]} restored successfully - User: User0000" in hub.log()


def test_a_revoked_session_becomes_expired(hub: Hub, telegram: Sandbox) -> None:
    phones = add_users(telegram, 2)
    names = log_in_all(hub, telegram, phones)
    hub.kill()
    telegram.faults.revoke(user_id=user_id(telegram, phones[0]))
    hub.start()
    wait_until(lambda: hub.status(names[0])["is_authenticated"] is False)
    hub.wait_connected(names[1])
    body = {"session_id": names[0], "chat_id": "me", "message": "No"}
    assert hub.post("/message/send", body).status_code == 401
    assert hub.status(names[0])["is_active"] is False


def test_a_session_revoked_while_running_becomes_expired(hub: Hub, telegram: Sandbox) -> None:
    [phone] = add_users(telegram, 1)
    [name] = log_in_all(hub, telegram, [phone])
    telegram.faults.revoke(user_id=user_id(telegram, phone))
    body = {"session_id": name, "chat_id": "me", "message": "No"}
    wait_until(lambda: hub.post("/message/send", body).status_code == 401)
    wait_until(lambda: hub.status(name)["is_authenticated"] is False)


def test_an_unreachable_server_leaves_every_row(hub: Hub, telegram: Sandbox) -> None:
    phones = add_users(telegram, 2)
    names = log_in_all(hub, telegram, phones)
    hub.kill()
    telegram.faults.refuse()
    hub.start()
    assert hub.get("/health").status_code == 200
    body = {"session_id": names[0], "chat_id": "me", "message": "No"}
    refused = hub.post("/message/send", body)
    assert refused.status_code in (502, 503), refused.text
    assert [s["is_authenticated"] for s in hub.get("/sessions").json()["sessions"]] == [True, True]
    telegram.faults.accept()
    wait_until(lambda: connected(hub) == 2, seconds=60)


def test_a_graceful_stop_ends_in_order(hub: Hub, telegram: Sandbox) -> None:
    [phone] = add_users(telegram, 1)
    log_in_all(hub, telegram, [phone])
    assert hub.stop() == 0
    assert "Traceback" not in hub.log()


def test_a_second_serve_on_the_same_data_refuses(hub: Hub) -> None:
    second = hub.manage("serve", "--port", "0", check=False)
    assert second.returncode != 0
    assert "already" in second.stderr.lower()
    assert "Traceback" not in second.stderr
    assert hub.get("/health").status_code == 200


def test_after_a_kill_the_next_serve_does_not_wait(hub: Hub, telegram: Sandbox) -> None:
    [phone] = add_users(telegram, 1)
    [name] = log_in_all(hub, telegram, [phone])
    hub.kill()
    hub.start()
    answer = hub.post("/message/send", {"session_id": name, "chat_id": "me", "message": "At once"})
    assert answer.status_code in (200, 503)
    hub.wait_connected(name)


@pytest.mark.parametrize("freeze", [True, False], ids=["frozen", "killed"])
def test_two_owners_never_overlap(
    make_hub: Callable[..., Hub], telegram: Sandbox, postgresql_database: str, freeze: bool
) -> None:
    """Two hubs over one database, as on two machines: the lease alone keeps them apart."""
    shared = {
        "DATABASE_URL": postgresql_database,
        "TGHUB_ENCRYPTION_KEYS": "A" * 43 + "=",
        "SECRET_KEY": "x" * 50,
    }
    first = make_hub("first", **shared)
    first.manage("migrate", "--verbosity", "0")
    first.start()
    phones = add_users(telegram, 1)
    [name] = log_in_all(first, telegram, phones)
    of_the_first = {call.session_id for call in telegram.calls.entries()}
    if freeze:
        first.freeze()
    else:
        first.kill()
    second = make_hub("second", **shared).start()
    second.wait_connected(name, seconds=90)
    if freeze:
        first.thaw()
        body = {"session_id": name, "chat_id": "me", "message": "Too late"}
        wait_until(lambda: first.post("/message/send", body).status_code == 503)
    body = {"session_id": name, "chat_id": "me", "message": "Mine now"}
    assert second.post("/message/send", body).status_code == 200
    # From the second owner's first call on, the first one's connections said nothing more.
    mine = [call.session_id in of_the_first for call in telegram.calls.entries()]
    assert mine[0] and not mine[-1]
    assert mine == sorted(mine, reverse=True)


def test_many_sessions_are_restored(
    hub: Hub,
    telegram: Sandbox,
    count: Callable[[int, int], int],
    figure: Callable[[str], None],
) -> None:
    number = count(20, 200)
    log_in_all(hub, telegram, add_users(telegram, number))
    hub.kill()
    before = len(hub.log())
    hub.start()
    process = psutil.Process(hub.process.pid)
    at_start, slowest = process.memory_info().rss, 0.0
    done = f"Session restoration complete: {number} sessions restored"
    while done not in hub.log()[before:]:
        slowest = max(slowest, hub.get("/health").elapsed.total_seconds())
    grown = process.memory_info().rss - at_start
    log = hub.log()[before:].splitlines()
    begun, ended = (
        datetime.fromisoformat(next(line for line in log if words in line)[:23])
        for words in ("Restoring sessions from database", done)
    )
    figure(
        f"{number} sessions restored in {(ended - begun).total_seconds():.1f} s, "
        f"{grown / 2**20:.0f} MiB, /health meanwhile at most {slowest * 1000:.0f} ms"
    )
    assert connected(hub) == number
    assert hub.get("/health").json()["active_sessions"] == number


def test_a_wrong_encryption_key_is_a_clear_error(hub: Hub, telegram: Sandbox) -> None:
    [phone] = add_users(telegram, 1)
    log_in_all(hub, telegram, [phone])
    hub.stop()
    hub.environment["TGHUB_ENCRYPTION_KEYS"] = "A" * 43 + "="
    done = hub.manage("serve", "--port", "0", check=False)
    assert done.returncode != 0
    assert "TGHUB_ENCRYPTION_KEYS" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_database_is_whole_after_a_kill(hub: Hub, telegram: Sandbox) -> None:
    phones = add_users(telegram, 2)
    log_in_all(hub, telegram, phones)
    os.kill(hub.process.pid, signal.SIGKILL)
    hub.kill()
    with sqlite3.connect(hub.data_dir / "tghub.sqlite3") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
