"""Make rows of sessions that were found elsewhere; rooms above import what they own."""

from collections.abc import Callable, Sequence
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from core.errors import ApiError
from engine.methods.shapes import UserDict
from sessions_app.authorization import save_account
from sessions_app.lookup import check_name, get_or_create_session
from sessions_app.models import SessionState, TelegramSession
from sessions_app.seeds import FoundSession
from sessions_app.store import key_fingerprint, upsert_boxes, upsert_entities

SeedImporter = Callable[[Path, User], tuple[Sequence[str], list[Sequence[object]]]]
"""Imports from a program's directory; returns the head and the rows of a table to show."""

_importers: list[tuple[str, SeedImporter]] = []


def register_seed_importer(kind: str, importer: SeedImporter) -> None:
    """Have `manage.py import_seed KIND` call it, too (from `AppConfig.ready()`)."""
    if (kind, importer) not in _importers:
        _importers.append((kind, importer))


def seed_importers(kind: str) -> list[SeedImporter]:
    return [importer for name, importer in _importers if name == kind]


def import_session(owner: User, found: FoundSession) -> str:
    """Store a session as logged in; return why not, "" when it is stored.

    Whether Telegram still knows it shows when it is restored.
    """
    assert found.auth_key is not None
    try:
        name = check_name(found.name)
    except ApiError as exc:
        return exc.detail
    mark = key_fingerprint(found.auth_key)
    holder = TelegramSession.objects.filter(key_fingerprint=mark).select_related("owner").first()
    if holder is not None:
        return f"its key is here already, as {holder.name} of {holder.owner.get_username()}"
    if TelegramSession.objects.filter(owner=owner, name=name).exists():
        return "a session of this name is here already"
    with transaction.atomic():
        session = get_or_create_session(owner, name)
        if found.user is not None:
            user: UserDict = found.user  # type: ignore[assignment]
            session.account = save_account(user)
        session.state = SessionState.READY
        session.dc_id = found.dc_id
        session.server_address = found.host
        session.port = found.port
        session.auth_key = found.auth_key
        session.key_fingerprint = mark
        session.logged_in_at = timezone.now()
        session.save()
        upsert_entities([(session.pk, row) for row in found.entities])
        upsert_boxes([(session.pk, row) for row in found.boxes])
    return ""
