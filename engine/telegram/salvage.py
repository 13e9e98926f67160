"""History around messages that this layer of the schema cannot read.

One unknown constructor makes a whole answer unreadable. Here the page is halved until the
message is alone; its id is found between its neighbours', and its bytes are kept.
Source: https://core.telegram.org/mtproto/TL#constructor-identifiers
"""

import copy
import logging
from typing import Any

from telethon import TelegramClient
from telethon.errors import TypeNotFoundError

from engine.methods.answers import PageDict
from engine.methods.shapes import MessageDict
from engine.telegram import convert
from engine.telegram.pages import message_dicts, total_of
from engine.telegram.reading import ask

logger = logging.getLogger(__name__)

ABOVE_ALL = 2**31 - 1


class _Salvage:
    """The reading of one page in pieces; pieces are counted from the page's newest message."""

    def __init__(self, client: TelegramClient, request: Any, chat_id: int) -> None:
        self.client = client
        self.request = request
        self.chat_id = chat_id
        self.count: int | None = None
        self.pts: int | None = None

    async def read(self, start: int, size: int) -> list[MessageDict]:
        """Return `size` messages from position `start`; unreadable ones have id 0."""
        request = copy.copy(self.request)
        request.add_offset = self.request.add_offset + start
        request.limit = size
        try:
            answer = await ask(self.client, request)
        except TypeNotFoundError as error:
            if size == 1:
                logger.warning(
                    "Chat %s: unknown constructor %08x", self.chat_id, error.invalid_constructor_id
                )
                return [convert.unreadable_message(0, self.chat_id, error.remaining)]
            half = size // 2
            newer = await self.read(start, half)
            if len(newer) < half:
                return newer
            return newer + await self.read(start + half, size - half)
        self.count, self.pts = total_of(answer), getattr(answer, "pts", None)
        return message_dicts(self.client, request.peer, answer)

    async def find_id(self, below: int, above: int) -> int:
        """Return the highest id between two known ones (exclusive), where nothing is readable."""
        request = copy.copy(self.request)
        request.offset_date, request.add_offset, request.max_id, request.limit = None, 0, 0, 1
        low, high = below + 1, above - 1
        while low < high:
            middle = (low + high) // 2
            request.offset_id, request.min_id = high + 1, middle
            try:
                answer = await ask(self.client, request)
            except TypeNotFoundError:
                low = middle + 1
                continue
            arrived = [message.id for message in answer.messages]
            high = min(arrived) - 1 if arrived else middle
        return low


async def read_page(client: TelegramClient, request: Any, chat_id: int) -> PageDict:
    """Return the page that `request` asks for, with stand-ins for what cannot be read."""
    salvage = _Salvage(client, request, chat_id)
    found = await salvage.read(0, request.limit)
    bounded = request.offset_id and request.add_offset >= 0
    highest = request.offset_id if bounded else ABOVE_ALL
    for position, message in enumerate(found):
        if message["message_id"]:
            continue
        older = next((m["message_id"] for m in found[position + 1 :] if m["message_id"]), None)
        if older is None:
            older = await _next_older(salvage, position)
        newer = found[position - 1]["message_id"] if position else highest
        message["message_id"] = await salvage.find_id(older, newer)
    ids = [message["message_id"] for message in found]
    return {
        "chat_id": chat_id,
        "messages": found,
        "count": salvage.count,
        "oldest_id": min(ids, default=None),
        "newest_id": max(ids, default=None),
        "next_offset_id": min(ids) if len(ids) >= request.limit else None,
        "pts": salvage.pts,
    }


async def _next_older(salvage: _Salvage, position: int) -> int:
    """Return the id of the first readable message below the page, 0 when there is none."""
    while True:
        position += 1
        below = await salvage.read(position, 1)
        if not below:
            return 0
        if below[0]["message_id"]:
            return below[0]["message_id"]
