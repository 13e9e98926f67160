"""Unmodified Telethon against the protocol: transports, logins, updates, reconnecting."""

import asyncio

import pytest
from telethon import errors, events
from telethon.network import (
    ConnectionTcpAbridged,
    ConnectionTcpFull,
    ConnectionTcpIntermediate,
    ConnectionTcpObfuscated,
)
from telethon.tl import functions, types

from sandbox.tests.conftest import key_id, log_in

GET_CONFIG = functions.help.GetConfigRequest()
DEADLINE_SECONDS = 20


async def test_it_connects_and_asks(telethon):
    client = await telethon()
    config = await client(GET_CONFIG)
    assert config.this_dc == 2
    assert [option.id for option in config.dc_options] == [1, 2]
    pong = await client(functions.PingRequest(3))
    assert pong.ping_id == 3


@pytest.mark.parametrize(
    ("connection", "variant"),
    [
        (ConnectionTcpFull, "full"),
        (ConnectionTcpAbridged, "abridged"),
        (ConnectionTcpIntermediate, "intermediate"),
        (ConnectionTcpObfuscated, "obfuscated abridged"),
    ],
)
async def test_each_transport(sandbox, telethon, connection, variant):
    client = await telethon(connection=connection)
    assert (await client(GET_CONFIG)).this_dc == 2
    assert {one.framing.variant for one in sandbox.server.connections} == {variant}


async def test_many_calls_at_once(sandbox, telethon):
    client = await telethon()
    answers = await asyncio.gather(*[client(GET_CONFIG) for _ in range(300)])
    assert {answer.this_dc for answer in answers} == {2}


async def test_calls_in_order(telethon):
    client = await telethon()
    answers = await client([GET_CONFIG, GET_CONFIG, GET_CONFIG], ordered=True)
    assert len(answers) == 3


async def test_future_salts_and_destroyed_sessions(telethon):
    client = await telethon()
    salts = await client(functions.GetFutureSaltsRequest(4))
    assert len(salts.salts) == 4
    gone = await client(functions.DestroySessionRequest(1))
    assert isinstance(gone, types.DestroySessionNone)


async def test_it_logs_in_with_a_code(sandbox, telethon, alice):
    client = await telethon()
    assert not await client.is_user_authorized()
    sent = await client.send_code_request("+15550000001")
    me = await client.sign_in(
        "+15550000001", sandbox.login_code("+15550000001"), phone_code_hash=sent.phone_code_hash
    )
    assert me.id == alice.id
    assert sandbox.world.authorizations[key_id(client)].user_id == alice.id


async def test_updates_reach_every_connection_of_a_user(sandbox, telethon, alice, bob):
    clients = [await telethon(alice) for _ in range(2)]
    seen = [asyncio.Event() for _ in clients]
    for client, event in zip(clients, seen, strict=True):
        client.add_event_handler(lambda _, event=event: event.set(), events.NewMessage)
        await client.get_me()
    await asyncio.to_thread(sandbox.world.post, bob, alice, "hello")
    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.gather(*[event.wait() for event in seen])


async def test_updates_need_a_normal_request_first(sandbox, telethon, alice, bob):
    client = await telethon(alice)
    (session,) = sandbox.server.keys[key_id(client)].sessions.values()
    session.updates = False
    received = []
    client.add_event_handler(lambda update: received.append(update), events.Raw)
    await client(functions.InvokeWithoutUpdatesRequest(functions.help.GetNearestDcRequest()))
    await asyncio.to_thread(sandbox.world.post, bob, alice, "lost")
    await client(functions.PingRequest(1))
    assert received == []
    await client(functions.help.GetNearestDcRequest())
    await asyncio.to_thread(sandbox.world.post, bob, alice, "found")
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not received:
            await client(functions.PingRequest(2))


async def test_a_login_token_update_reaches_a_key_that_is_not_logged_in(sandbox, telethon, alice):
    client = await telethon()
    qr = await client.qr_login()
    waiting = asyncio.ensure_future(qr.wait(DEADLINE_SECONDS))
    await asyncio.sleep(0)
    await asyncio.to_thread(sandbox.accept_login_token, qr.url, alice)
    user = await waiting
    assert user.id == alice.id


async def test_it_reconnects_without_init_connection(sandbox, telethon, alice):
    client = await telethon(alice, retry_delay=0, auto_reconnect=True)
    before = set(sandbox.server.keys[key_id(client)].sessions)
    await client.get_me()
    await asyncio.to_thread(sandbox.faults.drop_connections)
    assert (await client.get_me()).id == alice.id
    assert set(sandbox.server.keys[key_id(client)].sessions) != before
    assert sandbox.calls.count("help.getConfig") == 1


async def test_a_key_works_after_a_restart_of_the_server(sandbox, telethon, alice):
    client = await telethon(alice, retry_delay=0.05, connection_retries=200)
    await client.get_me()
    address = sandbox.dc
    await asyncio.to_thread(sandbox.stop)
    await asyncio.to_thread(sandbox.start)
    assert sandbox.dc == address
    assert (await client.get_me()).id == alice.id


async def test_a_login_of_one_data_centre_is_unknown_to_another(sandbox, telethon, alice):
    client = await telethon(alice, dc=1)
    other = await telethon(dc=2)
    assert (await client.get_me()).id == alice.id
    with pytest.raises(errors.AuthKeyUnregisteredError):
        await other(functions.users.GetFullUserRequest(types.InputUserSelf()))


async def test_a_call_before_login(telethon):
    client = await telethon()
    with pytest.raises(errors.AuthKeyUnregisteredError):
        await client.get_dialogs()


async def test_logging_in_tells_the_key_at_once(sandbox, telethon, alice):
    client = await telethon()
    assert await client.get_me() is None
    log_in(sandbox, client, alice)
    assert (await client.get_me()).id == alice.id
