"""Method bodies on a real Telethon client, against a sandbox with Alice, Bob and Carol."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from telethon import TelegramClient
from telethon.crypto import AuthKey
from telethon.sessions import MemorySession

from engine.sessions import trust_key
from sandbox import Sandbox
from sandbox.world import World

ALICE, BOB, CAROL = "+15550000001", "+15550000002", "+15550000003"


@dataclass
class Telegram:
    """A running sandbox, its world, and its people."""

    sandbox: Sandbox
    world: World
    alice: Any
    bob: Any
    carol: Any

    @property
    def calls(self) -> Any:
        return self.sandbox.calls


@pytest.fixture
def telegram() -> Iterator[Telegram]:
    world = World()
    alice = world.add_user("Alice", "Liddell", phone=ALICE, username="alice")
    bob = world.add_user("Bob", phone=BOB, username="bob_the_builder")
    carol = world.add_user("Carol", phone=CAROL)
    with Sandbox(world=world) as sandbox:
        trust_key(sandbox.public_key_file)
        yield Telegram(sandbox, world, alice, bob, carol)
        assert sandbox.server.crashes == []


@pytest.fixture
async def connect(telegram: Telegram) -> AsyncIterator[Callable[..., Awaitable[TelegramClient]]]:
    """Make a connected client, logged in as a user when one is given."""
    clients = []

    async def make(user: Any = None, *, dc: int = 2, **options: Any) -> TelegramClient:
        session = MemorySession()
        host, _, port = telegram.sandbox.dc_address(dc).partition("@")[2].partition(":")
        session.set_dc(dc, host, int(port))
        if user is not None:
            session.auth_key = AuthKey(telegram.sandbox.auth_key_of(user, dc))
        client = TelegramClient(
            session,
            1,
            "hash",
            flood_sleep_threshold=0,
            raise_last_call_error=True,
            request_retries=1,
            **options,
        )
        # Telethon keeps one list of data centres per class, ours changes with each sandbox.
        TelegramClient._config = None
        clients.append(client)
        await client.connect()
        if user is not None:
            await client.get_me()
        return client

    yield make
    for client in clients:
        await client.disconnect()


@pytest.fixture
async def client(connect: Any, telegram: Telegram) -> TelegramClient:
    """Alice's client."""
    return await connect(telegram.alice)
