"""From Telegram's push to the WebSocket frame, beside a bare Telethon handler in the same run.

Also how many updates a second come through when they come all at once.
"""

import contextlib
import json
import sqlite3
import statistics
import time

from bench._rig import SESSION, Program, Telegram, hub, p99, program, telegram
from tests.hub import Hub, wait_until
from tests.sockets import Client, websocket

RATE = 200
SECONDS = 10
BURST = 5_000
RATIOS = [("burst", "bare_burst")]
DIFFERENCES = [("p99_s", "bare_p99_s"), ("p50_s", "bare_p50_s")]


def measure() -> dict[str, float]:
    with telegram(module="_pusher") as server, hub(server) as running:
        wait_followed(running)
        with (
            program("_bare_live", *server.words) as yardstick,
            websocket(running, max_size=None) as client,
        ):
            assert yardstick.hear() == "ready"
            client.log_in(session=SESSION)
            client.ask("subscribe", {"kinds": ["message.new"]})
            run(server, yardstick, client, RATE, RATE)  # what is lazy is loaded
            ours, theirs, _, _ = run(server, yardstick, client, RATE, RATE * SECONDS)
            began = time.time()
            _, _, last, bare_last = run(server, yardstick, client, 0, BURST)
    return {
        "p50_s": statistics.median(ours),
        "bare_p50_s": statistics.median(theirs),
        "p99_s": p99(ours),
        "bare_p99_s": p99(theirs),
        "burst": BURST / (last - began),
        "bare_burst": BURST / (bare_last - began),
    }


def run(
    server: Telegram, yardstick: Program, client: Client, rate: int, count: int
) -> tuple[list[float], list[float], float, float]:
    """Return how long each post was under way to us and to the handler, and both last moments."""
    yardstick.tell(str(count))
    server.program.tell(f"{rate} {count}")
    frames = []
    for _ in range(count):
        text = client.socket.recv(timeout=60)
        frames.append((text, time.time()))
    assert json.loads(server.program.hear())["posted"] == count
    theirs = json.loads(yardstick.hear())
    # Read as JSON afterwards: the client shares the machine with what it measures.
    seconds = [moment - posted_at(text) for text, moment in frames]
    return seconds, theirs["seconds"], frames[-1][1], theirs["last"]


def posted_at(frame: str | bytes) -> float:
    text: str = json.loads(frame)["data"]["message"]["message"]
    return int(text.split()[0]) / 1e9


def wait_followed(running: Hub) -> None:
    """Wait until the session follows its channel."""
    with contextlib.closing(sqlite3.connect(running.data_dir / "tghub.sqlite3")) as rows:
        followed = "SELECT count(*) FROM sessions_app_boxstate"
        wait_until(lambda: rows.execute(followed).fetchone()[0] >= 2, what="chats are followed")
