"""Waits that grow, and turns for those that come back together."""

from collections import Counter

from engine.timing import Backoff, Queue


def test_waits_grow_to_their_limit_and_are_never_the_same():
    backoff = Backoff(1.0, 60.0)
    waits = [backoff.next() for _ in range(12)]
    for n, wait in enumerate(waits):
        ceiling = min(60.0, 2.0**n)
        assert ceiling / 2 <= wait <= ceiling
    assert len(set(waits)) == 12
    backoff.reset()
    assert backoff.next() <= 1.0


def test_a_lonely_link_comes_back_at_once():
    clock = [100.0]
    turns = Queue(0.25, 45.0, lambda: clock[0])
    assert turns.wait() == 0.0
    clock[0] += 10
    assert turns.wait() == 0.0


def test_fifty_links_do_not_come_back_in_one_second():
    turns = Queue(0.25, 45.0, lambda: 0.0)
    seconds = Counter(int(turns.wait()) for _ in range(50))
    assert max(seconds.values()) <= 10
    assert max(seconds) < 60


def test_a_turn_is_never_too_far_away():
    turns = Queue(0.25, 10.0, lambda: 0.0)
    assert all(turns.wait() <= 10.0 for _ in range(1000))
