"""Sandboxes for tests: one world each, on free ports."""

import itertools

import pytest
from telethon import TelegramClient
from telethon.crypto import AuthKey, rsa
from telethon.network import ConnectionTcpFull
from telethon.sessions import MemorySession

from sandbox import Sandbox
from sandbox.world import World


@pytest.fixture(scope="session")
def server_key():
    from sandbox.keys import make_key

    return make_key()


@pytest.fixture
def sandbox():
    """A running sandbox whose world has Alice and Bob, and nothing else."""
    world = World()
    world.add_user("Alice", phone="+15550000001")
    world.add_user("Bob", phone="+15550000002")
    with Sandbox(world=world) as running:
        rsa.add_key(running.public_key_pem, old=False)
        yield running
        assert running.server.crashes == []


@pytest.fixture
def alice(sandbox):
    return sandbox.world.by_phone("+15550000001")


@pytest.fixture
def bob(sandbox):
    return sandbox.world.by_phone("+15550000002")


@pytest.fixture
def port(sandbox):
    """The port of the main DC."""
    return int(sandbox.dc.rpartition(":")[2])


@pytest.fixture
async def telethon(sandbox):
    """Make Telethon clients, unmodified; `telethon(user)` is logged in."""
    # Telethon keeps the addresses of the data centres with the class, for all clients.
    TelegramClient._config = None
    clients = []
    names = itertools.count()

    async def make(
        user=None, *, dc=2, session=None, connection=ConnectionTcpFull, prepare=None, **options
    ):
        if session is None:
            session = MemorySession()
            _, _, address = sandbox.dc_address(dc).partition("@")
            host, _, port = address.partition(":")
            session.set_dc(dc, host, int(port))
            if user is not None:
                session.auth_key = AuthKey(sandbox.auth_key_of(user, dc))
        client = TelegramClient(session, 1, f"hash-{next(names)}", connection=connection, **options)
        client.flood_sleep_threshold = 0
        clients.append(client)
        if prepare is not None:
            prepare(client)  # handlers that must be there before the first update
        await client.connect()
        return client

    yield make
    for client in clients:
        await client.disconnect()


def key_id(client):
    """The signed id of a Telethon client's auth key."""
    value = client.session.auth_key.key_id
    return value - (1 << 64) if value >> 63 else value


def log_in(sandbox, client, user):
    """Let a client's key act for a user, without codes."""
    record = sandbox.world.authorizations[key_id(client)]
    sandbox.server.run(lambda: sandbox.world.log_in(record, user))
