"""What the HTTP streams share: who asks, a task that ends with the client, errors, keep-alives."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from channels.generic.http import AsyncHttpConsumer
from django.http import QueryDict

from accounts.callers import Caller, identify
from accounts.models import Scope
from core import json, limits
from core.asgi import header_dict
from core.errors import ApiError, to_response_parts
from realtime.eventlog import Access
from realtime.watch import watched

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
SSE_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    # nginx would hold a stream back until its buffer is full.
    (b"x-accel-buffering", b"no"),
]


class StreamConsumer(AsyncHttpConsumer):  # type: ignore[misc]
    """Answers one GET: `answer()` runs until it ends, the client leaves, or the key is revoked.

    What `answer` raises before the first byte is a plain HTTP error, afterwards a last event
    `error`.
    """

    scope: MutableMapping[str, Any]
    error_fields: ClassVar[Mapping[str, Any]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        self.base_send = send
        self.headers = header_dict(scope)
        self.query = QueryDict(scope.get("query_string", b""))
        self.started = False
        self._ended: ApiError | None = None
        self._answering = asyncio.create_task(self._answer())
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({self._answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            self._answering.cancel()
            await asyncio.gather(self._answering, leaving, return_exceptions=True)

    async def answer(self) -> None:
        """Send the whole answer."""
        raise NotImplementedError

    async def _answer(self) -> None:
        try:
            await self.answer()
        except asyncio.CancelledError:
            if self._ended is None:
                raise
            await self._fail(self._ended)
        except Exception as error:
            await self._fail(error)

    async def _fail(self, error: Exception) -> None:
        parts = to_response_parts(error)
        if not self.started:
            await self.send_json(parts.body, parts.status, parts.headers)
            return
        body = {**self.error_fields, **parts.body}
        await self.send_body(b"event: error\ndata: %b\n\n" % json.dumps(body))

    async def send_json(
        self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with a value as JSON."""
        await self.send_document(json.dumps(body), status, headers)

    async def send_document(
        self, payload: bytes, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with a JSON document."""
        own = {
            "Content-Type": "application/json",
            "Content-Length": str(len(payload)),
            **(headers or {}),
        }
        self.started = True
        pairs = [(name.lower().encode(), text.encode("latin-1")) for name, text in own.items()]
        await self.send_response(status, payload, headers=pairs)

    async def begin(self) -> None:
        """Begin a stream of events."""
        self.started = True
        await self.send_headers(headers=SSE_HEADERS)

    def identify(self) -> Caller:
        """Return the caller, who may read; touches the database.

        Raises what the REST views raise: Unauthorized, Forbidden, TooManyRequests.
        """
        client = self.scope.get("client")
        caller = identify(
            self.headers,
            client[0] if client else None,
            self.headers.get("host", ""),
            self.headers.get("origin"),
        )
        caller.require(Scope.READ.value)
        who = ("user", caller.user.pk) if caller.key is None else ("key", caller.key.pk)
        limits.hit("call", *who)
        return caller

    @asynccontextmanager
    async def watching(self, access: Access) -> AsyncIterator[None]:
        """Break off the block when the caller may not go on."""

        def end(error: ApiError) -> None:
            self._ended = error
            self._answering.cancel()

        async with watched(access, end, self.access_changed):
            yield

    def access_changed(self, access: Access) -> None:
        """Go on with what the caller may read by now."""


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def with_keep_alives(waiting: Awaitable[Any], send: Any) -> Any:
    """Wait for something and send comments meanwhile, so that no proxy gives up."""
    task = asyncio.ensure_future(waiting)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=KEEP_ALIVE_SECONDS)
            if done:
                return task.result()
            await send(KEEP_ALIVE)
    finally:
        task.cancel()
