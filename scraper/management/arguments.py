"""What the commands take: a session by its name, dates of the contract."""

from datetime import datetime

from django.core.management.base import CommandError

from core.validation import parse_moment
from sessions_app.models import TelegramSession


def moment(text: str | None, *, end: bool = False) -> datetime | None:
    if text is None:
        return None
    parsed = parse_moment(text, end=end)
    if parsed is None:
        raise CommandError(f"{text} is no date: YYYY-MM-DD or YYYY-MM-DD HH:MM:SS.")
    return parsed


def find_session(name: str, username: str | None) -> TelegramSession:
    sessions = TelegramSession.objects.select_related("owner").filter(name=name)
    if username:
        sessions = sessions.filter(owner__username=username)
    found = list(sessions[:2])
    if not found:
        raise CommandError(f"There is no session {name}.")
    if len(found) > 1:
        raise CommandError(f"Several users have a session {name}: say --user.")
    if not found[0].is_ready:
        raise CommandError(f"The session {name} is not logged in.")
    return found[0]
