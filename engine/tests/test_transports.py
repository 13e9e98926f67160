"""The contract that every transport keeps: in this process, through JSON, over a socket."""

import asyncio
import concurrent.futures
import contextlib
import threading

import pytest

from engine import (
    BadGateway,
    BadRequest,
    Carried,
    EngineError,
    FloodWait,
    NotAuthorized,
    NotFound,
    TooLarge,
    TooManyCalls,
    Unavailable,
)
from engine.tests import fakes


def test_it_works(engine):
    value = {"text": "hi", "list": [1, None, True, 2**62], "nested": {"é": "NUL \0 \ud800"}}
    assert engine.call(1, fakes.echo, value=value) == value


async def test_it_works_for_asynchronous_callers(engine):
    assert await engine.acall(1, fakes.echo, value=[1, 2]) == [1, 2]


def test_it_runs_on_the_sessions_worker(engine):
    for session_id in (1, 2, 3):
        place = engine.call(session_id, fakes.where)
        assert place["thread"] == f"telegram-{session_id % 2}"
        assert place["ref"] == session_id
        assert place["loop"] == "uvloop"


def test_it_carries_the_callers_policy(engine):
    place = engine.using(flood="wait", background=True).call(1, fakes.where)
    assert (place["flood"], place["background"], place["method"]) == ("wait", True, "tests.where")
    assert engine.call(1, fakes.where)["flood"] == "raise"


async def test_it_serves_many_calls_at_once(engine):
    calls = [engine.acall(1 + n % 3, fakes.echo, value=n) for n in range(40)]
    assert await asyncio.gather(*calls) == list(range(40))


def test_it_serves_many_threads_at_once(engine):
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        results = threads.map(lambda n: engine.call(n % 3, fakes.echo, value=n), range(100))
        assert list(results) == list(range(100))


@pytest.mark.parametrize(
    ("code", "message", "kind", "status"),
    [
        (420, "FLOOD_WAIT_30", FloodWait, 429),
        (401, "AUTH_KEY_UNREGISTERED", NotAuthorized, 401),
        (400, "MESSAGE_EMPTY", BadRequest, 400),
        (400, "PEER_ID_INVALID", NotFound, 404),
        (500, "RPC_CALL_FAIL", BadGateway, 502),
    ],
)
def test_it_raises_telegrams_errors_as_ours(engine, code, message, kind, status):
    with pytest.raises(kind) as caught:
        engine.call(1, fakes.fail, code=code, message=message)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.code == message.lower().removesuffix("_30")
    assert caught.value.seconds == (30 if kind is FloodWait else None)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("timeout", 502, "timeout"),
        ("refused", 502, "telegram_unreachable"),
        ("cancelled", 502, "telegram_unreachable"),
        ("bug", 500, "internal_error"),
        ("bytes", 500, "internal_error"),
    ],
)
def test_whatever_happens_leaves_as_an_engine_error(engine, kind, status, code):
    with pytest.raises(EngineError) as caught:
        engine.call(1, fakes.crash, kind=kind)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert "secret-7" not in str(caught.value.to_dict())


def test_it_refuses_what_is_no_json(engine):
    for value in (b"bytes", object(), {1: "int key"}, {1, 2}, 2**70):
        with pytest.raises(TypeError):
            engine.call(1, fakes.echo, value=value)


def test_it_refuses_wrong_keywords(engine):
    with pytest.raises(TypeError):
        engine.call(1, fakes.echo, valu=1)
    with pytest.raises(TypeError):
        engine.call(1, print)


def test_it_ends_at_the_deadline(engine, probe):
    with pytest.raises(BadGateway) as caught:
        engine.using(timeout_seconds=0.2).call(1, fakes.hang, probe="p")
    assert caught.value.code == "timeout"
    assert probe.cancelled.wait(30)


async def test_a_caller_that_gives_up_cancels_the_call(engine, probe):
    task = asyncio.create_task(engine.acall(1, fakes.hang, probe="p"))
    assert await asyncio.to_thread(probe.entered.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(probe.cancelled.wait, 30)


def test_a_call_under_an_old_lease_is_dropped(engine, hub):
    assert engine.call(1, fakes.echo, value=1) == 1
    hub.guard.epoch = 2
    with contextlib.suppress(Unavailable):  # this one may still come under the old lease
        engine.call(1, fakes.echo, value=2)
    assert engine.call(1, fakes.echo, value=3) == 3


def test_no_client_is_used_after_the_lease(engine, hub):
    hub.guard.error = Unavailable("lease_over", "Not the owner.", seconds=7)
    with pytest.raises(Unavailable) as caught:
        engine.call(1, fakes.echo, value=1)
    assert caught.value.seconds == 7
    assert not hub.source(1).clients


def test_it_meets_a_flood_once(engine, hub):
    for _ in range(3):
        with pytest.raises(FloodWait) as caught:
            engine.call(1, fakes.flooded, request="messages.search")
        assert 28 <= caught.value.seconds <= 30
    assert hub.source(1).clients[1].log == ["messages.search"]
    assert hub.store.load(1).floods["messages.search"] > 0
    # Another method, and another session, are free.
    assert engine.call(1, fakes.flooded, request="messages.getHistory") == 2
    with pytest.raises(FloodWait):
        engine.call(3, fakes.flooded, request="messages.search")


def test_a_method_may_do_without_a_client(engine, hub):
    assert engine.call(1, fakes.disconnect) is False
    engine.call(1, fakes.echo, value=1)
    assert engine.call(1, fakes.disconnect) is True
    assert hub.source(1).closed == [1, 1]


def test_it_returns_a_carried_sessions_new_state(engine):
    carried = Carried(1, "hash", dc_id=2)
    result, after = engine.carry(carried, fakes.migrate, dc_id=4)
    assert (result, after.dc_id, after.auth_key) == (4, 4, b"k" * 256)
    result, same = engine.carry(after, fakes.echo, value="x")
    assert (result, same) == ("x", after)


async def test_it_returns_a_carried_sessions_new_state_to_asynchronous_callers(engine):
    _, after = await engine.acarry(Carried(1, "hash"), fakes.migrate, dc_id=1)
    assert after.dc_id == 1


def test_a_carried_session_that_is_stored_uses_the_stored_client(engine, hub):
    hub.store.save_key(2, dc_id=2, host="h", port=1, auth_key=b"s" * 256)
    carried = Carried(1, "hash", auth_key=b"s" * 256)
    assert engine.call(carried, fakes.where)["ref"] == 2
    assert engine.call(carried, fakes.where)["thread"] == "telegram-0"


async def test_it_streams_bytes(engine):
    chunks = [c async for c in engine.stream(1, fakes.count, chunks=100, size=70_000)]
    assert b"".join(chunks) == b"".join(bytes([n]) * 70_000 for n in range(100))


async def test_it_cuts_large_chunks(engine):
    chunks = [c async for c in engine.stream(1, fakes.count, chunks=2, size=1_000_000)]
    assert max(map(len, chunks)) <= 256 * 1024
    assert sum(map(len, chunks)) == 2_000_000


async def test_an_empty_stream_ends(engine):
    assert [c async for c in engine.stream(1, fakes.count, chunks=0, size=1)] == []


async def test_a_stream_reads_ahead_no_further_than_its_credit(engine, probe):
    stream = engine.stream(1, fakes.count, chunks=1000, size=10, probe="p")
    assert await anext(stream) == b"\0" * 10
    for _ in range(20):  # a few turns of every loop: whoever has credit uses it
        await engine.acall(1, fakes.echo, value=1)
    assert len(probe.notes) < 30
    await stream.aclose()
    assert await asyncio.to_thread(probe.cancelled.wait, 30)


async def test_a_stream_fails_with_our_errors(engine):
    got = []
    with pytest.raises(FloodWait) as caught:
        async for chunk in engine.stream(1, fakes.count, chunks=9, size=5, fail_at=3):
            got.append(chunk)
    assert len(got) == 3
    assert caught.value.seconds == 9


async def test_a_stream_fails_before_its_first_byte(engine):
    stream = engine.stream(1, fakes.count, chunks=9, size=5, fail_at=0)
    with pytest.raises(FloodWait):
        await anext(stream)


async def test_many_streams_flow_side_by_side(engine):
    async def total(session_id):
        return sum(
            [len(c) async for c in engine.stream(session_id, fakes.count, chunks=50, size=999)]
        )

    assert await asyncio.gather(*(total(n % 3) for n in range(12))) == [50 * 999] * 12


async def _numbers(count, size=50_000):
    for number in range(count):
        yield bytes([number % 256]) * size


async def test_it_takes_uploads(engine):
    result = await engine.acall(1, fakes.swallow, upload=_numbers(100), name="a.bin")
    assert result == {"name": "a.bin", "bytes": 5_000_000, "last": 99}


def test_it_takes_uploads_from_synchronous_callers(engine):
    chunks = (bytes([n]) * 300_000 for n in range(20))
    result = engine.call(1, fakes.swallow, upload=chunks, name="b")
    assert result == {"name": "b", "bytes": 6_000_000, "last": 19}


async def test_it_takes_an_upload_of_nothing(engine):
    result = await engine.acall(1, fakes.swallow, upload=_numbers(0), name="c")
    assert result["bytes"] == 0


async def test_an_upload_that_is_refused_ends_early(engine):
    taken = []

    async def endless():
        while True:
            taken.append(1)
            yield b"x" * 100_000

    with pytest.raises(TooLarge):
        await engine.acall(1, fakes.swallow, upload=endless(), name="d", limit=1_000_000)
    assert len(taken) < 60


def test_a_synchronous_upload_that_is_refused_ends_early(engine):
    def endless():
        while True:
            yield b"x" * 100_000

    with pytest.raises(TooLarge):
        engine.call(1, fakes.swallow, upload=endless(), name="d", limit=1_000_000)


async def test_the_sources_own_error_comes_first(engine):
    async def breaking():
        yield b"x" * 10
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await engine.acall(1, fakes.swallow, upload=breaking(), name="e")


def test_the_sources_own_error_comes_first_to_synchronous_callers(engine):
    def breaking():
        yield b"x" * 10
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        engine.call(1, fakes.swallow, upload=breaking(), name="e")


@pytest.mark.parametrize("kind", ["local", "json", "unix"])
def test_it_caps_calls_in_flight(make_hub, connect, probe, kind):
    engine = connect(kind, make_hub(calls_per_session=2, calls=3))
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        held = [threads.submit(engine.call, 1, fakes.hold, probe="p") for _ in range(2)]
        wait_until(lambda: len(probe.notes) == 2)
        with pytest.raises(TooManyCalls) as caught:
            engine.call(1, fakes.echo, value=1)
        assert (caught.value.status, caught.value.seconds) == (429, 1)
        held.append(threads.submit(engine.call, 2, fakes.hold, probe="p"))
        wait_until(lambda: len(probe.notes) == 3)
        with pytest.raises(TooManyCalls):
            engine.call(3, fakes.echo, value=1)
        with pytest.raises(TooManyCalls):
            engine.call(3, fakes.swallow, upload=(b"x" for _ in range(100)), name="a")
        probe.release.set()
        assert [call.result(30) for call in held] == ["released"] * 3
    assert engine.call(1, fakes.echo, value=1) == 1


def test_calls_in_flight_end_when_the_hub_stops(engine, hub, probe):
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        held = threads.submit(engine.call, 1, fakes.hang, probe="p")
        assert probe.entered.wait(30)
        assert hub.pool.stop(1)
        with pytest.raises(Unavailable):
            held.result(30)
        assert probe.cancelled.wait(30)
    with pytest.raises(Unavailable):
        engine.call(1, fakes.echo, value=1)


def test_its_status_is_json(engine):
    engine.call(1, fakes.echo, value=1)
    status = engine.status()
    assert status["running"] is True
    assert status["transport"] in ("local", "json", "unix")


def wait_until(condition, seconds=30.0):
    """Wait for a condition that another thread brings about."""
    turn = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        turn.wait(0.01)
    raise AssertionError("it never came true")
