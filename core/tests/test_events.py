import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import events
from core.events import NewEvent, append, bounds, collecting, prune, read
from core.models import Event, EventClock

WRITERS, TRANSACTIONS, PER_TRANSACTION = 8, 50, 4
DEADLINE = 60


def make_events(n: int, session_id: int | None = 1, kind: str = "message.new") -> None:
    append([NewEvent(kind, {"n": i}, session_id=session_id, chat_id=-100) for i in range(n)])


def test_it_works(db):
    append([NewEvent("message.new", {"text": "hi \0 \ud83d"}, session_id=7, chat_id=-1001)])
    page = read(0)
    (event,) = page.events
    assert (event.id, event.kind, event.session_id, event.chat_id) == (1, "message.new", 7, -1001)
    assert event.data == {"text": "hi \0 \ud83d"}
    assert (page.next, page.oldest, page.reset) == (1, 1, False)


def test_ids_have_no_holes(db):
    make_events(3)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        make_events(5)
        _ = 1 / 0
    make_events(2)
    assert [event.id for event in read(0).events] == [1, 2, 3, 4, 5]


def test_filters(db):
    make_events(2, session_id=1)
    make_events(2, session_id=2)
    make_events(1, session_id=None, kind="settings")
    append([NewEvent("message.edited", session_id=1, chat_id=5)])
    assert [e.id for e in read(0, session_ids=[1]).events] == [1, 2, 6]
    assert [e.id for e in read(0, session_ids=[1], kinds=["message.new"]).events] == [1, 2]
    assert [e.id for e in read(0, chat_ids=[5]).events] == [6]
    assert [e.id for e in read(0, kinds=["settings"]).events] == [5]
    assert read(0, session_ids=[]).events == []


def test_a_filtered_cursor_moves_past_what_it_skips(db):
    make_events(5, session_id=1)
    assert read(0, session_ids=[2]).next == 5
    assert read(0, session_ids=[1], limit=2).next == 2


def test_pages_follow_each_other(db):
    make_events(25)
    seen, cursor = [], 0
    while (page := read(cursor, limit=10)).events:
        seen += [event.id for event in page.events]
        cursor = page.next
    assert seen == list(range(1, 26))


def test_an_empty_log(db):
    assert read(0).events == []
    assert bounds() == events.Bounds(oldest=1, last=0)


def test_a_cursor_beyond_the_end_is_reset(db):
    make_events(1)
    page = read(2)
    assert (page.reset, page.next) == (True, 1)


def test_retention_removes_what_is_old(db):
    make_events(4)
    Event.objects.filter(id__lte=3).update(created_at=timezone.now() - timedelta(days=8))
    assert prune() == 3
    assert bounds() == events.Bounds(oldest=4, last=4)
    assert read(0).reset and read(2).reset
    assert read(0).oldest == 4
    assert [e.id for e in read(3).events] == [4]
    assert prune() == 0


def test_retention_works_in_steps(db, monkeypatch):
    monkeypatch.setattr(events, "PRUNE_BATCH", 2)
    make_events(7)
    assert prune(before=timezone.now() + timedelta(seconds=1)) == 7
    make_events(1)
    assert [e.id for e in read(7).events] == [8]


def test_what_happened_long_ago_is_not_old(db):
    append([NewEvent("message.new", date=timezone.now() - timedelta(days=400))])
    assert prune() == 0


def test_a_destroyed_session_leaves_nothing(db):
    make_events(3, session_id=1)
    make_events(3, session_id=2)
    assert events.forget_session(1) == 3
    page = read(0)
    assert not page.reset
    assert {event.session_id for event in page.events} == {2}


def test_collected_events_are_written_last(db, django_assert_num_queries):
    with transaction.atomic(), collecting():
        make_events(1)
        with collecting():
            make_events(1)
        assert bounds().last == 0
        EventClock.objects.count()
    assert bounds().last == 2


def test_a_failing_block_writes_nothing(db):
    with pytest.raises(ZeroDivisionError), transaction.atomic(), collecting():
        make_events(1)
        _ = 1 / 0
    assert bounds().last == 0


@pytest.mark.django_db(transaction=True)
def test_listeners_hear_of_commits_only():
    heard: list[int] = []
    stop = events.on_append(heard.append)
    try:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            make_events(3)
            _ = 1 / 0
        make_events(2)
        with transaction.atomic():
            make_events(2)
            assert heard == [2]
        assert heard == [2, 4]
    finally:
        stop()
    make_events(1)
    assert heard == [2, 4]


@pytest.mark.django_db(transaction=True)
def test_a_failing_listener_stops_nobody(caplog):
    heard: list[int] = []
    stops = [events.on_append(lambda last: 1 / 0), events.on_append(heard.append)]
    try:
        make_events(1)
    finally:
        for stop in stops:
            stop()
    assert heard == [1]
    assert "listener" in caplog.text


@pytest.mark.database
@pytest.mark.django_db(transaction=True)
def test_a_cursor_misses_nothing_of_eight_writers():
    """Ids that become visible out of order would make the reader skip some."""
    barrier = threading.Barrier(WRITERS + 1)
    done = threading.Event()
    seen: list[tuple[int, tuple[int, int, int]]] = []
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            barrier.wait(DEADLINE)
            for n in range(TRANSACTIONS):
                with transaction.atomic():
                    # Something of this writer's own first, so that transactions overlap.
                    Event.objects.filter(id=-writer - 1).update(kind="x")
                    append(
                        [
                            NewEvent("k", (writer, n, i), session_id=writer)
                            for i in range(PER_TRANSACTION)
                        ]
                    )
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    def follow() -> None:
        cursor = 0
        try:
            barrier.wait(DEADLINE)
            while True:
                finished = done.is_set()
                page = read(cursor, limit=37)
                assert not page.reset
                seen.extend((event.id, tuple(event.data)) for event in page.events)
                cursor = page.next
                if finished and not page.events:
                    return
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    writers = [threading.Thread(target=write, args=(n,)) for n in range(WRITERS)]
    reader = threading.Thread(target=follow)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join(DEADLINE)
    done.set()
    reader.join(DEADLINE)
    assert failures == []
    total = WRITERS * TRANSACTIONS * PER_TRANSACTION
    assert [event_id for event_id, _ in seen] == list(range(1, total + 1))
    assert len({data for _, data in seen}) == total
    for writer in range(WRITERS):
        own = [data[1:] for _, data in seen if data[0] == writer]
        assert own == sorted(own)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5), st.sampled_from([None, 1, 2])),
        st.tuples(st.just("read"), st.integers(1, 7), st.sampled_from([None, 1, 2])),
        st.tuples(st.just("prune"), st.integers(0, 30), st.none()),
    ),
    max_size=25,
)


@given(steps)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_log_is_a_queue(db, plan):
    """Whatever is pushed, read and pruned in whichever order: as a plain list does it."""
    Event.objects.all().delete()
    EventClock.objects.all().delete()
    model: list[tuple[int, int | None]] = []
    last = pruned = 0
    cursors: dict[int | None, int] = {None: 0, 1: 0, 2: 0}
    for step, n, session in plan:
        if step == "append":
            make_events(n, session_id=session)
            model += [(last + 1 + i, session) for i in range(n)]
            last += n
        elif step == "prune":
            old = [event_id for event_id, _ in model if event_id <= n]
            Event.objects.filter(id__in=old).update(created_at=timezone.now() - timedelta(days=9))
            assert prune() == len(old)
            model = [(event_id, s) for event_id, s in model if event_id > n]
            pruned = max([pruned, *old])
        else:
            cursor = cursors[session]
            page = read(cursor, session_ids=None if session is None else [session], limit=n)
            assert page.reset == (cursor < pruned)
            assert page.oldest == pruned + 1
            if page.reset:
                cursors[session] = pruned
                continue
            expected = [e for e, s in model if e > cursor and session in (None, s)][:n]
            assert [event.id for event in page.events] == expected
            cursors[session] = page.next
