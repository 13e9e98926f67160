"""Search over what is cached: ranked, highlighted, only what the session may read.

Whatever is typed is a query (`scraper.words.parse`); what cannot be one finds nothing.
"""

import html
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from core import json
from core.errors import NotFound
from engine.errors import EngineError
from scraper import access, fulltext, grants, loop, store, words
from scraper.models import Chat, ChatAccess, Message
from scraper.pages import Viewer, read_rows
from scraper.runtime_settings import FILE_TYPES
from scraper.words import Term
from sessions_app.models import TelegramSession

logger = logging.getLogger(__name__)

SNIPPET_BEFORE = 60
SNIPPET = 240
CONFIRM_CHATS = 10
"""How many chats one search asks Telegram about; their grants then hold."""


@dataclass(frozen=True, slots=True)
class CacheQuery:
    """What is looked for. `start` and `end` are Unix seconds, both included.

    `chats` are chat references, `senders` marked ids; `media_type` is a category of the
    settings, Telethon's class name, `any` or `none`.
    """

    q: str
    chats: Sequence[str] = ()
    senders: Sequence[int] = ()
    start: int | None = None
    end: int | None = None
    media_types: Sequence[str] = ()
    sort: str = "rank"
    include_deleted: bool = False
    limit: int = 50
    offset: int = 0


def search(session: TelegramSession, query: CacheQuery) -> dict[str, Any]:
    """Return `{query, total, limit, offset, results}`; results are history messages.

    Each also has `dialog_id` (marked), `dialog_name` and `highlight`: the text around the hits
    as HTML, escaped but for `<mark>`. Raises NotFound for a chat that may not be read.
    """
    answer = {"query": query.q, "total": 0, "limit": query.limit, "offset": query.offset}
    terms = words.parse(query.q)
    chats = [loop.submit(grants.open_chat(session, each)).result(90)[0] for each in query.chats]
    if not terms:
        return {**answer, "results": []}
    fulltext.catch_up()
    if not query.chats:
        _confirm_found(session, query, terms)
    hits = _narrowed(access.readable_messages(session), query, chats)
    hits = fulltext.found(hits, terms)
    order = {"rank": ["rank", "-date", "-id"], "newest": ["-date", "-id"]}
    hits = hits.order_by(*order.get(query.sort, ["date", "id"]))
    rows = list(hits.select_related("chat")[query.offset : query.offset + query.limit])
    shown = [_shown(session, row, terms) for row in rows]
    return {**answer, "total": hits.count(), "results": [each for each in shown if each]}


def _narrowed(
    messages: "QuerySet[Message]", query: CacheQuery, chats: Sequence[Chat]
) -> "QuerySet[Message]":
    if not query.include_deleted:
        messages = messages.filter(deleted=False)
    messages = messages.exclude(document="")
    if chats:
        messages = messages.filter(chat__in=[chat.pk for chat in chats])
    if query.senders:
        messages = messages.filter(sender_id__in=query.senders)
    if query.start is not None:
        messages = messages.filter(date__gte=query.start)
    if query.end is not None:
        messages = messages.filter(date__lte=query.end)
    if query.media_types:
        wanted = Q()
        for kind in query.media_types:
            if kind == "any":
                wanted |= ~Q(media_type="")
            elif kind == "none":
                wanted |= Q(media_type="")
            elif kind in FILE_TYPES:
                wanted |= Q(category=kind)
            else:
                wanted |= Q(media_type=kind)
        messages = messages.filter(wanted)
    return messages


def _confirm_found(session: TelegramSession, query: CacheQuery, terms: Sequence[Term]) -> None:
    """Ask Telegram about chats with hits whose grants are not confirmed since it connected."""
    granted = ChatAccess.objects.filter(
        Q(chat__account__isnull=True) | Q(chat__account=session.account_id),
        account=session.account,
        chat=OuterRef("chat_id"),
        min_id__lte=OuterRef("message_id"),
    )
    sure = access.confirmed(session).filter(chat=OuterRef("chat_id"))
    unsure = Message.objects.filter(Exists(granted), ~Exists(sure))
    found = fulltext.found(_narrowed(unsure, query, ()), terms)
    peers = set(found.order_by().values_list("chat__peer_id", flat=True)[:5000])
    for peer_id in sorted(peers)[:CONFIRM_CHATS]:
        try:
            loop.submit(grants.confirm(session, peer_id)).result(90)
        except NotFound:
            continue
        except EngineError as error:
            logger.info("A chat is left out of a search: %s", error.code)


def _shown(session: TelegramSession, row: Message, terms: Sequence[Term]) -> dict[str, Any] | None:
    account_id = session.account_id
    assert account_id is not None
    viewer = Viewer(session.pk, account_id, store.scope_of(row.chat))
    try:
        _, documents = read_rows(
            viewer, row.message_id, row.message_id, limit=1, include_deleted=True
        )
    except LookupError:
        return None
    if not documents:
        return None
    message: dict[str, Any] = json.loads(documents[0])
    return message | {
        "dialog_id": row.chat.peer_id,
        "dialog_name": row.chat.title,
        "highlight": highlight(message["message"], terms),
    }


def highlight(text: str, terms: Sequence[Term]) -> str:
    """Return the text around the first hits as HTML: escaped, each hit in `<mark>`."""
    spans = words.marks(text, list(terms))
    start = max(0, spans[0][0] - SNIPPET_BEFORE) if spans else 0
    end = min(len(text), start + SNIPPET)
    parts, at = ["…" if start else ""], start
    for low, high in spans:
        if high > end:
            break
        parts += [html.escape(text[at:low]), "<mark>", html.escape(text[low:high]), "</mark>"]
        at = high
    parts += [html.escape(text[at:end]), "…" if end < len(text) else ""]
    return "".join(parts)
