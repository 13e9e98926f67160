"""The yardstick of live events: a Telethon handler in a process of its own.

`python -m bench._bare_live DC PUBLIC_KEY_FILE CONTROL_PORT` prints `ready`; for each line of its
standard input, a count, it prints `{"seconds": [...], "last": …}` when so many posts have come:
how long each was under way, and the moment of the last (Unix seconds).
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop
from telethon import TelegramClient, events
from telethon.crypto import rsa
from telethon.sessions import StringSession

from bench._telegram import READER
from sandbox.client import Control


async def listen(dc: str, control_port: int) -> None:
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
    await client.get_dialogs()
    took: asyncio.Queue[tuple[float, float]] = asyncio.Queue()

    @client.on(events.NewMessage)
    async def handler(event: events.NewMessage.Event) -> None:
        now = time.time()
        took.put_nowait((now - int(event.raw_text.split()[0]) / 1e9, now))

    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        found = [await took.get() for _ in range(int(line))]
        answer = {"seconds": [each[0] for each in found], "last": found[-1][1]}
        print(json.dumps(answer), flush=True)
    await client.disconnect()


if __name__ == "__main__":
    rsa.add_key(Path(sys.argv[2]).read_text(), old=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(listen(sys.argv[1], int(sys.argv[3])))
