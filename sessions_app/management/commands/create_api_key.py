"""Make an API key, and the user when there is none."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone

from accounts.models import ApiKey, Scope, User, record
from core.commands import DatabaseCommand
from core.errors import ApiError
from sessions_app.grants import create_key_for_sessions


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


class Command(DatabaseCommand):
    help = "Make an API key; it is printed once, alone on the last line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", help="whose key; the user is made when there is none")
        parser.add_argument("--name", default="", help="what the key is for")
        parser.add_argument(
            "--scopes",
            type=words,
            default=["read", "send", "sessions"],
            help=f"of {', '.join(Scope.values)}; default: read,send,sessions",
        )
        parser.add_argument("--sessions", type=words, default=[], help="limit the key to these")
        parser.add_argument("--default-session", help="what a WebSocket gets that names none")
        parser.add_argument("--expires-days", type=float, help="default: never")

    def handle(
        self,
        *args: Any,
        username: str,
        name: str,
        scopes: list[str],
        sessions: list[str],
        default_session: str | None,
        expires_days: float | None,
        **options: Any,
    ) -> None:
        expires_at = None
        if expires_days is not None:
            if not 0 < expires_days <= 36500:
                raise CommandError("--expires-days is above 0 and at most 36500.")
            expires_at = timezone.now() + timedelta(days=expires_days)
        if not scopes:
            raise CommandError("A key needs a scope.")
        try:
            User._meta.get_field("username").clean(username, None)
            ApiKey._meta.get_field("name").run_validators(name)
            key, plaintext = create_key_for_sessions(
                username=username,
                name=name,
                scopes=scopes,
                sessions=sessions,
                default_session=default_session,
                expires_at=expires_at,
            )
        except ApiError as exc:
            raise CommandError(exc.detail) from None
        except ValidationError as exc:
            raise CommandError(" ".join(exc.messages)) from None
        except ValueError as exc:
            raise CommandError(f"{exc}; scopes are {', '.join(Scope.values)}") from None
        record("api_key.created", target=key, owner=username)
        self.stdout.write(f"A key for {username} with the scopes {', '.join(key.scopes)}:")
        self.stdout.write(plaintext)
