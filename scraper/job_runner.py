"""Doing jobs: on the scraper's loop, in the process that runs the engine.

A job takes what is missing of its range through the same fill as everybody else. Its checkpoint
is the coverage itself: after a restart it asks for what is not there. Floods are sat out.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from core import json
from core.errors import NotFound, to_response_parts
from core.writer import writer
from engine import telegram
from engine.errors import EngineError, FloodWait, TooManyCalls
from scraper import coverage, ends, fill, grants, history, intervals, job_media, loop
from scraper.ends import Source
from scraper.fill import Demand
from scraper.intervals import Interval
from scraper.models import Job, JobState, Message
from scraper.rows import ChatScope
from sessions_app.lock import node_name
from sessions_app.models import TelegramSession
from sessions_app.process import process_token

logger = logging.getLogger(__name__)

NO_END = 10.0**9
SAVE_SECONDS = 1.0
RETRY_FIRST, RETRY_MAX = 1.0, 60.0
MAX_SKIPPED = 1000
UNREADABLE = "unreadable"

_running: dict[int, "asyncio.Task[None]"] = {}
loop.on_stop(_running.clear)


def runs_here() -> bool:
    """Tell whether this process has the engine, and so does the jobs."""
    status = telegram.status()
    return bool(status["running"]) and status.get("transport") == "local"


def adopt() -> None:
    """Begin every job that nobody does: new ones, and those of a process that is gone."""
    if not runs_here():
        return
    # Whoever owns a session does its jobs: a process that wrote itself down there is gone.
    mine = ("", node_name(settings.DATA_DIR))
    waiting = Job.objects.filter(
        state__in=["queued", "running", "waiting"], session__owner_node__in=mine
    )
    for pk in waiting.values_list("pk", flat=True):
        if pk not in _running:
            loop.submit(begin(pk))


async def begin(pk: int) -> "asyncio.Task[None]":
    """Run a job unless it runs here already; return its task. On the scraper's loop."""
    task = _running.get(pk)
    if task is None:
        task = _running[pk] = asyncio.create_task(_Run(pk).run())
        task.add_done_callback(lambda done: _running.pop(pk, None))
    return task


async def finish(pk: int, seconds: float) -> None:
    """Begin a job and wait until it is over, at most so long."""
    await asyncio.wait({await begin(pk)}, timeout=seconds)


async def poke(pk: int) -> None:
    """Have a job that runs here look at what is wanted of it now."""
    task = _running.get(pk)
    if task is not None:
        task.cancel()
        await asyncio.wait({task}, timeout=5)


class _Run:
    """One run of one job."""

    def __init__(self, pk: int) -> None:
        self.pk = pk
        self.job = Job(pk=pk)
        self.base = 0
        """How many messages earlier runs brought: counted, for a killed one saved too few."""
        self.skipped: list[dict[str, Any]] = []
        self._saved: dict[str, Any] = {}

    async def run(self) -> None:
        try:
            if not await self._claim():
                return
            await self._persist()
        except asyncio.CancelledError:
            await asyncio.shield(self._stopped())
            raise
        except Exception as error:
            parts = to_response_parts(error)
            logger.info("Job %s failed: %s", self.pk, parts.body.get("code"))
            await self._over(
                JobState.FAILED,
                status=parts.status,
                code=parts.body.get("code", "")[:64],
                detail=parts.body.get("detail", "")[:300],
            )

    async def _claim(self) -> bool:
        def claim() -> Job | None:
            job = Job.objects.select_related("session").filter(pk=self.pk).first()
            if job is None or job.state not in ("queued", "running", "waiting"):
                return None
            other = Q(process="") | Q(process=job.process)
            taken = Job.objects.filter(other, pk=self.pk, state=job.state).update(
                process=process_token(),
                state=JobState.RUNNING,
                started_at=job.started_at or timezone.now(),
            )
            return job if taken else None

        job = await _write(claim)
        if job is None:
            return False
        self.job = job
        self.skipped = json.loads(job.skipped) if job.skipped else []
        return True

    async def _persist(self) -> None:
        """Try until it is done; only what will never do is given up."""
        pause = RETRY_FIRST
        while True:
            try:
                session = await self._session()
                await self._do(session)
                return
            except FloodWait as error:
                seconds = float(error.seconds or 1)
                await self._save(state=JobState.WAITING, flood_until=time.time() + seconds)
                await asyncio.sleep(seconds)
            except EngineError as error:
                if error.status not in (502, 503) and not isinstance(error, TooManyCalls):
                    raise
                await self._save(state=JobState.WAITING, code=error.code[:64])
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MAX)
            await self._save(state=JobState.RUNNING, flood_until=None, code="")

    async def _session(self) -> TelegramSession:
        def load() -> TelegramSession | None:
            return TelegramSession.objects.filter(pk=self.job.session_id).first()

        session: TelegramSession | None = await loop.read(load)
        if session is None or not session.is_ready or session.account_id != self.job.account_id:
            raise NotFound("The session is not logged in any more.", code="session_not_logged_in")
        return session

    async def _do(self, session: TelegramSession) -> None:
        chat, access = await grants.open_chat(session, self.job.dialog)
        source = await ends.make_source(session, chat, access, NO_END)
        before = await self._before(source)
        low, high = await history.id_range(source, self.job.start, self.job.end)
        await self._save(chat_id=chat.pk, low=low, high=high)
        missing = intervals.holes(before, low, high)
        if low <= high:
            await self._fill(source, low, high, missing)
        total, media = await loop.read(_count, source.scope, missing)
        await self._save(messages_downloaded=total, messages_with_media=media)
        await job_media.download_all(self, session, source, low, high)
        await self._over(JobState.DONE, done_ids=max(0, high - low + 1))

    async def _before(self, source: Source) -> list[Interval]:
        """Return what was cached when this job first began; nothing when it reads all again."""
        if not self.job.before:
            refresh = self.job.force_refresh
            cached = [] if refresh else await loop.read(coverage.load, source.chat.pk)
            await self._save(before=json.dumps(cached).decode())
        before: list[Interval] = json.loads(self.job.before)
        return before

    async def _fill(self, source: Source, low: int, high: int, missing: list[Interval]) -> None:
        """Take what is missing; of `missing`, runs before this one may have brought some."""
        done: list[Interval] = json.loads(self.job.checkpoint) if self.job.checkpoint else []
        if not self.job.force_refresh:
            done = await loop.read(coverage.load, source.chat.pk)
        brought = [each for hole in missing for each in intervals.clip(done, *hole)]
        self.base, _ = await loop.read(_count, source.scope, brought)
        demand = await fill.demand(
            source.session,
            source.chat,
            low,
            high,
            refresh=self.job.force_refresh,
            max_wait=NO_END,
            scope=source.scope,
            done=done if self.job.force_refresh else (),
        )
        watch = asyncio.create_task(self._watch(demand, low, high))
        try:
            position = low
            while position <= high:
                position = await demand.reach(position) + 1
        finally:
            watch.cancel()
            progress = self._progress(demand, low, high)
            demand.close()  # first: a second cancellation ends the saving
            await self._save(**progress)

    async def _watch(self, demand: Demand, low: int, high: int) -> None:
        """Write the progress down, and look whether the job is still wanted."""
        last, at = 0, time.monotonic()
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            now = time.monotonic()
            rate, last, at = (demand.messages - last) / (now - at), demand.messages, now
            flood = demand.flood_seconds
            await self._save(
                **self._progress(demand, low, high),
                rate=rate,
                state=JobState.WAITING if flood else JobState.RUNNING,
                flood_until=time.time() + flood if flood else None,
            )
            await self.stop_if_unwanted()

    def _progress(self, demand: Demand, low: int, high: int) -> dict[str, Any]:
        # At once: what is covered is not read again, by no later run either.
        self._skip([(number, UNREADABLE) for number in demand.unreadable])
        demand.unreadable.clear()
        covered = intervals.clip(demand.fill.covered, low, high)
        found: dict[str, Any] = {
            "done_ids": intervals.size(covered),
            "messages_downloaded": self.base + demand.messages,
        }
        if self.job.force_refresh:
            found["checkpoint"] = json.dumps(covered).decode()
        return found

    async def stop_if_unwanted(self) -> None:
        """End this run when somebody wants the job paused or cancelled, or deleted it."""
        wanted = await loop.read(
            lambda: Job.objects.filter(pk=self.pk).values_list("wanted", flat=True).first()
        )
        task = _running.get(self.pk)
        if wanted != "" and task is not None:
            task.cancel()

    def _skip(self, found: list[tuple[int, str]]) -> None:
        for message_id, reason in found:
            if len(self.skipped) < MAX_SKIPPED:
                self.skipped.append({"message_id": message_id, "reason": reason})

    async def forget_skipped_files(self) -> None:
        """Begin with the files anew: those that were left out are left out, and noted, again."""
        self.skipped = [each for each in self.skipped if each["reason"] == UNREADABLE]
        await self._save(media_skipped=0, skipped=json.dumps(self.skipped).decode())

    async def skip(self, message_id: int, reason: str) -> None:
        """Note a file that was left out."""
        self._skip([(message_id, reason)])
        await self.save(media_skipped=self.job.media_skipped + 1)

    async def save(self, **changes: Any) -> None:
        """Write progress down."""
        await self._save(**changes)

    async def _save(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self.job, name, value)
        if self.skipped:
            changes["skipped"] = json.dumps(self.skipped).decode()
        await _write(lambda: Job.objects.filter(pk=self.pk).update(**changes))

    async def _over(self, state: JobState, **changes: Any) -> None:
        await self._save(
            state=state,
            process="",
            wanted="",
            rate=0,
            flood_until=None,
            finished_at=timezone.now(),
            **changes,
        )

    async def _stopped(self) -> None:
        """Give the job back: as its owner wants it, or to be taken up again."""

        def give_back() -> None:
            mine = Job.objects.filter(pk=self.pk, process=process_token())
            wanted = mine.values_list("wanted", flat=True).first()
            over = timezone.now() if wanted == JobState.CANCELLED else None
            mine.update(
                state=wanted or JobState.QUEUED,
                wanted="",
                process="",
                rate=0,
                flood_until=None,
                finished_at=over,
            )

        await _write(give_back)


def _count(scope: ChatScope, parts: list[Interval]) -> tuple[int, int]:
    """Return how many messages lie in parts of a chat, and how many of them with media."""
    total = media = 0
    for start, end in parts:
        there = Message.objects.filter(
            id__gte=scope.key(start), id__lte=scope.key(end), deleted=False
        )
        total += there.count()
        media += there.exclude(category="").count()
    return total, media


async def _write(change: Callable[[], Any]) -> Any:
    return await asyncio.wrap_future(writer.submit(change))
