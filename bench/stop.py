"""From SIGTERM to the end: idle, with slow clients, with a database that stays locked."""

import contextlib
import json
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from bench._rig import SESSION, Telegram, hub, telegram
from bench.live import wait_followed
from tests.hub import Hub
from tests.sockets import websocket

CLIENTS = 100
BURST = 2_000
# What is promised; the bound that the others are beside.
BOUND_SECONDS = 10.0
RATIOS = [("slow_clients_s", "bound_s"), ("locked_s", "bound_s"), ("idle_s", "bound_s")]

Hindrance = Callable[[Telegram, Hub], "contextlib.AbstractContextManager[None]"]


def measure() -> dict[str, float]:
    return {
        "idle_s": stop_seconds(lambda server, running: contextlib.nullcontext()),
        "slow_clients_s": stop_seconds(slow_clients),
        "locked_s": stop_seconds(locked),
        "bound_s": BOUND_SECONDS,
    }


def stop_seconds(hindrance: Hindrance) -> float:
    """Return how long a hub takes to stop while something hinders it."""
    with telegram(module="_pusher") as server, hub(server) as running:
        wait_followed(running)
        with hindrance(server, running):
            began = time.monotonic()
            assert running.stop() == 0
            return time.monotonic() - began


@contextlib.contextmanager
def slow_clients(server: Telegram, running: Hub) -> Iterator[None]:
    """A hundred sockets that nobody reads, and a burst on its way to them."""
    address = urlsplit(running.url)
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS):
            plain = stack.enter_context(socket.socket())
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.connect((address.hostname, address.port))
            client = stack.enter_context(websocket(running, sock=plain))
            client.log_in(session=SESSION)
            client.ask("subscribe", {"since": 0})
        order_burst(server)
        yield


@contextlib.contextmanager
def locked(server: Telegram, running: Hub) -> Iterator[None]:
    """A burst that cannot be stored."""
    rows = sqlite3.connect(running.data_dir / "tghub.sqlite3", isolation_level=None, timeout=30)
    with contextlib.closing(rows):
        rows.execute("BEGIN IMMEDIATE")
        order_burst(server)
        yield


def order_burst(server: Telegram) -> None:
    """Have the burst posted; returns when it was."""
    server.program.tell(f"0 {BURST}")
    assert json.loads(server.program.hear())["posted"] == BURST
