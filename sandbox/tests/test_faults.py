"""Every fault, as Telethon meets it."""

import asyncio

import pytest
from telethon import errors, events
from telethon.tl import functions, types

from sandbox.faults import Faults
from sandbox.rpc import METHODS, RpcError
from sandbox.tests.conftest import key_id, log_in
from sandbox.tests.rawclient import Closed, RawClient

GET_CONFIG = functions.help.GetConfigRequest()
GET_STATE = functions.updates.GetStateRequest()
DEADLINE_SECONDS = 20


@pytest.fixture
async def raw(sandbox, port):
    """Make clients of our own that are logged in."""
    clients = []

    async def make(user):
        client = await RawClient(port).connect()
        clients.append(client)
        await client.make_key(sandbox.server.server_key)
        await client.settle()
        await client.call(GET_CONFIG, layer=True)
        record = sandbox.world.authorizations[client.key.key_id]
        sandbox.server.run(lambda: sandbox.world.log_in(record, user))
        await client.call(GET_STATE)
        return client

    yield make
    for client in clients:
        await client.close()


# Calls


async def test_a_flood_wait_counts_down_and_ends(monkeypatch):
    faults, now = Faults(), 1000.0
    monkeypatch.setattr("sandbox.faults.time.time", lambda: now)
    faults.flood("messages.sendMessage", 30)
    assert str(faults.verdict("messages.sendMessage", 1, 2).error) == "420 FLOOD_WAIT_30"
    now += 29.5
    assert str(faults.verdict("messages.sendMessage", 1, 2).error) == "420 FLOOD_WAIT_1"
    assert faults.verdict("messages.getHistory", 1, 2).error is None
    now += 1
    assert faults.verdict("messages.sendMessage", 1, 2).error is None
    assert faults.verdict("messages.sendMessage", 1, 2).error is None


async def test_a_flood_wait_reaches_one_user_only(sandbox, telethon, alice, bob):
    sandbox.faults.flood("updates.getState", 30, user_id=alice.id)
    first, second = await telethon(), await telethon()
    log_in(sandbox, first, alice)
    log_in(sandbox, second, bob)
    with pytest.raises(errors.FloodWaitError) as raised:
        await first(GET_STATE)
    assert 29 <= raised.value.seconds <= 30
    assert await second(GET_STATE)
    assert sandbox.calls.entries("updates.getState")[0].error == "FLOOD_WAIT_30"


async def test_errors_for_the_next_calls(sandbox, telethon, alice):
    client = await telethon(alice)
    sandbox.faults.fail("updates.*", 400, "PEER_ID_INVALID", times=2)
    for _ in range(2):
        with pytest.raises(errors.PeerIdInvalidError):
            await client(GET_STATE)
    assert await client(GET_STATE)


async def test_a_flood_wait_for_the_next_calls(sandbox, telethon, alice):
    client = await telethon(alice)
    sandbox.faults.flood("updates.getState", 7, times=1)
    with pytest.raises(errors.FloodWaitError) as raised:
        await client(GET_STATE)
    assert raised.value.seconds == 7
    # Telethon itself holds back what was told to wait.
    assert await (await telethon(alice))(GET_STATE)


async def test_latency_delays_calls_but_not_pings(sandbox, telethon, alice):
    client = await telethon(alice)
    sandbox.faults.latency(3600, method="updates.getState")
    slow = asyncio.ensure_future(client(GET_STATE))
    assert (await client(functions.PingRequest(5))).ping_id == 5
    assert await client(GET_CONFIG)
    assert not slow.done()
    slow.cancel()


def test_jitter_adds_to_latency():
    faults = Faults(seed=3)
    faults.latency(1, jitter_seconds=0.5, times=20)
    delays = {faults.verdict("a.b", None, 2).delay_seconds for _ in range(20)}
    assert len(delays) == 20
    assert all(1 <= delay <= 1.5 for delay in delays)
    assert faults.verdict("a.b", None, 2).delay_seconds == 0


async def test_a_call_dropped_before_is_not_done(sandbox, telethon, alice, bob):
    client = await telethon(alice, retry_delay=0)
    peer = types.InputPeerUser(bob.id, sandbox.world.access_hash(alice.id, bob.id))
    sandbox.faults.drop("messages.sendMessage", when="before")
    await client(functions.messages.SendMessageRequest(peer, "once", random_id=5))
    entries = sandbox.calls.entries("messages.sendMessage")
    assert [entry.error for entry in entries] == ["dropped", ""]


async def test_a_call_dropped_after_is_done(sandbox, alice, bob, raw):
    client = await raw(alice)
    peer = types.InputPeerUser(bob.id, sandbox.world.access_hash(alice.id, bob.id))
    sandbox.faults.drop("messages.sendMessage", when="after")
    with pytest.raises(Closed):
        await client.call(functions.messages.SendMessageRequest(peer, "once", random_id=5))
    assert len(sandbox.world.history(alice.id, bob.id)) == 1


async def test_a_lost_answer(sandbox, telethon, alice):
    client = await telethon(alice)
    sandbox.faults.drop("updates.getState", when="answer")
    lost = asyncio.ensure_future(client(GET_STATE))
    await asyncio.to_thread(sandbox.calls.wait, "updates.getState", 1)
    assert await client(GET_STATE)
    assert not lost.done()
    lost.cancel()


async def test_a_handler_that_fails_is_an_internal_error(sandbox, alice, raw, monkeypatch):
    async def broken(call, request):
        raise ZeroDivisionError

    constructor = functions.updates.GetStateRequest.CONSTRUCTOR_ID
    client = await raw(alice)
    monkeypatch.setitem(METHODS, constructor, METHODS[constructor]._replace(run=broken))
    answer = await client.call(GET_STATE)
    assert (answer.error_code, answer.error_message) == (500, "RPC_CALL_FAIL")
    assert [type(error) for error in sandbox.server.crashes] == [ZeroDivisionError]
    sandbox.server.crashes.clear()


def test_clear_ends_everything():
    faults = Faults()
    faults.fail("*", 400, "X")
    faults.refuse()
    faults.updates(lost=1)
    faults.clear()
    assert faults.verdict("a.b", None, 2).error is None
    assert faults.on_connect(2) == ""
    assert faults.update_fate(1) == ""


# Updates


async def raw_texts(sandbox, client, bob, alice, count, expected):
    """Post to a client that mends nothing; return the texts in the order they came."""
    for number in range(count):
        await asyncio.to_thread(sandbox.world.post, bob, alice, str(number))
    texts = []
    while len(texts) < expected:
        _, value = await client.next()
        if isinstance(value, types.UpdateShortMessage):
            texts.append(value.message)
        elif isinstance(value, types.Updates):
            texts += [
                update.message.message
                for update in value.updates
                if isinstance(update, types.UpdateNewMessage)
            ]
    return texts


async def test_all_updates_come_without_faults(sandbox, alice, bob, raw):
    client = await raw(alice)
    assert await raw_texts(sandbox, client, bob, alice, 20, 20) == [str(n) for n in range(20)]


async def test_duplicated_updates(sandbox, alice, bob, raw):
    sandbox.faults.updates(duplicated=1)
    texts = await raw_texts(sandbox, await raw(alice), bob, alice, 10, 20)
    assert texts == [str(n // 2) for n in range(20)]


async def test_lost_updates(sandbox, alice, bob, raw):
    sandbox.faults.updates(lost=0.5, seed=4)
    faults = Faults()
    faults.updates(lost=0.5, seed=4)
    kept = [str(n) for n in range(20) if not faults.update_fate(alice.id)]
    assert 2 < len(kept) < 18
    assert await raw_texts(sandbox, await raw(alice), bob, alice, 20, len(kept)) == kept


async def test_reordered_updates(sandbox, alice, bob, raw):
    sandbox.faults.updates(reordered=0.5, seed=2)
    texts = await raw_texts(sandbox, await raw(alice), bob, alice, 20, 20)
    assert texts != [str(n) for n in range(20)]
    assert sorted(texts, key=int) == [str(n) for n in range(20)]


async def test_telethon_mends_lost_updates(sandbox, telethon, alice, bob):
    client = await telethon(alice)
    texts, begun, done = [], asyncio.Event(), asyncio.Event()

    async def collect(event):
        texts.append(event.raw_text)
        begun.set()
        if len(texts) == 41:
            done.set()

    client.add_event_handler(collect, events.NewMessage)
    await client.get_me()
    await asyncio.to_thread(sandbox.world.post, bob, alice, "first")
    await asyncio.wait_for(begun.wait(), DEADLINE_SECONDS)
    sandbox.faults.updates(lost=0.2, duplicated=0.2, reordered=0.2, user_id=alice.id)
    for number in range(39):
        await asyncio.to_thread(sandbox.world.post, bob, alice, str(number))
    sandbox.faults.clear()
    await asyncio.to_thread(sandbox.world.post, bob, alice, "last")
    async with asyncio.timeout(DEADLINE_SECONDS):
        await done.wait()
    assert sorted(texts) == sorted(["first", "last", *map(str, range(39))])


# Connections


async def test_dropped_connections(sandbox, telethon, alice, bob):
    first = await telethon(alice, retry_delay=0)
    second = await telethon(bob, retry_delay=0)
    await first.get_me()
    await second.get_me()
    kept = sandbox.server.keys[key_id(second)]
    sessions = set(kept.sessions)
    await asyncio.to_thread(sandbox.faults.drop_connections, user_id=alice.id)
    assert (await first.get_me()).id == alice.id
    await second.get_me()
    assert set(kept.sessions) == sessions


async def test_refused_connections(sandbox, port):
    sandbox.faults.refuse(times=1)
    client = await RawClient(port).connect()
    with pytest.raises(Closed):
        await client.read()
    await client.close()
    async with RawClient(port) as other:
        assert await other.plain(functions.ReqPqMultiRequest(1))


async def test_one_data_centre_refuses_until_it_accepts(sandbox):
    sandbox.faults.refuse(dc=1)
    assert [sandbox.faults.on_connect(dc) for dc in (1, 2, 1)] == ["refused", "", "refused"]
    sandbox.faults.accept(dc=1)
    assert sandbox.faults.on_connect(1) == ""


async def test_half_dead_connections_accept_and_stay_silent(sandbox, port):
    sandbox.faults.half_dead()
    dead = await RawClient(port).connect()
    asked = asyncio.ensure_future(dead.plain(functions.ReqPqMultiRequest(1)))
    async with RawClient(port) as other:
        assert await other.plain(functions.ReqPqMultiRequest(1))
    assert not asked.done()
    asked.cancel()
    await dead.close()


async def test_silenced_connections(sandbox, telethon, alice):
    client = await telethon(alice)
    await client.get_me()
    await asyncio.to_thread(sandbox.faults.silence, user_id=alice.id)
    asked = asyncio.ensure_future(client(GET_CONFIG))
    other = await telethon(alice)
    assert (await other.get_me()).id == alice.id
    assert not asked.done()
    asked.cancel()


# Keys


async def test_a_revoked_session(sandbox, telethon, alice, bob):
    first, second = await telethon(alice), await telethon(bob)
    count = await asyncio.to_thread(
        lambda: sandbox.faults.revoke(user_id=alice.id, error="SESSION_REVOKED")
    )
    assert count == 1
    with pytest.raises(errors.SessionRevokedError):
        await first(GET_STATE)
    assert await second(GET_STATE)


async def test_a_revoked_key(sandbox, telethon, alice):
    first, second = await telethon(alice), await telethon(alice)
    await asyncio.to_thread(lambda: sandbox.faults.revoke(auth_key_id=key_id(first)))
    with pytest.raises(errors.AuthKeyUnregisteredError):
        await first(GET_STATE)
    assert await second(GET_STATE)


async def test_a_revoked_user_may_log_in_again(sandbox, telethon, alice):
    client = await telethon(alice)
    await asyncio.to_thread(lambda: sandbox.faults.revoke(user_id=alice.id))
    sent = await client.send_code_request("+15550000001")
    await client.sign_in(
        "+15550000001", sandbox.login_code("+15550000001"), phone_code_hash=sent.phone_code_hash
    )
    assert await client(GET_STATE)


async def test_a_duplicated_key_from_two_connections(sandbox, telethon, alice):
    first = await telethon(alice)
    await first.get_me()
    sandbox.faults.duplicated_keys("connection")
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await telethon(session=first.session)
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await first(GET_STATE)
    assert sandbox.world.authorizations[key_id(first)].user_id is None


async def test_a_duplicated_key_from_two_addresses(sandbox, telethon, alice):
    first = await telethon(alice)
    await first.get_me()
    sandbox.faults.duplicated_keys()
    same = await telethon(session=first.session)
    assert await same(GET_STATE)
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await telethon(session=first.session, local_addr="127.0.0.2")
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await first(GET_STATE)


async def test_one_key_on_two_connections_is_fine_by_default(sandbox, telethon, alice):
    first = await telethon(alice)
    second = await telethon(session=first.session)
    assert await first(GET_STATE)
    assert await second(GET_STATE)


async def test_rotated_salts_are_no_trouble_to_telethon(sandbox, telethon, alice):
    client = await telethon(alice)
    for _ in range(3):
        await asyncio.to_thread(sandbox.faults.rotate_salts)
        assert await client(GET_STATE)


async def test_forgotten_keys(sandbox, alice, raw):
    client = await raw(alice)
    assert await asyncio.to_thread(lambda: sandbox.faults.forget(user_id=alice.id)) == 1
    with pytest.raises(Closed):
        await client.next()
    assert sandbox.world.logged_in[alice.id] == 0
    await client.close()
    await client.connect()
    client.send(GET_STATE)
    with pytest.raises(Closed) as closed:
        await client.next()
    assert closed.value.code == 404


async def test_a_transport_flood(sandbox, alice, raw):
    client = await raw(alice)
    sandbox.faults.transport_error(429)
    client.send(GET_STATE)
    with pytest.raises(Closed) as closed:
        await client.next()
    assert closed.value.code == 429


async def test_connections_are_described(sandbox, alice, raw):
    client = await raw(alice)
    (seen,) = await asyncio.to_thread(sandbox.connections)
    assert seen["auth_key_ids"] == [client.key.key_id]
    assert seen["user_ids"] == [alice.id]
    assert (seen["dc"], seen["ip"], seen["transport"]) == (2, "127.0.0.1", "intermediate")
    assert seen["clients"][0]["device_model"] == "Tester"


def test_verbs_need_a_running_sandbox():
    with pytest.raises(RuntimeError):
        Faults().drop_connections()


def test_an_rpc_error_reads_as_telegram_writes_it():
    assert str(RpcError(420, "FLOOD_WAIT_30")) == "420 FLOOD_WAIT_30"
