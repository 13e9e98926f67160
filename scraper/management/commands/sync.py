"""Download what is missing of a chat, through the running hub or an engine of our own."""

import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from core.commands import DatabaseCommand
from core.validation import unix_seconds
from scraper import job_runner, jobs, loop
from scraper.management.arguments import find_session, moment
from scraper.models import Job, JobState
from sessions_app.run_engine import engine_for_command

LOOK_SECONDS = 0.5
BAR = 30


class Command(DatabaseCommand):
    help = (
        "Download what is missing of a chat. Beside a running hub its engine does the work; "
        "what was read stays when this is interrupted, and the next run goes on from there."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the session")
        parser.add_argument("chat", help="id, @username, link or phone")
        parser.add_argument("--user", help="whose session, when the name is not unique")
        parser.add_argument("--since", help="YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, UTC")
        parser.add_argument("--until", help="the same; a date alone includes the day")
        parser.add_argument("--force-refresh", action="store_true", help="read again what is here")
        media = parser.add_mutually_exclusive_group()
        media.add_argument("--media", action="store_true", default=None, help="fetch files, too")
        media.add_argument("--no-media", dest="media", action="store_false")

    def handle(self, *args: Any, name: str, chat: str, **options: Any) -> None:
        since, until = moment(options["since"]), moment(options["until"], end=True)
        if since and until and since > until:
            raise CommandError("--since is after --until.")
        with engine_for_command() as beside_a_hub:
            session = find_session(name, options["user"])
            job = jobs.create(
                session,
                session.owner_id,
                dialog=chat,
                start=unix_seconds(since),
                end=unix_seconds(until),
                force_refresh=options["force_refresh"],
                media=options["media"],
            )
            if not beside_a_hub:
                loop.submit(job_runner.begin(job.pk))
            try:
                self._watch(job)
            except KeyboardInterrupt:
                jobs.pause(job)
                self.stdout.write(f"\nPaused; job {job.pk} can be resumed.")
            finally:
                loop.stop()

    def _watch(self, job: Job) -> None:
        pause = threading.Event()
        while True:
            job = Job.objects.select_related("session", "chat").get(pk=job.pk)
            facts = jobs.describe(job)
            if self.stdout.isatty():
                self.stdout.write("\r" + _bar(facts), ending="")
                self.stdout.flush()
            if job.state in jobs.OVER or job.state == JobState.PAUSED:
                break
            pause.wait(LOOK_SECONDS)
        if self.stdout.isatty():
            self.stdout.write("")
        if job.state == JobState.FAILED:
            raise CommandError(f"{facts['detail']} ({facts['code']})")
        self.stdout.write(
            f"{job.state}: {facts['messages_downloaded']} messages downloaded, "
            f"{facts['messages_with_media']} with media, {facts['media_downloaded']} files "
            f"fetched, {facts['media_skipped']} skipped"
        )


def _bar(facts: jobs.JobDict) -> str:
    progress = facts["progress"] or 0.0
    filled = int(progress * BAR)
    text = f"[{'#' * filled}{'.' * (BAR - filled)}] {progress:6.1%} {facts['state']}"
    text += f", {facts['messages_downloaded']} messages, {facts['rate']:.0f}/s"
    if facts["retry_after"]:
        text += f", Telegram asks to wait {facts['retry_after']} s"
    return text.ljust(100)
