"""Sending a request that must not be tried again when Telegram says that it was sent before.

Telegram answers a repeated `random_id` with a 500, which Telethon takes for a hiccup of the
server: it sleeps, and asks again and again.
"""

import asyncio
from typing import Any

from telethon import TelegramClient
from telethon.errors import RandomIdDuplicateError

from engine.errors import from_rpc


async def call_once(client: TelegramClient, request: Any) -> Any:
    """Send `request`; Conflict `random_id_duplicate` at once when it was sent before."""
    return await client._call(_Sender(client._sender), request)


class _Sender:
    """The client's sender, with the one error told in our words."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender

    def send(self, request: Any, ordered: bool = False) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self._answer(request, ordered))

    async def _answer(self, request: Any, ordered: bool) -> Any:
        try:
            return await self._sender.send(request, ordered=ordered)
        except RandomIdDuplicateError:
            raise from_rpc(500, "RANDOM_ID_DUPLICATE") from None
        except asyncio.CancelledError:
            # What is still queued must not be sent after its caller has gone.
            if drop := getattr(self._sender, "drop_cancelled", None):
                drop()
            raise
