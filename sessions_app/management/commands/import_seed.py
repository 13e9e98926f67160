"""Take over the sessions of the programs that came before."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts.models import User, record
from core.commands import DatabaseCommand
from sessions_app.importing import import_session, seed_importers
from sessions_app.management.tables import table
from sessions_app.seeds import Unreadable, read_hub, read_scraper

READERS = {"hub": read_hub, "scraper": read_scraper}


class Command(DatabaseCommand):
    help = (
        "Take over sessions: `hub PATH` from the SQLite database of the FastAPI hub, `scraper "
        "PATH` from the data directory of telegram-scraper-server. Nothing is changed there. "
        "Stop the old program first: two programs on one session can cost the login."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=sorted(READERS))
        parser.add_argument("path", type=Path)
        parser.add_argument("--user", default="local", help="who owns the sessions from now on")

    def handle(self, *args: Any, kind: str, path: Path, user: str, **options: Any) -> None:
        try:
            found = READERS[kind](path)
        except Unreadable as exc:
            raise CommandError(str(exc)) from None
        owner, created = User.objects.get_or_create(username=user)
        if created:
            owner.set_unusable_password()
            owner.save(update_fields=["password"])
        rows, imported = [], 0
        for session in found:
            problem = session.problem or import_session(owner, session)
            imported += not problem
            account = session.user["id"] if session.user else "?"
            rows.append((session.name, account, "skipped" if problem else "imported", problem))
        self.stdout.write(table(("SESSION", "USER ID", "RESULT", "WHY"), rows))
        record("sessions.imported", user=owner, target=kind, imported=imported)
        self.stdout.write(f"{imported} of {len(found)} sessions imported for {user}.")
        for importer in seed_importers(kind) if path.is_dir() else []:
            head, lines = importer(path, owner)
            if lines:
                self.stdout.write(table(tuple(head), lines))
        if imported:
            self.stdout.write("See whether they still work: manage.py restore_sessions")
