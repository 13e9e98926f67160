"""The yardstick of live events: a Telethon handler in a process of its own.

`python -m bench._bare_live DC PUBLIC_KEY_FILE CONTROL_PORT` prints `ready`; for each line of its
standard input, a count, it prints `{"seconds": [...], "last": …}` when so many posts have come:
how long each was under way, and the moment of the last (Unix seconds).
"""

import asyncio
import json
import sys
import time

from telethon import events

from bench import _account
from bench._telegram import READER


async def listen(dc: str, control_port: int) -> None:
    client = await _account.log_in(dc, control_port, READER)
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
    _account.run(sys.argv[1:], listen)
