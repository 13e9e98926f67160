"""`subscribe` and `unsubscribe`: live events, after everything since a cursor."""

import asyncio
from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from accounts.models import Scope
from core.validation import Int64Field, SessionNameField, validated
from realtime.eventlog import make_filter
from realtime.fanout import Feed, fanout
from realtime.socket.frames import UNAUTHORIZED, Failed, text
from realtime.socket.groups import LOGIN_REQUIRED
from realtime.threads import look_up

if TYPE_CHECKING:
    from realtime.consumers import TelegramConsumer

MAX_FILTERS = 1000


class SubscribeInput(serializers.Serializer[Any]):
    """What a client wants to hear of; what is left out filters nothing."""

    sessions = serializers.ListField(
        child=SessionNameField(), required=False, allow_null=True, max_length=MAX_FILTERS
    )
    chats = serializers.ListField(
        child=Int64Field(), required=False, allow_null=True, max_length=MAX_FILTERS
    )
    kinds = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        max_length=MAX_FILTERS,
    )
    since = Int64Field(required=False, allow_null=True, min_value=0)


class Subscription:
    """Sends the events of a feed to a socket until it is stopped."""

    def __init__(self, socket: "TelegramConsumer", feed: Feed) -> None:
        self.feed = feed
        self.sent = feed.cursor
        self._socket = socket
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(socket.task_done)

    async def stop(self) -> int:
        """Send nothing more; return the cursor after what was sent."""
        self._stopping.set()
        await asyncio.wait({self._task})
        return self.sent

    def cancel(self) -> None:
        self._task.cancel()
        self.feed.close()

    async def _run(self) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            while not stopping.done():
                news = asyncio.ensure_future(self.feed.next())
                try:
                    await asyncio.wait({news, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    if not news.done() or stopping.done():
                        return
                    batch = news.result()
                finally:
                    news.cancel()
                if batch.reset:
                    reset = {"id": batch.next, "kind": "reset", "oldest": batch.oldest}
                    await self._socket.send_text(text({"event": "reset", "data": reset}))
                for event in batch.events:
                    if not self.feed.may_tell(event):
                        continue
                    await self._socket.send_text(event.frame)
                    self.sent = event.id
                    if self._stopping.is_set():
                        return
                self.sent = batch.next
        finally:
            stopping.cancel()
            self.feed.close()


async def subscribe(socket: "TelegramConsumer", data: dict[str, Any]) -> None:
    """Answer `{"sessions"?, "chats"?, "kinds"?, "since"?}`; it takes the place of a former one."""
    access = socket.access
    if access is None:
        raise Failed(LOGIN_REQUIRED, close=UNAUTHORIZED)
    access.caller.require(Scope.READ.value)
    order = validated(SubscribeInput, data)
    wanted = await look_up(
        make_filter,
        access,
        sessions=order.get("sessions"),
        chats=order.get("chats"),
        kinds=order.get("kinds"),
    )
    await _stop(socket)
    feed = await fanout().join(access, wanted, order.get("since"))
    await socket.reply("subscribe", "subscribed", next=feed.cursor)
    socket.subscription = Subscription(socket, feed)


async def unsubscribe(socket: "TelegramConsumer", data: dict[str, Any]) -> None:
    """End the subscription, if there is one, and tell the cursor to go on from."""
    if socket.access is None:
        raise Failed(LOGIN_REQUIRED, close=UNAUTHORIZED)
    await socket.reply("unsubscribe", "unsubscribed", next=await _stop(socket))


async def _stop(socket: "TelegramConsumer") -> int | None:
    subscription, socket.subscription = socket.subscription, None
    return None if subscription is None else await subscription.stop()
