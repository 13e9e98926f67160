"""Floods and failures in mid-stream, and what a stream costs other calls on its session."""

import asyncio
import time
from typing import Any

import pytest

from engine import methods, telegram
from engine.errors import FloodWait
from scraper import history
from scraper.tests.rig import Answer, run
from scraper.tests.test_history import channel

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_short_flood_is_sat_out(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEEP_ALIVE_SECONDS", 0.2)
    ann = rig.person()
    chat = channel(rig, ann, 900)
    session = rig.log_in(ann)
    rig.read(session, chat.peer, reverse=False, leave_after=1)
    rig.sandbox.faults.flood("messages.getHistory", 1)
    answer = rig.read(session, chat.peer)
    assert answer.error is None
    assert answer.ids == list(range(1, 902))
    assert answer.keep_alives >= 2


def test_a_long_flood_ends_the_stream_and_the_next_goes_on(rig: Any) -> None:
    ann = rig.person()
    chat, other = channel(rig, ann, 4000), channel(rig, ann, 10)
    session = rig.log_in(ann)
    rig.sandbox.faults.latency(0.02, method="messages.getHistory")

    async def flooded() -> Answer:
        answer = Answer()
        frames = await history.stream(session, str(chat.peer), history.HistoryQuery(max_wait=0.1))
        async for chunk in frames:
            answer.feed(chunk)
            rig.sandbox.faults.flood("messages.getHistory", 2)
        return answer

    broken = run(flooded())
    assert broken.end is None and broken.error is not None
    assert broken.error["code"] == "flood_wait" and 1 <= broken.error["retry_after"] <= 3
    assert broken.error["messages"] == []
    assert 0 < len(broken.ids) < 4001
    with pytest.raises(FloodWait):
        rig.read(session, other.peer, max_wait=0.1)  # before the first byte
    rig.sandbox.faults.clear()
    rest = rig.read(session, chat.peer, after_id=broken.ids[-1])
    assert broken.ids + rest.ids == list(range(1, 4002))


def test_telegram_that_fails_ends_the_stream(rig: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 900)
    session = rig.log_in(ann)
    rig.read(session, chat.peer, reverse=False, leave_after=1)
    rig.sandbox.faults.fail("messages.getHistory", 500, "INTERNAL", times=None)
    answer = rig.read(session, chat.peer)
    assert answer.error is not None and answer.end is None, answer.end
    rig.sandbox.faults.clear()
    assert rig.read(session, chat.peer).ids == list(range(1, 902))


def test_other_calls_make_a_stream_step_back(rig: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 6000)
    session = rig.log_in(ann)
    rig.sandbox.faults.latency(0.03)

    async def both() -> tuple[Answer, list[float]]:
        waits: list[float] = []

        async def others() -> None:
            while not reading.done():
                began = time.perf_counter()
                await telegram.acall(session.pk, methods.sessions.get_me)
                waits.append(time.perf_counter() - began)

        reading = asyncio.create_task(rig.aread(session, chat.peer))
        await others()
        return await reading, waits

    answer, waits = run(both())
    assert len(answer.ids) == 6001
    # Somebody waited all the time: never was more than what the first moment asked for on its way.
    assert waits and len(rig.pages()) >= 61


def test_leaving_stops_the_work(rig: Any) -> None:
    ann = rig.person()
    chat = channel(rig, ann, 9000)
    session = rig.log_in(ann)
    rig.sandbox.faults.latency(0.1, method="messages.getHistory")
    answer = rig.read(session, chat.peer, leave_after=100)
    assert len(answer.ids) >= 100
    from scraper import fill

    rig.wait_until(lambda: not any(each.demands or each.busy for each in fill.running()))
    asked = len(rig.pages())
    rig.settle()
    assert len(rig.pages()) == asked < 91
