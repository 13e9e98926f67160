"""Updates, their events and their states: all or nothing."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from core.models import Event
from engine.store import BoxState, EngineEvent, EntityRow, UpdateBatch
from sessions_app import sink
from sessions_app.models import BoxState as BoxRow
from sessions_app.models import Entity
from sessions_app.sink import WriterSink, register_update_handler
from sessions_app.tests.helpers import make_session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.fixture
def handlers(monkeypatch, transactional_db: None) -> Iterator[list]:
    found: list[Callable[[Sequence[UpdateBatch]], None]] = []
    monkeypatch.setattr(sink, "_handlers", found)
    yield found


def message(text: str = "the secret recipe", **extra: object) -> dict[str, object]:
    return {
        "message": {
            "message_id": 5,
            "date": "2026-11-20 12:00:00",
            "sender_id": 77,
            "first_name": "Shared",
            "last_name": None,
            "username": None,
            "message": text,
            "media": {
                "type": "MessageMediaPhoto",
                "uuid": None,
                "filename": "photo_5.jpg",
                "size": 9,
                "file": {"access_hash": 424242},
            },
            "reply_to": None,
            "post_author": None,
            "is_forwarded": 0,
            "forwarded_from_channel_id": None,
            "extra": {"is_outgoing": False, **extra},
            "private": {"first_name": "My label"},
        }
    }


def make_batch(session_id: int, pts: int = 10, **extra: object) -> UpdateBatch:
    return UpdateBatch(
        session_id=session_id,
        account_id=1001,
        events=[EngineEvent("message.new", -100123, message(**extra), 1_780_000_000)],
        states=[BoxState(-100123, pts)],
        entities=[EntityRow(77, 770, "shared")],
    )


def test_it_works(handlers: list, caplog) -> None:
    session = make_session()
    caplog.set_level("INFO", "sessions_app.sink")
    WriterSink().submit(make_batch(session.pk)).result(30)
    event = Event.objects.get()
    assert (event.kind, event.session_id, event.chat_id) == ("message.new", session.pk, -100123)
    shown = event.data["message"]
    assert shown["message"] == "the secret recipe" and shown["first_name"] == "My label"
    assert "extra" not in shown and "private" not in shown and "file" not in shown["media"]
    assert BoxRow.objects.get().pts == 10 and Entity.objects.get().access_hash == 770
    assert "message 5 from 77 in chat -100123" in caplog.text
    assert "secret recipe" not in caplog.text and "My label" not in caplog.text


def test_handlers_take_part_and_complete_the_event(handlers: list) -> None:
    session = make_session()

    def name_media(batches: Sequence[UpdateBatch]) -> None:
        for batch in batches:
            for event in batch.events:
                event.data["message"]["media"]["uuid"] = "the-uuid"

    register_update_handler(name_media)
    register_update_handler(name_media)
    assert len(handlers) == 1
    WriterSink().submit(make_batch(session.pk)).result(30)
    assert Event.objects.get().data["message"]["media"]["uuid"] == "the-uuid"


def test_a_failing_handler_stores_nothing_of_its_batch(handlers: list) -> None:
    good, bad = make_session("good"), make_session("bad")

    def refuse(batches: Sequence[UpdateBatch]) -> None:
        if any(batch.session_id == bad.pk for batch in batches):
            raise ValueError("poison")

    register_update_handler(refuse)
    futures = [WriterSink().submit(make_batch(s.pk)) for s in (good, bad, good)]
    futures[0].result(30)
    with pytest.raises(ValueError, match="poison"):
        futures[1].result(30)
    futures[2].result(30)
    assert set(Event.objects.values_list("session_id", flat=True)) == {good.pk}
    assert set(BoxRow.objects.values_list("session_id", flat=True)) == {good.pk}


def test_a_destroyed_sessions_batch_is_dropped(handlers: list) -> None:
    WriterSink().submit(make_batch(999)).result(30)
    assert not Event.objects.exists() and not BoxRow.objects.exists()


def test_own_messages_are_not_logged(handlers: list, caplog) -> None:
    session = make_session()
    caplog.set_level("INFO", "sessions_app.sink")
    WriterSink().submit(make_batch(session.pk, is_outgoing=True)).result(30)
    to_itself = make_batch(session.pk)
    to_itself.events[0].data["message"]["sender_id"] = to_itself.account_id
    WriterSink().submit(to_itself).result(30)
    assert "message 5" not in caplog.text


def test_the_last_state_of_many_holds(handlers: list) -> None:
    session = make_session()
    for pts in range(1, 20):
        future = WriterSink().submit(make_batch(session.pk, pts))
    future.result(30)
    assert BoxRow.objects.get().pts == 19 and Event.objects.count() == 19
