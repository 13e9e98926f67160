"""The seam between the engine and whoever keeps its state: protocols and plain data.

No Django and no Telethon here. `sessions_app` implements the protocols over the database,
`engine.testing` in memory. The methods of `SessionStore` are synchronous and may touch the
database: the engine calls them in a worker's database thread, never on a loop.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

ACCOUNT_BOX = 0
"""`BoxState.chat_id` of the account's own box (private chats and basic groups)."""

SessionState = Literal[
    "new",
    "wait_phone_number",
    "wait_code",
    "wait_password",
    "wait_other_device_confirmation",
    "ready",
    "logged_out",
    "expired",
    "closed",
]

EventKind = Literal[
    "message.new",
    "message.edited",
    "message.deleted",
    "message.read",
    "message.reactions",
    "chat.member",
    "dialog.changed",
    "folders.changed",
    "session.state",
]

ReportKind = Literal["connected", "disconnected", "retrying", "expired", "degraded", "healed"]


@dataclass(frozen=True, slots=True)
class Device:
    """What a session tells Telegram about itself; stable for the session's whole life."""

    device_model: str = "tghub"
    system_version: str = "Linux"
    app_version: str = "1.0"
    lang_code: str = "en"
    system_lang_code: str = "en"


@dataclass(frozen=True, slots=True)
class Proxy:
    """How a session reaches Telegram: `socks5`, `http` or `mtproxy` (whose `secret` is its key)."""

    kind: Literal["socks5", "http", "mtproxy"]
    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EntityRow:
    """A peer as one account knows it. `id` is marked; access hashes are never shared."""

    id: int
    access_hash: int | None
    username: str | None = None
    phone: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BoxState:
    """How far one box of updates was stored. `chat_id` is marked, or `ACCOUNT_BOX`.

    `qts`, `date` (Unix seconds) and `seq` belong to the account's box; `top_message_id` is the
    newest contiguous message, from which a hole is refilled.
    """

    chat_id: int
    pts: int
    qts: int = 0
    date: int = 0
    seq: int = 0
    top_message_id: int = 0


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A stored session, as `SessionStore.load` returns it.

    `dc_id` 0 with an empty `host` means the server that the settings name. `floods` maps a
    request's name to the Unix second before which it must not be called again.
    """

    session_id: int
    api_id: int
    api_hash: str = field(repr=False)
    dc_id: int = 0
    host: str = ""
    port: int = 0
    auth_key: bytes | None = field(default=None, repr=False)
    device: Device = Device()
    proxy: Proxy | None = None
    account_id: int | None = None
    state: SessionState = "new"
    entities: Sequence[EntityRow] = field(default=(), repr=False)
    boxes: Sequence[BoxState] = ()
    floods: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionReport:
    """News of a connection. `error` is an error's code, `retry_at` Unix seconds."""

    kind: ReportKind
    error: str = ""
    detail: str = ""
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something that happened at Telegram. `data` is JSON, `date` Unix seconds."""

    kind: EventKind
    chat_id: int | None
    data: dict[str, Any] = field(repr=False)
    date: int


@dataclass(frozen=True, slots=True)
class UpdateBatch:
    """Events of one session with the states and entities that they cover: one transaction."""

    session_id: int
    account_id: int | None
    events: Sequence[EngineEvent] = ()
    states: Sequence[BoxState] = ()
    entities: Sequence[EntityRow] = ()


class SessionStore(Protocol):
    """Where sessions live. Every method may block on the database and may raise EngineError."""

    def load(self, session_id: int) -> SessionRecord:
        """Return the session; NotFound when there is none."""
        ...

    def claim(self, session_id: int) -> int:
        """Make this node the owner and return the epoch; Unavailable while another one lives."""
        ...

    def find_key(self, auth_key: bytes) -> int | None:
        """Return the number of the stored session that holds this key, if one does."""
        ...

    def save_key(
        self, session_id: int, *, dc_id: int, host: str, port: int, auth_key: bytes | None
    ) -> None:
        """Keep the key at once; Conflict when another session holds it."""
        ...

    def save_entities(self, session_id: int, rows: list[EntityRow]) -> None:
        """Insert or replace entities of the session's account."""
        ...

    def save_flood(self, session_id: int, method: str, until: float) -> None:
        """Remember that `method` must not be called before `until` (Unix seconds)."""
        ...

    def report(self, session_id: int, report: SessionReport) -> None:
        """Take note of what became of the connection."""
        ...


class UpdateSink(Protocol):
    """Where updates go."""

    def submit(self, batch: UpdateBatch) -> Future[None]:
        """Store the batch; the future is done when it is committed. Never blocks."""
        ...


class Guard(Protocol):
    """The node's lease: may this process still act for its sessions?"""

    @property
    def epoch(self) -> int:
        """The fencing number of the present lease."""
        ...

    def check(self) -> None:
        """Raise Unavailable when the lease may be over. Cheap, thread-safe, no database."""
        ...
