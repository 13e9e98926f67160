"""Keys and logins that survive a restart of the sandbox's process."""

import asyncio
import json

import pytest
from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.sessions import MemorySession

from sandbox import Sandbox
from sandbox.tests.conftest import key_id, log_in
from sandbox.world import World


@pytest.fixture
def make_sandbox(tmp_path):
    def make():
        world = World()
        world.add_user("Alice", phone="+15550000001")
        return Sandbox(
            world=world, key_file=tmp_path / "key.pem", state_file=tmp_path / "state.json"
        )

    return make


def make_client(session, sandbox):
    session.set_dc(2, "127.0.0.1", int(sandbox.dc.rpartition(":")[2]))
    return TelegramClient(session, 1, "hash")


async def test_a_login_survives_a_restart(make_sandbox, tmp_path):
    session = MemorySession()
    with make_sandbox() as sandbox:
        rsa.add_key(sandbox.public_key_pem, old=False)
        client = make_client(session, sandbox)
        await client.connect()
        alice = sandbox.world.by_phone("+15550000001")
        log_in(sandbox, client, alice)
        await client.get_me()
        await client.disconnect()
        client_id = key_id(client)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    with make_sandbox() as sandbox:
        assert sandbox.world.authorizations[client_id].client.device_model
        client = make_client(session, sandbox)
        await client.connect()
        assert (await client.get_me()).id == alice.id
        assert sandbox.server.keys[client_id].layer
        await client.disconnect()


async def test_a_login_is_saved_without_a_clean_end(make_sandbox, tmp_path):
    with make_sandbox() as sandbox:
        rsa.add_key(sandbox.public_key_pem, old=False)
        client = make_client(MemorySession(), sandbox)
        await client.connect()
        alice = sandbox.world.by_phone("+15550000001")
        log_in(sandbox, client, alice)
        await client.get_me()
        users = set()
        while alice.id not in users:
            assert await asyncio.to_thread(sandbox.saved.wait, 20)
            sandbox.saved.clear()
            saved = json.loads((tmp_path / "state.json").read_text())["keys"]
            users = {one["user_id"] for one in saved}
        await client.disconnect()


async def test_a_user_that_is_gone_is_logged_out(make_sandbox, tmp_path):
    with make_sandbox() as sandbox:
        rsa.add_key(sandbox.public_key_pem, old=False)
        client = make_client(MemorySession(), sandbox)
        await client.connect()
        log_in(sandbox, client, sandbox.world.by_phone("+15550000001"))
        await client.disconnect()
        client_id = key_id(client)
    state = tmp_path / "state.json"
    state.write_text(state.read_text().replace('"user_id": 5', '"user_id": 6'))
    assert make_sandbox().world.authorizations[client_id].user_id is None
