"""A small MTProto client of our own, for what Telethon cannot be made to do."""

import asyncio
import contextlib
import os
import random
import struct
import time
from collections import deque
from hashlib import sha1, sha256

import cryptg
from telethon.crypto import Factorization
from telethon.extensions import BinaryReader
from telethon.helpers import generate_key_data_from_nonce
from telethon.tl import functions, types
from telethon.tl.core import GzipPacked, RpcResult

from sandbox import envelope
from sandbox.authkeys import AuthKey
from sandbox.envelope import CONTAINER, FROM_CLIENT, TO_CLIENT, Message

DEADLINE_SECONDS = 20


class Closed(Exception):
    """The server has closed the connection; `code` is a transport error or 0."""

    def __init__(self, code=0):
        super().__init__(f"closed ({code})")
        self.code = code


class RawClient:
    """Speaks the intermediate transport; the test sees and decides every message."""

    def __init__(self, port, key=None, session_id=None):
        self.port = port
        self.key = key
        self.session_id = session_id if session_id is not None else random.getrandbits(62)
        self.salt = 0
        self.sequence = 0
        self.last_id = 0
        self.inbox = deque()
        self.acks = []

    async def connect(self, tag=b"\xee\xee\xee\xee"):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(tag)
        return self

    async def __aenter__(self):
        return await self.connect()

    async def __aexit__(self, *_):
        await self.close()

    async def close(self):
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    # Packets

    def write(self, payload, quick_ack=False):
        flag = 0x80000000 if quick_ack else 0
        self.writer.write(struct.pack("<I", len(payload) | flag) + payload)

    async def read(self):
        """Return the next packet. Raises Closed."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            try:
                (length,) = struct.unpack("<I", await self.reader.readexactly(4))
                if length & 0x80000000:
                    return struct.pack("<I", length)
                packet = await self.reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                raise Closed from None
        if length == 4:
            raise Closed(-struct.unpack("<i", packet)[0])
        return packet

    # Plain messages and the key exchange

    async def plain(self, request):
        """Send one step of the key exchange; return the answer."""
        body = bytes(request)
        self.write(struct.pack("<qqi", 0, self.fresh_id(), len(body)) + body)
        return BinaryReader((await self.read())[20:]).tgread_object()

    async def make_key(self, server_key, *, padding="sha1", dc=None, expires_in=0, retries=0):
        """Do the whole exchange and keep the key; return the outcome's class name."""
        nonce = random.getrandbits(127)
        res_pq = await self.plain(functions.ReqPqMultiRequest(nonce))
        new_nonce = random.getrandbits(255)
        inner = bytes(self.inner_data(res_pq, new_nonce, dc, expires_in))
        params = await self.plain(
            self.req_dh_params(res_pq, server_key, rsa_encrypt(server_key, inner, padding))
        )
        key, iv = generate_key_data_from_nonce(res_pq.server_nonce, new_nonce)
        plain = cryptg.decrypt_ige(params.encrypted_answer, key, iv)
        answer = BinaryReader(plain[20:]).tgread_object()
        prime = int.from_bytes(answer.dh_prime, "big")
        retry_id = 0
        while True:
            b = int.from_bytes(os.urandom(256), "big")
            client_inner = bytes(
                types.ClientDHInnerData(
                    nonce, res_pq.server_nonce, retry_id, number(pow(answer.g, b, prime))
                )
            )
            hashed = sha1(client_inner).digest() + client_inner
            hashed += os.urandom(-len(hashed) % 16)
            done = await self.plain(
                functions.SetClientDHParamsRequest(
                    nonce, res_pq.server_nonce, cryptg.encrypt_ige(hashed, key, iv)
                )
            )
            shared = pow(int.from_bytes(answer.g_a, "big"), b, prime).to_bytes(256, "big")
            made = AuthKey(shared, 0)
            order = [types.DhGenOk, types.DhGenRetry, types.DhGenFail].index(type(done)) + 1
            digest = sha1(
                new_nonce.to_bytes(32, "little") + bytes((order,)) + made.aux_hash
            ).digest()
            expected = int.from_bytes(digest[4:20], "little", signed=True)
            assert getattr(done, f"new_nonce_hash{order}") == expected
            if order == 1:
                self.key = made
            if order != 2 or not retries:
                return type(done).__name__
            retries -= 1
            retry_id = int.from_bytes(made.aux_hash, "little", signed=True)

    @staticmethod
    def inner_data(res_pq, new_nonce, dc=None, expires_in=0):
        p, q = Factorization.factorize(int.from_bytes(res_pq.pq, "big"))
        common = (res_pq.pq, number(p), number(q), res_pq.nonce, res_pq.server_nonce, new_nonce)
        if expires_in:
            return types.PQInnerDataTempDc(*common, dc=dc or 2, expires_in=expires_in)
        return types.PQInnerDataDc(*common, dc=dc) if dc else types.PQInnerData(*common)

    @staticmethod
    def req_dh_params(res_pq, server_key, encrypted):
        p, q = Factorization.factorize(int.from_bytes(res_pq.pq, "big"))
        return functions.ReqDHParamsRequest(
            res_pq.nonce,
            res_pq.server_nonce,
            number(p),
            number(q),
            server_key.fingerprint,
            encrypted,
        )

    # Messages

    def fresh_id(self, offset_seconds=0):
        fresh = int((time.time() + offset_seconds) * 2**32) & ~3
        self.last_id = max(fresh, self.last_id + 4)
        return self.last_id

    def message(self, body, *, content=True, msg_id=None, seq_no=None):
        """Make a message of a TL object or bytes."""
        if seq_no is None:
            seq_no = self.sequence * 2 + content
            self.sequence += content
        data = body if isinstance(body, bytes) else bytes(body)
        return Message(msg_id or self.fresh_id(), seq_no, data)

    def send_message(self, message, *, quick_ack=False):
        packet = envelope.encrypt(self.key, self.salt, self.session_id, message, FROM_CLIENT)
        self.write(packet, quick_ack)
        return message.msg_id

    def send(self, body, **options):
        """Send one message; return its id."""
        quick_ack = options.pop("quick_ack", False)
        return self.send_message(self.message(body, **options), quick_ack=quick_ack)

    def send_container(self, messages, *, msg_id=None, seq_no=None):
        container = self.message(
            envelope.pack(messages), content=False, msg_id=msg_id, seq_no=seq_no
        )
        return self.send_message(container)

    async def next(self):
        """Return `(message, TL object)` of the next message, containers taken apart."""
        while not self.inbox:
            packet = await self.read()
            if len(packet) == 4:
                return None, packet
            sealed = envelope.decrypt(self.key, packet, TO_CLIENT)
            assert sealed.session_id == self.session_id
            self.salt = sealed.salt
            if sealed.message.body[:4] == CONTAINER:
                self.inbox.extend(envelope.unpack(sealed.message.body))
            else:
                self.inbox.append(sealed.message)
        message = self.inbox.popleft()
        value = BinaryReader(message.body).tgread_object()
        if isinstance(value, types.MsgsAck):
            self.acks += value.msg_ids
        return message, value

    async def until(self, wanted):
        """Return the next object of a class, or that a function accepts."""
        accepts = (lambda v: isinstance(v, wanted)) if isinstance(wanted, type) else wanted
        while True:
            _, value = await self.next()
            if accepts(value):
                return value

    async def result(self, msg_id):
        """Return the answer to a request: a TL object, or an RpcError object."""
        found = await self.until(
            lambda value: isinstance(value, RpcResult) and value.req_msg_id == msg_id
        )
        return found.error or BinaryReader(found.body).tgread_object()

    async def settle(self):
        """Learn the salt, so that the next message is accepted."""
        self.send(functions.PingRequest(0), content=False)
        await self.until(lambda v: isinstance(v, types.BadServerSalt | types.Pong))
        return self

    async def call(self, request, *, layer=False):
        """Send a query (wrapped in `invokeWithLayer` and `initConnection`); return its answer."""
        return await self.result(self.send(initial(request) if layer else request))

    async def ask(self, request, wanted):
        self.send(request)
        return await self.until(wanted)


def initial(request, layer=229, api_id=1):
    """Wrap a query as a client's first one."""
    inner = functions.InitConnectionRequest(
        api_id, "Tester", "1", "1", "en", "", "en", query=request
    )
    return functions.InvokeWithLayerRequest(layer, inner)


def gzipped(request):
    return bytes(GzipPacked(bytes(request)))


def number(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def rsa_encrypt(server_key, data, padding):
    """Encrypt in one of the two ways of https://core.telegram.org/mtproto/auth_key."""
    if padding == "sha1":
        block = sha1(data).digest() + data
        block += os.urandom(255 - len(block))
        return pow(int.from_bytes(block, "big"), server_key.e, server_key.n).to_bytes(256, "big")
    padded = data + os.urandom(192 - len(data))
    while True:
        temp_key = os.urandom(32)
        with_hash = padded[::-1] + sha256(temp_key + padded).digest()
        encrypted = cryptg.encrypt_ige(with_hash, temp_key, bytes(32))
        digest = sha256(encrypted).digest()
        block = bytes(a ^ b for a, b in zip(temp_key, digest, strict=True)) + encrypted
        value = int.from_bytes(block, "big")
        if value < server_key.n:
            return pow(value, server_key.e, server_key.n).to_bytes(256, "big")


__all__ = ["Closed", "RawClient", "gzipped", "initial", "number", "rsa_encrypt"]
