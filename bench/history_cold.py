"""Cold history, stored and streamed, beside a bare `iter_messages` that stores nothing."""

from bench._rig import Telegram, drain, ended, hub, program, telegram

POSTS = 100_000
BARE = {0.0: 20_000, 0.05: 5_000}
RATIOS = [("ours_0ms", "bare_0ms"), ("ours_50ms", "bare_50ms")]


def measure() -> dict[str, float]:
    found: dict[str, float] = {}
    with telegram(POSTS) as server:
        for latency, name in ((0.0, "0ms"), (0.05, "50ms")):
            server.control.faults.clear()
            if latency:
                server.control.faults.latency(latency)
            found[f"bare_{name}"] = bare(server, BARE[latency])
            with hub(server) as running:
                seconds, _, tail = drain(running, f"/api/v3/history/{server.peer}")
            told = ended(tail)
            assert told["total"] == told["from_telegram"] == POSTS, told
            found[f"ours_{name}"] = POSTS / seconds
    return found


def bare(server: Telegram, limit: int) -> float:
    with program("_bare", *server.words, limit) as yardstick:
        return float(yardstick.hear())
