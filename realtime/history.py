"""`GET /api/v3/history/{dialog_id}`: a dialog's messages as server-sent events."""

import re
from contextlib import aclosing
from typing import Any, ClassVar

from rest_framework import serializers

from accounts.models import Scope
from core.errors import BadRequest
from core.validation import PeriodSerializer, unix_seconds, validated
from realtime.eventlog import Access, access_of
from realtime.streams import StreamConsumer
from realtime.threads import look_up
from scraper import history
from scraper.base import HEADER, own_session
from scraper.history import CHUNK_SIZE, MAX_CHUNK_SIZE, HistoryQuery, Range
from sessions_app.models import TelegramSession

MAX_MESSAGE_ID = 2**31 - 1
MAX_WAIT_SECONDS = 86_400


class ChunkSizeField(serializers.IntegerField):
    """Above 0; what is too much is taken for the most."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        return min(super().to_internal_value(data), MAX_CHUNK_SIZE)


class HistoryInput(PeriodSerializer):
    """The query of an order for a history."""

    chunk_size = ChunkSizeField(default=CHUNK_SIZE)
    reverse = serializers.BooleanField(default=True)
    force_refresh = serializers.BooleanField(default=False)
    include_deleted = serializers.BooleanField(default=False)
    max_wait = serializers.FloatField(default=60, min_value=0, max_value=MAX_WAIT_SECONDS)


_NAMES = tuple(HistoryInput().fields)


class HistoryConsumer(StreamConsumer):
    """Sends the frames of `scraper.history`."""

    error_fields: ClassVar[dict[str, Any]] = {"messages": []}

    async def answer(self) -> None:
        access, session, query, known = await look_up(self._order)
        async with self.watching(access):
            frames = await history.stream(session, self._dialog, query, known)
            async with aclosing(frames):
                await self.begin()
                async for frame in frames:
                    await self.send_body(frame, more_body=True)
            await self.send_body(b"")

    @property
    def _dialog(self) -> str:
        return str(self.scope["url_route"]["kwargs"]["dialog_id"])

    def _order(self) -> tuple[Access, TelegramSession, HistoryQuery, Range | None]:
        caller = self.identify()
        username = self.query.get("user")
        session = own_session(caller, self.headers.get(HEADER.lower()), username)
        order = validated(
            HistoryInput, {name: self.query[name] for name in _NAMES if name in self.query}
        )
        query = HistoryQuery(
            start=unix_seconds(order["start_date"]),
            end=unix_seconds(order["end_date"]),
            chunk_size=order["chunk_size"],
            reverse=order["reverse"],
            force_refresh=order["force_refresh"],
            include_deleted=order["include_deleted"],
            after_id=_message_id(self.headers.get("last-event-id", "")),
            max_wait=order["max_wait"],
        )
        access = access_of(caller, username, Scope.READ)
        return access, session, query, history.known_range(session, self._dialog, query)


def _message_id(text: str) -> int:
    text = text.strip()
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > MAX_MESSAGE_ID:
        raise BadRequest("Last-Event-ID is not a message's id.", code="bad_event_id")
    return int(text)
