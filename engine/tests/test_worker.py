"""Workers start, take, do, reply, stop; the pool deals sessions out to them."""

import concurrent.futures
import contextvars
import logging
import threading
import time

import pytest

from engine import TooManyCalls, Unavailable
from engine.conf import EngineSettings
from engine.pool import Admission, Pool, session_key
from engine.testing import MemorySink, MemoryStore, OpenGuard
from engine.tests import fakes
from engine.tests.test_transports import wait_until
from engine.wire import Carried, Request


def request(session_id=1, method="tests.echo", **kwargs):
    return Request("r", session_id, method, kwargs, time.time() + 30)


def test_it_works(hub):
    hub.pool.start()
    assert hub.pool.submit(request(value=7)).result(30).result == 7


def test_its_threads_have_telling_names(hub):
    hub.pool.start()
    names = {thread.name for thread in threading.enumerate()}
    assert {"telegram-0", "telegram-1"} <= names


def test_before_its_start_it_is_unavailable(hub):
    reply = hub.pool.submit(request(value=1)).result(30)
    assert isinstance(reply.error, Unavailable)
    assert reply.error.code == "starting"


def test_after_its_stop_it_is_unavailable(hub):
    hub.pool.start()
    assert hub.pool.stop(5)
    reply = hub.pool.submit(request(value=1)).result(30)
    assert reply.error.code == "draining"
    assert hub.pool.stop(5)  # twice is no harm


def test_a_stop_lets_calls_end_and_closes_the_clients(hub, probe):
    hub.pool.start()
    held = hub.pool.submit(request(method="tests.hold", probe="p"))
    assert probe.entered.wait(30)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        stopped = threads.submit(hub.pool.stop, 30)
        wait_until(lambda: hub.pool.status()["workers"][1]["state"] == "stopping")
        probe.release.set()
        assert held.result(30).result == "released"
        assert stopped.result(30)
    assert hub.source(1).closed == [1]


def test_a_stop_has_a_deadline(hub, probe):
    hub.pool.start()
    held = hub.pool.submit(request(method="tests.hang", probe="p"))
    assert probe.entered.wait(30)
    assert hub.pool.stop(0.2)
    assert held.result(30).error.code == "draining"


def test_a_worker_may_be_stopped_from_its_own_thread(hub):
    async def stop(source):
        return hub.pool.stop(1)

    hub.pool.start()
    worker = hub.pool._workers[0]
    assert worker.run(stop).result(30) is False
    assert worker.join(30)


def test_what_fails_at_the_start_is_raised():
    def broken(context):
        raise OSError("no such key file")

    pool = Pool(
        settings=EngineSettings(workers=2),
        store=MemoryStore(),
        sink=MemorySink(),
        guard=OpenGuard(),
        clients=broken,
    )
    logging.getLogger("engine.worker").disabled = True
    try:
        with pytest.raises(OSError, match="no such key file"):
            pool.start()
    finally:
        logging.getLogger("engine.worker").disabled = False
    assert pool.stop(5)


def test_it_leaves_the_callers_context_behind(hub):
    mark = contextvars.ContextVar("mark", default="clean")
    seen = []

    async def look(client):
        seen.append(mark.get())

    @fakes.method(body=look, name="tests.look")
    async def look_method() -> None: ...

    hub.pool.start()
    mark.set("the caller's")
    hub.pool.submit(request(method="tests.look")).result(30)
    hub.pool._workers[1].run(look).result(30)
    assert seen == ["clean", "clean"]


def test_a_call_that_was_cancelled_before_its_turn_never_runs(hub, probe):
    async def block(source):
        probe.entered.set()
        probe.release.wait(30)

    hub.pool.start()
    blocked = hub.pool._workers[1].run(block)
    assert probe.entered.wait(30)
    call = hub.pool.submit(request(method="tests.flooded", request="x"))
    assert call.cancel()
    probe.release.set()
    blocked.result(30)
    assert hub.pool.submit(request(value=1)).result(30).result == 1
    assert hub.source(1).clients[1].log == []
    assert hub.pool.status()["calls"] == 0


def test_disconnect_closes_clients_and_goes_on(hub):
    hub.pool.start()
    hub.pool.submit(request(value=1)).result(30)
    assert hub.pool.disconnect()
    assert hub.source(1).closed == [1]
    assert hub.pool.submit(request(value=2)).result(30).result == 2


def test_the_heartbeat_shows_a_stuck_loop(hub, probe):
    async def block(source):
        probe.entered.set()
        probe.release.wait(30)

    hub.pool.start()
    blocked = hub.pool._workers[1].run(block)
    assert probe.entered.wait(30)

    def ages():
        return [worker["heartbeat_age_seconds"] for worker in hub.pool.status()["workers"]]

    wait_until(lambda: ages()[1] > 1.5 > ages()[0])
    probe.release.set()
    blocked.result(30)
    wait_until(lambda: ages()[1] < 1.5)


def test_carried_sessions_are_dealt_out_by_their_key(hub):
    one, other = Carried(1, "h", auth_key=b"1" * 256), Carried(1, "h", auth_key=b"2" * 256)
    assert session_key(one) == session_key(one) != session_key(other)
    assert session_key(Carried(1, "h")) == ""
    assert session_key(5) == 5
    hub.pool.start()
    for ref in (one, other, Carried(1, "h")):
        reply = hub.pool.submit(Request("r", ref, "tests.where", {}, time.time() + 30)).result(30)
        assert reply.result["ref"] == "carried"


def test_admission_counts_out_what_it_counted_in():
    admission = Admission(per_session=1, total=2)
    leave = admission.enter(1)
    with pytest.raises(TooManyCalls, match="this session"):
        admission.enter(1)
    admission.enter(2)
    with pytest.raises(TooManyCalls):
        admission.enter(3)
    leave(None)
    assert admission.calls == 1
    admission.enter(1)
