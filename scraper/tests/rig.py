"""A hub of one process over a sandbox: people who are logged in, and what they read."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core.writer import writer
from engine import methods, telegram
from sandbox import Sandbox
from scraper import history, loop
from scraper.history import HistoryQuery
from sessions_app import login
from sessions_app.lookup import get_or_create_session
from sessions_app.models import SessionState, TelegramSession
from sessions_app.tests.helpers import make_user

T = TypeVar("T")
WAIT = 30.0

_phones = itertools.count(15_550_900_000)


@dataclass
class Answer:
    """A stream, read to its end (or to where the reader left)."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    frames: list[list[int]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    keep_alives: int = 0

    @property
    def ids(self) -> list[int]:
        return [message["message_id"] for message in self.messages]

    def feed(self, chunk: bytes) -> None:
        for event in chunk.decode().split("\n\n"):
            if not event:
                continue
            if event.startswith(":"):
                self.keep_alives += 1
                continue
            lines = dict(line.split(": ", 1) for line in event.split("\n"))
            body = json.loads(lines["data"])
            if lines.get("event") == "end":
                self.end = body
            elif lines.get("event") == "error":
                self.error = body
            else:
                ids = [message["message_id"] for message in body["messages"]]
                assert int(lines["id"]) == ids[-1]
                self.frames.append(ids)
                self.messages += body["messages"]


class Rig:
    """`sandbox` is the Telegram; everything else is what the hub makes of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world

    def person(self, name: str = "Ann", **facts: Any) -> Any:
        """Add a user at Telegram."""
        return self.world.add_user(name, phone=f"+{next(_phones)}", **facts)

    def log_in(self, user: Any, name: str = "", owner: str = "alice") -> TelegramSession:
        """Log a user in on a session of the hub, as its own login does."""
        phone = f"+{user.phone}"
        session_name = name or f"s{user.id}"
        row = get_or_create_session(make_user(owner), session_name)
        login.start_login(row, phone=phone)
        login.submit_code(row, code=self.sandbox.login_code(phone))
        row.refresh_from_db()
        assert row.state == SessionState.READY
        self.wait_until(lambda: telegram.call(row.pk, methods.sessions.status)["connected"])
        row.refresh_from_db()
        return row

    def read(
        self, session: TelegramSession, dialog: object, *, leave_after: int = 0, **query: Any
    ) -> Answer:
        """Read a history to its end, or until `leave_after` messages have come."""
        return run(self.aread(session, dialog, leave_after=leave_after, **query))

    async def aread(
        self, session: TelegramSession, dialog: object, *, leave_after: int = 0, **query: Any
    ) -> Answer:
        answer = Answer()
        wanted = HistoryQuery(**query)
        known = await loop.read(history.known_range, session, str(dialog), wanted)
        frames = await history.stream(session, str(dialog), wanted, known)
        async with aclosing(frames):
            async for chunk in frames:
                answer.feed(chunk)
                if leave_after and len(answer.messages) >= leave_after:
                    break
        return answer

    def pages(self) -> list[dict[str, int]]:
        """The arguments of every page of history that Telegram was asked for."""
        return [entry.arguments for entry in self.sandbox.calls.entries("messages.getHistory")]

    def settle(self) -> None:
        """Wait until the writer has stored what it was given."""
        writer.submit(lambda: None).result(WAIT)

    def wait_until(self, condition: Callable[[], Any]) -> None:
        until = time.monotonic() + WAIT
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError("what was waited for did not come")
            self.settle()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as a consumer would, on a loop that is not the scraper's."""
    return asyncio.run(asyncio.wait_for(work, WAIT * 4))


def on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the scraper's loop."""
    return loop.submit(work).result(WAIT)
