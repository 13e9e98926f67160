"""`GET /api/v3/events`: the event log over HTTP, as server-sent events or by long polling."""

import asyncio
import math
import re
from typing import Any

from rest_framework import serializers

from accounts.models import Scope
from core.errors import BadRequest
from core.validation import INT64, Int64Field, SessionNameField, validated
from realtime import eventlog
from realtime.eventlog import Access, Filter, access_of, make_filter
from realtime.fanout import Batch, Feed, fanout
from realtime.streams import StreamConsumer, with_keep_alives
from realtime.threads import look_up
from scraper.base import HEADER, own_session

MAX_FILTERS = 1000
MAX_WAIT_SECONDS = 60
RECONNECT_MILLISECONDS = 1000
# Handed over in one write, which nothing takes back.
PIECE_EVENTS = 20


class EventsInput(serializers.Serializer[Any]):
    """The query of an order for events; `session`, `chat` and `kind` may be repeated."""

    since = Int64Field(required=False, min_value=0)
    timeout = serializers.FloatField(default=0, min_value=0, max_value=MAX_WAIT_SECONDS)
    limit = serializers.IntegerField(default=100, min_value=1, max_value=1000)
    session = serializers.ListField(
        child=SessionNameField(), required=False, max_length=MAX_FILTERS
    )
    chat = serializers.ListField(child=Int64Field(), required=False, max_length=MAX_FILTERS)
    kind = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, max_length=MAX_FILTERS
    )

    def validate_timeout(self, value: float) -> float:
        if not math.isfinite(value):
            raise serializers.ValidationError("A valid number is required.")
        return value


class EventsConsumer(StreamConsumer):
    """Sends events to `Accept: text/event-stream`, else answers with those that are there."""

    feed: Feed | None = None

    async def answer(self) -> None:
        access, wanted, order = await look_up(self._order)
        self.feed = await fanout().join(access, wanted, order.get("since"))
        try:
            async with self.watching(access):
                if "text/event-stream" in self.headers.get("accept", "").lower():
                    await self._stream(self.feed)
                else:
                    await self._poll(self.feed, order["timeout"], order["limit"])
        finally:
            self.feed.close()

    def access_changed(self, access: Access) -> None:
        if self.feed is not None:
            self.feed.access = access

    def _order(self) -> tuple[Access, Filter, dict[str, Any]]:
        caller = self.identify()
        username = self.query.get("user")
        access = access_of(caller, username, Scope.READ)
        sessions = None
        if HEADER.lower() in self.headers:
            sessions = [own_session(caller, self.headers[HEADER.lower()], username).name]
        single = ("since", "timeout", "limit")
        query = {name: self.query[name] for name in single if name in self.query}
        lists = {
            name: self.query.getlist(name)
            for name in ("session", "chat", "kind")
            if name in self.query
        }
        order = validated(EventsInput, {**query, **lists})
        if "last-event-id" in self.headers:
            order["since"] = event_id(self.headers["last-event-id"])
        wanted = make_filter(
            access,
            sessions=sessions or order.get("session"),
            chats=order.get("chat"),
            kinds=order.get("kind"),
        )
        return access, wanted, order

    async def _stream(self, feed: Feed) -> None:
        await self.begin()
        # A client that is cut off before the first event resumes here.
        await self._send(b"retry: %d\nid: %d\n\n" % (RECONNECT_MILLISECONDS, feed.cursor))
        while True:
            batch = await with_keep_alives(feed.next(), self._send)
            if batch.reset:
                document = eventlog.reset_document(batch.oldest)
                await self._send(b"id: %d\nevent: reset\ndata: %b\n\n" % (batch.next, document))
            else:
                for start in range(0, len(batch.events), PIECE_EVENTS):
                    piece = batch.events[start : start + PIECE_EVENTS]
                    if body := b"".join(event.sse for event in piece if feed.may_tell(event)):
                        await self._send(body)

    async def _send(self, body: bytes) -> None:
        await self.send_body(body, more_body=True)

    async def _poll(self, feed: Feed, timeout_seconds: float, limit: int) -> None:
        batch = await feed.read(limit)
        if not (batch.events or batch.reset) and timeout_seconds:
            batch = await next_within(feed, timeout_seconds, limit)
        if batch.reset:
            documents = [eventlog.reset_document(batch.oldest)]
        else:
            documents = [event.document for event in batch.events]
        body = b'{"events":[%b],"next":%d}' % (b",".join(documents), batch.next)
        await self.send_document(body)


async def next_within(feed: Feed, timeout_seconds: float, limit: int) -> Batch:
    """Return what comes within the time, an empty batch if nothing does."""
    waiting = asyncio.ensure_future(feed.next(limit))
    try:
        done, _ = await asyncio.wait({waiting}, timeout=timeout_seconds)
        if done:
            return waiting.result()
    finally:
        waiting.cancel()
    return Batch([], feed.cursor)


def event_id(text: str) -> int:
    """Return the cursor that a `Last-Event-ID` names; raises BadRequest."""
    if not re.fullmatch(r"[0-9]{1,19}", text.strip()) or int(text) > INT64:
        raise BadRequest("Last-Event-ID is not an event's id.", code="bad_event_id")
    return int(text)
