"""A 100 MB file at 50 ms latency, and 20 files side by side, beside bare `download_media`."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from bench._media import LARGE, SMALL
from bench._rig import SESSION, Telegram, drain, hub, program, telegram
from tests.hub import Hub

LATENCY_SECONDS = 0.05
RATIOS = [("ours", "bare"), ("ours_20_files", "ours")]


def measure() -> dict[str, float]:
    with telegram(module="_media") as server:
        with hub(server) as running:
            # Only what is ordered is to be fetched here.
            running.http.patch(
                "/api/v3/settings",
                json={"download_media": False},
                headers={"X-Telegram-Username": SESSION},
            )
            large, *small = uuids(running, server.peer)
            server.control.faults.latency(LATENCY_SECONDS)
            seconds, size, _ = drain(running, f"/api/v3/files/{large}")
            assert size >= LARGE
            started = time.perf_counter()
            with ThreadPoolExecutor(len(small)) as pool:
                paths = [f"/api/v3/files/{uuid}" for uuid in small]
                sizes = list(pool.map(lambda path: drain(running, path)[1], paths))
            assert all(size >= SMALL for size in sizes)
            together = time.perf_counter() - started
        yardstick = bare(server)
    return {"ours": LARGE / seconds, "ours_20_files": LARGE / together, "bare": yardstick}


def uuids(running: Hub, peer: int) -> list[str]:
    """Return the uuids of the channel's files, oldest first."""
    answer = running.get(f"/api/v3/history/{peer}", headers={"X-Telegram-Username": SESSION})
    return [
        message["media"]["uuid"]
        for line in answer.text.splitlines()
        if line.startswith("data: ")
        for message in json.loads(line[6:])["messages"]
        if message["media"]
    ]


def bare(server: Telegram) -> float:
    with program("_bare_media", *server.words) as yardstick:
        return float(yardstick.hear())
