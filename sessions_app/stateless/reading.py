"""Chats and messages in the words of the stateless surface."""

from datetime import UTC, datetime
from typing import Any

from core.validation import unix_seconds
from engine.methods import dialogs, history
from engine.methods import search as searching
from engine.methods.answers import DialogOffsetDict, SearchOffsetDict
from engine.methods.shapes import ChatRef, DialogDict, MessageDict, with_private
from sessions_app.messages.messenger import Messenger

PAGE = 100
_TYPES = {"group": "group", "supergroup": "supergroup", "channel": "channel"}


def list_chats(messenger: Messenger, *, limit: int) -> dict[str, Any]:
    """Return the first `limit` dialogs."""
    found: list[DialogDict] = []
    offset: DialogOffsetDict | None = None
    while len(found) < limit:
        page = messenger.call(dialogs.list_page, offset=offset, limit=min(PAGE, limit - len(found)))
        found += page["dialogs"]
        offset = page["next"]
        if offset is None:
            break
    chats = [_chat(dialog) for dialog in found[:limit]]
    return {"chats": chats, "total_count": len(chats)}


def _chat(dialog: DialogDict) -> dict[str, Any]:
    kind = _TYPES.get(dialog["type"], "private")
    return {
        "name": dialog["title"],
        "id": dialog["id"],
        "type": kind,
        "members_count": dialog["participants_count"],
        "is_private": kind == "private",
        "username": dialog["username"],
    }


def list_messages(
    messenger: Messenger,
    *,
    chat_id: ChatRef,
    limit: int,
    offset_id: int,
    search: str,
    from_date: datetime | None,
    to_date: datetime | None,
) -> dict[str, Any]:
    """Return up to `limit` messages older than `offset_id`, newest first."""
    since, until = _unix(from_date), _unix(to_date)
    found: list[MessageDict] = []
    more, position = True, offset_id
    while more and len(found) < limit:
        # One more than is wanted, where a page holds it, tells whether there are more.
        size = min(PAGE, limit - len(found) + 1)
        if search:
            page, following = _hits(messenger, chat_id, search, position, size, since, until)
        else:
            page, following = _page(messenger, chat_id, position, size, since, until)
        found += page
        more, position = following is not None, following or 0
    if len(found) > limit:
        found = found[:limit]
        more, position = True, found[-1]["message_id"]
    shown = [_message(message) for message in found]
    return {
        "messages": shown,
        "total_count": len(shown),
        "has_more": more,
        "next_offset": position if more else None,
    }


def _page(
    messenger: Messenger, chat_id: ChatRef, offset_id: int, limit: int, since: int, until: int
) -> tuple[list[MessageDict], int | None]:
    page = messenger.call(
        history.read_page,
        chat_id=chat_id,
        offset_id=offset_id,
        limit=limit,
        # Telegram leaves out what was sent at that second.
        offset_date=until + 1 if until and not offset_id else 0,
    )
    inside = [m for m in page["messages"] if since <= _sent_at(m) <= (until or 2**31)]
    older = any(_sent_at(m) < since for m in page["messages"])
    whole = not offset_id and not until and page["count"] == len(page["messages"])
    return inside, None if older or whole else page["next_offset_id"]


def _hits(
    messenger: Messenger,
    chat_id: ChatRef,
    query: str,
    offset_id: int,
    limit: int,
    since: int,
    until: int,
) -> tuple[list[MessageDict], int | None]:
    offset: SearchOffsetDict | None = None
    if offset_id:
        offset = {"rate": 0, "chat_id": 0, "message_id": offset_id}
    page = messenger.call(
        searching.search_chat,
        chat_id=chat_id,
        query=query,
        limit=limit,
        offset=offset,
        min_date=since,
        max_date=until,
    )
    following = page["next"]
    return list(page["results"]), None if following is None else following["message_id"]


def _message(message: MessageDict) -> dict[str, Any]:
    extra = message.get("extra", {})
    own = with_private(message)
    names = (own["first_name"], own["last_name"])
    name = " ".join(part for part in names if part) or extra.get("sender_title")
    date = own["date"]
    return {
        "id": own["message_id"],
        "text": own["message"],
        "date": None if date is None else f"{date.replace(' ', 'T')}+00:00",
        "sender_id": own["sender_id"],
        "sender_username": own["username"] or extra.get("sender_username"),
        "sender_name": name or None,
        "reply_to_msg_id": own["reply_to"],
        "forward_from": extra.get("forward_from"),
        "media_type": own["media"]["type"] if own["media"] else None,
        "is_pinned": bool(extra.get("is_pinned")),
    }


def _unix(moment: datetime | None) -> int:
    return unix_seconds(moment) or 0


def _sent_at(message: MessageDict) -> float:
    date = message["date"]
    if date is None:
        return 0
    return datetime.strptime(date, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
