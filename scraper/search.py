"""Telegram's own search, in all chats of the account or in one; nothing has to be cached."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from django.db.models import Q

from core.validation import unix_seconds
from core.writer import writer
from engine import telegram
from engine.errors import EngineError
from engine.methods import dialogs as dialog_methods
from engine.methods import search as methods
from engine.methods.answers import SearchHitDict, SearchOffsetDict, SearchPageDict
from engine.methods.shapes import DialogDict, FileDict, with_private
from scraper import grants, store
from scraper.models import Chat
from scraper.rows import media_uuid
from sessions_app.models import TelegramSession

PAGE = 100
LAST_DATE = 2**31 - 1
"""Telegram's dates are 32 bits wide."""
WRITE_SECONDS = 60.0
CALL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is looked for. `start` and `end` are aware, both included; `limit` is 1 to 500."""

    query: str
    start: datetime | None = None
    end: datetime | None = None
    from_user: str = ""
    limit: int = PAGE


class FoundMessages(TypedDict):
    """`total` is Telegram's count of all hits."""

    query: str
    total: int
    limit: int
    results: list[dict[str, Any]]


def search_messages(
    session: TelegramSession, query: SearchQuery, dialog: str | None = None
) -> FoundMessages:
    """Return the newest hits, in one dialog or in all.

    Raises NotFound for a dialog that the session may not read, EngineError.
    """
    found = FoundMessages(query=query.query, total=0, limit=query.limit, results=[])
    low = unix_seconds(query.start) or 0
    high = unix_seconds(query.end) or 0
    if low > LAST_DATE or (query.end is not None and high <= 0):
        return found
    low, high = max(0, low), min(high, LAST_DATE)
    hits: list[SearchHitDict] = []
    offset: SearchOffsetDict | None = None
    while len(hits) < query.limit:
        page = _page(session, query, dialog, low, high, min(PAGE, query.limit - len(hits)), offset)
        if offset is None:
            found["total"] = page["total"]
        hits += page["results"]
        offset = page["next"]
        if offset is None:
            break
    uuids = _name_files(session, hits)
    found["results"] = [_shown(hit, uuids) for hit in hits[: query.limit]]
    return found


def _page(
    session: TelegramSession,
    query: SearchQuery,
    dialog: str | None,
    low: int,
    high: int,
    limit: int,
    offset: SearchOffsetDict | None,
) -> SearchPageDict:
    verbs = telegram.using(timeout_seconds=CALL_SECONDS)
    if dialog is None:
        return verbs.call(
            session.pk,
            methods.search_global,
            query=query.query,
            limit=limit,
            offset=offset,
            min_date=low,
            max_date=high,
        )
    try:
        return verbs.call(
            session.pk,
            methods.search_chat,
            chat_id=dialog,
            query=query.query,
            limit=limit,
            offset=offset,
            min_date=low,
            max_date=high,
            from_user=query.from_user or None,
        )
    except EngineError as exc:
        if exc.status == 403:
            raise grants.no_such_chat() from None
        raise


def _shown(hit: SearchHitDict, uuids: dict[tuple[int, int], str]) -> dict[str, Any]:
    shown: dict[str, Any] = dict(with_private(hit))
    media = shown["media"]
    if media is not None:
        shown["media"] = {**media, "uuid": uuids.get((hit["dialog_id"], hit["message_id"]))}
    # Last, after what a message has only now and then.
    for name in ("dialog_id", "dialog_name"):
        shown[name] = shown.pop(name)
    return shown


def _file(hit: SearchHitDict) -> FileDict | None:
    media = hit.get("private", {}).get("media") or hit["media"]
    return media.get("file") if media is not None else None


def _name_files(session: TelegramSession, hits: list[SearchHitDict]) -> dict[tuple[int, int], str]:
    """Store the hits that carry files, so that these can be fetched, and return their names."""
    by_chat: dict[int, list[SearchHitDict]] = defaultdict(list)
    for hit in hits:
        if _file(hit) is not None:
            by_chat[hit["dialog_id"]].append(hit)
    if not by_chat or session.account is None:
        return {}
    account_id, user_id = session.account.pk, session.account.user_id
    known = Chat.objects.filter(
        Q(account__isnull=True) | Q(account_id=account_id), peer_id__in=by_chat
    )
    missing = by_chat.keys() - set(known.values_list("peer_id", flat=True))
    told: list[DialogDict] = [
        telegram.call(session.pk, dialog_methods.resolve, chat_id=peer_id) for peer_id in missing
    ]

    def save() -> dict[tuple[int, int], str]:
        for dialog in told:
            grants.save_chat(account_id, dialog)
        names: dict[tuple[int, int], str] = {}
        pages = []
        for chat in known.all():
            scope = store.scope_of(chat, user_id)
            found = by_chat[chat.peer_id]
            messages = [_message(hit) for hit in found]
            pages.append(store.Page(scope, account_id, messages, session_id=session.pk))
            for hit in found:
                file = _file(hit)
                assert file is not None
                name = media_uuid(scope, hit["message_id"], file)
                names[chat.peer_id, hit["message_id"]] = str(name)
        store.store_pages(pages)
        return names

    return writer.submit(save).result(WRITE_SECONDS)


def _message(hit: SearchHitDict) -> Any:
    """Return the hit as the message that it is."""
    return {name: value for name, value in hit.items() if not name.startswith("dialog_")}
