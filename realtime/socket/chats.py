"""`chats`: the messages of chats, oldest first, all or those that were not sent yet."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from core import json
from core.errors import ApiError
from engine import methods, telegram
from engine.errors import EngineError
from realtime import cursors
from realtime.models import SentKind
from realtime.socket.frames import BAD_REQUEST, Failed
from realtime.socket.groups import Group, Order, take_order
from scraper import history
from scraper.history import HistoryQuery

if TYPE_CHECKING:
    from realtime.consumers import TelegramConsumer

EVENT = "chats"
SENDING = "sending chats"
INVALID = "invalid request"
CHUNK = 100


async def chats(socket: "TelegramConsumer", data: dict[str, Any]) -> None:
    """Answer `{"group": [{"name", "status"}, …], "status": "" | "latest"}`."""
    await take_order(socket, EVENT, data, serve)


async def serve(socket: "TelegramConsumer", order: Order, group: Group) -> int:
    """Send the messages of a chat; return how many."""
    session = order.session
    try:
        dialog = await telegram.acall(session.pk, methods.dialogs.resolve, chat_id=group.name)
        key = order.cursor(SentKind.CHATS, dialog["id"])
        after_id = await cursors.last_sent(key) if group.latest else 0
        # A flood wait is told at once: the client asks again, and goes on from its cursor.
        query = HistoryQuery(after_id=after_id, chunk_size=CHUNK, max_wait=0)
        frames = await history.stream(session, str(dialog["id"]), query)
    except (EngineError, ApiError) as error:
        if error.status in (400, 403, 404):
            raise Failed(INVALID, close=BAD_REQUEST) from None
        raise
    count = 0
    async with aclosing(frames):
        await socket.reply(EVENT, SENDING)
        async for messages in _messages(frames):
            for message in messages:
                chat = {"id": message["message_id"], **message}
                await socket.reply(EVENT, {"group": group.name, "chat": chat})
            if messages:
                count += len(messages)
                await socket.confirm(key, [messages[-1]["message_id"]])
    return count


async def _messages(frames: AsyncIterator[bytes]) -> AsyncIterator[list[dict[str, Any]]]:
    """Return the messages of server-sent events; raises Failed for an event `error`."""
    async for frame in frames:
        for block in frame.split(b"\n\n"):
            fields = dict(
                line.split(b": ", 1) for line in block.split(b"\n") if line and line[0] != 0x3A
            )
            if b"data" not in fields:
                continue
            data = json.loads(fields[b"data"])
            if fields.get(b"event") == b"error":
                raise Failed(data["detail"], retry_after=data.get("retry_after"))
            yield data["messages"]
