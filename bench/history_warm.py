"""Warm history over SSE, beside the same rows read by bare sqlite3 and written by orjson."""

import sqlite3
import time
from pathlib import Path

import orjson
import psutil

from bench._rig import drain, ended, hub, telegram

POSTS = 200_000
CHUNK = 100
RATIOS = [("ours", "yardstick")]

SELECT = """
SELECT message_id, datetime(date, 'unixepoch'), sender_id, text, reply_to, views
FROM scraper_message ORDER BY id
"""


def measure() -> dict[str, float]:
    with telegram(2) as server, hub(server) as running:
        path = f"/api/v3/history/{running.fill_cache(POSTS)}"
        assert running.process is not None
        process = psutil.Process(running.process.pid)
        drain(running, f"{path}?end_date=2025-06-01%2000:10:00")  # what is lazy is loaded
        before = process.memory_info().rss
        seconds, size, tail = drain(running, path)
        grown = process.memory_info().rss - before
        told = ended(tail)
        assert told["total"] == told["from_cache"] == POSTS, told
        yardstick = bare(running.data_dir / "tghub.sqlite3", running.data_dir / "frames")
    return {
        "ours": POSTS / seconds,
        "yardstick": POSTS / yardstick,
        "mb_per_second": size / seconds / 1e6,
        "memory_grew_mb": grown / 1e6,
    }


def bare(database: Path, out: Path) -> float:
    """Read the rows with one cursor and write them as the same frames, in one loop."""
    with sqlite3.connect(database) as connection, out.open("wb") as file:
        started = time.perf_counter()
        batch = []
        for number, date, sender, text, reply_to, views in connection.execute(SELECT):
            batch.append(
                {
                    "message_id": number,
                    "date": date,
                    "sender_id": sender,
                    "first_name": None,
                    "last_name": None,
                    "username": None,
                    "message": text,
                    "media": None,
                    "reply_to": reply_to,
                    "post_author": None,
                    "is_forwarded": 0,
                    "forwarded_from_channel_id": None,
                    "views": views,
                }
            )
            if len(batch) == CHUNK:
                frame = orjson.dumps({"messages": batch})
                file.write(b"id: %d\ndata: %b\n\n" % (number, frame))
                batch.clear()
        return time.perf_counter() - started
