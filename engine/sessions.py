"""The session that Telethon works on: in memory, loaded from a record, written behind.

Telethon's `StringSession` keeps neither access hashes nor update states, and its own saving of
states counts updates as seen that nobody stored yet. This one answers from memory, says which
entities are new, and takes update states only from `engine.ingest`, which knows what was
committed. It does no input or output: whoever owns it stores what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from telethon import types, utils
from telethon.crypto import AuthKey, rsa
from telethon.sessions import MemorySession

from engine.store import ACCOUNT_BOX, BoxState, EntityRow

PRODUCTION = (2, "149.154.167.51", 443)
"""Telegram's production data centre for new sessions (https://core.telegram.org/api/datacenter)."""


@dataclass(frozen=True, slots=True)
class Server:
    """A data centre's address."""

    dc_id: int
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Server:
        """Read `2@127.0.0.1:4430`; an empty text is Telegram's production server."""
        if not text:
            return cls(*PRODUCTION)
        dc_id, _, address = text.rpartition("@")
        host, _, port = address.rpartition(":")
        return cls(int(dc_id), host.strip("[]"), int(port))


class ChannelId(int):
    """A bare id that is known to be a channel's; Telethon passes bare ids of users, too."""


def trust_key(path: str | Path) -> None:
    """Make handshakes accept the data centre whose RSA public key (PEM) lies at `path`."""
    public = load_pem_public_key(Path(path).read_bytes())
    rsa.add_key(public.public_bytes(Encoding.PEM, PublicFormat.PKCS1), old=False)


def channel_mark(channel_id: int) -> int:
    """Return the marked id of a channel: 123 → -1000000000123."""
    return int(utils.get_peer_id(types.PeerChannel(channel_id)))


def channel_bare(chat_id: int) -> int:
    """Return the bare id of a channel's marked id: -1000000000123 → 123."""
    return int(utils.resolve_id(chat_id)[0])


class HubSession(MemorySession):
    """One session in memory.

    `states` gives the committed state of each box when Telethon connects; None for a session
    that receives no updates.
    """

    def __init__(
        self,
        server: Server,
        *,
        auth_key: bytes | None = None,
        account_id: int | None = None,
        entities: Iterable[EntityRow] = (),
        states: Callable[[], Iterable[BoxState]] = tuple,
    ) -> None:
        super().__init__()
        self.set_dc(server.dc_id, server.host, server.port)
        self._auth_key = AuthKey(auth_key) if auth_key else None
        self.account_id = account_id
        self._states = states
        self._rows: dict[int, EntityRow] = {}
        self._by_username: dict[str, int] = {}
        self._by_phone: dict[str, int] = {}
        self._changed: dict[int, EntityRow] = {}
        for row in entities:
            self._put(row)

    @property
    def server(self) -> Server:
        return Server(self.dc_id, self.server_address, self.port)

    @property
    def key(self) -> bytes | None:
        """Return the auth key's 256 bytes, None before the first contact."""
        return self._auth_key.key if self._auth_key else None

    def entity(self, chat_id: int) -> EntityRow | None:
        """Return what is known of a peer by its marked id."""
        return self._rows.get(chat_id)

    def take_changed(self) -> list[EntityRow]:
        """Return the entities that are not stored yet, and forget that they are not."""
        rows = list(self._changed.values())
        self._changed.clear()
        return rows

    def put_back(self, rows: Iterable[EntityRow]) -> None:
        """Take back rows that could not be stored; newer ones stay."""
        for row in rows:
            self._changed.setdefault(row.id, row)

    def _put(self, row: EntityRow) -> None:
        old = self._rows.get(row.id)
        if old is not None and old.username and old.username != row.username:
            self._by_username.pop(old.username.lower(), None)
        self._rows[row.id] = row
        if row.username:
            self._by_username[row.username.lower()] = row.id
        if row.phone:
            self._by_phone[row.phone.lstrip("+")] = row.id

    # What Telethon asks of a session.

    def clone(self, to_instance: Any = None) -> Any:
        return to_instance or MemorySession()

    def process_entities(self, tlo: Any) -> None:
        for entity_id, access_hash, username, phone, name in self._entities_to_rows(tlo):
            if not entity_id:
                continue  # Telethon notes its own id under 0; the record names it.
            row = EntityRow(entity_id, access_hash, username, phone, name)
            if self._rows.get(entity_id) != row:
                self._put(row)
                self._changed[entity_id] = row

    def get_entity_rows_by_id(self, id: int, exact: bool = True) -> tuple[int, int] | None:
        if id == 0:
            return (0, self.account_id) if self.account_id else None
        if isinstance(id, ChannelId):
            return self._row(channel_mark(id))
        if exact:
            return self._row(id)
        marks = (types.PeerUser(id), types.PeerChat(id), types.PeerChannel(id))
        found = (self._row(utils.get_peer_id(peer)) for peer in marks)
        return next((row for row in found if row), None)

    def get_entity_rows_by_username(self, username: str) -> tuple[int, int] | None:
        return self._row(self._by_username.get(username.lower()))

    def get_entity_rows_by_phone(self, phone: str) -> tuple[int, int] | None:
        return self._row(self._by_phone.get(phone.lstrip("+")))

    def get_entity_rows_by_name(self, name: str) -> None:
        """Find nobody: a display name is no address, whoever calls himself `durov`."""

    def _row(self, entity_id: int | None) -> tuple[int, int] | None:
        row = self._rows.get(entity_id) if entity_id is not None else None
        return (row.id, row.access_hash or 0) if row else None

    def get_update_states(self) -> Iterator[tuple[int, Any]]:
        for state in self._states():
            if state.chat_id == ACCOUNT_BOX:
                if state.pts:
                    yield 0, _tl_state(state)
            elif state.chat_id in self._rows:
                yield ChannelId(channel_bare(state.chat_id)), _tl_state(state)

    def set_update_state(self, entity_id: int, state: Any) -> None:
        """Ignore Telethon's word for what was seen: only what was committed counts."""


def _tl_state(state: BoxState) -> Any:
    date = datetime.fromtimestamp(state.date, UTC)
    return types.updates.State(
        pts=state.pts, qts=state.qts, date=date, seq=state.seq, unread_count=0
    )
