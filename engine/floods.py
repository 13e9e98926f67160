"""Pauses that Telegram asked for, per session and request.

A call before its deadline never reaches Telegram. Interactive calls learn at once how long to
wait; calls made with `flood="wait"` wait here and go on, as long as their own deadline allows.
Deadlines are Unix seconds, so that they hold over a restart.
Source: https://core.telegram.org/api/errors#420-flood
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from engine.errors import FloodWait
from engine.wire import FloodPolicy

logger = logging.getLogger(__name__)

T = TypeVar("T")

SessionKey = int | str
"""A stored session's number, or the fingerprint of a carried one (never saved)."""

Save = Callable[[int, str, float], Awaitable[None]]

_SLOWMODE = "slowmode:"


@dataclass(frozen=True, slots=True)
class CallContext:
    """The call that the present task serves. `deadline` is in Unix seconds."""

    id: str
    method: str
    flood: FloodPolicy = "raise"
    background: bool = False
    deadline: float | None = None


HOUSEKEEPING = CallContext(id="", method="", flood="wait", background=True)
"""Where no call is served (reading missed updates, pings): wait for as long as it takes."""

_current: ContextVar[CallContext] = ContextVar("engine_call", default=HOUSEKEEPING)


def current_call() -> CallContext:
    """Return the call that this task serves, or `HOUSEKEEPING`."""
    return _current.get()


def enter_call(call: CallContext) -> None:
    """Make `call` the one that the present task serves."""
    _current.set(call)


class Floods:
    """The deadlines of one worker's sessions. To be used on that worker's loop alone."""

    def __init__(
        self,
        save: Save | None = None,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._save = save
        self._now = now
        self._sleep = sleep
        self._until: dict[SessionKey, dict[str, float]] = {}

    def load(self, session: SessionKey, floods: Mapping[str, float]) -> None:
        """Take over what was stored; never shortens a pause that is known already."""
        now, known = self._now(), self._until.setdefault(session, {})
        for name, until in floods.items():
            if until > now:
                known[name] = max(until, known.get(name, 0.0))

    def forget(self, session: SessionKey) -> None:
        """Drop what is over of a session that leaves memory; a running pause stays known."""
        now = self._now()
        running = {
            name: until for name, until in self._until.pop(session, {}).items() if until > now
        }
        if running:
            self._until[session] = running

    def remaining(self, session: SessionKey, request: str, *, chat_id: int | None = None) -> float:
        """Return for how many seconds `request` must not be sent, 0 when it may."""
        return self._longest(session, request, chat_id)[1]

    async def before(
        self, session: SessionKey, request: str, *, chat_id: int | None = None
    ) -> None:
        """Return when `request` ("messages.getHistory") may be sent.

        `chat_id` is given for requests that write into a chat, which may be in slow mode.
        Raises FloodWait(remaining) at once unless the current call waits; also when it would
        have to wait beyond its own deadline.
        """
        call = current_call()
        while True:
            name, seconds = self._longest(session, request, chat_id)
            if seconds <= 0:
                return
            late = call.deadline is not None and self._now() + seconds > call.deadline
            if call.flood == "raise" or late:
                code = "slowmode_wait" if name.startswith(_SLOWMODE) else "flood_wait"
                raise FloodWait(code, seconds=math.ceil(seconds))
            logger.info("Session %s waits %d s before %s", session, math.ceil(seconds), request)
            await self._sleep(seconds)

    async def learned(
        self, session: SessionKey, request: str, seconds: float, *, chat_id: int | None = None
    ) -> None:
        """Remember that Telegram wants a pause, and return when that is stored.

        With `chat_id` the pause is the chat's slow mode, whatever the request.
        """
        name = request if chat_id is None else f"{_SLOWMODE}{chat_id}"
        until = self._now() + seconds
        known = self._until.setdefault(session, {})
        known[name] = max(until, known.get(name, 0.0))
        if self._save is None or not isinstance(session, int):
            return
        try:
            await self._save(session, name, known[name])
        except Exception:
            logger.exception("Session %s: the pause of %s was not stored", session, name)

    async def paced(
        self,
        session: SessionKey,
        request: str,
        send: Callable[[], Awaitable[T]],
        *,
        chat_id: int | None = None,
    ) -> T:
        """Send when allowed, and again after each pause if the current call waits.

        `send` raises FloodWait as `errors.from_rpc` makes it.
        """
        while True:
            await self.before(session, request, chat_id=chat_id)
            try:
                return await send()
            except FloodWait as error:
                if error.argument is None:  # no time named: nothing to wait for
                    raise
                slow = error.code == "slowmode_wait"
                if slow and chat_id is None:
                    raise
                await self.learned(
                    session, request, error.argument, chat_id=chat_id if slow else None
                )
                if current_call().flood == "raise":
                    raise

    def _longest(self, session: SessionKey, request: str, chat_id: int | None) -> tuple[str, float]:
        known = self._until.get(session)
        if not known:
            return request, 0.0
        names = [request] if chat_id is None else [request, f"{_SLOWMODE}{chat_id}"]
        now, longest = self._now(), (request, 0.0)
        for name in names:
            seconds = known.get(name, 0.0) - now
            if seconds > longest[1]:
                longest = (name, seconds)
            elif seconds <= 0:
                known.pop(name, None)
        return longest
