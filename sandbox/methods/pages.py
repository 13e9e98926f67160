"""Windows over lists of messages: what offsets, limits, id bounds and hashes mean.

Source: https://core.telegram.org/api/offsets
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sandbox.rpc import RpcError

DEFAULT_LIMIT = 20


class Window(NamedTuple):
    """Messages `[low:high]` of an ascending list, and where the newest one stands.

    `skipped` counts the results before it: TL's `offset_id_offset`.
    """

    low: int
    high: int
    skipped: int


def unix(date: datetime | int | None) -> int:
    """Return a TL date as Unix seconds; an absent one (None, or 1970) is 0.

    Telethon reads a 0 off the wire as 1970-01-01.
    """
    if date is None:
        return 0
    return date if isinstance(date, int) else int(date.timestamp())


def check_limit(limit: int, cap: int = 100) -> int:
    """Return how many results to give: 0 means an intermediate number, above the cap the cap."""
    if limit < 0:
        raise RpcError(400, "LIMIT_INVALID")
    return min(limit, cap) if limit else DEFAULT_LIMIT


def window(
    ids: Sequence[int],
    *,
    newer: int,
    add_offset: int,
    limit: int,
    max_id: int = 0,
    min_id: int = 0,
    floor: int = 0,
) -> Window:
    """Return the page of `ids` (ascending) behind its `newer` newest entries.

    `newer` is what `offset_id` or a date leaves out; `add_offset` moves the page, negative
    towards newer messages, and what lies beyond either end is cut off, not replaced.
    `max_id` and `min_id` (both exclusive) then thin the page out and do not move it.
    Entries before index `floor` do not exist for the caller.
    """
    total = len(ids)
    start = newer + add_offset
    high = min(max(total - start, floor), total)
    low = min(max(total - start - limit, floor), total)
    if max_id > 0:
        high = max(low, min(high, bisect_left(ids, max_id)))
    if min_id > 0:
        low = min(high, max(low, bisect_right(ids, min_id)))
    return Window(low, high, total - high)


def results_hash(numbers: Iterable[int]) -> int:
    """Return the 64-bit hash by which a client tells what it already holds.

    Source: https://core.telegram.org/api/offsets#hash-generation
    """
    value = 0
    for number in numbers:
        value ^= value >> 21
        value ^= (value << 35) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 4
        value = (value + number) & 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >> 63 else value
