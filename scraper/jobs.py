"""Downloads that outlive a request: made, listed, paused, resumed and cancelled here.

Rows say what is wanted; `scraper.job_runner` does it, in the process that owns the sessions.
"""

from datetime import UTC, datetime
from typing import Any, TypedDict

from django.utils import timezone

from core import json
from core.errors import Conflict
from core.writer import writer
from scraper.models import Job, JobState
from sessions_app.models import TelegramSession

OPEN = (JobState.QUEUED, JobState.RUNNING, JobState.WAITING)
OVER = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
WRITE_SECONDS = 60.0
LAST_SECOND = 253_402_300_799
"""31 December 9999, the last day of Python's calendar."""


class SkippedDict(TypedDict):
    """A message, or its file, that was left out, and why."""

    message_id: int
    reason: str


class JobDict(TypedDict):
    """A job as clients see it. Dates are ISO 8601; `rate` is messages a second.

    `progress` is 0 to 1, null before the range is known; `eta_seconds` is a guess, null when
    there is none. `retry_after` is for how many more seconds Telegram wants to be left alone.
    """

    id: int
    kind: str
    state: str
    session: str
    dialog: str
    dialog_id: int | None
    start_date: str | None
    end_date: str | None
    force_refresh: bool
    media: bool | None
    progress: float | None
    messages_downloaded: int
    messages_with_media: int
    media_downloaded: int
    media_skipped: int
    rate: float
    eta_seconds: int | None
    flood_until: str | None
    retry_after: int | None
    skipped: list[SkippedDict]
    code: str | None
    detail: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


def create(
    session: TelegramSession,
    user_id: int,
    *,
    dialog: str,
    kind: str = "backfill",
    start: int | None = None,
    end: int | None = None,
    force_refresh: bool = False,
    media: bool | None = None,
) -> Job:
    """Make a job; whoever owns the session begins it. Dates are Unix seconds, both included."""

    def make() -> Job:
        return Job.objects.create(
            session=session,
            user_id=user_id,
            account_id=session.account_id,
            dialog=dialog[:256],
            kind=kind,
            start=start,
            end=end,
            force_refresh=force_refresh,
            media=media,
        )

    return writer.submit(make).result(WRITE_SECONDS)


def pause(job: Job) -> Job:
    """Stop after the pages that are under way, until `resume`. Raises Conflict when it is over."""
    return _change(job, [JobState.PAUSED], JobState.PAUSED)


def cancel(job: Job) -> Job:
    """Stop for good; what was read stays. Raises Conflict when it is over."""
    return _change(job, [JobState.CANCELLED], JobState.CANCELLED)


def resume(job: Job) -> Job:
    """Go on with a paused or failed job where it stopped. Raises Conflict for any other."""

    def change() -> int:
        return Job.objects.filter(pk=job.pk, state__in=[JobState.PAUSED, JobState.FAILED]).update(
            state=JobState.QUEUED, wanted="", process="", code="", detail="", finished_at=None
        )

    changed = writer.submit(change).result(WRITE_SECONDS)
    job.refresh_from_db()
    if not changed and job.state not in OPEN:
        raise _conflict(job)
    return job


def _change(job: Job, already: list[str], wanted: JobState) -> Job:
    """Set a job that nobody runs to `wanted`; ask the one who runs it otherwise."""
    finished = timezone.now() if wanted == JobState.CANCELLED else None
    idle = [JobState.QUEUED, JobState.PAUSED]

    def change() -> int:
        jobs = Job.objects.filter(pk=job.pk)
        return jobs.filter(state__in=idle).update(
            state=wanted, finished_at=finished
        ) or jobs.filter(state__in=[JobState.RUNNING, JobState.WAITING]).update(wanted=wanted)

    changed = writer.submit(change).result(WRITE_SECONDS)
    job.refresh_from_db()
    if not changed and job.state not in already:
        raise _conflict(job)
    return job


def _conflict(job: Job) -> Conflict:
    return Conflict(f"The job is {job.state}.", code="job_state")


def describe(job: Job) -> JobDict:
    """Return a job as clients see it; its session and chat should be loaded with it."""
    progress = eta = None
    total = 0 if job.low is None or job.high is None else job.high - job.low + 1
    if job.state == JobState.DONE:
        progress = 1.0
    elif total > 0:
        progress = round(min(1.0, job.done_ids / total), 4)
    if progress and job.state == JobState.RUNNING and job.rate > 0 and job.started_at:
        gone = (timezone.now() - job.started_at).total_seconds()
        eta = int(gone * (1 - progress) / progress)
    left = job.flood_until - timezone.now().timestamp() if job.flood_until else 0
    return {
        "id": job.pk,
        "kind": job.kind,
        "state": job.state,
        "session": job.session.name,
        "dialog": job.dialog,
        "dialog_id": job.chat.peer_id if job.chat else None,
        "start_date": iso(job.start),
        "end_date": iso(job.end),
        "force_refresh": job.force_refresh,
        "media": job.media,
        "progress": progress,
        "messages_downloaded": job.messages_downloaded,
        "messages_with_media": job.messages_with_media,
        "media_downloaded": job.media_downloaded,
        "media_skipped": job.media_skipped,
        "rate": round(job.rate, 1) if job.state == JobState.RUNNING else 0.0,
        "eta_seconds": eta,
        "flood_until": iso(job.flood_until) if left > 0 else None,
        "retry_after": int(left) + 1 if left > 0 else None,
        "skipped": json.loads(job.skipped) if job.skipped else [],
        "code": job.code or None,
        "detail": job.detail or None,
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }


def iso(seconds: float | None) -> str | None:
    """Return Unix seconds as ISO 8601, times beyond the year 9999 as its last second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(min(int(seconds), LAST_SECOND), UTC).isoformat()


def jobs_of(session: TelegramSession) -> Any:
    """Return the jobs of a session's present account, newest first."""
    jobs = Job.objects.filter(session=session, account__sessions=session)
    return jobs.select_related("session", "chat").order_by("-pk")
