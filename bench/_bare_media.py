"""The yardstick of files: `download_media`, in a process of its own.

`python -m bench._bare_media DC PUBLIC_KEY_FILE CONTROL_PORT` prints bytes a second.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.sessions import StringSession

from bench._media import READER
from sandbox.client import Control


async def read(dc: str, control_port: int, directory: str) -> float:
    """Return the seconds that the download into `directory` takes."""
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
    channel = await client.get_input_entity("bench_files")
    # The second message is the large file's; the channel's own first one is older.
    message = await client.get_messages(channel, ids=2)
    started = time.perf_counter()
    await client.download_media(message, file=f"{directory}/file")
    seconds = time.perf_counter() - started
    await client.disconnect()
    return seconds


def main() -> None:
    dc, key_file, control_port = sys.argv[1:]
    rsa.add_key(Path(key_file).read_text(), old=False)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        seconds = runner.run(read(dc, int(control_port), directory))
        (file,) = Path(directory).iterdir()
        print(file.stat().st_size / seconds)


if __name__ == "__main__":
    main()
