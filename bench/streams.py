"""20 warm streams of one hub: how soon each begins, beside one alone, and how evenly they share."""

import contextlib
import json
import statistics
import threading
import time
from collections.abc import Iterator

from bench._rig import Program, drain, hub, program, telegram
from tests.hub import Hub

POSTS = 200_000
STREAMS = 20
PROBES = 15
PAUSE_SECONDS = 0.1
SHARE_SECONDS = 3
RATIOS = [
    ("begins_beside_19_s", "begins_alone_s"),
    ("last_of_20_at_once_s", "begins_alone_s"),
    ("least_of_20", "most_of_20"),
]


def measure() -> dict[str, float]:
    with telegram(2) as server, hub(server) as running:
        path = f"/api/v3/history/{running.fill_cache(POSTS)}"
        begins(running, path)  # what is lazy is loaded
        alone = begins(running, path)
        at_once = last_of(running, path)
        with streaming(running, path, STREAMS - 1):
            beside = begins(running, path)
        with streaming(running, path, STREAMS) as readers:
            time.sleep(SHARE_SECONDS)
            shares = stop(readers)
    return {
        "begins_alone_s": alone,
        "begins_beside_19_s": beside,
        "last_of_20_at_once_s": at_once,
        "least_of_20": min(shares),
        "most_of_20": max(shares),
    }


def begins(running: Hub, path: str) -> float:
    """Return after how long a stream has its first messages, the median of some."""
    seconds = []
    for _ in range(PROBES):
        time.sleep(PAUSE_SECONDS)  # the one before has ended
        seconds.append(drain(running, path, first=True)[0])
    return statistics.median(seconds)


def last_of(running: Hub, path: str) -> float:
    """Return when the last of 20 streams that are ordered at once has its first messages."""
    seconds: list[float] = []
    together = threading.Barrier(STREAMS)

    def order() -> None:
        together.wait()
        seconds.append(drain(running, path, first=True)[0])

    threads = [threading.Thread(target=order) for _ in range(STREAMS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(seconds)


@contextlib.contextmanager
def streaming(running: Hub, path: str, count: int) -> Iterator[Program]:
    """Have so many clients read the stream while the block runs."""
    with program("_readers", running.url, path, count) as readers:
        assert readers.hear() == "begun"
        yield readers


def stop(readers: Program) -> list[int]:
    """End the clients; return the number of messages that each has got."""
    readers.let_go()
    shares: list[int] = json.loads(readers.hear())
    return shares
