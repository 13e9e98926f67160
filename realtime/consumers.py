"""The WebSocket at `/ws/telegram/`: takes frames in, has them served in order, sends frames out.

Three lanes keep a socket responsive. `ping` is answered at once; `login`, `telegram login` and
`subscribe` are served one after the other; the long answers of `users` and `chats` have a lane of
their own, in the order in which they were asked for.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from core import json
from core.asgi import header_dict
from core.errors import ApiError, BadRequest
from realtime.cursors import CursorKey
from realtime.eventlog import Access
from realtime.socket import frames
from realtime.socket.chats import chats
from realtime.socket.confirmations import Confirmations
from realtime.socket.frames import Failed, Malformed, failure_of, frame
from realtime.socket.login import login
from realtime.socket.subscribe import Subscription, subscribe, unsubscribe
from realtime.socket.telegram_login import telegram_login
from realtime.socket.users import users
from realtime.watch import watched

logger = logging.getLogger(__name__)

LOGIN_SECONDS = 30.0
MAX_WAITING = 100
# Frames that a client may send: so many at once, and so many per second in the long run.
BURST_FRAMES = 100
FRAMES_PER_SECOND = 20.0

Handler = Callable[["TelegramConsumer", dict[str, Any]], Awaitable[None]]

HANDLERS: dict[str, Handler] = {
    "login": login,
    "telegram login": telegram_login,
    "users": users,
    "chats": chats,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
}
# Whose `data` may be left out.
BARE = frozenset({"subscribe", "unsubscribe"})
PONG = frames.text({"event": "pong"})


class TelegramConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One client's socket."""

    scope: MutableMapping[str, Any]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        self.base_send = send
        self.headers = header_dict(scope)
        self.access: Access | None = None
        self.session_name = ""
        self.failed_logins = 0
        self.subscription: Subscription | None = None
        self._closed = False
        self._confirmations = Confirmations(self._ping)
        self._frames = asyncio.Queue[Any](MAX_WAITING)
        self._requests = asyncio.Queue[tuple[str, Coroutine[Any, Any, None]]](MAX_WAITING)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching = contextlib.AsyncExitStack()
        self._allowance, self._counted_at = float(BURST_FRAMES), time.monotonic()
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        except asyncio.CancelledError:
            await self._close(frames.RESTARTING)
            raise
        finally:
            await self._end()

    async def dispatch(self, message: MutableMapping[str, Any]) -> None:
        await getattr(self, get_handler_name(message))(message)

    # What comes from the server

    async def websocket_connect(self, message: Any) -> None:
        await self.accept()
        for work in (self._serve_frames(), self._serve_requests(), self._expect_login()):
            self._spawn(work)

    async def websocket_receive(self, message: Any) -> None:
        """Take a frame in; nothing here waits for the client to read."""
        if self._closed:
            return
        if not self._may_send():
            self._give_up("too many frames", frames.TOO_MANY)
            return
        received = _decode(message.get("text"), message.get("bytes"))
        if isinstance(received, dict) and received.get("event") == "ping":
            if len(self._tasks) < MAX_WAITING:
                self._spawn(self.send_text(PONG))
            return
        try:
            self._frames.put_nowait(received)
        except asyncio.QueueFull:
            self._give_up("too many requests are waiting", frames.TOO_MANY)

    async def websocket_pong(self, message: Any) -> None:
        self._confirmations.pong(message["bytes"])

    async def websocket_disconnect(self, message: Any) -> None:
        self._closed = True
        raise StopConsumer()

    def _may_send(self) -> bool:
        now = time.monotonic()
        earned = (now - self._counted_at) * FRAMES_PER_SECOND
        self._allowance = min(BURST_FRAMES, self._allowance + earned) - 1
        self._counted_at = now
        return self._allowance >= 0

    # What goes to the client

    async def send_text(self, text: str) -> None:
        """Send a frame; waits while the client does not read."""
        if not self._closed:
            await self.base_send({"type": "websocket.send", "text": text})

    async def reply(self, event: str, message: Any, **more: Any) -> None:
        """Send `{"event", "data": {"status": "success", "message": …}}`."""
        await self.send_text(frame(event, "success", message, **more))

    async def confirm(self, key: CursorKey, ids: list[int]) -> None:
        """Move a cursor once the client has what was sent until now."""
        if self._confirmations.overdue:
            raise Failed("the client answers no pings", close=frames.TIMED_OUT)
        await self._confirmations.expect(key, ids)

    async def _ping(self, payload: bytes) -> None:
        if not self._closed:
            await self.base_send({"type": "websocket.ping", "bytes": payload})

    async def _fail(self, event: str, failed: Failed) -> None:
        more = {} if failed.retry_after is None else {"retry_after": failed.retry_after}
        await self.send_text(frame(event, "failed", failed.message, **more))
        if failed.close is not None:
            await self._close(failed.close)

    def _give_up(self, message: str, code: int) -> None:
        self._spawn(self._fail("error", Failed(message, close=code)))

    async def _close(self, code: int) -> None:
        if self._closed:
            return
        self._closed = True
        await self.base_send({"type": "websocket.close", "code": code})
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        if self.subscription is not None:
            self.subscription.cancel()

    # Who the client is

    async def verified(self, access: Access, session_name: str) -> None:
        """Go on as this caller, for as long as the key is good."""
        self.access, self.session_name = access, session_name
        await self._watching.enter_async_context(watched(access, self._ended, self._access_changed))

    def _ended(self, error: ApiError) -> None:
        self._give_up(error.detail, frames.UNAUTHORIZED)

    def _access_changed(self, access: Access) -> None:
        self.access = access
        if self.subscription is None:
            return
        self.subscription.feed.access = access
        if not access.caller.allows("read"):
            self.subscription.cancel()
            self.subscription = None

    async def _expect_login(self) -> None:
        await asyncio.sleep(LOGIN_SECONDS)
        if self.access is None:
            await self._close(frames.TIMED_OUT)

    # What is served

    def serve_later(self, event: str, work: Coroutine[Any, Any, None]) -> None:
        """Have a long answer given after those that were asked for before it."""
        try:
            self._requests.put_nowait((event, work))
        except asyncio.QueueFull:
            work.close()
            raise Failed("too many requests are waiting", close=frames.TOO_MANY) from None

    async def _serve_frames(self) -> None:
        while not self._closed:
            received = await self._frames.get()
            event = "error"
            try:
                if isinstance(received, Exception):
                    raise received
                event, data = _event_of(received)
                await HANDLERS[event](self, data)
            except Malformed as error:
                await self._fail("error", Failed(str(error), close=frames.BAD_REQUEST))
            except Exception as error:
                await self._fail(event, failure_of(error))

    async def _serve_requests(self) -> None:
        while not self._closed:
            event, work = await self._requests.get()
            try:
                await work
            except Exception as error:
                await self._fail(event, failure_of(error))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self.task_done)

    def task_done(self, task: asyncio.Task[Any]) -> None:
        """Note the end of a task; what nobody foresaw closes the socket."""
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        logger.error("A socket's task failed", exc_info=task.exception())
        if not self._closed:
            self._give_up("The server failed to answer.", 4500)

    async def _end(self) -> None:
        self._closed = True
        await self._watching.aclose()
        if self.subscription is not None:
            self.subscription.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while not self._requests.empty():
            self._requests.get_nowait()[1].close()


def _decode(text: str | None, binary: bytes | None) -> Any:
    """Return a frame's JSON, or the Malformed that it is."""
    try:
        return json.parse_body(text.encode() if text is not None else binary or b"")
    except BadRequest as error:
        return Malformed(error.detail.replace("The body", "The frame"))
    except UnicodeError:
        return Malformed("The frame is not valid JSON.")


def _event_of(received: Any) -> tuple[str, dict[str, Any]]:
    """Return an event and its data; raises Malformed."""
    if not isinstance(received, dict):
        raise Malformed("a frame is an object with 'event' and 'data'")
    event = frames.given(received, "event")
    if not isinstance(event, str) or event not in HANDLERS:
        raise Malformed("unknown event")
    data = received.get("data", {} if event in BARE else None)
    if data is None:
        raise Malformed("missing key 'data'")
    if not isinstance(data, dict):
        raise Malformed("'data' is not an object")
    return event, data
