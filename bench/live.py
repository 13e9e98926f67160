"""From Telegram's push to the WebSocket frame, beside a bare Telethon handler in the same run.

Also how many updates a second come through when they come all at once.
"""

import contextlib
import json
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from bench._rig import SESSION, Telegram, hub, telegram
from tests.hub import ROOT, Hub, wait_until
from tests.sockets import Client, websocket

RATE = 200
SECONDS = 10
BURST = 5_000
RATIOS = [("burst", "bare_burst")]
DIFFERENCES = [("p99_s", "bare_p99_s"), ("p50_s", "bare_p50_s")]


def measure() -> dict[str, float]:
    with telegram(module="bench._pusher") as server, hub(server) as running:
        wait_followed(running)
        with bare(server) as yardstick, websocket(running, max_size=None) as client:
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
    server: Telegram, yardstick: "subprocess.Popen[str]", client: Client, rate: int, count: int
) -> tuple[list[float], list[float], float, float]:
    """Return how long each post was under way to us and to the handler, and both last moments."""
    pusher = server.process
    for process, order in ((yardstick, f"{count}\n"), (pusher, f"{rate} {count}\n")):
        assert process.stdin is not None
        process.stdin.write(order)
        process.stdin.flush()
    frames = []
    for _ in range(count):
        text = client.socket.recv(timeout=60)
        frames.append((text, time.time()))
    assert pusher.stdout is not None and yardstick.stdout is not None
    assert json.loads(pusher.stdout.readline())["posted"] == count
    theirs = json.loads(yardstick.stdout.readline())
    # Read as JSON afterwards: the client shares the machine with what it measures.
    seconds = [moment - posted_at(text) for text, moment in frames]
    return seconds, theirs["seconds"], frames[-1][1], theirs["last"]


def posted_at(frame: str | bytes) -> float:
    text: str = json.loads(frame)["data"]["message"]["message"]
    return int(text.split()[0]) / 1e9


def p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def wait_followed(running: Hub) -> None:
    """Wait until the session follows its channel."""
    with contextlib.closing(sqlite3.connect(running.data_dir / "tghub.sqlite3")) as rows:
        followed = "SELECT count(*) FROM sessions_app_boxstate"
        wait_until(lambda: rows.execute(followed).fetchone()[0] >= 2, what="chats are followed")


@contextlib.contextmanager
def bare(server: Telegram) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bench._bare_live",
            server.dc,
            str(server.public_key_file),
            str(server.control_port),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
