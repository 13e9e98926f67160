"""Connect every logged-in session, through the running hub or an engine of our own."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from core.commands import DatabaseCommand
from sessions_app.management.tables import table
from sessions_app.restore import PARALLEL, Restored, restore_all
from sessions_app.run_engine import engine_for_command

HEADER = ("SESSION", "OWNER", "RESULT", "USER", "ERROR")
MARKS = {"restored": "✅", "expired": "❌", "unreachable": "⚠️", "elsewhere": "⏳"}


class Command(DatabaseCommand):
    help = (
        "Connect every logged-in session and print what became of each. Beside a running hub its "
        "engine does the work. Exits with 1 when a session could not be restored."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--parallel", type=int, default=PARALLEL, help="how many at a time")

    def handle(self, *args: Any, parallel: int, **options: Any) -> None:
        with engine_for_command() as beside_a_hub:
            where = "the running hub" if beside_a_hub else "an engine of its own"
            self.stdout.write(f"🔄 Restoring sessions from database ({where})...")
            results = restore_all(progress=self.show, parallel=max(1, parallel))
        if results:
            self.stdout.write("\n" + table(HEADER, [row(result) for result in results]))
        restored = sum(result.restored for result in results)
        self.stdout.write(f"✅ Session restoration complete: {restored} sessions restored")
        if restored < len(results):
            raise CommandError(f"{len(results) - restored} sessions were not restored.")

    def show(self, result: Restored) -> None:
        text = f"User: {result.user}" if result.restored else result.error
        self.stdout.write(f"{MARKS[result.outcome]} {result.name}: {result.outcome} - {text}")


def row(result: Restored) -> tuple[str, ...]:
    return result.name, result.owner, result.outcome, result.user, result.error
