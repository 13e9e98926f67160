"""The full-text index of cached messages: FTS5 on SQLite, tsvector with GIN on PostgreSQL.

Triggers note which messages changed, whoever changes them; on SQLite `note_new` notes those that
come, since a trigger would make storing a page take twice as long. `catch_up` indexes them, while
the hub has nothing else to write and before each search. Both databases are given the same words
(`scraper.words`) and none of their own parsing.
"""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from core.writer import writer
from scraper.words import Term, words_of

logger = logging.getLogger(__name__)

BATCH = 500
QUIET_SECONDS = 1.0
SEARCH_SECONDS = 10.0
"""How long a search waits for the index to catch up."""
MAX_POSITION = 16_383

TABLE = "scraper_messageindex"
_CHANGED = "scraper_messagechanged"


def _note(key: str) -> str:
    """An upsert that fires the trigger overrides its `OR IGNORE` by its own policy."""
    return (
        f"INSERT INTO {_CHANGED} SELECT {key} "
        f"WHERE NOT EXISTS (SELECT 1 FROM {_CHANGED} WHERE message_id = {key})"
    )


_SQLITE = (
    f"CREATE VIRTUAL TABLE IF NOT EXISTS {TABLE} USING fts5(words, tokenize = 'ascii')",
    f"CREATE TABLE IF NOT EXISTS {_CHANGED} (message_id integer PRIMARY KEY)",
    "DROP TRIGGER IF EXISTS scraper_message_said",  # see note_new
    f"""CREATE TRIGGER IF NOT EXISTS scraper_message_edited AFTER UPDATE OF text ON scraper_message
    WHEN new.text <> old.text BEGIN {_note("new.id")}; END""",
    f"""CREATE TRIGGER IF NOT EXISTS scraper_message_gone AFTER DELETE ON scraper_message
    WHEN old.text <> '' BEGIN {_note("old.id")}; END""",
)

_POSTGRESQL = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (message_id bigint PRIMARY KEY, words tsvector NOT NULL);
CREATE INDEX IF NOT EXISTS scraper_messageindex_words ON {TABLE} USING gin (words);
CREATE TABLE IF NOT EXISTS {_CHANGED} (message_id bigint PRIMARY KEY);
CREATE OR REPLACE FUNCTION scraper_message_said() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {_CHANGED} SELECT id FROM fresh WHERE text <> '' ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION scraper_message_edited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {_CHANGED} SELECT fresh.id FROM fresh JOIN stale USING (id)
    WHERE fresh.text <> stale.text ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION scraper_message_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {_CHANGED} SELECT id FROM stale WHERE text <> '' ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION scraper_message_emptied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    TRUNCATE {TABLE}, {_CHANGED};
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER scraper_message_said AFTER INSERT ON scraper_message
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION scraper_message_said();
CREATE OR REPLACE TRIGGER scraper_message_edited AFTER UPDATE ON scraper_message
REFERENCING NEW TABLE AS fresh OLD TABLE AS stale
FOR EACH STATEMENT EXECUTE FUNCTION scraper_message_edited();
CREATE OR REPLACE TRIGGER scraper_message_gone AFTER DELETE ON scraper_message
REFERENCING OLD TABLE AS stale FOR EACH STATEMENT EXECUTE FUNCTION scraper_message_gone();
CREATE OR REPLACE TRIGGER scraper_message_emptied AFTER TRUNCATE ON scraper_message
FOR EACH STATEMENT EXECUTE FUNCTION scraper_message_emptied();
"""


def install(using: BaseDatabaseWrapper) -> None:
    """Make tables and triggers that are missing.

    Called by the migration, and after every later one: on SQLite a change of the message's
    table drops its triggers.
    """
    with using.cursor() as cursor:
        if using.vendor == "postgresql":
            cursor.execute(_POSTGRESQL)
            return
        for statement in _SQLITE:
            cursor.execute(statement)


def after_migrate(*, using: str, **kwargs: Any) -> None:
    """Make what a later migration took away (`post_migrate`)."""
    connection = connections[using]
    if "scraper_message" in connection.introspection.table_names():
        install(connection)


def index_all(using: BaseDatabaseWrapper) -> None:
    """Have every stored message indexed (anew)."""
    with using.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_CHANGED} SELECT id FROM scraper_message WHERE text <> '' "
            "ON CONFLICT DO NOTHING"
        )


def remove(using: BaseDatabaseWrapper) -> None:
    """Take tables and triggers away: the migration backwards."""
    with using.cursor() as cursor:
        for name in ("said", "edited", "gone", "emptied"):
            on = " ON scraper_message" if using.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS scraper_message_{name}{on}")
            if using.vendor == "postgresql":
                cursor.execute(f"DROP FUNCTION IF EXISTS scraper_message_{name}")
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        cursor.execute(f"DROP TABLE IF EXISTS {_CHANGED}")


# Indexing


def note_new(keys: Sequence[int]) -> None:
    """Have messages indexed that are about to be inserted; those that are there already are not.

    In the caller's transaction. On PostgreSQL a trigger does so for a whole statement at once.
    """
    if connection.vendor != "sqlite" or not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_CHANGED} SELECT value FROM json_each(%s) "
            "WHERE value NOT IN (SELECT id FROM scraper_message) ON CONFLICT DO NOTHING",
            [f"[{','.join(map(str, keys))}]"],
        )


def index_some(limit: int = BATCH) -> int:
    """Index messages that changed and return how many; in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT message_id FROM {_CHANGED} ORDER BY message_id LIMIT %s", [limit])
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return 0
        marks = ", ".join(["%s"] * len(ids))
        cursor.execute(f"SELECT id, text FROM scraper_message WHERE id IN ({marks})", ids)
        texts = [(key, words_of(text)) for key, text in cursor.fetchall() if text]
        key = "rowid" if connection.vendor == "sqlite" else "message_id"
        cursor.execute(f"DELETE FROM {TABLE} WHERE {key} IN ({marks})", ids)
        cursor.executemany(
            f"INSERT INTO {TABLE} ({key}, words) VALUES (%s, %s)",
            [(number, _stored(words)) for number, words in texts if words],
        )
        cursor.execute(f"DELETE FROM {_CHANGED} WHERE message_id IN ({marks})", ids)
    return len(ids)


def _stored(words: list[str]) -> str:
    if connection.vendor == "sqlite":
        return " ".join(words)
    # A tsvector's own notation: 'word':place; words are letters and digits only.
    places = (f"'{word}':{min(at + 1, MAX_POSITION)}" for at, word in enumerate(words))
    return " ".join(places)


def catch_up(seconds: float = SEARCH_SECONDS) -> bool:
    """Index what changed, for so long at most; whether nothing is left."""
    until = time.monotonic() + seconds
    while True:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {_CHANGED} LIMIT 1")
            if cursor.fetchone() is None:
                return True
        if time.monotonic() > until:
            return False
        writer.submit(index_some).result(60)


@dataclass(slots=True)
class _Indexer:
    """Goes on in the writer for as long as that has nothing else to do."""

    busy_until: float = 0.0
    running: "Future[int] | None" = None

    def chore(self) -> None:
        if self.running is not None and not self.running.done():
            return
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {_CHANGED} LIMIT 1")
            if cursor.fetchone() is not None:
                self._go_on()

    def _go_on(self) -> None:
        if writer.pending or time.monotonic() < self.busy_until:
            return
        self.running = writer.submit(index_some)
        self.running.add_done_callback(self._done)

    def _done(self, done: "Future[int]") -> None:
        if not done.cancelled() and done.exception() is None and done.result() == BATCH:
            self._go_on()


indexer = _Indexer()


def note_page(session: object, scope: object, messages: object) -> None:
    """A page of history was stored: more is on its way, the index can wait."""
    indexer.busy_until = time.monotonic() + QUIET_SECONDS


def chore() -> None:
    """Index in the background (`sessions_app.chores`)."""
    indexer.chore()


# Matching


def match(terms: Sequence[Term], vendor: str) -> str:
    """Return the terms as the database's own query, which cannot fail: FTS5's or a tsquery."""
    wanted = [term for term in terms if not term.excluded]
    unwanted = [term for term in terms if term.excluded]
    if vendor == "sqlite":
        query = " AND ".join(_fts5(term) for term in wanted)
        for term in unwanted:
            query = f"({query}) NOT {_fts5(term)}"
        return query
    parts = [_tsquery(term) for term in wanted] + [f"!({_tsquery(term)})" for term in unwanted]
    return " & ".join(parts)


def _fts5(term: Term) -> str:
    return f'"{" ".join(term.words)}"{"*" if term.prefix else ""}'


def _tsquery(term: Term) -> str:
    words = [f"'{word}'" for word in term.words]
    if term.prefix:
        words[-1] += ":*"
    return f"({' <-> '.join(words)})"


def found(messages: Any, terms: Sequence[Term]) -> Any:
    """Return a queryset of messages narrowed to those that match, each with its `rank`.

    A smaller rank is a better match.
    """
    vendor = connections[messages.db].vendor
    query = match(terms, vendor)
    if vendor == "sqlite":
        return messages.extra(
            tables=[TABLE],
            where=[f"{TABLE}.rowid = scraper_message.id", f"{TABLE} MATCH %s"],
            params=[query],
            select={"rank": f"bm25({TABLE})"},
        )
    return messages.extra(
        tables=[TABLE],
        where=[f"{TABLE}.message_id = scraper_message.id", f"{TABLE}.words @@ %s::tsquery"],
        params=[query],
        select={"rank": f"-ts_rank({TABLE}.words, %s::tsquery, 1)"},
        select_params=[query],
    )
