"""History around messages that this layer of the schema cannot read.

One unknown constructor makes a whole answer unreadable. Here the page is halved until the
message is alone; its id is found between its neighbours', and its bytes are kept.
Source: https://core.telegram.org/mtproto/TL#constructor-identifiers
"""

import contextlib
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
    """The reading of one page in pieces; pieces are counted from the page's newest message.

    Telegram counts first and then leaves out what `max_id` and `min_id` forbid: a position is no
    index into what was found.
    """

    def __init__(self, client: TelegramClient, request: Any, chat_id: int) -> None:
        self.client = client
        self.request = request
        self.chat_id = chat_id
        self.count: int | None = None
        self.pts: int | None = None
        self.places: list[int] = []
        """Positions of what could not be read, newest first."""

    async def read(self, start: int, size: int) -> list[MessageDict]:
        """Return `size` messages from position `start`; unreadable ones have id 0."""
        try:
            answer = await self._ask(start, size)
        except TypeNotFoundError as error:
            if size == 1:
                logger.warning(
                    "Chat %s: unknown constructor %08x", self.chat_id, error.invalid_constructor_id
                )
                self.places.append(start)
                return [convert.unreadable_message(0, self.chat_id, error.remaining)]
            # The newer half may lie beyond the newest message or `max_id`: that it is short says
            # nothing about the older one.
            half = size // 2
            return await self.read(start, half) + await self.read(start + half, size - half)
        self.count, self.pts = total_of(answer), getattr(answer, "pts", None)
        return message_dicts(self.client, self.request.peer, answer)

    async def _ask(self, start: int, size: int) -> Any:
        request = copy.copy(self.request)
        request.add_offset = self.request.add_offset + start
        request.limit = size
        return await ask(self.client, request)

    async def older_than(self, position: int) -> int:
        """Return an id with nothing readable between it and what is at `position`, older."""
        while True:
            position += 1
            with contextlib.suppress(TypeNotFoundError):
                answer = await self._ask(position, 1)
                return answer.messages[0].id if answer.messages else self.request.min_id

    async def newer_than(self, position: int) -> tuple[int, int]:
        """Return such an id on the newer side, and how many unreadable messages lie before it."""
        request, unreadable = self.request, 0
        while request.offset_date or request.add_offset + position != 0:
            position -= 1
            try:
                answer = await self._ask(position, 1)
            except TypeNotFoundError:
                unreadable += 1
                continue
            if answer.messages:
                return answer.messages[0].id, unreadable
            return request.max_id or ABOVE_ALL, unreadable
        return min(request.offset_id or ABOVE_ALL, request.max_id or ABOVE_ALL), unreadable

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
    places = iter(salvage.places)
    for index, message in enumerate(found):
        if message["message_id"]:
            continue
        place, between = next(places), 0
        older = next((m["message_id"] for m in found[index + 1 :] if m["message_id"]), None)
        if older is None:
            older = await salvage.older_than(place)
        if index:
            newer = found[index - 1]["message_id"]
        else:
            newer, between = await salvage.newer_than(place)
        for _ in range(between):
            newer = await salvage.find_id(older, newer)
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
