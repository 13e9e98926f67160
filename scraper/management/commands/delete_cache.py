"""Delete what is cached of a chat, for everybody."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.models import record
from core.commands import DatabaseCommand
from core.writer import writer
from scraper import forgetting
from scraper.management.arguments import find_session
from scraper.models import Chat


class Command(DatabaseCommand):
    help = "Delete what is cached of a chat: messages, coverage, and files nothing else carries."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the session")
        parser.add_argument("chat", type=int, help="marked id")
        parser.add_argument("--user", help="whose session, when the name is not unique")

    def handle(self, *args: Any, name: str, chat: int, **options: Any) -> None:
        session = find_session(name, options["user"])
        shared = Chat.objects.filter(peer_id=chat, account=None).first()
        found = shared or Chat.objects.filter(peer_id=chat, account=session.account_id).first()
        if found is None:
            raise CommandError(f"Nothing is cached of {chat}.")
        try:
            gone = forgetting.forget_chat(found)
        finally:
            writer.stop()
        record(
            "cache.deleted",
            user=session.owner,
            target=str(chat),
            messages=gone["messages_deleted"],
        )
        self.stdout.write(
            f"{gone['messages_deleted']} messages and {gone['files_deleted']} files deleted, "
            f"{gone['bytes_freed']} bytes of files freed"
        )
