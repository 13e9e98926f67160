"""Log in with kurigram, or go on with a session string that the hub handed out.

Runs in an environment of its own, which has kurigram and nothing of this project:

    python kurigram_strings.py DC_ADDRESS KEY_FILE login PHONE CODE
    python kurigram_strings.py DC_ADDRESS KEY_FILE send STRING TEXT

prints one line of JSON: the user's id and, after a login, the string.
"""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "sandbox" / "tests"))

from kurigram_client import add_public_key, connection_to  # noqa: E402
from pyrogram import Client  # noqa: E402


def client_to(address, **options):
    host, _, port = address.rpartition("@")[2].rpartition(":")
    return Client(
        "moving",
        api_id=12345,
        api_hash="0123456789abcdef0123456789abcdef",
        in_memory=True,
        no_updates=True,
        connection_factory=connection_to(host, int(port)),
        **options,
    )


async def login(address, phone, code):
    client = client_to(address)
    await client.connect()
    sent = await client.send_code(phone)
    user = await client.sign_in(phone, sent.phone_code_hash, code)
    await client.storage.user_id(user.id)
    await client.storage.is_bot(False)
    text = await client.export_session_string()
    await client.disconnect()
    return {"id": user.id, "string": text}


async def send(address, text, words):
    async with client_to(address, session_string=text) as client:
        me = await client.get_me()
        await client.send_message("me", words)
        return {"id": me.id}


def main():
    address, key_file, act, *words = sys.argv[1:]
    add_public_key(Path(key_file).read_text())
    answer = asyncio.run({"login": login, "send": send}[act](address, *words))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
