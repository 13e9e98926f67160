"""An MTProto session: message ids, sequence numbers, acknowledgements, the outbox.

Source: https://core.telegram.org/mtproto/description,
https://core.telegram.org/mtproto/service_messages_about_messages
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from sandbox import envelope
from sandbox.authkeys import AuthKey
from sandbox.envelope import Message

if TYPE_CHECKING:
    from sandbox.connection import Connection

REMEMBERED = 2000  # received message ids and unconfirmed answers per session
UNCONFIRMED_BYTES = 32 * 1024 * 1024
CONTAINER_MESSAGES = 100
CONTAINER_BYTES = 1024 * 1024
MSGS_ACK = struct.Struct("<IIi")
TOO_OLD_SECONDS, TOO_NEW_SECONDS = 300, 30


class Session:
    """One client session under an auth key; it outlives its connections.

    `updates` turns true with the first request that is not `invokeWithoutUpdates`.
    What is sent during one turn of the loop leaves in one packet.
    """

    def __init__(self, key: AuthKey, session_id: int, loop: asyncio.AbstractEventLoop) -> None:
        self.key = key
        self.session_id = session_id
        self.unique_id = int.from_bytes(os.urandom(8), "little", signed=True)
        self.connection: Connection | None = None
        self.announced = False
        self.updates = False
        self.received: OrderedDict[int, int] = OrderedDict()  # message id → sequence number
        self.unconfirmed: OrderedDict[int, Message] = OrderedDict()  # sent, not acknowledged
        self.answers: OrderedDict[int, int] = OrderedDict()  # request id → answer's message id
        self.failed: set[int] = set()  # requests among `answers` that ended in an error
        self.running: dict[int, asyncio.Task[None]] = {}
        self.dropped: set[int] = set()  # running requests whose answer nobody wants
        self._loop = loop
        self._outbox: list[Message] = []
        self._to_ack: dict[int, None] = {}
        self._flushing = False
        self._last_msg_id = 0
        self._sequence = 0
        self._highest = (0, 0)
        self._unconfirmed_bytes = 0

    # Receiving

    def check_time(self, msg_id: int, now: float) -> int:
        """Return the `bad_msg_notification` code for a message id, 0 when it is fine."""
        if msg_id & 3:
            return 18
        sent_at = msg_id / 4294967296
        if sent_at < now - TOO_OLD_SECONDS:
            return 16
        return 17 if sent_at > now + TOO_NEW_SECONDS else 0

    def check_sequence(self, message: Message, content: bool | None) -> int:
        """Return the code for a wrong sequence number, 0 when it is fine.

        `content` tells whether such a message has to be acknowledged (None: either way).
        """
        msg_id, seq_no, _ = message
        if content is not None and bool(seq_no & 1) != content:
            return 35 if content else 34
        last_id, last_seq = self._highest
        if msg_id > last_id:
            if seq_no < last_seq or (seq_no == last_seq and seq_no & 1):
                return 32
        elif seq_no > last_seq:
            return 33
        return 0

    def remember(self, message: Message) -> None:
        """Note a message as received."""
        self.received[message.msg_id] = message.seq_no
        if len(self.received) > REMEMBERED:
            self.received.popitem(last=False)
        if message.msg_id > self._highest[0]:
            self._highest = (message.msg_id, message.seq_no)
        if message.seq_no & 1:
            self._to_ack[message.msg_id] = None

    def acknowledged(self, msg_ids: list[int]) -> None:
        """Forget answers and updates that the client has."""
        for msg_id in msg_ids:
            self.confirm(msg_id)

    def confirm(self, msg_id: int) -> Message | None:
        """Forget a message that need not be sent again; return it."""
        message = self.unconfirmed.pop(msg_id, None)
        if message is not None:
            self._unconfirmed_bytes -= len(message.body)
        return message

    def acknowledge(self, msg_id: int) -> None:
        """Tell the client with the next packet that its message has come."""
        self._to_ack[msg_id] = None

    # Sending

    def send(self, body: bytes, *, content: bool = True, reply: bool = False) -> int:
        """Queue a message; return its id. `reply`: it answers a message of the client."""
        msg_id = int(time.time() * 4294967296) & ~3 | (1 if reply else 3)
        if msg_id <= self._last_msg_id:
            msg_id = (self._last_msg_id & ~3) + (5 if reply else 7)
        self._last_msg_id = msg_id
        seq_no = self._sequence * 2
        if content:
            seq_no += 1
            self._sequence += 1
        message = Message(msg_id, seq_no, body)
        if content:
            self.unconfirmed[msg_id] = message
            self._unconfirmed_bytes += len(body)
            while len(self.unconfirmed) > REMEMBERED or self._unconfirmed_bytes > UNCONFIRMED_BYTES:
                self.confirm(next(iter(self.unconfirmed)))
        self.queue(message)
        return msg_id

    def answer(self, request_id: int, body: bytes, *, failed: bool = False) -> int:
        """Queue the result of a request; it acknowledges the request, too."""
        self._to_ack.pop(request_id, None)
        msg_id = self.send(body, reply=True)
        self.answers[request_id] = msg_id
        if failed:
            self.failed.add(request_id)
        if len(self.answers) > REMEMBERED:
            old, _ = self.answers.popitem(last=False)
            self.failed.discard(old)
        return msg_id

    def queue(self, message: Message) -> None:
        self._outbox.append(message)
        self.wake()

    def wake(self) -> None:
        """Have the outbox written at the end of this turn of the loop."""
        if not self._flushing and (self._outbox or self._to_ack):
            self._flushing = True
            self._loop.call_soon(self._flush)

    def reconnected(self, connection: Connection) -> None:
        """Continue over `connection`; what was not acknowledged is sent again at once."""
        self.connection = connection
        self._outbox = list(self.unconfirmed.values())
        if self._outbox:
            self._flush()

    def _flush(self) -> None:
        connection = self.connection
        if connection is None:
            self._flushing = False
            return
        if self._to_ack:
            ids, self._to_ack = self._to_ack, {}
            body = MSGS_ACK.pack(0x62D6B459, 0x1CB5C415, len(ids))
            self.send(body + struct.pack(f"<{len(ids)}q", *ids), content=False)
        outbox, self._outbox = self._outbox, []
        self._flushing = False
        start, size = 0, 0
        for index, message in enumerate(outbox):
            length = len(message.body) + 16
            if index > start and (
                index - start == CONTAINER_MESSAGES or size + length > CONTAINER_BYTES
            ):
                self._write(connection, outbox[start:index])
                start, size = index, 0
            size += length
        if outbox:
            self._write(connection, outbox[start:])

    def _write(self, connection: Connection, messages: list[Message]) -> None:
        if len(messages) == 1:
            message = messages[0]
        else:
            msg_id = (max(self._last_msg_id, messages[-1].msg_id) & ~3) + 5
            self._last_msg_id = msg_id
            message = Message(msg_id, self._sequence * 2, envelope.pack(messages))
        salt = self.key.salt(time.time())
        connection.write(envelope.encrypt(self.key, salt, self.session_id, message))

    def close(self) -> None:
        """Stop what still runs for this session."""
        for task in list(self.running.values()):
            task.cancel()
