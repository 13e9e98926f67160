"""Sessions that travel with the request: warm for a while, one connection for each key."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine import methods
from engine.errors import BadGateway, NotAuthorized, TooManyCalls
from engine.tests.telegram import QUICK, Rig
from engine.wire import Carried
from sandbox import Sandbox
from sandbox.world import World

ALICE, BOB, DORA = "+15550000001", "+15550000002", "+15550000003"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    world = World()
    world.add_user("Alice", phone=ALICE)
    world.add_user("Bob", phone=BOB)
    world.add_user("Dora", phone=DORA, dc=1)
    with Sandbox(world=world) as running:
        running.faults.duplicated_keys("connection")
        yield running
        assert running.server.crashes == []


@pytest.fixture
def rig(sandbox: Sandbox) -> Iterator[Rig]:
    rig = Rig(sandbox, workers=2)
    yield rig
    rig.engine.stop(10)


def carry(rig, carried, method, **kwargs):
    return rig.engine.using(timeout_seconds=20).carry(carried, method, **kwargs)


def log_in(rig, phone):
    """Log in on a carried session and return it."""
    sent, carried = carry(rig, Carried(1, "hash"), methods.auth.send_code, phone=phone)
    login, carried = carry(
        rig,
        carried,
        methods.auth.sign_in,
        phone=phone,
        code=rig.sandbox.login_code(phone),
        phone_code_hash=sent["phone_code_hash"],
    )
    assert login["state"] == "ready"
    return carried


def warm(rig) -> int:
    return sum(worker["clients"]["carried"] for worker in rig.engine.status()["workers"])


def test_it_works(rig, sandbox):
    carried = log_in(rig, ALICE)
    assert carried.dc_id == 2
    me, after = carry(rig, carried, methods.sessions.get_me)
    assert me["first_name"] == "Alice"
    assert after == carried


def test_it_works_after_a_restart(rig, sandbox):
    carried = log_in(rig, ALICE)
    rig.restart()
    me, _ = carry(rig, carried, methods.sessions.get_me)
    assert me["first_name"] == "Alice"


def test_it_keeps_a_warm_connection(rig, sandbox):
    carried = log_in(rig, ALICE)
    carry(rig, carried, methods.sessions.get_me)
    connections = set(sandbox.server.connections)
    carry(rig, carried, methods.sessions.get_me)
    assert set(sandbox.server.connections) == connections
    assert warm(rig) == 1


def test_it_asks_for_no_updates(rig, sandbox):
    carried = log_in(rig, ALICE)
    carry(rig, carried, methods.sessions.get_me)
    assert sandbox.calls.count("updates.getDifference") == 0
    assert sandbox.calls.count("messages.getDialogs") == 0


def test_many_calls_share_one_connection(rig, sandbox):
    carried = log_in(rig, ALICE)
    rig.restart()
    results = []

    def call():
        results.append(carry(rig, carried, methods.sessions.get_me)[0]["first_name"])

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["Alice"] * 8
    assert len(sandbox.server.connections) == 1


def test_a_login_moves_to_the_data_centre_of_the_account(rig, sandbox):
    carried = log_in(rig, DORA)
    assert f"{carried.dc_id}@{carried.host}:{carried.port}" == sandbox.dc_address(1)
    assert carry(rig, carried, methods.sessions.get_me)[0]["first_name"] == "Dora"


def test_a_session_without_a_key_is_not_kept(rig, sandbox):
    carry(rig, Carried(1, "hash"), methods.auth.send_code, phone=ALICE)
    assert warm(rig) == 0
    rig.wait_until(lambda: not sandbox.server.connections)


def test_it_is_closed_when_it_was_idle(rig, sandbox):
    rig.timing = replace(QUICK, carried_idle=0.1)
    rig.restart()
    carried = log_in(rig, ALICE)
    carry(rig, carried, methods.sessions.get_me)
    rig.wait_until(lambda: warm(rig) == 0 and not sandbox.server.connections)


def test_the_pool_is_bounded(rig, sandbox):
    rig.timing = replace(QUICK, carried_max=1)
    rig.workers = 1
    rig.restart()
    first, second = log_in(rig, ALICE), log_in(rig, BOB)
    for carried in (first, second, first):
        carry(rig, carried, methods.sessions.get_me)
        assert warm(rig) == 1
    alice = sandbox.world.by_phone(ALICE).id
    sandbox.faults.latency(1.0, method="users.getUsers", user_id=alice, times=1)

    def hold_the_place() -> None:
        # The other session may have it for a moment.
        with contextlib.suppress(TooManyCalls):
            carry(rig, first, methods.sessions.get_me)
            return
        hold_the_place()

    busy = threading.Thread(target=hold_the_place)
    busy.start()
    with pytest.raises(TooManyCalls):
        rig.wait_until(lambda: carry(rig, second, methods.sessions.get_me) and False)
    busy.join()


def test_a_key_that_is_stored_here_uses_the_stored_client(rig, sandbox):
    rig.log_in(sandbox.world.by_phone(ALICE))
    record = rig.store.load(1)
    carried = Carried(1, "hash", record.dc_id, record.host, record.port, record.auth_key)
    connections = set(sandbox.server.connections)
    me, _ = carry(rig, carried, methods.sessions.get_me)
    assert me["first_name"] == "Alice"
    assert set(sandbox.server.connections) == connections
    assert warm(rig) == 0


def test_a_revoked_session_is_not_authorised_and_not_kept(rig, sandbox):
    carried = log_in(rig, ALICE)
    sandbox.faults.revoke(user_id=sandbox.world.by_phone(ALICE).id)
    with pytest.raises(NotAuthorized):
        carry(rig, carried, methods.sessions.get_me)


def test_logging_out_ends_the_connection(rig, sandbox):
    carried = log_in(rig, ALICE)
    carry(rig, carried, methods.auth.log_out)
    assert warm(rig) == 0
    rig.wait_until(lambda: not sandbox.server.connections)


def test_an_unreachable_server_is_a_bad_gateway(rig, sandbox):
    carried = log_in(rig, ALICE)
    rig.restart()
    sandbox.faults.refuse()
    with pytest.raises(BadGateway):
        carry(rig, carried, methods.sessions.get_me)
    assert warm(rig) == 0
