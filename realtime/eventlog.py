"""Events of the log as clients see them, and who may see which.

An event's JSON: `{"id", "kind", "session", "chat_id", "date", …}`, followed by what its kind has:
`message`, `message_ids`, … (see docs/events.md). It is put together as text: the log holds the
rest as JSON already.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import get_args

from django.db import connection

from accounts.callers import Caller, owner_for, recheck
from accounts.models import Scope
from core import events, json
from core.errors import BadRequest, NotFound
from engine.store import EventKind
from realtime.threads import read_log
from sessions_app.lookup import is_limited, visible_sessions
from sessions_app.models import TelegramSession

KINDS: tuple[str, ...] = get_args(EventKind)
RESET = "reset"
# The kinds that show what was said.
TELLING = frozenset({"message.new", "message.edited", "message.reactions"})
CHANNEL_BASE = -1_000_000_000_000

Place = tuple[int | None, int | None]
"""A session and a chat as it has it."""

_WITHDRAWN = """
SELECT s.id, c.peer_id FROM sessions_app_telegramsession s
JOIN scraper_chat c ON c.account_id IS NULL AND c.peer_id IN ({chats})
WHERE s.id IN ({sessions}) AND NOT EXISTS (
    SELECT 1 FROM scraper_chataccess a WHERE a.account_id = s.account_id AND a.chat_id = c.id
)
"""


@dataclass(frozen=True, slots=True)
class Access:
    """Whose events a caller may read; `limits` are the only sessions of a limited key.

    `scope` is what the caller must still have when looked at again.
    """

    caller: Caller
    username: str | None
    owner_id: int
    limits: frozenset[int] | None
    scope: Scope | None = None

    def allows(self, owner_id: int, session_id: int) -> bool:
        """Tell whether a session's events are for this caller."""
        return owner_id == self.owner_id and (self.limits is None or session_id in self.limits)


def access_of(caller: Caller, username: str | None = None, scope: Scope | None = None) -> Access:
    """Return what the caller may read now; raises Forbidden, NotFound (`username`)."""
    if scope is not None:
        caller.require(scope.value)
    limits = None
    if is_limited(caller):
        limits = frozenset(visible_sessions(caller, username).values_list("pk", flat=True))
    return Access(caller, username, owner_for(caller, username).pk, limits, scope)


def access_again(access: Access) -> Access:
    """Return what the caller may read by now; raises Unauthorized when the key is revoked."""
    return access_of(recheck(access.caller), access.username, access.scope)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a client wants; None is every one."""

    sessions: frozenset[int] | None = None
    chats: frozenset[int] | None = None
    kinds: frozenset[str] | None = None

    def matches(self, event: "LogEvent") -> bool:
        return (
            (self.sessions is None or event.session_id in self.sessions)
            and (self.kinds is None or event.kind in self.kinds)
            and (self.chats is None or event.chat_id in self.chats)
        )


def make_filter(
    access: Access,
    *,
    sessions: Sequence[str] | None = None,
    chats: Sequence[int] | None = None,
    kinds: Sequence[str] | None = None,
) -> Filter:
    """Return a filter by names of sessions; empty lists filter nothing.

    Raises NotFound for a session that the caller does not have, BadRequest for an unknown kind.
    """
    wanted = None
    if sessions:
        found = dict(
            visible_sessions(access.caller, access.username)
            .filter(name__in=list(sessions))
            .values_list("name", "pk")
        )
        if missing := set(sessions) - found.keys():
            raise NotFound(f"There is no session {min(missing)!r}.", code="session_not_found")
        wanted = frozenset(found.values())
    if unknown := set(kinds or ()) - set(KINDS):
        raise BadRequest(
            f"There is no kind {min(unknown)!r}; there are {', '.join(KINDS)}.", code="bad_kind"
        )
    return Filter(
        sessions=wanted,
        chats=frozenset(chats) if chats else None,
        kinds=frozenset(kinds) if kinds else None,
    )


@dataclass(frozen=True)
class LogEvent:
    """One event, rendered once for all who get it. `owner_id` is the session's owner."""

    id: int
    kind: str
    session_id: int
    owner_id: int
    chat_id: int | None
    document: bytes

    @cached_property
    def place(self) -> Place | None:
        """Where it may be read, when that can be taken away: see `withdrawn`."""
        return place_of(self)

    @cached_property
    def frame(self) -> str:
        """The WebSocket frame."""
        return f'{{"event":"update","data":{self.document.decode()}}}'

    @cached_property
    def sse(self) -> bytes:
        """The server-sent event."""
        return b"id: %d\ndata: %b\n\n" % (self.id, self.document)


def event_document(event: events.StoredEvent, session_name: str) -> bytes:
    """Return an event as clients get it, as JSON."""
    date = event.date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = json.dumps(
        {
            "id": event.id,
            "kind": event.kind,
            "session": session_name,
            "chat_id": event.chat_id,
            "date": date,
        }
    )
    rest = event.document.encode()
    if not rest.startswith(b"{") or rest == b"{}":
        return head
    return head[:-1] + b"," + rest[1:]


def reset_document(oldest: int) -> bytes:
    """Return what a client gets whose cursor is older than what is kept."""
    return json.dumps({"id": oldest - 1, "kind": RESET, "oldest": oldest})


@dataclass(frozen=True, slots=True)
class Page:
    """What follows a cursor; see `core.events.Page`. `more` says that it goes on."""

    events: list[LogEvent]
    next: int
    oldest: int
    reset: bool
    more: bool


class Names:
    """Sessions' owners and names, remembered for a while; used on the log's thread alone."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, str]] = {}

    def of(self, session_ids: Iterable[int]) -> dict[int, tuple[int, str]]:
        """Return `{session: (owner, name)}` of those that exist."""
        wanted = set(session_ids)
        missing = wanted - self._known.keys()
        if missing:
            rows = TelegramSession.objects.filter(pk__in=missing)
            for pk, owner_id, name in rows.values_list("pk", "owner_id", "name"):
                self._known[pk] = owner_id, name
        return {pk: self._known[pk] for pk in wanted if pk in self._known}

    def forget(self) -> None:
        """Ask again: a session may have been renamed or destroyed."""
        self._known.clear()


names = Names()


async def read_page(
    since: int, access: Access | None, wanted: Filter | None = None, limit: int = 1000
) -> Page:
    """Return the events after `since` that the access and the filter let through.

    Without an access it is everybody's: for who distributes them.
    """
    return await read_log(_read_page, since, access, wanted or Filter(), limit)


def _read_page(since: int, access: Access | None, wanted: Filter, limit: int) -> Page:
    session_ids = wanted.sessions
    if access is not None and session_ids is None:
        # Now, not when the client came: what it had then, it may have lost.
        mine = visible_sessions(access.caller, access.username)
        session_ids = frozenset(mine.values_list("pk", flat=True))
    page = events.read(
        since, session_ids=session_ids, chat_ids=wanted.chats, kinds=wanted.kinds, limit=limit
    )
    known = names.of(event.session_id for event in page.events if event.session_id is not None)
    places = [place_of(event) for event in page.events]
    gone = withdrawn({place for place in places if place is not None})
    found = []
    for event, place in zip(page.events, places, strict=True):
        if place in gone:
            continue
        owner = known.get(event.session_id) if event.session_id is not None else None
        if owner is None or event.session_id is None:
            continue
        if access is not None and not access.allows(owner[0], event.session_id):
            continue
        found.append(
            LogEvent(
                id=event.id,
                kind=event.kind,
                session_id=event.session_id,
                owner_id=owner[0],
                chat_id=event.chat_id,
                document=event_document(event, owner[1]),
            )
        )
    return Page(found, page.next, page.oldest, page.reset, more=len(page.events) >= limit)


def place_of(event: "LogEvent | events.StoredEvent") -> Place | None:
    """Return where an event that tells what was said may be read; None when it may always be.

    That is so outside of channels and supergroups: only these can take an account's access away.
    """
    if event.kind not in TELLING or event.chat_id is None or event.chat_id >= CHANNEL_BASE:
        return None
    return event.session_id, event.chat_id


def withdrawn(places: Collection[Place]) -> set[Place]:
    """Return the places that may not be read any more: Telegram has taken the account out.

    What was told there before is not told again. By hand, for each page of the log asks it.
    """
    if not places:
        return set()
    sessions = {session_id for session_id, _ in places}
    chats = {chat_id for _, chat_id in places}
    statement = _WITHDRAWN.format(
        chats=", ".join(["%s"] * len(chats)), sessions=", ".join(["%s"] * len(sessions))
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*chats, *sessions])
        return {place for place in cursor.fetchall() if place in places}


async def newest() -> int:
    """Return the id of the newest event."""
    return (await read_log(events.bounds)).last
