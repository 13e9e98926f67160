"""Keeping one session connected: open, watch, heal, try again, give up only when Telegram says so.

A session that Telegram has ended is *expired* and never tried again. One that cannot be reached
is *retrying*, for ever, at growing jittered intervals. One that is connected and yet receives
nothing (Telegram's pts is ahead of ours, or requests go unanswered) is *degraded*: its
connection is renewed, and when the updates have come it is *healed*.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from engine.errors import BadGateway, EngineError, NotAuthorized, Unavailable, from_dict
from engine.store import SessionReport
from engine.timing import NORMAL, Backoff, Timing

logger = logging.getLogger(__name__)

State = Literal["opening", "connected", "degraded", "retrying", "expired", "closed"]

UNKNOWN_KEY_TRIES = 3
"""Telegram sometimes forgets a key for a moment; after so many tries in a row it is lost."""

STEADY_SECONDS = 60.0
"""A connection that held for so long starts over with short waits."""


class Link(Protocol):
    """What is supervised. Every method raises EngineError and nothing else on failure."""

    @property
    def logged_in(self) -> bool:
        """Whether the session is one that Telegram knows as logged in."""
        ...

    @property
    def up(self) -> bool:
        """Whether the transport stands right now."""
        ...

    @property
    def pts(self) -> int | None:
        """How far updates came in."""
        ...

    @property
    def behind(self) -> bool:
        """Whether updates wait for our own storage, not for Telegram."""
        ...

    @property
    def fault(self) -> EngineError | None:
        """Why updates are not read any more, None while they are."""
        ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def gone(self) -> EngineError:
        """Return why, when the connection has ended for good."""
        ...

    async def remote_pts(self) -> int | None:
        """Ask Telegram for its pts; None before login."""
        ...

    def renew(self) -> None:
        """Replace the transport and ask for what was missed."""
        ...


class Supervisor:
    """The keeper of one link. To be used on its worker's loop alone."""

    def __init__(
        self,
        name: str,
        link: Link,
        report: Callable[[SessionReport], Awaitable[None]],
        *,
        opening: asyncio.Semaphore,
        timing: Timing = NORMAL,
    ) -> None:
        self.name = name
        self.state: State = "closed"
        self.error: EngineError | None = None
        self.retry_at: float | None = None
        self._link = link
        self._report = report
        self._opening = opening
        self._timing = timing
        self._backoff = Backoff(timing.backoff_first, timing.backoff_max)
        self._changed = asyncio.Condition()
        self._kicked = asyncio.Event()
        self._interrupted: asyncio.Future[EngineError] | None = None
        self._failed_at = float("-inf")
        self._degraded = False
        self._silent = 0
        self._down = 0
        self._unknown_key = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep the link open; in a context of its own, whoever asks."""
        if self._task is None or self._task.done():
            self.state = "opening"
            self._task = asyncio.create_task(
                self._run(), name=f"keep {self.name}", context=contextvars.Context()
            )

    async def stop(self) -> None:
        """Close the link and end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._link.close()
        await self._become("closed")

    async def ready(self) -> None:
        """Return when the link is open; raise what the try that was going on ended with."""
        if self.state == "retrying" and _now() - self._failed_at > self._timing.backoff_first:
            self._kicked.set()
            await self._until(lambda: self.state != "retrying")
        await self._until(lambda: self.state != "opening")
        if self.state not in ("connected", "degraded"):
            raise self.failure()

    def failure(self) -> EngineError:
        """Return why the link is not open; a new object, for each one who asks."""
        return from_dict(self.error.to_dict()) if self.error is not None else Unavailable()

    async def finished(self) -> None:
        """Return when a session that has expired is reported and closed."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def interrupt(self, error: EngineError) -> None:
        """Close the link now and try again later, such as when the lease may be over."""
        if self._interrupted is not None and not self._interrupted.done():
            self._interrupted.set_result(error)

    # The life of a link.

    async def _run(self) -> None:
        while True:
            error = await self._open() or await self._watch()
            if self._is_lost(error):
                if not error.expired:
                    error = NotAuthorized("auth_key_not_found")
                logger.warning("Session %s has expired: %s", self.name, error.code)
                await self._become("expired", error)
                await self._tell(SessionReport("expired", error.code, error.detail))
                await self._link.close()
                return
            await self._become("opening", error)  # Nobody is to get a client that is closing.
            await self._link.close()
            await self._wait(error)

    async def _open(self) -> EngineError | None:
        await self._become("opening")
        try:
            async with self._opening:
                await self._link.open()
        except EngineError as error:
            return error
        except Exception:
            logger.exception("Session %s could not be opened", self.name)
            return EngineError()
        logger.info("Session %s is connected", self.name)
        self._unknown_key = self._silent = self._down = 0
        await self._become("connected")
        await self._tell(SessionReport("connected"))
        return None

    async def _wait(self, error: EngineError) -> None:
        """Wait out what the error asks for and our own growing pause; less when kicked."""
        seconds = max(float(error.seconds or 0), self._backoff.next())
        self.retry_at = time.time() + seconds
        self._failed_at = _now()
        self._kicked.clear()
        logger.info("Session %s tries again in %.1f s: %s", self.name, seconds, error.code)
        await self._become("retrying", error)
        await self._tell(SessionReport("retrying", error.code, error.detail, self.retry_at))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._kicked.wait()
        self.retry_at = None

    def _is_lost(self, error: EngineError) -> bool:
        """Whether Telegram has ended this session; counts the doubtful answers."""
        if not self._link.logged_in:
            return False
        if error.code == "auth_key_unknown":
            self._unknown_key += 1
            if self._unknown_key >= UNKNOWN_KEY_TRIES:
                return True
        return error.expired

    # Watching.

    async def _watch(self) -> EngineError:
        """Return why the link has to be opened again."""
        since, first = _now(), True
        gone = asyncio.ensure_future(self._link.gone())
        self._interrupted = asyncio.get_running_loop().create_future()
        try:
            while True:
                # Soon after opening, so that a session which was degraded can say it is healed.
                pause = self._timing.grace if first else self._timing.check
                first = False
                ended: set[asyncio.Future[EngineError]] = {gone, self._interrupted}
                done, _ = await asyncio.wait(
                    ended,
                    timeout=pause * random.uniform(0.8, 1.2),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if done:
                    return done.pop().result()
                if _now() - since > STEADY_SECONDS:
                    self._backoff.reset()
                if error := await self._look():
                    return error
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone

    async def _look(self) -> EngineError | None:
        """Look once whether updates flow; heal what can be healed without closing."""
        if fault := self._link.fault:
            return fault
        if not self._link.up:
            self._down += 1
            return BadGateway() if self._down > 1 else None
        self._down = 0
        try:
            async with asyncio.timeout(self._timing.answer):
                remote = await self._link.remote_pts()
        except TimeoutError:
            return await self._no_answer()
        except EngineError as error:
            return error if error.expired and self._link.logged_in else None
        self._silent = 0
        if remote is None or self._link.behind or await self._reached(remote, self._timing.grace):
            await self._heal()
            return None
        behind = remote - (self._link.pts or 0)
        await self._degrade("updates_missing", f"Telegram is {behind} updates ahead.")
        self._link.renew()
        if await self._reached(remote, self._timing.answer):
            await self._heal()
            return None
        return BadGateway("updates_missing", "Updates do not come in.")

    async def _no_answer(self) -> EngineError | None:
        self._silent += 1
        await self._degrade("no_answer", "Telegram does not answer on this connection.")
        if self._silent > 1:
            return BadGateway("no_answer", "Telegram does not answer on this connection.")
        self._link.renew()
        return None

    async def _reached(self, remote: int, seconds: float) -> bool:
        """Whether updates come in up to Telegram's pts within the time."""
        until = _now() + seconds
        while (self._link.pts or 0) < remote:
            if _now() >= until:
                return False
            await asyncio.sleep(min(0.2, seconds / 10))
        return True

    async def _degrade(self, error: str, detail: str) -> None:
        if not self._degraded:
            logger.warning("Session %s is degraded: %s", self.name, error)
            self._degraded = True
            await self._become("degraded")
            await self._tell(SessionReport("degraded", error, detail))

    async def _heal(self) -> None:
        if self._degraded:
            logger.info("Session %s is healed", self.name)
            self._degraded = False
            await self._become("connected")
            await self._tell(SessionReport("healed"))

    # Telling.

    async def _become(self, state: State, error: EngineError | None = None) -> None:
        self.state = state
        self.error = error
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    async def _tell(self, report: SessionReport) -> None:
        try:
            await self._report(report)
        except Exception:
            logger.exception("Session %s: a report was not stored", self.name)


def _now() -> float:
    return asyncio.get_running_loop().time()
