"""Read the sessions of the programs that came before: their files are only ever read.

The hub before this one kept Telethon's string sessions in a table of its database, the
scraper one Telethon SQLite file per user in `sessions/`. Column names varied, so the
readers look for what a column holds as much as for what it is called.
Source: telethon/sessions/string.py, telethon/sessions/sqlite.py
"""

import base64
import binascii
import contextlib
import ipaddress
import json
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from engine.store import BoxState, EntityRow

KEY_BYTES = 256
NAME_COLUMNS = ("session_id", "session_name", "name", "username", "id")
STRING_COLUMNS = ("session_string", "string_session", "session_data", "session", "data", "auth")
USER_ID_COLUMNS = ("user_id", "telegram_user_id", "telegram_id", "tg_user_id")
MAX_ENTITIES = 100_000


class Unreadable(Exception):
    """The file or value is not what such a program writes; the text says why."""


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session of another program. `problem` says why it cannot be taken over."""

    name: str
    dc_id: int = 0
    host: str = ""
    port: int = 0
    auth_key: bytes | None = field(default=None, repr=False)
    user: Mapping[str, Any] | None = field(default=None, repr=False)
    entities: tuple[EntityRow, ...] = field(default=(), repr=False)
    boxes: tuple[BoxState, ...] = ()
    problem: str = ""


@contextlib.contextmanager
def open_readonly(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a SQLite database without ever writing beside it; raises Unreadable."""
    if not path.is_file():
        raise Unreadable(f"{path} is no file")
    wal = path.with_name(path.name + "-wal")
    # Without a log that waits to be read nothing must be created next to the file.
    mode = "mode=ro" if wal.exists() and wal.stat().st_size else "mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True)
    except sqlite3.Error as exc:
        raise Unreadable(f"{path} cannot be opened") from exc
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        yield connection
    except sqlite3.DatabaseError as exc:
        raise Unreadable(f"{path} is no SQLite database that can be read") from exc
    finally:
        connection.close()


def parse_string_session(text: str) -> tuple[int, str, int, bytes]:
    """Return DC, address, port and auth key of a Telethon string session; raises Unreadable."""
    if not text.startswith("1"):
        raise Unreadable("not a Telethon string session")
    body = text[1:].strip()
    try:
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        raise Unreadable("not a Telethon string session") from None
    address_bytes = len(raw) - 1 - 2 - KEY_BYTES
    if address_bytes not in (4, 16):
        raise Unreadable("not a Telethon string session")
    dc_id, address, port, key = struct.unpack(f">B{address_bytes}sH{KEY_BYTES}s", raw)
    return dc_id, str(ipaddress.ip_address(address)), port, key


def read_hub(path: Path) -> list[FoundSession]:
    """Return the sessions in the database of the FastAPI hub; raises Unreadable."""
    with open_readonly(path) as database:
        found: dict[str, FoundSession] = {}
        for table in _tables(database):
            columns = _columns(database, table)
            name_column = _first(columns, NAME_COLUMNS)
            string_column = _first(columns, STRING_COLUMNS)
            if name_column is None or string_column is None:
                continue
            for row in database.execute(f"SELECT * FROM {_quoted(table)}"):
                session = _from_row(dict(row), name_column, string_column)
                found.setdefault(session.name, session)
    if not found:
        raise Unreadable(f"{path} holds no table of sessions")
    return list(found.values())


def _from_row(row: Mapping[str, Any], name_column: str, string_column: str) -> FoundSession:
    name = str(row[name_column])
    text = row[string_column]
    text = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    if not text:
        return FoundSession(name, problem="not logged in")
    try:
        dc_id, host, port, key = parse_string_session(str(text))
    except Unreadable as exc:
        return FoundSession(name, problem=str(exc))
    return FoundSession(name, dc_id, host, port, key, _user_of(row))


def _user_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the row tells of the Telegram user, in JSON or in columns of its own."""
    facts: dict[str, Any] = {}
    for value in row.values():
        if isinstance(value, str) and value.startswith("{"):
            with contextlib.suppress(ValueError):
                inner = json.loads(value)
                if isinstance(inner, dict) and isinstance(inner.get("id"), int):
                    facts = inner
    user_id = facts.get("id")
    if user_id is None:
        column = _first(list(row), USER_ID_COLUMNS)
        with contextlib.suppress(TypeError, ValueError):
            user_id = int(row[column]) if column else None
    if not user_id:
        return None

    def fact(*names: str) -> str | None:
        for name in names:
            value = facts.get(name) or row.get(name)
            if value:
                return str(value)
        return None

    return {
        "id": user_id,
        "first_name": fact("first_name"),
        "last_name": fact("last_name"),
        "username": fact("username", "telegram_username"),
        "phone": fact("phone", "phone_number"),
    }


def read_scraper(path: Path) -> list[FoundSession]:
    """Return the sessions below a data directory of the scraper, or of one `.session` file."""
    if path.is_file():
        files = [path]
    else:
        directory = path / "sessions" if (path / "sessions").is_dir() else path
        files = sorted(directory.glob("*.session"))
    if not files:
        raise Unreadable(f"{path} holds no sessions/*.session")
    found = []
    for file in files:
        try:
            found.append(_from_file(file))
        except Unreadable as exc:
            found.append(FoundSession(file.stem, problem=str(exc)))
    return found


def read_session_bytes(content: bytes, name: str) -> FoundSession:
    """Return the session in a `.session` file that was sent; raises Unreadable."""
    if not content.startswith(b"SQLite format 3\0"):
        raise Unreadable("not a Telethon session file")
    # A file that was written with a log beside it opens in memory only without one.
    content = content[:18] + b"\x01\x01" + content[20:]
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        try:
            database.deserialize(content)
            database.row_factory = sqlite3.Row
            database.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return _from_database(database, name)
        except (sqlite3.Error, LookupError, TypeError, ValueError, OverflowError) as exc:
            raise Unreadable("not a Telethon session file") from exc


def _from_file(file: Path) -> FoundSession:
    with open_readonly(file) as database:
        return _from_database(database, file.stem)


def _from_database(database: sqlite3.Connection, name: str) -> FoundSession:
    tables = _tables(database)
    if "sessions" not in tables:
        raise Unreadable("not a Telethon session file")
    row = database.execute("SELECT * FROM sessions").fetchone()
    if row is None or not row["auth_key"]:
        return FoundSession(name, problem="not logged in")
    key = bytes(row["auth_key"])
    if len(key) != KEY_BYTES:
        raise Unreadable("its auth key has not 256 bytes")
    user: dict[str, Any] | None = None
    entities: list[EntityRow] = []
    if "entities" in tables:
        rows = database.execute("SELECT * FROM entities LIMIT ?", (MAX_ENTITIES,))
        for entity in rows:
            if entity["id"] == 0:  # Telethon notes the own id as the hash of entity 0
                user = {"id": entity["hash"]}
                continue
            entities.append(
                EntityRow(
                    entity["id"],
                    entity["hash"],
                    entity["username"],
                    None if entity["phone"] is None else str(entity["phone"]),
                    entity["name"],
                )
            )
    boxes: tuple[BoxState, ...] = ()
    if "update_state" in tables:
        boxes = tuple(
            BoxState(
                chat_id=0 if state["id"] == 0 else _marked(state["id"]),
                pts=state["pts"],
                qts=state["qts"] if state["id"] == 0 else 0,
                date=state["date"] if state["id"] == 0 else 0,
                seq=state["seq"] if state["id"] == 0 else 0,
            )
            for state in database.execute("SELECT * FROM update_state")
            if state["pts"]
        )
    return FoundSession(
        name,
        row["dc_id"],
        row["server_address"] or "",
        row["port"] or 0,
        key,
        _with_names(user, entities),
        tuple(entities),
        boxes,
    )


def _marked(channel_id: int) -> int:
    """Return the marked id of a channel's bare one, which is how Telethon notes its state."""
    return channel_id if channel_id < 0 else -(10**12) - channel_id


def _with_names(user: dict[str, Any] | None, entities: list[EntityRow]) -> dict[str, Any] | None:
    if user is None:
        return None
    own = next((row for row in entities if row.id == user["id"]), None)
    return {
        "id": user["id"],
        "first_name": own.name if own else None,
        "last_name": None,
        "username": own.username if own else None,
        "phone": own.phone if own else None,
    }


def _tables(database: sqlite3.Connection) -> list[str]:
    rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [row["name"] for row in rows]


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [row["name"] for row in database.execute(f"PRAGMA table_info({_quoted(table)})")]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first(columns: list[str], wanted: tuple[str, ...]) -> str | None:
    lower = {column.lower(): column for column in columns}
    return next((lower[name] for name in wanted if name in lower), None)
