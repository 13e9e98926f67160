"""The data centres: listeners, auth keys, sessions, and pushing updates to clients."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox import tl
from sandbox.authkeys import AuthKey
from sandbox.calls import CallLog
from sandbox.connection import Connection
from sandbox.faults import Faults
from sandbox.keys import ServerKey
from sandbox.rpc import DcOption, Origin, load_methods
from sandbox.session import Session
from sandbox.world.model import Authorization

if TYPE_CHECKING:
    from sandbox.world import World

T = TypeVar("T")
MAIN_DC = 2
SESSION_SECONDS = 60
REORDER_SECONDS = 0.05


class DataCentres:
    """Several DCs on one loop, sharing one world; implements `rpc.Server`.

    It can be started again after `stop` and knows its keys then, as a data centre does.
    """

    main_dc = MAIN_DC

    def __init__(self, world: World, server_key: ServerKey, faults: Faults, calls: CallLog) -> None:
        self.world = world
        self.server_key = server_key
        self.faults = faults
        self.calls = calls
        self.keys: dict[int, AuthKey] = {}
        self.crashes: list[Exception] = []
        self.connections: set[Connection] = set()
        self.changed: Callable[[], None] = lambda: None  # keys or logins changed
        self._options: list[DcOption] = []
        self._listeners: list[asyncio.Server] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._running = False
        self._pushes: deque[Callable[[], None]] = deque()
        self._users: defaultdict[int, set[Session]] = defaultdict(set)
        self._bound: dict[Session, int] = {}
        self._held: dict[Session, list[bytes]] = {}

    # Starting and stopping

    async def start(self, host: str, dcs: int, ports: Sequence[int] = ()) -> None:
        """Listen for DC 1 to `dcs`, on the given ports or free ones."""
        load_methods()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._running = True
        self.faults.attach(self)
        self.world.updates.sink = self.push
        self.world.updates.key_sink = self.push_to_key
        self.world.updates.key_sink = self.push_to_key
        self._options = []
        for dc in range(1, dcs + 1):
            port = ports[dc - 1] if dc <= len(ports) else 0
            listener = await self._loop.create_server(partial(Connection, self, dc), host, port)
            self._listeners.append(listener)
            self._options.append(DcOption(dc, host, listener.sockets[0].getsockname()[1]))

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        self._running = False
        self._pushes.clear()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        tasks: list[asyncio.Task[None]] = []
        for key in self.keys.values():
            for session in list(key.sessions.values()):
                tasks += session.running.values()
                session.close()
                self.forget_session(session)
        for connection in list(self.connections):
            connection.close()
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    def run(self, action: Callable[[], T]) -> T:
        """Run `action` on the loop, from any thread, and return its result."""
        assert self._loop is not None
        if threading.get_ident() == self._thread:
            return action()
        done: Future[T] = Future()

        def call() -> None:
            try:
                done.set_result(action())
            except Exception as error:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(call)
        return done.result(timeout=30)

    @property
    def dc_options(self) -> Sequence[DcOption]:
        return self._options

    # Connections

    def connected(self, connection: Connection) -> None:
        self.connections.add(connection)
        match self.faults.on_connect(connection.dc):
            case "refused":
                connection.close()
            case "silent":
                connection.silent = True

    def disconnected(self, connection: Connection) -> None:
        self.connections.discard(connection)
        assert self._loop is not None
        for session in connection.sessions:
            if session.connection is connection:
                session.connection = None
                self._loop.call_later(SESSION_SECONDS, self._expire, session)

    def for_connections(
        self, user_id: int | None, dc: int | None, action: Callable[[Connection], None]
    ) -> None:
        """Do `action` to the present connections of a user and of a DC (None: of all)."""

        def act() -> None:
            for connection in list(self.connections):
                users = {self._user_of(session) for session in connection.sessions}
                if dc in (None, connection.dc) and (user_id is None or user_id in users):
                    action(connection)

        self.run(act)

    def describe_connections(self) -> list[dict[str, Any]]:
        """Return the present connections as JSON."""
        return [
            {
                "dc": connection.dc,
                "ip": connection.ip,
                "transport": connection.framing.variant,
                "silent": connection.silent,
                "auth_key_ids": sorted({one.key.key_id for one in connection.sessions}),
                "user_ids": sorted({self._user_of(one) or 0 for one in connection.sessions} - {0}),
                "clients": [asdict(one.key.client) for one in connection.sessions],
            }
            for connection in self.connections
        ]

    # Keys and sessions

    def accept_key(self, key: AuthKey) -> bool:
        """Keep a new key; False when its id is taken."""
        if key.key_id in self.keys:
            return False
        self.keys[key.key_id] = key
        self.authorization(key)
        self.changed()
        return True

    def authorization(self, key: AuthKey) -> Authorization:
        """Return the world's record of who uses a key."""
        found = self.world.authorizations.get(key.key_id)
        if found is None:
            found = Authorization(auth_key_id=key.key_id, dc=key.dc, client=key.client)
            self.world.authorizations[key.key_id] = found
        return found

    def session(self, key: AuthKey, session_id: int) -> Session:
        session = key.sessions.get(session_id)
        if session is None:
            assert self._loop is not None
            session = key.sessions[session_id] = Session(key, session_id, self._loop)
        return session

    def forget_session(self, session: Session) -> None:
        """Drop a session; what it still runs is finished, but nobody hears of it."""
        session.key.sessions.pop(session.session_id, None)
        self._held.pop(session, None)
        self._unbind(session)

    def _expire(self, session: Session) -> None:
        if session.connection is None:
            self.forget_session(session)

    def bind(self, session: Session) -> int | None:
        """Note who uses a session, so that updates find it; return the user."""
        user_id = self._user_of(session)
        if self._bound.get(session) != user_id:
            for other in session.key.sessions.values():
                self._unbind(other)
                if user_id is not None:
                    self._bound[other] = user_id
                    self._users[user_id].add(other)
            self.changed()
        return user_id

    def _unbind(self, session: Session) -> None:
        user_id = self._bound.pop(session, None)
        if user_id is not None:
            self._users[user_id].discard(session)

    def _user_of(self, session: Session) -> int | None:
        found = self.world.authorizations.get(session.key.key_id)
        return found.user_id if found else None

    def check_duplicates(self, session: Session) -> None:
        """Kill the key of a session that is used from elsewhere at the same time, if asked to."""
        mode, connection = self.faults.duplicates, session.connection
        if not mode or connection is None:
            return
        for other in session.key.sessions.values():
            rival = other.connection
            if rival is None or rival is connection or not other.announced:
                continue
            if mode == "connection" or rival.ip != connection.ip:
                record = self.authorization(session.key)
                self.world.log_out(record, refusal="AUTH_KEY_DUPLICATED")
                self.changed()
                return

    def revoke(self, user_id: int | None, auth_key_id: int | None, error: str) -> int:
        """End authorisations; their calls answer 401 `error`. Return how many."""
        count = 0
        for key in self.keys.values():
            record = self.authorization(key)
            if auth_key_id == key.key_id or (user_id is not None and record.user_id == user_id):
                self.world.log_out(record, refusal=error)
                count += 1
        self.changed()
        return count

    def forget(self, user_id: int | None, auth_key_id: int | None) -> int:
        """Forget the keys of a user or one key; return how many."""
        gone = [
            key.key_id
            for key in self.keys.values()
            if auth_key_id == key.key_id
            or (user_id is not None and self.authorization(key).user_id == user_id)
        ]
        for key_id in gone:
            self._destroy(key_id)
        return len(gone)

    def rotate_salts(self) -> None:
        for key in self.keys.values():
            key.rotate_salts()

    def drop_key(self, auth_key_id: int) -> None:
        """Close the connections of a key once the answers under way have left."""
        self._soon(lambda: self._drop(auth_key_id))

    def destroy_key(self, auth_key_id: int) -> None:
        """Forget a key and close its connections."""
        self._soon(lambda: self._destroy(auth_key_id))

    def _destroy(self, auth_key_id: int) -> None:
        self._drop(auth_key_id)
        record = self.world.authorizations.get(auth_key_id)
        if record is not None:
            self.world.log_out(record)
            del self.world.authorizations[auth_key_id]
        key = self.keys.pop(auth_key_id, None)
        for session in list(key.sessions.values()) if key else []:
            self.forget_session(session)
        self.changed()

    def _drop(self, auth_key_id: int) -> None:
        key = self.keys.get(auth_key_id)
        for session in list(key.sessions.values()) if key else []:
            if session.connection is not None:
                session.connection.close()

    def _soon(self, action: Callable[[], None]) -> None:
        """Run `action` after the loop has had time to write what is queued."""
        assert self._loop is not None
        loop = self._loop
        loop.call_soon_threadsafe(lambda: loop.call_later(0.02, action))

    # Updates

    def push(self, user_id: int, updates: Any, *, exclude: Origin | None = None) -> None:
        """Send `updates` to each connection of a user that wants them."""
        body = tl.write(updates)
        self._enqueue(lambda: self._push(user_id, body, exclude))

    def push_to_key(self, auth_key_id: int, updates: Any) -> None:
        """Send `updates` to the connections of one key, logged in or not."""
        body = tl.write(updates)
        self._enqueue(lambda: self._push_to_key(auth_key_id, body))

    def _enqueue(self, action: Callable[[], None]) -> None:
        if not self._running or self._loop is None:
            return
        # One queue for all threads keeps the order of pts.
        self._pushes.append(action)
        if threading.get_ident() == self._thread:
            self._drain()
        else:
            with contextlib.suppress(RuntimeError):  # stopped in the meantime
                self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        while self._pushes:
            self._pushes.popleft()()

    def _push(self, user_id: int, body: bytes, exclude: Origin | None) -> None:
        for session in list(self._users.get(user_id, ())):
            origin = Origin(session.key.key_id, session.session_id)
            if origin != exclude and self._user_of(session) == user_id:
                self._deliver(session, user_id, body)

    def _push_to_key(self, auth_key_id: int, body: bytes) -> None:
        key = self.keys.get(auth_key_id)
        for session in list(key.sessions.values()) if key else []:
            if session.updates and session.connection is not None:
                session.send(body)

    def _deliver(self, session: Session, user_id: int, body: bytes) -> None:
        if session.connection is None:
            # It has missed something: a client that comes back has to hear of a new session.
            self.forget_session(session)
            return
        if not session.updates:
            return
        match self.faults.update_fate(user_id):
            case "lost":
                return
            case "duplicated":
                session.send(body)
            case "reordered":
                self._hold(session, body)
                return
        session.send(body)
        self._release(session)

    def _hold(self, session: Session, body: bytes) -> None:
        """Keep an update back until the next one has gone, or for a moment."""
        assert self._loop is not None
        self._held.setdefault(session, []).append(body)
        self._loop.call_later(REORDER_SECONDS, self._release, session)

    def _release(self, session: Session) -> None:
        for body in self._held.pop(session, ()):
            session.send(body)
