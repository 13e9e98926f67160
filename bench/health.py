"""`/health` while Telegram is read and while the cache is streamed, beside an idle hub.

p99 of one client that asks every 20 ms. A cold fill goes on for as long as it is measured.
"""

import socket
import threading
import time
from urllib.parse import urlsplit

from bench._rig import ask, drain, ended, hub, p99, telegram
from bench.streams import streaming
from tests.hub import Hub

POSTS = 100_000
CACHED_POSTS = 100_000
STREAMS = 20
PAUSE_SECONDS = 0.02
ASKED = 200
RATIOS = [("fill_p99_s", "idle_p99_s"), ("streams_p99_s", "idle_p99_s")]


def measure() -> dict[str, float]:
    with telegram(POSTS) as server, hub(server) as running:
        health(running, ASKED)  # what is lazy is loaded
        idle = health(running, ASKED)
        filling = threading.Thread(target=fill, args=(running, server.peer))
        filling.start()
        cold = []
        while filling.is_alive():
            cold += health(running, 10)
        filling.join()
        path = f"/api/v3/history/{running.fill_cache(CACHED_POSTS)}"
        with streaming(running, path, STREAMS):
            warm = health(running, ASKED)
    return {
        "idle_p99_s": p99(idle),
        "fill_p99_s": p99(cold),
        "fill_worst_s": max(cold),
        "streams_p99_s": p99(warm),
        "streams_worst_s": max(warm),
        "asked_while_filling": len(cold),
    }


def fill(running: Hub, peer: int) -> None:
    _, _, tail = drain(running, f"/api/v3/history/{peer}")
    told = ended(tail)
    assert told["total"] == told["from_telegram"] == POSTS, told


def health(running: Hub, times: int) -> list[float]:
    """Return how long each of so many requests took, from connecting to the end."""
    address = urlsplit(running.url)
    seconds = []
    for _ in range(times):
        time.sleep(PAUSE_SECONDS)
        started = time.perf_counter()
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(ask(address.netloc, "/health"))
            while connection.recv(1 << 16):
                pass
        seconds.append(time.perf_counter() - started)
    return seconds
