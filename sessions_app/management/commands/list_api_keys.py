"""List the API keys, without their secrets."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from accounts.models import ApiKey
from core.commands import DatabaseCommand
from sessions_app.management.tables import table
from sessions_app.models import KeyGrant

HEADER = ("PREFIX", "USER", "NAME", "SCOPES", "SESSIONS", "STATE", "EXPIRES", "LAST USED")


class Command(DatabaseCommand):
    help = "List the API keys, without their secrets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="the keys of this user only")

    def handle(self, *args: Any, user: str | None, **options: Any) -> None:
        keys = ApiKey.objects.select_related("user").order_by("created_at")
        if user is not None:
            keys = keys.filter(user__username=user)
        self.stdout.write(table(HEADER, [row(key) for key in keys]))


def row(key: ApiKey) -> tuple[str, ...]:
    state = "active" if key.is_active else "revoked" if key.revoked_at else "expired"
    return (
        key.prefix,
        key.user.get_username(),
        key.name,
        ",".join(key.scopes),
        sessions(key),
        state,
        day(key.expires_at) or "never",
        day(key.last_used_at) or "never",
    )


def sessions(key: ApiKey) -> str:
    """Return the sessions that the key may use, the default one marked by a star."""
    grants = list(KeyGrant.objects.filter(api_key=key).select_related("session").order_by("pk"))
    names = [
        f"{grant.session.name}{'*' if grant.is_default else ''}"
        for grant in grants
        if grant.session is not None
    ]
    if any(grant.limits for grant in grants):
        return ",".join(names) or "none"
    return ",".join(["all", *names])


def day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
