"""Interval arithmetic, held against plain sets of numbers."""

from hypothesis import given
from hypothesis import strategies as st

from scraper import intervals

interval = st.tuples(st.integers(1, 60), st.integers(1, 60))
sets = st.lists(interval, max_size=12).map(intervals.normalize)


def ids(covered: list[intervals.Interval]) -> set[int]:
    return {n for low, high in covered for n in range(low, high + 1)}


def is_normal(covered: list[intervals.Interval]) -> bool:
    inner = all(low <= high for low, high in covered)
    apart = all(a[1] + 1 < b[0] for a, b in zip(covered, covered[1:], strict=False))
    return inner and apart


@given(st.lists(interval, max_size=12))
def test_normalize(given: list[intervals.Interval]) -> None:
    normal = intervals.normalize(given)
    assert is_normal(normal)
    assert ids(normal) == ids([one for one in given if one[0] <= one[1]])


@given(sets, interval)
def test_add(covered: list[intervals.Interval], more: intervals.Interval) -> None:
    result = intervals.add(covered, *more)
    assert is_normal(result)
    assert ids(result) == ids(covered) | ids([more])


@given(sets, interval)
def test_remove(covered: list[intervals.Interval], less: intervals.Interval) -> None:
    result = intervals.remove(covered, *less)
    assert is_normal(result)
    assert ids(result) == ids(covered) - ids([less])


@given(sets, interval)
def test_holes_and_clip(covered: list[intervals.Interval], asked: intervals.Interval) -> None:
    missing = intervals.holes(covered, *asked)
    present = intervals.clip(covered, *asked)
    assert is_normal(missing) and is_normal(present)
    assert ids(missing) == ids([asked]) - ids(covered)
    assert ids(present) == ids([asked]) & ids(covered)
    assert intervals.covers(covered, *asked) == (not missing)
    assert intervals.size(covered) == len(ids(covered))
