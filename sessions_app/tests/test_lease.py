"""The lease: one owner at a time, whatever is frozen, killed or cut off."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from engine.errors import NotFound, Unavailable
from sessions_app.lease import Lease, claim_session, seconds_left
from sessions_app.models import Node
from sessions_app.tests.helpers import make_session

pytestmark = [pytest.mark.django_db, pytest.mark.database]


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_lease(name: str = "one", lock: str = "", **options: object) -> Lease:
    return Lease(name=name, lock_id=lock or f"lock of {name}", **options)


def expire(name: str) -> None:
    Node.objects.filter(name=name).update(expires_at=Now() - timedelta(seconds=60))


def test_it_works() -> None:
    lease = make_lease()
    with pytest.raises(Unavailable):
        lease.check()
    lease.acquire()
    lease.check()
    assert lease.held and lease.epoch == 1
    assert lease.renew()
    lease.release()
    with pytest.raises(Unavailable):
        lease.check()


def test_each_taking_has_a_higher_epoch() -> None:
    epochs = []
    for _ in range(3):
        lease = make_lease()
        lease.acquire()
        epochs.append(lease.epoch)
    assert epochs == [1, 2, 3]


def test_the_same_lock_file_proves_that_the_former_owner_is_dead() -> None:
    make_lease().acquire()
    make_lease().acquire()


def test_another_lock_file_waits_for_the_end() -> None:
    make_lease(lock="machine 1").acquire()
    late = make_lease(lock="machine 2")
    with pytest.raises(Unavailable) as refused:
        late.acquire()
    assert 15 <= refused.value.seconds <= 23
    expire("one")
    late.acquire()
    assert late.epoch == 2


def test_an_expired_lease_is_not_renewed() -> None:
    lease = make_lease()
    lease.acquire()
    expire("one")
    assert not lease.renew()


def test_a_lease_of_another_epoch_is_not_renewed() -> None:
    former = make_lease()
    former.acquire()
    make_lease().acquire()
    assert not former.renew()


def test_a_thawed_process_finds_its_lease_over() -> None:
    clock = Clock()
    lease = make_lease(clock=clock)
    lease.acquire()
    clock.now += 18
    lease.check()
    clock.now += 2
    with pytest.raises(Unavailable):
        lease.check()


def test_an_answer_that_comes_after_the_end_renews_nothing(monkeypatch) -> None:
    clock = Clock()
    lease = make_lease(clock=clock)
    lease.acquire()
    real = Node.objects.filter

    def slow(*args: object, **kwargs: object):
        clock.now += 25
        return real(*args, **kwargs)

    monkeypatch.setattr(Node.objects, "filter", slow)
    assert not lease.renew()


def test_a_released_lease_is_free_for_anybody() -> None:
    first = make_lease(lock="machine 1")
    first.acquire()
    first.release()
    expire("one")
    make_lease(lock="machine 2").acquire()


# Sessions


def test_a_session_is_claimed_and_claimed_again() -> None:
    session, lease = make_session(), make_lease()
    lease.acquire()
    assert claim_session(session.pk, lease) == 1
    assert claim_session(session.pk, lease) == 1
    session.refresh_from_db()
    assert (session.owner_node, session.owner_epoch) == ("one", 1)


def test_a_living_owner_keeps_its_session() -> None:
    session, first, second = make_session(), make_lease("one"), make_lease("two")
    first.acquire()
    second.acquire()
    claim_session(session.pk, first)
    with pytest.raises(Unavailable) as refused:
        claim_session(session.pk, second)
    assert refused.value.code == "session_owned_elsewhere" and refused.value.seconds > 10


def test_a_dead_owners_session_is_taken_over() -> None:
    session, first, second = make_session(), make_lease("one"), make_lease("two")
    first.acquire()
    second.acquire()
    claim_session(session.pk, first)
    expire("one")
    assert claim_session(session.pk, second) == second.epoch
    # The first one is back under a new epoch; what it lost stays lost.
    again = make_lease("one")
    again.acquire()
    with pytest.raises(Unavailable):
        claim_session(session.pk, again)


def test_a_former_epochs_session_is_free() -> None:
    session, first, second = make_session(), make_lease("one"), make_lease("two")
    first.acquire()
    second.acquire()
    claim_session(session.pk, first)
    make_lease("one").acquire()
    assert claim_session(session.pk, second)


def test_nothing_is_claimed_without_a_lease() -> None:
    session, lease = make_session(), make_lease()
    with pytest.raises(Unavailable):
        claim_session(session.pk, lease)
    lease.acquire()
    with pytest.raises(NotFound):
        claim_session(session.pk + 1, lease)


def test_seconds_left_of_nobody() -> None:
    assert seconds_left("nobody") == 1
    Node.objects.create(name="old", expires_at=datetime(2000, 1, 1, tzinfo=UTC))
    assert seconds_left("old") == 1


# The threads


@pytest.fixture
def keep(transactional_db: None) -> Iterator[Callable[..., Lease]]:
    leases: list[Lease] = []

    def make(**options: object) -> Lease:
        lease = make_lease(ttl_seconds=2.0, renew_seconds=0.1, margin_seconds=0.5, **options)
        leases.append(lease)
        return lease

    yield make
    for lease in leases:
        lease.release()


def test_it_is_renewed_for_longer_than_it_lasts(keep: Callable[..., Lease]) -> None:
    renewed = threading.Semaphore(0)
    lease = keep(on_lost=lambda: pytest.fail("lost"))
    real = lease.renew

    def count() -> bool:
        renewed.release()
        return real()

    lease.renew = count
    lease.acquire()
    lease.start()
    for _ in range(30):
        assert renewed.acquire(timeout=30)
    assert lease.held and lease.epoch == 1


def test_a_taken_lease_is_noticed_and_taken_back(keep: Callable[..., Lease]) -> None:
    lost, held = threading.Event(), threading.Semaphore(0)
    lease = keep(on_lost=lost.set, on_held=lambda epoch: held.release())
    lease.acquire()
    lease.start()
    assert held.acquire(timeout=30)
    expire("one")
    assert lost.wait(30)
    assert held.acquire(timeout=30)
    assert lease.epoch == 2 and lease.held


def test_a_database_that_hangs_loses_the_lease_in_time(keep: Callable[..., Lease]) -> None:
    lost, release = threading.Event(), threading.Event()
    lease = keep(on_lost=lost.set)
    lease.renew = lambda: release.wait(30) and False
    lease.acquire()
    lease.start()
    assert lost.wait(30)
    with pytest.raises(Unavailable):
        lease.check()
    release.set()


def test_a_database_that_fails_for_a_moment_loses_nothing(keep: Callable[..., Lease]) -> None:
    failures, done = iter(range(3)), threading.Event()
    lease = keep(on_lost=lambda: pytest.fail("lost"))
    real = lease.renew

    def fail_first() -> bool:
        if next(failures, None) is not None:
            raise OperationalError
        done.set()
        return real()

    lease.renew = fail_first
    lease.acquire()
    lease.start()
    assert done.wait(30)
    assert lease.held
