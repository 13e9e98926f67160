import threading
from concurrent.futures import wait

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from core.errors import Unavailable
from core.events import NewEvent, append, read
from core.models import Event, EventClock
from core.writer import Writer, _is_transient

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

DEADLINE = 30


@pytest.fixture
def writer():
    writer = Writer("test-writer", retry_seconds=2)
    yield writer
    writer.stop(DEADLINE)


@pytest.fixture
def held(writer):
    """A writer that waits until `held.set()`, so that jobs gather behind it."""
    release = threading.Event()
    started = threading.Event()

    def hold():
        started.set()
        assert release.wait(DEADLINE)

    writer.submit(hold)
    assert started.wait(DEADLINE)
    yield release
    release.set()


def make_clock(pk: int) -> None:
    EventClock.objects.create(pk=pk)


def clocks() -> list[int]:
    return list(EventClock.objects.order_by("pk").values_list("pk", flat=True))


def test_it_works(writer):
    future = writer.submit(lambda: EventClock.objects.create(pk=7).pk)
    assert future.result(DEADLINE) == 7
    assert clocks() == [7]


def test_a_future_is_resolved_after_the_commit(writer, held):
    seen: list[list[int]] = []

    def look(_future):
        seen.append(clocks())
        connection.close()

    future = writer.submit(lambda: make_clock(1))
    future.add_done_callback(look)
    held.set()
    future.result(DEADLINE)
    writer.stop(DEADLINE)
    assert seen == [[1]]


def test_waiting_jobs_share_a_transaction(writer, held):
    savepoints: list[int] = []
    futures = [
        writer.submit(lambda: savepoints.append(id(connection.run_on_commit))) for _ in range(20)
    ]
    held.set()
    wait(futures, DEADLINE)
    assert len(set(savepoints)) == 1


def test_items_of_one_handler_become_one_call(writer, held):
    calls: list[list[int]] = []
    futures = [writer.submit_item(calls.append, n) for n in range(5)]
    futures.append(writer.submit(lambda: None))
    futures.append(writer.submit_item(calls.append, 9))
    held.set()
    wait(futures, DEADLINE)
    assert calls == [[0, 1, 2, 3, 4], [9]]


@pytest.mark.parametrize("bad", [0, 13, 49])
def test_one_bad_row_stops_nobody(writer, held, bad):
    def store(n):
        EventClock.objects.create(pk=100 + n, last=None if n == bad else 0)

    futures = [writer.submit(lambda n=n: store(n)) for n in range(50)]
    held.set()
    for n, future in enumerate(futures):
        if n == bad:
            with pytest.raises(IntegrityError):
                future.result(DEADLINE)
        else:
            future.result(DEADLINE)
    assert clocks() == [100 + n for n in range(50) if n != bad]


def test_a_bad_item_stops_nobody(writer, held):
    def store(numbers):
        EventClock.objects.bulk_create([EventClock(pk=n) for n in numbers])
        if 3 in numbers:
            raise ValueError("3 is bad")

    futures = [writer.submit_item(store, n) for n in range(1, 9)]
    held.set()
    for n, future in enumerate(futures, 1):
        if n == 3:
            with pytest.raises(ValueError, match="3 is bad"):
                future.result(DEADLINE)
        else:
            future.result(DEADLINE)
    assert clocks() == [1, 2, 4, 5, 6, 7, 8]


def test_events_are_appended_last_and_together(writer, held):
    def job(n):
        append([NewEvent("k", n, session_id=n)])
        make_clock(100 + n)

    futures = [writer.submit(lambda n=n: job(n)) for n in range(5)]
    held.set()
    wait(futures, DEADLINE)
    assert [event.data for event in read(0).events] == [0, 1, 2, 3, 4]


def test_a_failing_job_appends_no_event(writer, held):
    def job(n):
        append([NewEvent("k", n)])
        if n == 2:
            raise ValueError

    futures = [writer.submit(lambda n=n: job(n)) for n in range(5)]
    held.set()
    wait(futures, DEADLINE)
    assert [event.data for event in read(0).events] == [0, 1, 3, 4]
    assert [event.id for event in read(0).events] == [1, 2, 3, 4]


def test_an_event_that_cannot_be_stored_fails_alone(writer, held):
    def job(n):
        kind: object = "k" if n != 1 else None
        append([NewEvent(kind, n)])  # type: ignore[arg-type]

    futures = [writer.submit(lambda n=n: job(n)) for n in range(3)]
    held.set()
    with pytest.raises(IntegrityError):
        futures[1].result(DEADLINE)
    for n in (0, 2):
        futures[n].result(DEADLINE)
    assert Event.objects.count() == 2


def test_on_commit_wakes_readers(writer):
    woken: list[str] = []
    writer.submit(lambda: transaction.on_commit(lambda: woken.append("x"))).result(DEADLINE)
    assert woken == ["x"]


def test_a_cancelled_job_does_not_run(writer, held):
    future = writer.submit(lambda: make_clock(1))
    assert future.cancel()
    held.set()
    writer.submit(lambda: None).result(DEADLINE)
    assert clocks() == []


def test_stop_drains(writer, held):
    futures = [writer.submit(lambda n=n: make_clock(n)) for n in range(1, 30)]
    held.set()
    assert writer.stop(DEADLINE)
    assert all(future.done() for future in futures)
    assert clocks() == list(range(1, 30))


def test_a_stopped_writer_refuses(writer):
    writer.submit(lambda: None).result(DEADLINE)
    writer.stop(DEADLINE)
    with pytest.raises(Unavailable):
        writer.submit(lambda: None).result(DEADLINE)


def test_it_can_be_started_again(writer):
    writer.stop(DEADLINE)
    writer.start()
    writer.submit(lambda: make_clock(1)).result(DEADLINE)
    assert clocks() == [1]


def test_jobs_left_at_the_deadline_fail(writer, held):
    future = writer.submit(lambda: make_clock(1))
    assert not writer.stop(0)
    with pytest.raises(Unavailable):
        future.result(DEADLINE)
    held.set()


def test_a_busy_database_is_waited_for(writer):
    tries: list[int] = []

    class Busy(Exception):
        sqlite_errorcode = 5
        sqlstate = "40P01"

    def job():
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("database is locked") from Busy()
        return len(tries)

    assert writer.submit(job).result(DEADLINE) == 3


def test_a_database_that_stays_away_fails_the_jobs(caplog):
    writer = Writer("impatient", retry_seconds=0)

    def job():
        raise OperationalError("gone") from ConnectionError()

    with pytest.raises(OperationalError):
        writer.submit(job).result(DEADLINE)
    writer.submit(lambda: make_clock(1)).result(DEADLINE)
    writer.stop(DEADLINE)
    assert clocks() == [1]


def test_what_is_wrong_with_the_data_is_not_transient():
    assert not _is_transient(IntegrityError("x"))
    assert not _is_transient(ValueError("x"))


def test_many_threads_submit(writer):
    barrier = threading.Barrier(16)
    futures = []

    def submit(thread: int) -> None:
        barrier.wait(DEADLINE)
        for n in range(20):
            pk = 1 + thread * 20 + n
            futures.append(writer.submit(lambda pk=pk: make_clock(pk)))

    threads = [threading.Thread(target=submit, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    done, _ = wait(futures, DEADLINE)
    assert len(done) == 320
    assert clocks() == list(range(1, 321))
