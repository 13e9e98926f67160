"""The yardstick of cold history: `iter_messages(wait_time=0)` in a process of its own.

`python -m bench._bare DC PUBLIC_KEY_FILE CONTROL_PORT LIMIT` prints messages a second.
"""

import asyncio
import sys
import time
from pathlib import Path

import uvloop
from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.sessions import StringSession

from bench._telegram import READER
from sandbox.client import Control


async def read(dc: str, control_port: int, limit: int) -> float:
    number, _, address = dc.partition("@")
    host, _, port = address.rpartition(":")
    session = StringSession()
    session.set_dc(int(number), host, int(port))
    client = TelegramClient(session, 12345, "0123456789abcdef0123456789abcdef")
    await client.connect()
    sent = await client.send_code_request(READER)
    with Control(control_port) as control:
        code = control.login_code(READER)
    await client.sign_in(READER, code, phone_code_hash=sent.phone_code_hash)
    channel = await client.get_input_entity("bench_channel")
    started, count = time.perf_counter(), 0
    async for _ in client.iter_messages(channel, limit=limit, wait_time=0):
        count += 1
    seconds = time.perf_counter() - started
    await client.disconnect()
    return count / seconds


if __name__ == "__main__":
    rsa.add_key(Path(sys.argv[2]).read_text(), old=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(read(sys.argv[1], int(sys.argv[3]), int(sys.argv[4]))))
