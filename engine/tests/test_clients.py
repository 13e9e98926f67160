"""Sessions over real connections: opened, kept, watched, healed, given up, closed."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from telethon import functions, types

from engine import methods
from engine.errors import BadGateway, EngineError, FloodWait, NotAuthorized, NotFound, Unavailable
from engine.store import Device, Proxy, SessionRecord
from engine.tests.telegram import QUICK, Rig
from sandbox import Sandbox
from sandbox.proxies import HttpProxy, MtProxy, Socks5Proxy
from sandbox.world import World


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    world = World()
    alice = world.add_user("Alice", phone="+15550000001")
    bob = world.add_user("Bob", phone="+15550000002", username="bobby")
    world.add_user("Dora", phone="+15550000003", dc=1)
    world.add_user("Eve", phone="+15550000004", password="secret", hint="the usual")
    world.add_channel("News", bob, [alice])
    with Sandbox(world=world) as running:
        yield running
        assert running.server.crashes == []


@pytest.fixture
def rig(sandbox: Sandbox) -> Iterator[Rig]:
    rig = Rig(sandbox)
    yield rig
    rig.engine.stop(10)


@pytest.fixture
def alice(sandbox: Sandbox):
    return sandbox.world.by_phone("+15550000001")


@pytest.fixture
def bob(sandbox: Sandbox):
    return sandbox.world.by_phone("+15550000002")


def logged_in(rig, user):
    """Log a user in and wait until the engine has settled."""
    rig.log_in(user)
    rig.wait_until(lambda: 0 in rig.boxes() and rig.boxes()[0].pts)


def test_it_works(rig, alice):
    rig.log_in(alice)
    assert rig.call(1, methods.sessions.get_me)["first_name"] == "Alice"
    assert rig.store.kinds(1) == ["connected"]
    assert rig.facts()["state"] == "connected"


def test_an_unknown_session_is_not_found(rig):
    with pytest.raises(NotFound):
        rig.call(9, methods.sessions.get_me)


def test_it_reconnects_after_a_drop_and_brings_what_came_meanwhile(rig, sandbox, alice, bob):
    logged_in(rig, alice)
    sandbox.faults.refuse()
    sandbox.faults.drop_connections()
    for n in range(20):
        sandbox.world.post(bob, alice, f"m {n}")
    sandbox.faults.accept()
    assert rig.sink.wait_for_texts(20, "m") == [f"m {n}" for n in range(20)]
    assert "expired" not in rig.store.kinds(1)


def test_a_call_under_way_survives_a_drop(rig, sandbox, alice):
    logged_in(rig, alice)
    sandbox.faults.drop("users.getUsers", when="before")
    assert rig.call(1, methods.sessions.get_me)["first_name"] == "Alice"


def test_an_unreachable_server_is_tried_again_for_ever(rig, sandbox, alice):
    logged_in(rig, alice)
    rig.engine.stop(10)
    sandbox.stop()
    rig.engine = rig.make_engine()
    with pytest.raises(BadGateway):
        rig.connect()
    report = rig.store.wait_for_report(1, "retrying", 3)
    assert report.error and report.retry_at
    sandbox.start()
    rig.store.wait_for_report(1, "connected", 2)
    assert rig.connect()["connected"]


def test_a_kicked_retry_does_not_wait_for_its_turn(rig, sandbox, alice):
    rig.timing = replace(QUICK, backoff_first=0.05, backoff_max=3600)
    rig.restart()
    logged_in(rig, alice)
    rig.restart()
    sandbox.faults.refuse()
    with pytest.raises(BadGateway):
        rig.connect()
    rig.store.wait_for_report(1, "retrying", 5)
    sandbox.faults.accept()
    rig.wait_until(lambda: _connects(rig))


def _connects(rig) -> bool:
    try:
        return bool(rig.connect()["connected"])
    except BadGateway:
        return False


@pytest.mark.parametrize("error", ["AUTH_KEY_UNREGISTERED", "SESSION_REVOKED", "USER_DEACTIVATED"])
def test_an_expired_session_is_never_tried_again(rig, sandbox, alice, error):
    logged_in(rig, alice)
    sandbox.faults.revoke(user_id=alice.id, error=error)
    with pytest.raises(NotAuthorized):
        rig.call(1, methods.sessions.get_me)
    report = rig.store.wait_for_report(1, "expired")
    assert report.error == error.lower()
    rig.wait_until(lambda: not sandbox.connections())  # what was on its way has arrived
    calls = len(sandbox.calls.entries())
    for _ in range(3):
        with pytest.raises(NotAuthorized) as caught:
            rig.call(1, methods.sessions.get_me)
        assert caught.value.expired
    assert len(sandbox.calls.entries()) == calls
    assert rig.facts()["state"] == "expired"
    assert rig.store.kinds(1).count("expired") == 1


def test_a_duplicated_key_ends_the_session(rig, sandbox, alice):
    logged_in(rig, alice)
    sandbox.faults.fail("*", 406, "AUTH_KEY_DUPLICATED", times=None)
    with pytest.raises(NotAuthorized):
        rig.call(1, methods.sessions.get_me)
    assert rig.store.wait_for_report(1, "expired").error == "auth_key_duplicated"


def test_a_key_that_telegram_forgot_is_believed_lost_at_the_third_time(rig, sandbox, alice):
    logged_in(rig, alice)
    [record] = [a for a in sandbox.world.authorizations.values() if a.user_id == alice.id]
    sandbox.server.destroy_key(record.auth_key_id)
    assert rig.store.wait_for_report(1, "expired").error == "auth_key_not_found"
    assert rig.store.kinds(1).count("retrying") == 2
    with pytest.raises(NotAuthorized):
        rig.call(1, methods.sessions.get_me)


def test_a_revocation_is_noticed_without_a_call(rig, sandbox, alice):
    logged_in(rig, alice)
    sandbox.faults.revoke(user_id=alice.id)
    assert rig.store.wait_for_report(1, "expired").error == "auth_key_unregistered"


def test_a_session_that_is_expired_in_the_store_asks_telegram_nothing(rig, sandbox):
    rig.store.add(SessionRecord(1, api_id=1, api_hash="hash", state="expired"))
    with pytest.raises(NotAuthorized):
        rig.call(1, methods.sessions.get_me)
    assert sandbox.calls.counts() == {}


def test_an_expired_session_may_be_logged_in_again(rig, sandbox, alice):
    logged_in(rig, alice)
    sandbox.faults.revoke(user_id=alice.id)
    rig.store.wait_for_report(1, "expired")
    rig.log_in(alice)
    assert rig.call(1, methods.sessions.get_me)["first_name"] == "Alice"


def test_a_frozen_connection_is_noticed_and_healed(rig, sandbox, alice, bob):
    logged_in(rig, alice)
    sandbox.faults.silence()
    sandbox.world.post(bob, alice, "through the ice")
    report = rig.store.wait_for_report(1, "degraded")
    assert report.error == "no_answer"
    rig.store.wait_for_report(1, "healed")
    assert rig.sink.wait_for_texts(1, "through") == ["through the ice"]


def test_a_session_that_is_connected_but_told_nothing_is_healed(rig, sandbox, alice, bob):
    logged_in(rig, alice)
    sandbox.faults.updates(lost=1.0)
    for n in range(3):
        sandbox.world.post(bob, alice, f"m {n}")
    assert rig.store.wait_for_report(1, "degraded").error == "updates_missing"
    assert rig.sink.wait_for_texts(3, "m") == ["m 0", "m 1", "m 2"]
    rig.store.wait_for_report(1, "healed")


def test_a_dead_update_loop_is_started_again(rig, sandbox, alice, bob):
    logged_in(rig, alice)
    broken = types.Updates(
        [types.UpdateDeleteMessages([1], "no number", 1)], [], [], datetime.now(UTC), 0
    )
    run_on_client(rig, lambda client: client._updates_queue.put_nowait(broken))
    rig.store.wait_for_report(1, "connected", 2)
    sandbox.world.post(bob, alice, "hello")
    rig.sink.wait_for_texts(1, "hello")


def test_a_lease_that_is_over_disconnects_and_lets_nothing_through(rig, sandbox, alice):
    logged_in(rig, alice)
    rig.guard.error = Unavailable("lease_lost", "The lease may be over.")
    with pytest.raises(Unavailable):
        rig.call(1, methods.sessions.get_me)
    rig.store.wait_for_report(1, "retrying")
    rig.wait_until(lambda: not sandbox.server.connections)
    rig.guard.error = None
    assert _eventually(rig, methods.sessions.get_me)["first_name"] == "Alice"


def test_after_the_lease_no_packet_leaves(rig, sandbox, alice):
    logged_in(rig, alice)
    sender = run_on_client(rig, lambda client: client._sender)
    rig.guard.error = Unavailable("lease_lost", "The lease may be over.")
    sandbox.calls.clear()

    async def send(_):
        sender.send(functions.help.GetNearestDcRequest())

    rig.engine.transport().pool._workers[0].run(send).result(10)
    rig.wait_until(lambda: not sandbox.server.connections)
    assert sandbox.calls.count("help.getNearestDc") == 0


def _eventually(rig, method):
    result = []

    def works() -> bool:
        try:
            result.append(rig.call(1, method))
        except EngineError:
            return False
        return True

    rig.wait_until(works)
    return result[-1]


def test_another_owner_is_waited_for(rig, sandbox, alice):
    logged_in(rig, alice)
    rig.restart()
    rig.wait_until(lambda: not sandbox.server.connections)
    claim = rig.store.claim

    def refuse(session_id):
        raise Unavailable("owned", "Another node owns it.", seconds=1)

    rig.store.claim = refuse
    with pytest.raises(Unavailable):
        rig.connect()
    assert not sandbox.server.connections
    rig.store.claim = claim
    rig.store.wait_for_report(1, "connected", 2)


def test_entities_survive_a_restart(rig, sandbox, alice):
    logged_in(rig, alice)
    rig.call(1, methods.messages.send_message, chat_id="@bobby", text="hi", random_id=1)
    rig.restart()
    sandbox.calls.clear()
    rig.call(1, methods.messages.send_message, chat_id="@bobby", text="again", random_id=2)
    assert sandbox.calls.count("messages.sendMessage") == 1
    assert sandbox.calls.count("contacts.resolveUsername") == 0


def test_a_flood_wait_is_known_after_a_restart(rig, sandbox, alice):
    logged_in(rig, alice)
    sandbox.faults.flood("users.getUsers", 600)
    with pytest.raises(FloodWait) as caught:
        rig.call(1, methods.sessions.get_me)
    assert 590 < caught.value.seconds <= 600
    rig.restart()
    sandbox.calls.clear()
    with pytest.raises(FloodWait):
        rig.call(1, methods.sessions.get_me)
    assert sandbox.calls.count("users.getUsers") == 0


def test_many_calls_open_one_connection(rig, sandbox, alice):
    logged_in(rig, alice)
    rig.restart()
    rig.wait_until(lambda: not sandbox.server.connections)
    threads = [
        threading.Thread(target=rig.call, args=(1, methods.sessions.get_me)) for _ in "x" * 8
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sandbox.server.connections) == 1


def test_device_and_layer_go_out_with_the_first_packet(rig, sandbox, alice):
    device = Device("Pixel 9", "SDK 35", "11.2", "de", "de-DE")
    rig.log_in(alice, device=device)
    [record] = [a for a in sandbox.world.authorizations.values() if a.user_id == alice.id]
    assert record.client.device_model == "Pixel 9"
    assert record.client.app_version == "11.2"
    assert record.client.lang_code == "de"


def test_a_login_goes_on_after_a_restart(rig, sandbox, alice):
    rig.store.add(SessionRecord(1, api_id=1, api_hash="hash"))
    phone = f"+{alice.phone}"
    sent = rig.call(1, methods.auth.send_code, phone=phone)
    assert rig.store.load(1).auth_key is not None
    rig.restart()
    login = rig.call(
        1,
        methods.auth.sign_in,
        phone=phone,
        code=sandbox.login_code(phone),
        phone_code_hash=sent["phone_code_hash"],
    )
    assert login["state"] == "ready"


def test_a_password_is_asked_for_and_taken_after_a_restart(rig, sandbox):
    rig.store.add(SessionRecord(1, api_id=1, api_hash="hash"))
    phone = "+15550000004"
    sent = rig.call(1, methods.auth.send_code, phone=phone)
    login = rig.call(
        1,
        methods.auth.sign_in,
        phone=phone,
        code=sandbox.login_code(phone),
        phone_code_hash=sent["phone_code_hash"],
    )
    assert login == {"state": "wait_password", "user": None, "hint": "the usual"}
    rig.restart()
    assert rig.call(1, methods.auth.check_password, password="secret")["state"] == "ready"


def test_a_login_moves_to_the_data_centre_of_the_account(rig, sandbox):
    rig.store.add(SessionRecord(1, api_id=1, api_hash="hash"))
    dora = sandbox.world.by_phone("+15550000003")
    rig.log_in(dora)
    record = rig.store.load(1)
    assert record.dc_id == 1
    assert f"1@{record.host}:{record.port}" == sandbox.dc_address(1)
    rig.restart()
    assert rig.call(1, methods.sessions.get_me)["first_name"] == "Dora"
    assert "retrying" not in rig.store.kinds(1)


def test_a_qr_login_moves_to_the_data_centre_of_the_account(rig, sandbox):
    rig.store.add(SessionRecord(1, api_id=1, api_hash="hash"))
    shown = rig.call(1, methods.auth.start_qr)
    sandbox.accept_login_token(shown["url"], "+15550000003")
    rig.wait_until(lambda: rig.call(1, methods.auth.qr_status)["state"] == "ready")
    assert rig.store.load(1).dc_id == 1


def test_a_logged_out_session_is_closed(rig, sandbox, alice):
    logged_in(rig, alice)
    assert rig.call(1, methods.auth.log_out)
    rig.store.change(1, state="logged_out", auth_key=None)
    rig.wait_until(lambda: not sandbox.server.connections)
    assert "expired" not in rig.store.kinds(1)
    with pytest.raises(NotAuthorized):
        rig.call(1, methods.sessions.get_me)


@pytest.mark.parametrize("kind", ["socks5", "http", "mtproxy"])
def test_a_proxy_carries_the_session_from_its_first_packet(rig, sandbox, alice, kind):
    secret = "dd000102030405060708090a0b0c0d0e0f"
    servers = {
        "socks5": lambda: Socks5Proxy("user", "pass"),
        "http": lambda: HttpProxy("user", "pass"),
        "mtproxy": lambda: _mtproxy(sandbox, secret),
    }
    with servers[kind]() as server:
        proxy = Proxy(kind, server.host, server.port, "user", "pass", secret)
        rig.log_in(alice, proxy=proxy)
        assert rig.call(1, methods.sessions.get_me)["first_name"] == "Alice"
        assert server.passages
        assert len(sandbox.server.connections) == len(server.passages)
        rig.engine.stop(10)


def _mtproxy(sandbox, secret):
    addresses = {}
    for option in sandbox.server.dc_options:
        addresses[option.dc] = (option.host, option.port)
    return MtProxy(bytes.fromhex(secret[2:]), addresses)


def test_a_proxy_that_refuses_is_unreachable(rig, sandbox):
    with Socks5Proxy("user", "right") as server:
        proxy = Proxy("socks5", server.host, server.port, "user", "wrong")
        rig.store.add(SessionRecord(1, api_id=1, api_hash="hash", proxy=proxy))
        with pytest.raises(BadGateway):
            rig.call(1, methods.auth.send_code, phone="+15550000001")
        rig.engine.stop(10)
    assert sandbox.calls.counts() == {}


def test_a_handshake_that_fails_is_repeated(rig, sandbox, alice):
    # About one in 256 fails by itself: Telethon strips the leading zeros of the shared key.
    sandbox.faults.handshake("fail")
    rig.log_in(alice)


def run_on_client(rig, function):
    """Run a function on session 1's client, on its loop."""
    pool = rig.engine.transport().pool
    worker = pool._workers[1 % rig.workers]

    async def body(clients):
        async with clients.use(1) as client:
            return function(client)

    return worker.run(body).result(10)
