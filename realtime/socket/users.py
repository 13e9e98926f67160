"""`users`: the members of groups, all or those who were not sent yet."""

from typing import TYPE_CHECKING, Any

from engine import methods, telegram
from engine.errors import BadRequest, NotFound
from realtime import cursors
from realtime.models import SentKind
from realtime.socket.frames import BAD_REQUEST, NOT_FOUND, Failed
from realtime.socket.groups import Group, Order, take_order

if TYPE_CHECKING:
    from realtime.consumers import TelegramConsumer

EVENT = "users"
SENDING = "sending users"
GROUPS = ("group", "supergroup")


async def users(socket: "TelegramConsumer", data: dict[str, Any]) -> None:
    """Answer `{"group": [name, …], "status": "" | "latest"}`."""
    await take_order(socket, EVENT, data, serve)


async def serve(socket: "TelegramConsumer", order: Order, group: Group) -> int:
    """Send the members of a group; return how many."""
    session_id = order.session.pk
    missing = Failed(f"{group.name} does not exist", close=NOT_FOUND)
    try:
        dialog = await telegram.acall(session_id, methods.dialogs.resolve, chat_id=group.name)
        if dialog["type"] == "channel":
            raise Failed(f"{group.name} is a channel name", close=BAD_REQUEST)
        if dialog["type"] not in GROUPS:
            raise missing
        page = await _page(session_id, dialog["id"], 0)
    except (NotFound, BadRequest):
        raise missing from None
    await socket.reply(EVENT, SENDING)
    key = order.cursor(SentKind.USERS, dialog["id"])
    told = await cursors.members_sent(key) if group.latest else set()
    count = 0
    while True:
        fresh = []
        for user in page["users"]:
            if user["id"] not in told:
                told.add(user["id"])
                fresh.append(user["id"])
                await socket.reply(EVENT, {"group": group.name, "user": user})
        if fresh:
            count += len(fresh)
            await socket.confirm(key, fresh)
        if page["next_offset"] is None:
            return count
        page = await _page(session_id, dialog["id"], page["next_offset"])


async def _page(session_id: int, chat_id: int, offset: int) -> Any:
    return await telegram.acall(
        session_id, methods.users.get_participants_page, chat_id=chat_id, offset=offset
    )
