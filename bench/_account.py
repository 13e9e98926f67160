"""The account of the yardsticks: bare Telethon, logged in at the sandbox."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.sessions import StringSession

from sandbox.client import Control

API = (12345, "0123456789abcdef0123456789abcdef")

Found = TypeVar("Found")


async def log_in(dc: str, control_port: int, phone: str, **options: Any) -> TelegramClient:
    """Return a connected client; `options` are Telethon's own."""
    number, _, address = dc.partition("@")
    host, _, port = address.rpartition(":")
    session = StringSession()
    session.set_dc(int(number), host, int(port))
    client = TelegramClient(session, *API, **options)
    await client.connect()
    sent = await client.send_code_request(phone)
    with Control(control_port) as control:
        code = await asyncio.to_thread(control.login_code, phone)
    await client.sign_in(phone, code, phone_code_hash=sent.phone_code_hash)
    return client


def run(words: list[str], measure: Callable[..., Coroutine[Any, Any, Found]]) -> Found:
    """Run a measure on the arguments of a yardstick: DC PUBLIC_KEY_FILE CONTROL_PORT [more]."""
    dc, key_file, control_port, *more = words
    rsa.add_key(Path(key_file).read_text(), old=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure(dc, int(control_port), *more))
