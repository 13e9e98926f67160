"""Pages of history, read into what Telethon's own reader makes of them, in less of the time.

To read a page costs more than all else that is done with it. What is left out here: what
Telethon's `Message` sets up beside the schema's fields (who sent it, which buttons it has), the
fields that a message does not have, and a call for each number and string.
"""

import asyncio
import functools
import inspect
import struct
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from telethon import TelegramClient
from telethon.extensions import BinaryReader
from telethon.tl import patched
from telethon.tl.alltlobjects import tlobjects
from telethon.tl.functions import messages

_INT = struct.Struct("<i").unpack_from
_UNSIGNED_INT = struct.Struct("<I").unpack_from
_THREE_INTS = struct.Struct("<iii").unpack_from
_LONG = struct.Struct("<q").unpack_from
_LONG_STRING = 254
_PEER_BYTES = 12

_SchemaMessage: Any = next(
    kind for kind in patched.Message.__mro__ if kind.__module__ == "telethon.tl.types"
)


class PlainMessage(_SchemaMessage):
    """A message with the schema's fields alone, and the one that service messages have more.

    What is not there is the class's: of fifty fields a message has ten.
    """

    action = None

    @classmethod
    def from_reader(cls, reader: Any) -> Any:
        """Read what messages usually have; Telethon's own reader does all others.

        Source: https://core.telegram.org/constructor/message
        """
        at = reader.position
        flags, more_flags, number = _THREE_INTS(reader.stream, at)
        if more_flags or flags & _UNUSUAL or cls.CONSTRUCTOR_ID != _LAYOUT:
            return super().from_reader(reader)
        reader.position = at + 12
        self = cls.__new__(cls)
        for name in _flags_of(flags & _ALL_FLAGS):
            setattr(self, name, True)
        self.id = number
        if flags & 1 << 8:
            self.from_id = reader.read_peer()
        self.peer_id = reader.read_peer()
        if flags & 1 << 2:
            self.fwd_from = reader.tgread_object()
        if flags & 1 << 11:
            self.via_bot_id = reader.read_long()
        if flags & 1 << 3:
            self.reply_to = reader.tgread_object()
        self.date = reader.tgread_date()
        self.message = reader.tgread_string()
        if flags & 1 << 9:
            self.media = reader.tgread_object()
        if flags & 1 << 6:
            self.reply_markup = reader.tgread_object()
        if flags & 1 << 7:
            self.entities = reader.tgread_vector()
        if flags & 1 << 10:
            self.views = reader.read_int()
            self.forwards = reader.read_int()
        if flags & 1 << 23:
            self.replies = reader.tgread_object()
        if flags & 1 << 15:
            self.edit_date = reader.tgread_date()
        if flags & 1 << 16:
            self.post_author = reader.tgread_string()
        if flags & 1 << 17:
            self.grouped_id = reader.read_long()
        if flags & 1 << 20:
            self.reactions = reader.tgread_object()
        return self


_LAYOUT = 0x7600B9D3
"""The constructor of `message` whose fields are written out above."""

_FLAGS = {
    1: "out",
    4: "mentioned",
    5: "media_unread",
    13: "silent",
    14: "post",
    18: "from_scheduled",
    19: "legacy",
    21: "edit_hide",
    24: "pinned",
    26: "noforwards",
    27: "invert_media",
}
_ALL_FLAGS = sum(1 << bit for bit in _FLAGS)
_UNUSUAL = ~(_ALL_FLAGS | sum(1 << bit for bit in (2, 3, 6, 7, 8, 9, 10, 11, 15, 16, 17, 20, 23)))

for _name, _parameter in inspect.signature(_SchemaMessage.__init__).parameters.items():
    setattr(PlainMessage, _name, False if _parameter.annotation == bool | None else None)


@functools.lru_cache(maxsize=1024)
def _flags_of(flags: int) -> list[str]:
    return [name for bit, name in _FLAGS.items() if flags & 1 << bit]


class PageReader(BinaryReader):
    """Telethon's reader with what is called for every field written out."""

    stream: bytes
    position: int

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._peers: dict[bytes, Any] = {}

    def read_int(self, signed: bool = True) -> int:
        at = self.position
        self.position = at + 4
        return (_INT if signed else _UNSIGNED_INT)(self.stream, at)[0]

    def read_long(self, signed: bool = True) -> int:
        if not signed:
            return super().read_long(signed)
        at = self.position
        self.position = at + 8
        return _LONG(self.stream, at)[0]

    def tgread_bytes(self) -> bytes:
        # https://core.telegram.org/mtproto/serialize#base-types
        at = self.position
        length = self.stream[at]
        if length >= _LONG_STRING:
            return super().tgread_bytes()
        data = self.stream[at + 1 : at + 1 + length]
        if len(data) != length:
            raise BufferError("The answer ends within a string.")
        self.position = at + (length + 4 & ~3)
        return data

    def read_peer(self) -> Any:
        """Read a Peer: those of a page are the same few."""
        at = self.position
        data = self.stream[at : at + _PEER_BYTES]
        peer = self._peers.get(data)
        if peer is not None:
            self.position = at + _PEER_BYTES
            return peer
        peer = self.tgread_object()
        if self.position == at + _PEER_BYTES:
            self._peers[data] = peer
        return peer

    def tgread_object(self) -> Any:
        at = self.position
        kind = _KINDS.get(_UNSIGNED_INT(self.stream, at)[0])
        if kind is None:
            return super().tgread_object()
        self.position = at + 4
        return kind.from_reader(self)


_KINDS: dict[int, Any] = {**tlobjects, PlainMessage.CONSTRUCTOR_ID: PlainMessage}


class GetHistoryRequest(messages.GetHistoryRequest):
    """`messages.getHistory`, whose answer is read by `PageReader`.

    Source: https://core.telegram.org/method/messages.getHistory
    """

    @staticmethod
    def read_result(reader: BinaryReader) -> "Unread":
        return Unread(reader.read())


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer as it came."""

    payload: bytes

    def read(self) -> Any:
        """Return Telethon's object; raises TypeNotFoundError for what its schema does not know."""
        return PageReader(self.payload).tgread_object()


AT_ONCE = 4
"""How many pages are read before the loop does something else."""

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def ask(client: TelegramClient, request: GetHistoryRequest) -> Any:
    """Return the answer to `messages.getHistory`, read when it is its turn.

    Telethon reads what has come, all of it, before its loop goes on. Where many pages are on
    their way, the next ones would be asked for when the last is read, all at once; so would they
    come, and for as long as the way to Telegram and back takes nobody would have anything to do.
    Other calls would wait for all of them, too.
    """
    unread = await client(request)
    if not isinstance(unread, Unread):
        return unread  # a client without updates wraps its requests: Telethon has read it
    turns = _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))
    async with turns:
        await asyncio.sleep(0)
        answer = unread.read()
    client.session.process_entities(answer)
    return answer
