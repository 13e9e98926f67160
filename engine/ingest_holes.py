"""Reading again what Telegram would not tell as updates.

After `…DifferenceTooLong`, or when a box starts anew, the messages since the last contiguous one
come from the history, oldest first, so that each page that was committed is progress which
survives a crash. Ids of private chats and basic groups count per account and without gaps: there
`messages.getMessages` over the id range reads all chats at once.

Source: https://core.telegram.org/api/updates#recovering-gaps
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from telethon import errors, functions, types, utils

PAGE = 100

logger = logging.getLogger(__name__)

Ask = Callable[[Any], Awaitable[Any]]
"""Sends a request to Telegram, waiting floods and lost connections out; raises other RPC errors."""


@dataclass(slots=True)
class Page:
    """Messages oldest first; `reached` is the id up to which nothing is missing."""

    messages: list[Any]
    reached: int
    entities: dict[int, Any] = field(default_factory=dict)


async def channel_pages(ask: Ask, channel: Any, after_id: int, newest: int) -> AsyncGenerator[Page]:
    """Read a channel's messages above `after_id`, at least up to `newest` (0: to the end).

    Source: https://core.telegram.org/api/offsets
    """
    while True:
        result, _ = await _readable(ask, partial(_history_after, channel, after_id))
        if result is None:
            after_id += 1
            continue
        messages = sorted((m for m in result.messages if m.id > after_id), key=lambda m: m.id)
        if not messages:
            return
        after_id = messages[-1].id
        yield Page(messages, after_id, _entities(result))
        if newest and after_id >= newest:
            return


async def latest_channel_pages(ask: Ask, channel: Any, count: int) -> AsyncGenerator[Page]:
    """Read the latest `count` messages of a channel in which no message was known."""
    offset_id = 0
    found: list[Any] = []
    entities: dict[int, Any] = {}
    while count > len(found):
        result = await ask(
            functions.messages.GetHistoryRequest(
                peer=channel,
                offset_id=offset_id,
                offset_date=None,
                add_offset=0,
                limit=min(PAGE, count - len(found)),
                max_id=0,
                min_id=0,
                hash=0,
            )
        )
        if not result.messages:
            break
        found += result.messages
        entities.update(_entities(result))
        offset_id = result.messages[-1].id
    if found:
        found.sort(key=lambda message: message.id)
        yield Page(found, found[-1].id, entities)


async def account_pages(ask: Ask, after_id: int, newest: int) -> AsyncGenerator[Page]:
    """Read the messages of all private chats and basic groups with ids above `after_id`.

    Reads up to `newest`, and on as long as there is more.
    Source: https://core.telegram.org/method/messages.getMessages
    """
    while True:
        result, asked = await _readable(ask, partial(_ids_after, after_id))
        found = [] if result is None else _messages(result)
        if not found and after_id >= newest:
            return
        if after_id + asked < newest:
            after_id += asked
        else:
            after_id = max([newest, *(message.id for message in found)])
        yield Page(found, after_id, {} if result is None else _entities(result))
        if after_id >= newest and len(found) < asked:
            return


def _history_after(channel: Any, after_id: int, limit: int) -> Any:
    # The window of `limit` messages ends just before `offset_id`; a negative `add_offset`
    # moves it up, so that it begins with the oldest message that is missing.
    return functions.messages.GetHistoryRequest(
        peer=channel,
        offset_id=after_id + 1,
        offset_date=None,
        add_offset=-limit,
        limit=limit,
        max_id=0,
        min_id=after_id,
        hash=0,
    )


def _ids_after(after_id: int, limit: int) -> Any:
    ids = range(after_id + 1, after_id + 1 + limit)
    return functions.messages.GetMessagesRequest([types.InputMessageID(i) for i in ids])


def _messages(result: Any) -> list[Any]:
    """Return the messages of an answer that exist, oldest first."""
    found = (m for m in result.messages if not isinstance(m, types.MessageEmpty))
    return sorted(found, key=lambda message: message.id)


async def newest_account_id(ask: Ask) -> int:
    """Return the newest message id of the account's private chats and basic groups.

    Source: https://core.telegram.org/method/messages.getDialogs
    """
    newest = 0
    for folder_id in (0, 1):
        result = await ask(dialogs_request(folder_id))
        tops = [
            dialog.top_message
            for dialog in result.dialogs
            if isinstance(dialog, types.Dialog) and not isinstance(dialog.peer, types.PeerChannel)
        ]
        newest = max([newest, *tops])
    return newest


def dialogs_request(folder_id: int | None = None, limit: int = PAGE) -> Any:
    """Return a request for the first page of dialogs."""
    return functions.messages.GetDialogsRequest(
        offset_date=None,
        offset_id=0,
        offset_peer=types.InputPeerEmpty(),
        limit=limit,
        hash=0,
        folder_id=folder_id,
    )


async def _readable(ask: Ask, request: Callable[[int], Any]) -> tuple[Any, int]:
    """Ask for a page; when a message in it cannot be read, for one message at a time.

    Returns the answer, None for a message that this layer of Telegram's schema cannot read, and
    for how many messages was asked.
    """
    try:
        return await ask(request(PAGE)), PAGE
    except errors.TypeNotFoundError:
        try:
            return await ask(request(1)), 1
        except errors.TypeNotFoundError as error:
            logger.warning("A message cannot be read: type %08x", error.invalid_constructor_id)
            return None, 1


def _entities(result: Any) -> dict[int, Any]:
    return {utils.get_peer_id(peer): peer for peer in (*result.users, *result.chats)}
