"""The yardstick of files: `download_media`, in a process of its own.

`python -m bench._bare_media DC PUBLIC_KEY_FILE CONTROL_PORT` prints bytes a second.
"""

import sys
import tempfile
import time

from bench import _account
from bench._media import READER


async def read(dc: str, control_port: int) -> float:
    client = await _account.log_in(dc, control_port, READER)
    channel = await client.get_input_entity("bench_files")
    # The second message is the large file's; the channel's own first one is older.
    message = await client.get_messages(channel, ids=2)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        started = time.perf_counter()
        await client.download_media(message, file=f"{directory}/file")
        seconds = time.perf_counter() - started
    await client.disconnect()
    return int(message.file.size) / seconds


if __name__ == "__main__":
    print(_account.run(sys.argv[1:], read))
