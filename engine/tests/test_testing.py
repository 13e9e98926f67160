"""The store and the sink that other tests build on."""

import pytest

from engine.errors import Conflict, NotFound, Unavailable
from engine.store import (
    ACCOUNT_BOX,
    BoxState,
    EngineEvent,
    EntityRow,
    Guard,
    SessionRecord,
    SessionStore,
    UpdateBatch,
    UpdateSink,
)
from engine.testing import MemorySink, MemoryStore, OpenGuard


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    for session_id in (1, 2):
        store.add(SessionRecord(session_id, 5, "hash"))
    return store


def test_they_are_what_they_stand_for(store):
    as_store: SessionStore = store
    as_sink: UpdateSink = MemorySink(store)
    as_guard: Guard = OpenGuard()
    assert as_store.claim(1) == as_guard.epoch
    assert as_sink.submit(UpdateBatch(1, None)).result(0) is None


def test_a_session_that_is_not_there(store):
    with pytest.raises(NotFound):
        store.load(3)
    with pytest.raises(NotFound):
        store.claim(3)


def test_one_key_belongs_to_one_session(store):
    store.save_key(1, dc_id=2, host="h", port=443, auth_key=b"k")
    store.save_key(1, dc_id=2, host="h", port=443, auth_key=b"k")
    assert store.find_key(b"k") == 1
    assert store.find_key(b"other") is None
    with pytest.raises(Conflict):
        store.save_key(2, dc_id=2, host="h", port=443, auth_key=b"k")
    store.save_key(1, dc_id=2, host="h", port=443, auth_key=None)
    store.save_key(2, dc_id=2, host="h", port=443, auth_key=b"k")
    assert store.load(2).auth_key == b"k"


def test_it_keeps_entities_and_floods(store):
    store.save_entities(1, [EntityRow(7, 1), EntityRow(8, 2)])
    store.save_entities(1, [EntityRow(7, 3)])
    assert {row.id: row.access_hash for row in store.load(1).entities} == {7: 3, 8: 2}
    store.save_flood(1, "messages.search", 12.5)
    assert store.load(1).floods == {"messages.search": 12.5}


def test_the_sink_keeps_events_and_states(store):
    sink = MemorySink(store)
    event = EngineEvent("message.new", -100, {"id": 1}, 1_700_000_000)
    sink.submit(UpdateBatch(1, 9, [event], [BoxState(ACCOUNT_BOX, 5)], [EntityRow(7, 1)]))
    sink.submit(UpdateBatch(1, 9, [], [BoxState(ACCOUNT_BOX, 6), BoxState(-100, 2)]))
    assert sink.wait_for(lambda events: len(events) == 1) == [event]
    assert {box.chat_id: box.pts for box in store.load(1).boxes} == {ACCOUNT_BOX: 6, -100: 2}
    with pytest.raises(TimeoutError):
        sink.wait_for(lambda events: len(events) == 2, seconds=0.01)


def test_a_guard_objects_when_told():
    guard = OpenGuard(error=Unavailable())
    with pytest.raises(Unavailable):
        guard.check()
