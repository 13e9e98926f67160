"""Write a dialog to a directory: messages, files, and a manifest of SHA-256 sums."""

import asyncio
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from core.commands import DatabaseCommand
from core.errors import ApiError
from core.validation import unix_seconds
from engine.errors import EngineError
from scraper import export, loop
from scraper.management.arguments import find_session, moment
from sessions_app.run_engine import engine_for_command


class Command(DatabaseCommand):
    help = (
        "Export a chat as files. What is not cached is read from Telegram, through the running "
        "hub or an engine of our own."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the session")
        parser.add_argument("chat", help="id, @username, link or phone")
        parser.add_argument("--format", choices=export.FORMATS, default="jsonl")
        parser.add_argument("--media", action="store_true", help="its files, too")
        parser.add_argument("--output", type=Path, help="a new directory (export_CHAT)")
        parser.add_argument("--user", help="whose session, when the name is not unique")
        parser.add_argument("--since", help="YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, UTC")
        parser.add_argument("--until", help="the same; a date alone includes the day")
        parser.add_argument("--include-deleted", action="store_true")

    def handle(self, *args: Any, name: str, chat: str, **options: Any) -> None:
        since, until = moment(options["since"]), moment(options["until"], end=True)
        if since and until and since > until:
            raise CommandError("--since is after --until.")
        query = export.ExportQuery(
            format=options["format"],
            media=options["media"],
            start=unix_seconds(since),
            end=unix_seconds(until),
            include_deleted=options["include_deleted"],
        )
        words = "".join(c if c.isalnum() or c in "-_" else "_" for c in chat)
        directory: Path = options["output"] or Path(f"export_{words[:64]}")
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise CommandError(f"{directory} is there already.")
        with engine_for_command():
            session = find_session(name, options["user"])

            async def work() -> dict[str, Any]:
                pieces = await export.export(session, chat, query)
                return await export.write_to(directory, pieces)

            try:
                manifest = asyncio.run(work())
            except (ApiError, EngineError) as error:
                raise CommandError(f"{error.detail} ({error.code})") from None
            finally:
                loop.stop()
        files = len(manifest["files"]) - 1
        self.stdout.write(f"{manifest['messages']} messages and {files} files in {directory}")
        if not manifest["complete"]:
            raise CommandError(f"It is not complete: {manifest['error']['detail']}")
