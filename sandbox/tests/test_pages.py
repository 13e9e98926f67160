"""Windows over message lists, against the definition written out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.methods.pages import check_limit, results_hash, unix, window
from sandbox.rpc import RpcError

small = st.integers(-15, 15)


def expected(ids, newer, add_offset, limit, max_id, min_id):
    """Number the messages from the newest on, cut, then filter."""
    numbered = enumerate(sorted(ids, reverse=True))
    start = newer + add_offset
    page = [one for number, one in numbered if start <= number < start + limit]
    return [one for one in page if (max_id <= 0 or one < max_id) and (min_id <= 0 or one > min_id)]


@given(st.sets(st.integers(1, 30)), st.integers(0, 15), small, st.integers(0, 15), small, small)
def test_it_works(ids, newer, add_offset, limit, max_id, min_id):
    ascending = sorted(ids)
    newer = min(newer, len(ids))
    page = window(
        ascending, newer=newer, add_offset=add_offset, limit=limit, max_id=max_id, min_id=min_id
    )
    wanted = expected(ids, newer, add_offset, limit, max_id, min_id)
    assert ascending[page.low : page.high][::-1] == wanted
    if wanted:
        assert page.skipped == sum(one > wanted[0] for one in ids)


@given(st.sets(st.integers(1, 30)), st.integers(0, 30), small, st.integers(0, 15))
def test_what_is_below_the_floor_does_not_exist(ids, floor, add_offset, limit):
    ascending = sorted(ids)
    floor = min(floor, len(ids))
    page = window(ascending, newer=0, add_offset=add_offset, limit=limit, floor=floor)
    visible = window(ascending[floor:], newer=0, add_offset=add_offset, limit=limit)
    assert ascending[page.low : page.high] == ascending[floor:][visible.low : visible.high]


def test_limits():
    assert (check_limit(0), check_limit(7), check_limit(500)) == (20, 7, 100)
    with pytest.raises(RpcError, match="LIMIT_INVALID"):
        check_limit(-1)


def test_absent_dates_are_0():
    assert (unix(None), unix(0), unix(5)) == (0, 0, 5)


def test_the_hash_is_a_signed_long_that_depends_on_order():
    assert results_hash([]) == 0
    assert results_hash([1, 2]) != results_hash([2, 1])
    assert all(-(1 << 63) <= results_hash(range(n)) < 1 << 63 for n in range(100))
