"""A client that does not read: it costs the hub little memory, and others nothing."""

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sandbox import Sandbox
from sandbox.world import World
from tests.hub import Hub, wait_until

MAX_GROWTH_BYTES = 30 * 1000 * 1000
PHONE = "+15550410001"


@pytest.fixture
def telegram() -> Iterator[Sandbox]:
    world = World()
    world.add_user("Anna", phone=PHONE)
    with Sandbox(world=world) as sandbox:
        yield sandbox


@pytest.fixture
def hub(telegram: Sandbox, migrated: Path, tmp_path: Path) -> Iterator[Hub]:
    shutil.copy(migrated, tmp_path / "tghub.sqlite3")
    hub = Hub(tmp_path, telegram)
    hub.start()
    hub.log_in("anna", PHONE, telegram.login_code)
    hub.wait_connected("anna")
    hub.http.headers["X-Telegram-Username"] = "anna"
    yield hub
    hub.close()


def test_a_client_that_does_not_read(
    hub: Hub, count: Callable[[int, int], int], figure: Callable[[str], None]
) -> None:
    messages = count(150_000, 1_000_000)  # some 60 MB, and 400
    path = f"/api/v3/history/{hub.fill_cache(messages)}"
    assert total(hub, path) == messages  # what is lazy is loaded
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    before = process.memory_info().rss
    with ask(hub, path) as silent:
        beginning = silent.recv(1000)
        assert beginning.startswith(b"HTTP/1.1 200")
        # While it does not read, another one is served to the end.
        assert total(hub, path) == messages
        growth = process.memory_info().rss - before
        port = silent.getsockname()[1]
        assert is_connected(process, port)
    wait_until(lambda: not is_connected(process, port), what="the hub has seen it leave")
    assert growth < MAX_GROWTH_BYTES
    figure(f"{messages} messages that nobody reads: {growth / 1e6:.1f} MB more")


def ask(hub: Hub, path: str) -> socket.socket:
    """Order a stream and read nothing of it; the kernel takes little in between."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    client.connect(("127.0.0.1", hub.http.base_url.port))
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Telegram-Username: anna\r\n\r\n"
    client.sendall(request.encode())
    return client


def total(hub: Hub, path: str) -> int:
    """Read a whole stream; return the number of messages that its end tells."""
    last = ""
    with hub.http.stream("GET", path) as answer:
        for line in answer.iter_lines():
            last = line or last
    ended: int = json.loads(last.removeprefix("data: "))["total"]
    return ended


def is_connected(process: psutil.Process, port: int) -> bool:
    return any(
        each.raddr and each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED
        for each in process.net_connections("tcp")
    )
