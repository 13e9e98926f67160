"""Pages of history, read into what Telethon's own reader makes of them, in less of the time.

To read a page costs more than all else that is done with it. Two things are left out here: what
Telethon's `Message` sets up beside the schema's fields (who sent it, which buttons it has), and
a call for each number and string.
"""

import struct
from typing import Any

from telethon.extensions import BinaryReader
from telethon.tl import patched
from telethon.tl.alltlobjects import tlobjects
from telethon.tl.functions import messages

_INT = struct.Struct("<i").unpack_from
_UNSIGNED_INT = struct.Struct("<I").unpack_from
_LONG = struct.Struct("<q").unpack_from
_LONG_STRING = 254

_SchemaMessage: Any = next(
    kind for kind in patched.Message.__mro__ if kind.__module__ == "telethon.tl.types"
)


class PlainMessage(_SchemaMessage):
    """A message with the schema's fields alone, and the one that service messages have more."""

    action = None


class PageReader(BinaryReader):
    """Telethon's reader with what is called for every field written out."""

    stream: bytes
    position: int

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
    def read_result(reader: BinaryReader) -> Any:
        return PageReader(reader.read()).tgread_object()
