"""Search an account's dialogs: filters first, then the score, the order, the page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from core import json
from engine.folders import folder_holds
from scraper import dialog_cache, folders
from scraper.matching import folded, score
from scraper.models import Chat, Dialog
from sessions_app.models import TelegramSession

TYPES = ("user", "group", "supergroup", "channel", "bot", "saved")
SORTS = ("last_message", "messages", "title", "participants", "unread")


@dataclass(frozen=True, slots=True)
class DialogQuery:
    """What is looked for; None is no filter. Dates are aware, both ends included."""

    q: str = ""
    match: str = "fuzzy"
    min_score: float = 0.8
    type: list[str] = field(default_factory=list)
    folder: str = ""
    is_archived: bool | None = None
    min_messages: int | None = None
    max_messages: int | None = None
    min_participants: int | None = None
    max_participants: int | None = None
    last_message_after: datetime | None = None
    last_message_before: datetime | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    is_creator: bool | None = None
    has_username: bool | None = None
    is_verified: bool | None = None
    sort: str = "last_message"
    order: str = "desc"
    limit: int = 50
    offset: int = 0
    refresh: bool = False


class FoundDialogs(TypedDict):
    total: int
    offset: int
    limit: int
    results: list[dict[str, Any]]


def search_dialogs(session: TelegramSession, query: DialogQuery) -> FoundDialogs:
    """Return the dialogs of the session's account that match; `total` counts them all.

    Served from the cache; Telegram is asked for what is not current there, and with `refresh`
    for everything. Raises NotFound for an unknown folder, EngineError.
    """
    dialog_cache.ensure_fresh(session, refresh=query.refresh)
    folder = None
    if query.folder:
        folder = folders.find(session, query.folder, refresh=query.refresh)
    counts = _counts(session)
    found: list[tuple[Dialog, dict[str, Any]]] = []
    keeps = _filter(query)
    for row in _rows(session, query):
        if row.message_count is None:
            row.message_count = counts.get(row.peer_id)
        if not keeps(row):
            continue
        if folder is not None and not folder_holds(folder, dialog_cache.to_dict(row)):
            continue
        shown = json.loads(row.document)
        if not _has_flags(query, shown):
            continue
        shown["message_count"] = row.message_count
        found.append((row, shown))
    page = _sorted(found, query)[query.offset : query.offset + query.limit]
    return {
        "total": len(found),
        "offset": query.offset,
        "limit": query.limit,
        "results": [shown for _, shown in page],
    }


def _rows(session: TelegramSession, query: DialogQuery) -> list[Dialog]:
    rows = Dialog.objects.filter(account_id=dialog_cache.account_of(session))
    if query.type:
        rows = rows.filter(type__in=query.type)
    if query.is_archived is not None:
        rows = rows.filter(is_archived=query.is_archived)
    return list(rows)


def _counts(session: TelegramSession) -> dict[int, int]:
    """Return the sizes of private chats and basic groups, as told with a page of history."""
    chats = Chat.objects.filter(account_id=dialog_cache.account_of(session), count__isnull=False)
    return {peer_id: count for peer_id, count in chats.values_list("peer_id", "count") if count}


def _filter(query: DialogQuery) -> Callable[[Dialog], bool]:
    ranges: list[tuple[str, float | None, float | None]] = [
        ("message_count", query.min_messages, query.max_messages),
        ("participants_count", query.min_participants, query.max_participants),
        ("last_message_date", _unix(query.last_message_after), _unix(query.last_message_before)),
        ("created_date", _unix(query.created_after), _unix(query.created_before)),
    ]
    active = [each for each in ranges if each[1] is not None or each[2] is not None]

    def keeps(row: Dialog) -> bool:
        for name, low, high in active:
            value = getattr(row, name)
            # What is not known fails every filter.
            if value is None or (low is not None and value < low):
                return False
            if high is not None and value > high:
                return False
        if query.has_username is not None and bool(row.username) != query.has_username:
            return False
        if not query.q:
            return True
        if query.match == "exact":
            return folded(query.q) in folded(row.title)
        return score(query.q, row.title) >= query.min_score

    return keeps


def _has_flags(query: DialogQuery, shown: dict[str, Any]) -> bool:
    for name in ("is_creator", "is_verified"):
        wanted = getattr(query, name)
        if wanted is not None and shown[name] != wanted:
            return False
    return True


_COLUMNS: dict[str, Callable[[Dialog], Any]] = {
    "last_message": lambda row: row.last_message_date,
    "messages": lambda row: row.message_count,
    "title": lambda row: folded(row.title),
    "participants": lambda row: row.participants_count,
    "unread": lambda row: row.unread_count,
}


def _sorted(
    found: list[tuple[Dialog, dict[str, Any]]], query: DialogQuery
) -> list[tuple[Dialog, dict[str, Any]]]:
    """Sort; what is not known comes last in both orders, equals by their id."""
    value = _COLUMNS[query.sort]
    found = sorted(found, key=lambda pair: pair[0].peer_id)
    known = [pair for pair in found if value(pair[0]) is not None]
    unknown = [pair for pair in found if value(pair[0]) is None]
    known.sort(key=lambda pair: value(pair[0]), reverse=query.order == "desc")
    return known + unknown


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
