"""TL on the wire: reading queries (wrappers taken off), writing results.

Telethon's classes do the work; wrappers are read here, because what they hold may be a
method that Telethon does not know.
Source: https://core.telegram.org/mtproto/TL, https://core.telegram.org/api/invoking
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader
from telethon.tl import TLObject, functions, types
from telethon.tl.alltlobjects import tlobjects

from sandbox.rpc import ClientInfo, RpcError

MAX_UNPACKED = 16 * 1024 * 1024
GZIP_PACKED = 0x3072CFA1
VECTOR = b"\x15\xc4\xb5\x1c"
TRUE, FALSE = b"\xb5\x75\x72\x99", b"\x37\x97\x79\xbc"
FILE_RESULTS = (
    types.upload.File.CONSTRUCTOR_ID.to_bytes(4, "little"),
    types.upload.WebFile.CONSTRUCTOR_ID.to_bytes(4, "little"),
)


@dataclass(slots=True)
class Query:
    """A method call with what its wrappers said."""

    request: Any
    layer: int | None = None
    client: ClientInfo | None = None
    without_updates: bool = False
    after: list[int] = field(default_factory=list)


def constructor(body: bytes) -> int:
    return int.from_bytes(body[:4], "little")


def ungzip(body: bytes) -> bytes:
    """Return `body`, unpacked when it is `gzip_packed`. Raises ValueError.

    Source: https://core.telegram.org/mtproto/service_messages#packed-object
    """
    if constructor(body) != GZIP_PACKED:
        return body
    packed = BinaryReader(body[4:]).tgread_bytes()
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        unpacked = unpacker.decompress(packed, MAX_UNPACKED)
    except zlib.error as error:
        raise ValueError("broken gzip") from error
    if not unpacker.eof:
        raise ValueError("gzip is cut off or too large")
    return unpacked


def gzip(body: bytes) -> bytes:
    """Return `body` as `gzip_packed`, or as it is when that is not shorter."""
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    packed = TLObject.serialize_bytes(packer.compress(body) + packer.flush())
    if len(packed) + 4 >= len(body):
        return body
    return GZIP_PACKED.to_bytes(4, "little") + packed


def read_object(body: bytes) -> Any:
    """Return the TL object of a service message. Raises ValueError."""
    try:
        return BinaryReader(body).tgread_object()
    except (TypeNotFoundError, BufferError, struct.error, RuntimeError, IndexError) as error:
        raise ValueError(f"unreadable: {type(error).__name__}") from error


def read_query(body: bytes) -> Query:
    """Read a method call.

    Raises RpcError: 400 `INPUT_METHOD_INVALID` for a method that is not known,
    `INPUT_CONSTRUCTOR_INVALID` for an unknown argument, `INPUT_FETCH_ERROR` for bytes
    that do not follow the schema.
    Source: https://core.telegram.org/api/errors, telethon/errors/rpcerrorlist.py
    """
    query = Query(None)
    try:
        while (rest := _unwrap(ungzip(body), query)) is not None:
            body = rest
        body = ungzip(body)
        request_class = tlobjects.get(constructor(body))
        if request_class is None or not request_class.__module__.startswith(_FUNCTIONS):
            raise RpcError(400, "INPUT_METHOD_INVALID")
        reader = BinaryReader(body)
        reader.seek(4)
        query.request = request_class.from_reader(reader)
    except TypeNotFoundError:
        raise RpcError(400, "INPUT_CONSTRUCTOR_INVALID") from None
    except (BufferError, struct.error, RuntimeError, ValueError, IndexError, OverflowError):
        raise RpcError(400, "INPUT_FETCH_ERROR") from None
    return query


_FUNCTIONS = "telethon.tl.functions"


def _unwrap(body: bytes, query: Query) -> bytes | None:
    """Note what the outermost wrapper says; return what it holds, None when there is none."""
    reader = BinaryReader(body)
    wrapper = tlobjects.get(reader.read_int(signed=False))
    if wrapper is functions.InvokeWithLayerRequest:
        query.layer = reader.read_int()
    elif wrapper is functions.InitConnectionRequest:
        query.client = _read_client(reader)
    elif wrapper is functions.InvokeAfterMsgRequest:
        query.after.append(reader.read_long())
    elif wrapper is functions.InvokeAfterMsgsRequest:
        reader.read_int()
        query.after += [reader.read_long() for _ in range(reader.read_int())]
    elif wrapper is functions.InvokeWithoutUpdatesRequest:
        query.without_updates = True
    elif wrapper is functions.InvokeWithTakeoutRequest:
        reader.read_long()
    elif wrapper is functions.InvokeWithMessagesRangeRequest:
        reader.tgread_object()
    else:
        return None
    return reader.read()


def _read_client(reader: BinaryReader) -> ClientInfo:
    flags = reader.read_int()
    client = ClientInfo(
        api_id=reader.read_int(),
        device_model=reader.tgread_string(),
        system_version=reader.tgread_string(),
        app_version=reader.tgread_string(),
        system_lang_code=reader.tgread_string(),
        lang_pack=reader.tgread_string(),
        lang_code=reader.tgread_string(),
    )
    if flags & 1:
        reader.tgread_object()
    if flags & 2:
        reader.tgread_object()
    return client


def write(value: Any) -> bytes:
    """Serialise what a handler returned.

    TL objects, ready bytes, bools, and lists: a `Vector` of objects or of longs.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, TLObject):
        return bytes(value)
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = [struct.pack("<q", v) if isinstance(v, int) else write(v) for v in value]
        return VECTOR + struct.pack("<i", len(items)) + b"".join(items)
    raise TypeError(f"a handler returned {type(value).__name__}")


def write_error(code: int, message: str) -> bytes:
    return bytes(types.RpcError(code, message))


_RPC_RESULT = struct.Struct("<Iq")


def rpc_result(msg_id: int, body: bytes) -> bytes:
    return _RPC_RESULT.pack(0xF35C6D01, msg_id) + body
