"""Cached messages as they are sent: keyset pages of stored JSON, cut into frames.

Nothing is parsed and nothing is serialised here, but for the few messages of which the account
sees something of its own. Runs on the reading thread (`scraper.loop.read`).

The database puts a page's documents together: with SQLite each row that is fetched takes the GIL
anew, and beside busy threads waits for it.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from django.db import connection

from core import json
from scraper import access, intervals
from scraper.intervals import Interval
from scraper.rows import ChatScope

ROWS = 1000
FIRST_ROWS = 100
"""The first page is small, so that the first frame is quick."""

_SELECT = """
SELECT {joined_ids}, {joined_documents} FROM (
    SELECT message_id, CASE WHEN deleted OR volatile <> ''
        THEN substr(document, 1, length(document) - 1) || volatile
            || CASE WHEN deleted THEN ',"deleted":true}}' ELSE '}}' END
        ELSE document END AS shown
    FROM scraper_message WHERE id >= %s AND id <= %s AND document <> ''{deleted}
    ORDER BY id{order} LIMIT %s
) AS page
"""
# JSON text holds no line break that is not escaped.
_JOINED = {
    "sqlite": ("group_concat(message_id, ',')", "group_concat(shown, char(10))"),
    "postgresql": ("string_agg(message_id::text, ',')", "string_agg(shown, chr(10))"),
}
_PRIVATE = """
SELECT message_id, document FROM scraper_messageprivate
WHERE account_id = %s AND message_id >= %s AND message_id <= %s
"""
_ACCESS = f"SELECT access.min_id FROM {access.STANDS} AND access.chat_id = %s"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who reads, and what: a session's account and a chat."""

    session_id: int
    account_id: int
    scope: ChatScope


@dataclass(slots=True)
class Frames:
    """Cuts messages into frames of `size`; what does not fill one waits for more."""

    viewer: Viewer
    size: int
    descending: bool
    include_deleted: bool
    cached_before: list[Interval]
    total: int = 0
    from_cache: int = 0
    _ids: list[int] = field(default_factory=list)
    _documents: list[str] = field(default_factory=list)
    _limit: int = FIRST_ROWS

    def read(self, position: int, end: int) -> tuple[bytes, int | None]:
        """Return whole frames of the messages from `position` on, and where to go on.

        The second is None when everything up to and with `end` was read. Raises LookupError when
        the session may not read the chat any more.
        """
        low, high = (end, position) if self.descending else (position, end)
        limit = max(self._limit, min(self.size, ROWS))
        self._limit = ROWS
        ids, documents = read_rows(
            self.viewer,
            low,
            high,
            limit=limit,
            descending=self.descending,
            include_deleted=self.include_deleted,
        )
        self._take(ids, documents)
        if len(ids) < limit:
            return self._cut(), None
        return self._cut(), ids[-1] - 1 if self.descending else ids[-1] + 1

    def rest(self) -> bytes:
        """Return what is left as a last, smaller frame."""
        frame = self._frame(len(self._ids)) if self._ids else b""
        self._ids.clear()
        self._documents.clear()
        return frame

    def _take(self, ids: list[int], documents: list[str]) -> None:
        if not ids:
            return
        self.total += len(ids)
        ascending = ids[::-1] if self.descending else ids
        for low, high in intervals.clip(self.cached_before, ascending[0], ascending[-1]):
            self.from_cache += bisect_right(ascending, high) - bisect_left(ascending, low)
        self._ids += ids
        self._documents += documents

    def _cut(self) -> bytes:
        frames = []
        start = 0
        while len(self._ids) - start >= self.size:
            frames.append(self._frame(start + self.size, start))
            start += self.size
        del self._ids[:start]
        del self._documents[:start]
        return b"".join(frames)

    def _frame(self, end: int, start: int = 0) -> bytes:
        documents = ",".join(self._documents[start:end])
        return f'id: {self._ids[end - 1]}\ndata: {{"messages":[{documents}]}}\n\n'.encode()


def read_rows(
    viewer: Viewer,
    low: int,
    high: int,
    *,
    limit: int,
    descending: bool = False,
    include_deleted: bool = False,
) -> tuple[list[int], list[str]]:
    """Return the cached messages `low` to `high`, as the viewer sees them: their ids, their JSON.

    Raises LookupError when the session may not read the chat (any more).
    """
    scope = viewer.scope
    with connection.cursor() as cursor:
        cursor.execute(_ACCESS, [viewer.session_id, viewer.account_id, scope.pk])
        granted = cursor.fetchone()
        if granted is None:
            raise LookupError
        first, last = scope.key(max(low, granted[0], 0)), scope.key(max(high, 0))
        if first > last:
            return [], []
        joined_ids, joined_documents = _JOINED[connection.vendor]
        statement = _SELECT.format(
            joined_ids=joined_ids,
            joined_documents=joined_documents,
            deleted="" if include_deleted else " AND NOT deleted",
            order=" DESC" if descending else "",
        )
        cursor.execute(statement, [first, last, limit])
        id_text, text = cursor.fetchone()
        if id_text is None:
            return [], []
        ids = [int(number) for number in id_text.split(",")]
        documents: list[str] = text.split("\n")
        if scope.account_id is None:
            edges = sorted((scope.key(ids[0]), scope.key(ids[-1])))
            cursor.execute(_PRIVATE, [viewer.account_id, *edges])
            if private := {key - scope.key(0): document for key, document in cursor.fetchall()}:
                documents = [
                    _with_private(document, private[number]) if number in private else document
                    for number, document in zip(ids, documents, strict=True)
                ]
    return ids, documents


def _with_private(document: str, private: str) -> str:
    return json.dumps(json.loads(document) | json.loads(private)).decode()
