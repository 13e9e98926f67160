"""The yardstick of cold history: `iter_messages(wait_time=0)` in a process of its own.

`python -m bench._bare DC PUBLIC_KEY_FILE CONTROL_PORT LIMIT` prints messages a second.
"""

import sys
import time

from bench import _account
from bench._telegram import READER


async def read(dc: str, control_port: int, limit: str) -> float:
    client = await _account.log_in(dc, control_port, READER)
    channel = await client.get_input_entity("bench_channel")
    started, count = time.perf_counter(), 0
    async for _ in client.iter_messages(channel, limit=int(limit), wait_time=0):
        count += 1
    seconds = time.perf_counter() - started
    await client.disconnect()
    return count / seconds


if __name__ == "__main__":
    print(_account.run(sys.argv[1:], read))
