"""One TCP connection of a client: packets in, key exchange or messages, packets out."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import TYPE_CHECKING, cast

from sandbox import dispatch, envelope, service, tl
from sandbox.authkeys import AuthKey
from sandbox.envelope import CONTAINER, Message
from sandbox.handshake import NOT_FOUND, Handshake, HandshakeError
from sandbox.session import Session
from sandbox.transport import Framing, TransportError

if TYPE_CHECKING:
    from sandbox.server import DataCentres

MAX_CONTAINER = 1020
INVALID_CONTAINER = 64
_PLAIN = struct.Struct("<qqi")


class Connection(asyncio.Protocol):
    """Speaks MTProto with one client.

    `silent` makes it half-dead: what comes is read and thrown away, nothing is sent.
    """

    def __init__(self, server: DataCentres, dc: int) -> None:
        self.server = server
        self.dc = dc
        self.ip = ""
        self.silent = False
        self.sessions: set[Session] = set()
        self.framing = Framing()
        self._handshake = Handshake(
            server.server_key, dc, server.accept_key, server.faults.handshake_fault
        )
        self._transport: asyncio.Transport | None = None
        self._last_plain_id = 0
        self._deadline: asyncio.TimerHandle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.ip = (transport.get_extra_info("peername") or ("",))[0]
        self.server.connected(self)

    def data_received(self, data: bytes) -> None:
        if self.silent:
            return
        try:
            for packet in self.framing.feed(data):
                if self._transport is None or self.silent:
                    return
                token = self._packet(packet.payload)
                if token and packet.quick_ack:
                    self._send_bytes(self.framing.frame_quick_ack(token))
        except TransportError:
            self.close()
        # Requests begun now take their first step before this: what is answered at once
        # needs no acknowledgement of its own.
        for session in self.sessions:
            asyncio.get_running_loop().call_soon(session.wake)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._deadline is not None:
            self._deadline.cancel()
        self.server.disconnected(self)

    # Writing

    def write(self, packet: bytes) -> None:
        """Send one packet."""
        self._send_bytes(self.framing.frame(packet))

    def _send_bytes(self, data: bytes) -> None:
        if self._transport is not None and not self.silent:
            self._transport.write(data)

    def close(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def disconnect_after(self, seconds: float) -> None:
        """Close unless this is called again within `seconds` (ping_delay_disconnect)."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.close)

    def fail(self, code: int) -> None:
        """Send a transport error such as 404 (unknown key), and close.

        Source: https://core.telegram.org/mtproto/mtproto-transports#transport-errors
        """
        if self._transport is not None:
            self.write(struct.pack("<i", -code))
            self._transport.close()
            self._transport = None

    # Packets

    def _packet(self, packet: bytes) -> bytes:
        """Take one packet; return its quick acknowledgement token when it was a message."""
        if len(packet) < 20:
            self.fail(NOT_FOUND)
            return b""
        if packet[:8] == bytes(8):
            self._plain(packet)
            return b""
        key = self.server.keys.get(int.from_bytes(packet[:8], "little", signed=True))
        if key is None or key.dc != self.dc or 0 < key.expires_at < time.time():
            self.fail(NOT_FOUND)
            return b""
        if fault := self.server.faults.packet_fault():
            self.fail(fault)
            return b""
        try:
            sealed = envelope.decrypt(key, packet)
        except ValueError:
            self.close()
            return b""
        self._message(key, sealed.session_id, sealed.salt, sealed.message)
        return sealed.token

    def _plain(self, packet: bytes) -> None:
        """Answer one step of a key exchange."""
        _, _, length = _PLAIN.unpack_from(packet)
        try:
            answer = bytes(self._handshake.answer(tl.read_object(packet[20 : 20 + length])))
        except HandshakeError as error:
            self.fail(error.code)
        except ValueError:
            self.fail(NOT_FOUND)
        else:
            fresh = int(time.time() * 4294967296) & ~3 | 1
            self._last_plain_id = max(fresh, self._last_plain_id + 4)
            self.write(_PLAIN.pack(0, self._last_plain_id, len(answer)) + answer)

    def _message(self, key: AuthKey, session_id: int, salt: int, message: Message) -> None:
        now = time.time()
        session = self.server.session(key, session_id)
        if session.connection is not self:
            self.sessions.add(session)
            session.reconnected(self)
        msg_id, seq_no, body = message
        if code := session.check_time(msg_id, now):
            self._reject(session, message, code)
            return
        if not key.accepts_salt(salt, now):
            notice = service.bad_server_salt(msg_id, seq_no, key.salt(now))
            session.send(notice, content=False, reply=True)
            return
        if body[:4] == CONTAINER:
            self._container(session, message, now)
        else:
            self._announce(session, msg_id)
            self._take(session, message)

    def _container(self, session: Session, container: Message, now: float) -> None:
        """Take a container's messages, or reject it by its own id."""
        if container.msg_id in session.received:
            self._reject(session, container, 19)
            return
        if code := session.check_sequence(container, content=False):
            self._reject(session, container, code)
            return
        try:
            messages = envelope.unpack(container.body)
        except (ValueError, struct.error):
            messages = []
        if not 0 < len(messages) <= MAX_CONTAINER or any(
            inner.msg_id >= container.msg_id or inner.body[:4] == CONTAINER for inner in messages
        ):
            self._reject(session, container, INVALID_CONTAINER)
            return
        self._announce(session, min(message.msg_id for message in messages))
        for message in messages:
            if code := session.check_time(message.msg_id, now):
                self._reject(session, message, code)
            else:
                self._take(session, message)
        session.remember(container)

    def _announce(self, session: Session, first_msg_id: int) -> None:
        if not session.announced:
            session.announced = True
            session.send(service.new_session_created(session, first_msg_id))
            self.server.check_duplicates(session)

    def _take(self, session: Session, message: Message) -> None:
        msg_id, _, body = message
        if msg_id in session.received:
            self._repeat(session, msg_id)
            return
        try:
            body = tl.ungzip(body)
        except ValueError:
            body = message.body
        constructor = tl.constructor(body)
        handler = service.HANDLERS.get(constructor)
        content = None if handler else True
        if constructor in service.NEVER_CONTENT:
            content = False
        if code := session.check_sequence(message, content):
            self._reject(session, message, code)
            return
        session.remember(message)
        if handler is None:
            dispatch.receive(self, session, msg_id, body)
            return
        try:
            handler(self, session, msg_id, tl.read_object(body))
        except ValueError:
            self._reject(session, message, INVALID_CONTAINER)

    def _repeat(self, session: Session, msg_id: int) -> None:
        """Answer a message that came before: again, but without doing it again."""
        answer = session.unconfirmed.get(session.answers.get(msg_id, 0))
        if answer is not None:
            session.queue(answer)
        elif msg_id not in session.running:
            session.acknowledge(msg_id)

    def _reject(self, session: Session, message: Message, code: int) -> None:
        notice = service.bad_msg_notification(message.msg_id, message.seq_no, code)
        session.send(notice, content=False, reply=True)
