"""From a message as the engine gives it to the rows that are stored of it. No database here."""

import base64
import functools
import hashlib
import uuid
from calendar import timegm
from dataclasses import dataclass, field
from typing import Any

from core import json
from engine.methods.shapes import FileDict, MediaDict, MessageDict, without_login_code
from scraper.models import MESSAGE_KEY_BITS

MESSAGE_COLUMNS = (
    "id",
    "chat_id",
    "account_id",
    "message_id",
    "date",
    "edit_date",
    "sender_id",
    "text",
    "media_type",
    "category",
    "action",
    "reply_to",
    "topic_id",
    "grouped_id",
    "is_forwarded",
    "expires",
    "deleted",
    "views",
    "reactions",
    "volatile",
    "document",
    "raw",
)
TEXT = MESSAGE_COLUMNS.index("text")
DELETED = MESSAGE_COLUMNS.index("deleted")
EDIT_DATE = MESSAGE_COLUMNS.index("edit_date")


@dataclass(frozen=True, slots=True)
class ChatScope:
    """What storing needs to know of a chat. `account_id` is null for shared ones.

    `name` is the same for ever, whatever the row's number: media are named by it.
    """

    pk: int
    peer_id: int
    account_id: int | None
    name: str

    def key(self, message_id: int) -> int:
        return (self.pk << MESSAGE_KEY_BITS) + message_id


@dataclass(slots=True)
class MediaRow:
    """One message's file: `account_id` is set when this account alone sees it."""

    uuid: uuid.UUID
    key: int
    type: str
    name: str
    size: int | None
    account_id: int | None
    file: FileDict


@dataclass(slots=True)
class Rows:
    """What is stored of some messages."""

    messages: list[tuple[Any, ...]] = field(default_factory=list)
    media: list[MediaRow] = field(default_factory=list)
    private: list[tuple[int, bytes]] = field(default_factory=list)


def build(scope: ChatScope, messages: list[MessageDict], account_id: int | None) -> Rows:
    """Return the rows of messages that `account_id` has read. Changes nothing of its input."""
    rows = Rows()
    for message in messages:
        _add(rows, scope, message, account_id)
    return rows


def media_uuid(scope: ChatScope, message_id: int, file: FileDict) -> uuid.UUID:
    """Name a message's file, before and after it is stored; another file gets another name."""
    name = f"{scope.name}/{message_id}/{file['kind']}/{file['id']}"
    return uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=5)


def unix_seconds(date: str | None) -> int | None:
    """Return the Unix seconds of a message's date, `YYYY-MM-DD HH:MM:SS` in UTC."""
    if not date:
        return None
    return _hour(date[:13]) + int(date[14:16]) * 60 + int(date[17:19])


@functools.lru_cache(maxsize=4096)
def _hour(date: str) -> int:
    """Neighbouring messages share the hour that they were sent in."""
    return timegm((int(date[0:4]), int(date[5:7]), int(date[8:10]), int(date[11:13]), 0, 0))


def volatile_of(views: int | None, reactions: str) -> str:
    """Return what changes all the time, as it follows the document's last field."""
    text = "" if views is None else f',"views":{views}'
    return f'{text},"reactions":{reactions}' if reactions else text


def plain(text: str) -> str:
    """Return the text as both databases can keep it: no NUL, no lone surrogates."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text


def _add(rows: Rows, scope: ChatScope, message: MessageDict, account_id: int | None) -> None:
    shown: dict[str, Any] = dict(without_login_code(message))
    extra = shown.pop("extra", None) or {}
    private = shown.pop("private", None)
    views = shown.pop("views", None)
    reactions = shown.pop("reactions", None)
    deleted = bool(shown.pop("deleted", False))
    message_id: int = shown["message_id"]
    key = scope.key(message_id)
    category = ""
    if private:
        own = _own(rows, scope, message_id, private, account_id)
        if scope.account_id is not None:
            shown.update(own)
        elif own:
            rows.private.append((key, json.dumps(own)))
    media = shown["media"]
    if media is not None and (scope.account_id is None or "media" not in (private or {})):
        file = media.get("file")
        category = file["category"] if file else ""
        shown["media"] = _media(rows, scope, message_id, media, None)
    media_type = media["type"] if media is not None else ""
    reactions_json = json.dumps(reactions).decode() if reactions else ""
    raw = extra.get("raw")
    rows.messages.append(
        (
            key,
            scope.pk,
            scope.account_id,
            message_id,
            unix_seconds(shown["date"]),
            unix_seconds(shown.get("edit_date")) or 0,
            shown["sender_id"],
            plain(shown["message"]),
            media_type,
            category,
            shown.get("action", ""),
            shown["reply_to"],
            shown.get("topic_id"),
            shown.get("grouped_id"),
            bool(shown["is_forwarded"]),
            bool(extra.get("expires")),
            deleted,
            views,
            reactions_json,
            volatile_of(views, reactions_json),
            json.dumps(shown).decode(),
            base64.b64decode(raw) if raw else None,
        )
    )


def _own(
    rows: Rows, scope: ChatScope, message_id: int, private: Any, account_id: int | None
) -> dict[str, Any]:
    """Return what of `private` is shown to its account: names of contacts, what it paid for."""
    own: dict[str, Any] = {
        name: private[name] for name in ("first_name", "last_name") if name in private
    }
    if media := private.get("media"):
        owner = None if scope.account_id is not None else account_id
        own["media"] = _media(rows, scope, message_id, media, owner)
    return own


def _media(
    rows: Rows, scope: ChatScope, message_id: int, media: MediaDict, account_id: int | None
) -> dict[str, Any]:
    """Return the media as clients see it, and note its file."""
    shown: dict[str, Any] = dict(media)
    file = shown.pop("file", None)
    if not file:
        return shown
    name = media_uuid(scope, message_id, file)
    shown["uuid"] = str(name)
    rows.media.append(
        MediaRow(
            uuid=name,
            key=scope.key(message_id),
            type=media["type"],
            name=plain(media["filename"] or ""),
            size=media["size"],
            account_id=account_id,
            file=file,
        )
    )
    return shown
