"""Take over what telegram-scraper-server had cached: `channels/<id>/<id>.db` and its media.

Those files are only read. Runs of consecutive ids count as read completely, for nothing can be
missing in them; all else is asked from Telegram as if it had never been here. Nobody gains
access: a session reads what was imported once Telegram grants it the chat.
"""

import hashlib
import re
import shutil
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.utils import timezone

from accounts.models import User
from core.writer import writer
from scraper import intervals, storage, store
from scraper.intervals import Interval
from scraper.models import Chat, File, FileState, Media, Message
from scraper.rows import plain
from sessions_app.models import Account
from sessions_app.seeds import Unreadable, open_readonly

CHANNEL_BASE = -1_000_000_000_000
BATCH = 500
IMPORTED = "imported"

_IDS = ("message_id", "msg_id", "id")
_TEXTS = ("message", "text", "content")
_PATHS = ("media_path", "file_path", "path", "local_path")
_UUIDS = ("media_uuid", "uuid", "file_uuid")
_NAMES = ("media_filename", "filename", "file_name", "original_filename")
_SIZES = ("media_size", "file_size", "size")
_TYPES = ("media_type", "type", "media")


@dataclass(slots=True)
class Imported:
    """What came of one channel; `problem` says why nothing, or not all."""

    name: str
    messages: int = 0
    files: int = 0
    problem: str = ""


def import_channels(path: Path, owner: User) -> list[Imported]:
    """Take over every channel below a data directory of the scraper."""
    directory = path / "channels"
    if not directory.is_dir():
        return []
    results = []
    for folder in sorted(each for each in directory.iterdir() if each.is_dir()):
        result = Imported(folder.name)
        results.append(result)
        try:
            _import_channel(folder, owner, result)
        except Unreadable as exc:
            result.problem = str(exc)
    return results


def _import_channel(folder: Path, owner: User, result: Imported) -> None:
    if not re.fullmatch(r"-?\d{1,19}", folder.name):
        raise Unreadable("its name is no chat id")
    with open_readonly(folder / f"{folder.name}.db") as database:
        table = _messages_table(database)
        chat = _chat_of(int(folder.name), owner)
        media = _media_by_message(database, table)
        batch: list[dict[str, Any]] = []
        for row in database.execute(f'SELECT * FROM "{table}" ORDER BY 1'):
            found = _message(dict(row), media)
            if found is not None:
                batch.append(found)
            if len(batch) == BATCH:
                _store(chat, batch, folder, result)
                batch = []
        _store(chat, batch, folder, result)


def _messages_table(database: sqlite3.Connection) -> str:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for name in sorted((row["name"] for row in tables), key=lambda name: name != "messages"):
        if '"' in name:
            continue
        columns = _columns(database, name)
        if _pick(columns, _IDS) and "date" in columns and _pick(columns, _TEXTS):
            return str(name)
    raise Unreadable("it holds no table of messages")


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [row["name"].lower() for row in database.execute(f'PRAGMA table_info("{table}")')]


def _pick(columns: Any, wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in columns), None)


def _chat_of(number: int, owner: User) -> Chat:
    """Return the chat's row. A bare positive id was a channel's wherever channels were scraped."""
    if number <= CHANNEL_BASE:
        return Chat.objects.get_or_create(
            account=None, peer_id=number, defaults={"type": "channel"}
        )[0]
    accounts = list(Account.objects.filter(sessions__owner=owner).distinct()[:2])
    if len(accounts) != 1:
        raise Unreadable("a private chat or basic group, and whose it is cannot be told")
    kind = "group" if number < 0 else "user"
    return Chat.objects.get_or_create(account=accounts[0], peer_id=number, defaults={"type": kind})[
        0
    ]


def _media_by_message(database: sqlite3.Connection, messages: str) -> dict[int, dict[str, Any]]:
    """Return rows of a table of files beside the messages, if there is one."""
    found: dict[int, dict[str, Any]] = {}
    for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        name = row["name"]
        columns = [] if '"' in name or name == messages else _columns(database, name)
        if "message_id" in columns and _pick(columns, _PATHS + _UUIDS):
            for each in database.execute(f'SELECT * FROM "{name}"'):
                facts = _lower(dict(each))
                if isinstance(facts["message_id"], int):
                    found[facts["message_id"]] = facts
    return found


def _lower(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in row.items()}


def _message(row: Mapping[str, Any], media: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    """Return a history message and, under `file`, what is known of its file; None for rubbish."""
    facts = _lower(row)
    number = facts[_pick(facts, _IDS) or ""]
    date = _date(facts.get("date"))
    if not isinstance(number, int) or not 0 < number < 1 << 31 or date is None:
        return None
    beside = {**facts, **media.get(number, {})}
    kind = beside.get(_pick(beside, _TYPES) or "")
    shown: dict[str, Any] | None = None
    if isinstance(kind, str) and kind and kind != "MessageMediaWebPage":
        shown = {
            "type": kind[:64],
            "uuid": _uuid(beside, number),
            "filename": _text(beside.get(_pick(beside, _NAMES) or "")),
            "size": _number(beside.get(_pick(beside, _SIZES) or "")),
        }
    return {
        "message_id": number,
        "date": date,
        "sender_id": _number(facts.get("sender_id")),
        "first_name": _text(facts.get("first_name")),
        "last_name": _text(facts.get("last_name")),
        "username": _text(facts.get("username")),
        "message": _text(facts.get(_pick(facts, _TEXTS) or "")) or "",
        "media": shown,
        "reply_to": _number(facts.get("reply_to")),
        "post_author": _text(facts.get("post_author")),
        "is_forwarded": 1 if facts.get("is_forwarded") else 0,
        "forwarded_from_channel_id": _number(facts.get("forwarded_from_channel_id")),
        "file": _text(beside.get(_pick(beside, _PATHS) or "")),
    }


def _date(value: Any) -> str | None:
    try:
        if isinstance(value, int | float):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _text(value: Any) -> str | None:
    return plain(str(value)) if value not in (None, "") else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and abs(value) < 1 << 63 else None


def _uuid(facts: Mapping[str, Any], number: int) -> str | None:
    try:
        return str(uuid.UUID(str(facts[_pick(facts, _UUIDS) or ""])))
    except (KeyError, ValueError):
        return None


def _store(chat: Chat, batch: list[dict[str, Any]], folder: Path, result: Imported) -> None:
    """Store what is not here already; what Telegram told itself is better."""
    keys = [chat.key(message["message_id"]) for message in batch]
    known = set(Message.objects.filter(pk__in=keys).values_list("message_id", flat=True))
    fresh = [message for message in batch if message["message_id"] not in known]
    if not fresh:
        return
    files, whole = [], []
    for message in fresh:
        path, shown = message.pop("file"), message["media"]
        content = _inside(folder, path) if path and shown else None
        if content is not None:
            shown["uuid"] = shown["uuid"] or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{chat}/{path}"))
            shown["filename"] = shown["filename"] or content.name
            shown["size"] = content.stat().st_size
            files.append((message, content))
        elif shown:
            shown["uuid"] = None
        if content is not None or not shown:
            whole.append(message["message_id"])
    scope = store.scope_of(chat)
    for low, high in _runs(whole):
        page = [each for each in fresh if low <= each["message_id"] <= high]
        store.submit(store.Page(scope, chat.account_id or 0, page, covered=(low, high))).result(60)  # type: ignore[arg-type]
    alone = [each for each in fresh if each["message_id"] not in set(whole)]
    if alone:
        store.submit(store.Page(scope, chat.account_id or 0, alone)).result(60)  # type: ignore[arg-type]
    for message, content in files:
        _keep(chat, message, content)
    result.messages += len(fresh)
    result.files += len(files)


def _runs(ids: list[int]) -> list[Interval]:
    return intervals.normalize((number, number) for number in ids)


def _inside(folder: Path, path: str) -> Path | None:
    """Return the file if it lies in the channel's own media directory, wherever that stood."""
    home = (folder / "media").resolve()
    found = home / re.split(r"[/\\]", path)[-1]
    if "\0" in path or found.is_symlink() or not found.is_file():
        return None
    return found if found.resolve().parent == home else None


def _keep(chat: Chat, message: dict[str, Any], content: Path) -> None:
    """Copy a file into the store; its id at Telegram is not known, so it has one of its own."""
    shown = message["media"]
    digest = hashlib.sha256(shown["uuid"].encode()).digest()
    number = int.from_bytes(digest[:8], "big", signed=True)
    name = storage.name_of(IMPORTED, number)
    part = storage.part_path(IMPORTED, number)
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(content, part)
    with part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    storage.move_in(part, name)
    now = timezone.now()

    def save() -> None:
        row, _ = File.objects.update_or_create(
            kind=IMPORTED,
            telegram_id=number,
            defaults={
                "category": "files",
                "size": shown["size"],
                "mime_type": _mime_type(shown["type"], content.suffix),
                "state": FileState.PRESENT,
                "stored_bytes": shown["size"],
                "sha256": sha256,
                "path": name,
                "used_at": now,
                "stored_at": now,
            },
        )
        Media.objects.update_or_create(
            uuid=uuid.UUID(shown["uuid"]),
            defaults={
                "message_id": chat.key(message["message_id"]),
                "file": row,
                "type": shown["type"],
                "name": shown["filename"],
                "size": shown["size"],
            },
        )

    writer.submit(save).result(60)


_MIME_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".pdf": "application/pdf",
}


def _mime_type(kind: str, suffix: str) -> str:
    fallback = "image/jpeg" if kind == "MessageMediaPhoto" else "application/octet-stream"
    return _MIME_TYPES.get(suffix.lower(), fallback)


def import_seed(path: Path, owner: User) -> tuple[Sequence[str], list[Sequence[object]]]:
    """Import for `manage.py import_seed`; return the table of what came of each channel."""
    try:
        rows = [
            (each.name, each.messages, each.files, each.problem)
            for each in import_channels(path, owner)
        ]
    finally:
        writer.stop()
    return ("CHANNEL", "MESSAGES", "FILES", "WHY NOT"), list(rows)
