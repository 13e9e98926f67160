"""Drive a sandbox with kurigram, an MTProto client that nobody here wrote.

Runs in an environment of its own, which has kurigram and nothing of this project:

    python kurigram_client.py DC_ADDRESS KEY_FILE CONTROL_PORT PHONE

prints one line of JSON for each transport with what it saw.
"""

import asyncio
import base64
import http.client
import json
import struct
import sys
from hashlib import sha1
from pathlib import Path

from pyrogram import Client, filters, handlers
from pyrogram.connection import Connection
from pyrogram.connection.transport import (
    TCPAbridged,
    TCPAbridgedO,
    TCPFull,
    TCPIntermediate,
    TCPIntermediateO,
    TCPIntermediatePadded,
)
from pyrogram.crypto.rsa import PublicKey, server_public_keys

TRANSPORTS = [
    TCPAbridged,
    TCPAbridgedO,
    TCPFull,
    TCPIntermediate,
    TCPIntermediateO,
    TCPIntermediatePadded,
]
PRODUCTION_PORT = 443
DEADLINE_SECONDS = 30
QUESTION = "are you there?"


def read_public_key(pem):
    """Return modulus and exponent of a PKCS #1 public key."""
    der = base64.b64decode("".join(pem.strip().splitlines()[1:-1]))

    def integer(position):
        length, start = der[position + 1], position + 2
        if length & 0x80:
            size = length & 0x7F
            length, start = int.from_bytes(der[start : start + size], "big"), start + size
        return int.from_bytes(der[start : start + length], "big"), start + length

    size = der[1] & 0x7F if der[1] & 0x80 else 0
    modulus, end = integer(2 + size)
    return modulus, integer(end)[0]


def add_public_key(pem):
    modulus, exponent = read_public_key(pem)

    def tl_string(number):
        data = number.to_bytes((number.bit_length() + 7) // 8, "big")
        head = bytes((len(data),)) if len(data) < 254 else b"\xfe" + len(data).to_bytes(3, "little")
        return head + data + bytes(-(len(head) + len(data)) % 4)

    digest = sha1(tl_string(modulus) + tl_string(exponent)).digest()
    server_public_keys[struct.unpack("<q", digest[-8:])[0]] = PublicKey(modulus, exponent)


def connection_to(host, port):
    """Make a connection class that goes to the sandbox instead of to Telegram."""

    class Loopback(Connection):
        def __init__(self, **options):
            if options["port"] == PRODUCTION_PORT:
                options.update(server_address=host, port=port)
            super().__init__(**options)

    return Loopback


def do(port, verb, *args, **kwargs):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    body = json.dumps({**kwargs, "_args": args})
    connection.request("POST", f"/{verb}", body, {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["result"]


async def drive(transport, host, port, control_port, phone):
    """Log in, read, write, receive and log out; return what was seen."""
    client = Client(
        "kurigram",
        api_id=12345,
        api_hash="0123456789abcdef0123456789abcdef",
        in_memory=True,
        connection_factory=connection_to(host, port),
        protocol_factory=transport,
    )
    seen = {"transport": transport.__name__}
    await client.connect()
    sent = await client.send_code(phone)
    code = await asyncio.to_thread(do, control_port, "login_code", phone)
    user = await client.sign_in(phone, sent.phone_code_hash, code)
    await client.initialize()
    seen["user"] = user.first_name
    received = asyncio.Queue()

    async def receive(_, message):
        await received.put(message.text)

    client.add_handler(handlers.MessageHandler(receive, filters.private & filters.incoming))
    try:
        await read_and_write(client, seen)
        await asyncio.to_thread(do, control_port, "world/post", seen["partner"], user.id, QUESTION)
        seen["received"] = ""
        while seen["received"] != QUESTION:
            seen["received"] = await asyncio.wait_for(received.get(), DEADLINE_SECONDS)
    finally:
        await client.log_out()
    return seen


async def read_and_write(client, seen):
    dialogs = [dialog async for dialog in client.get_dialogs(limit=150)]
    seen["dialogs"] = len(dialogs)
    private = [d for d in dialogs if d.chat.type.name == "PRIVATE" and d.chat.id != 777000]
    seen["partner"] = private[0].chat.id
    longest = max(dialogs, key=lambda dialog: dialog.top_message.id if dialog.top_message else 0)
    history = [message async for message in client.get_chat_history(longest.chat.id, limit=250)]
    seen["history"] = len(history)
    ids = [message.id for message in history]
    seen["history_is_in_order"] = ids == sorted(ids, reverse=True)
    seen["media"] = None
    for message in history:
        if message.photo:
            file = await client.download_media(message, in_memory=True)
            seen["media"] = len(file.getvalue())
            break
    posted = await client.send_message(seen["partner"], "hello from another client")
    again = await client.get_messages(seen["partner"], posted.id)
    seen["sent"] = again.text
    saved = await client.send_message("me", "a note")
    seen["saved"] = saved.text


async def main(dc, control_port, phone):
    host, _, port = dc.partition("@")[2].partition(":")
    for transport in TRANSPORTS:
        seen = await drive(transport, host, int(port), int(control_port), phone)
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    address, key_file, control, phone_number = sys.argv[1:]
    add_public_key(Path(key_file).read_text())
    asyncio.run(main(address, control, phone_number))
