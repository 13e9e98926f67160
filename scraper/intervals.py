"""Arithmetic of id intervals: which messages of a chat were read completely.

An interval is `(low, high)`, both ends included, `low <= high`. A set of them is a sorted list in
which no two overlap or touch: `[(1, 5), (9, 12)]`. Every function takes and gives such lists.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

Interval = tuple[int, int]


def normalize(intervals: Iterable[Interval]) -> list[Interval]:
    """Sort, drop the empty ones, and join those that overlap or touch."""
    joined: list[Interval] = []
    for low, high in sorted(interval for interval in intervals if interval[0] <= interval[1]):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined


def add(covered: list[Interval], low: int, high: int) -> list[Interval]:
    """Return `covered` with `(low, high)` in it; an empty interval changes nothing."""
    if low > high:
        return covered
    first = bisect_left(covered, low - 1, key=lambda interval: interval[1])
    last = bisect_right(covered, high + 1, key=lambda interval: interval[0])
    if first < last:
        low = min(low, covered[first][0])
        high = max(high, covered[last - 1][1])
    return [*covered[:first], (low, high), *covered[last:]]


def remove(covered: list[Interval], low: int, high: int) -> list[Interval]:
    """Return `covered` without the ids of `(low, high)`."""
    if low > high:
        return covered
    left: list[Interval] = []
    for start, end in covered:
        if end < low or start > high:
            left.append((start, end))
            continue
        if start < low:
            left.append((start, low - 1))
        if end > high:
            left.append((high + 1, end))
    return left


def holes(covered: list[Interval], low: int, high: int) -> list[Interval]:
    """Return what of `(low, high)` is not covered, oldest first."""
    missing: list[Interval] = []
    for start, end in covered[bisect_left(covered, low, key=lambda interval: interval[1]) :]:
        if start > high:
            break
        if low < start:
            missing.append((low, start - 1))
        low = max(low, end + 1)
    if low <= high:
        missing.append((low, high))
    return missing


def clip(covered: list[Interval], low: int, high: int) -> list[Interval]:
    """Return what of `covered` lies within `(low, high)`."""
    clipped = ((max(start, low), min(end, high)) for start, end in covered)
    return [(start, end) for start, end in clipped if start <= end]


def covers(covered: list[Interval], low: int, high: int) -> bool:
    """Tell whether every id of `(low, high)` is covered; an empty range always is."""
    return not holes(covered, low, high)


def size(covered: list[Interval]) -> int:
    """Count the ids."""
    return sum(high - low + 1 for low, high in covered)
