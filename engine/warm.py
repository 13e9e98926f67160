"""Carried sessions: connected for a call, kept warm for a while, never needed again.

A session that came without a key, or whose key changed under way, is not kept: the next call
may reach another worker, and no key may be used over two connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from engine.client import HubClient, Wiring
from engine.client_errors import translate
from engine.errors import BadGateway, TooManyCalls
from engine.seam import WorkerContext
from engine.sessions import HubSession, Server
from engine.stored import default_server
from engine.timing import Queue, Timing
from engine.wire import Carried


@dataclass(eq=False)
class Warm:
    """A carried session's client. `opening` ends when it is connected."""

    client: HubClient
    opening: asyncio.Task[None]
    key: bytes | None = field(repr=False)
    users: int = 0
    idle_since: float = 0.0

    @property
    def stays(self) -> bool:
        """Whether the client may serve another call."""
        same = self.key is not None and self.client.session.key == self.key
        return same and bool(self.client.is_connected()) and not self.client.logged_out


class WarmPool:
    """The carried sessions of one worker; bounded and expiring."""

    def __init__(self, context: WorkerContext, turns: Queue, timing: Timing) -> None:
        self._context = context
        self._turns = turns
        self._timing = timing
        warm = context.settings.warm
        self._keeps = warm != 0
        self._most = warm or timing.carried_max
        self._warm: dict[str, Warm] = {}
        self._fresh = 0
        self._ending: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._warm) + self._fresh

    def has(self, ref: Carried) -> bool:
        return ref.fingerprint() in self._warm

    @asynccontextmanager
    async def use(self, ref: Carried) -> AsyncIterator[HubClient]:
        """Lend a connected client. Raises BadGateway, TooManyCalls when the pool is full."""
        name = ref.fingerprint()
        if not name:
            async with self._once(ref) as client:
                yield client
            return
        while ending := self._ending.get(name):
            await asyncio.shield(ending)  # The old connection ends before a new one begins.
        warm = self._warm.get(name)
        if warm is None:
            await self._make_room()
            warm = self._warm.get(name) or self._open(ref, name)
        warm.users += 1
        try:
            await self._opened(warm)
            yield warm.client
        finally:
            warm.users -= 1
            warm.idle_since = self._context.loop.time()
            if not warm.users and not (self._keeps and warm.stays):
                await self._end(name, warm)

    def carried(self, client: HubClient) -> Carried:
        """Return the session as it is now, to be carried on."""
        session: HubSession = client.session
        server = session.server
        return Carried(
            api_id=client.api_id,
            api_hash=client.api_hash,
            dc_id=server.dc_id,
            host=server.host,
            port=server.port,
            auth_key=session.key,
            device=client.device,
        )

    async def close(self, ref: Carried) -> bool:
        name = ref.fingerprint()
        warm = self._warm.get(name)
        if warm is None:
            return False
        await self._end(name, warm)
        return True

    async def close_all(self) -> None:
        for name, warm in list(self._warm.items()):
            await self._end(name, warm)

    async def evict(self) -> None:
        """Close what nobody used for a while."""
        now = self._context.loop.time()
        for name, warm in list(self._warm.items()):
            if not warm.users and now - warm.idle_since > self._timing.carried_idle:
                await self._end(name, warm)

    async def _make_room(self) -> None:
        if len(self) < self._most:
            return
        idle = [(warm.idle_since, name) for name, warm in self._warm.items() if not warm.users]
        if not idle:
            raise TooManyCalls(detail="Too many carried sessions are in use.", seconds=1)
        _, oldest = min(idle)
        await self._end(oldest, self._warm[oldest])

    def _client(self, ref: Carried) -> HubClient:
        server = default_server(self._context)
        if ref.host:
            server = Server(ref.dc_id, ref.host, ref.port)
        return HubClient(
            HubSession(server, auth_key=ref.auth_key),
            api_id=ref.api_id,
            api_hash=ref.api_hash,
            device=ref.device,
            wiring=Wiring(
                key=ref.fingerprint() or "carried",
                floods=self._context.floods,
                check=self._context.guard.check,
                turns=self._turns,
                timing=self._timing,
            ),
        )

    def _open(self, ref: Carried, name: str) -> Warm:
        client = self._client(ref)
        opening = asyncio.create_task(client.connect(), context=contextvars.Context())
        warm = self._warm[name] = Warm(client, opening, ref.auth_key)
        return warm

    async def _opened(self, warm: Warm) -> None:
        try:
            # One caller that gives up does not take the connection from the others.
            await asyncio.shield(warm.opening)
        except Exception as error:
            raise translate(error) or BadGateway() from error

    @asynccontextmanager
    async def _once(self, ref: Carried) -> AsyncIterator[HubClient]:
        await self._make_room()
        client = self._client(ref)
        self._fresh += 1
        try:
            try:
                await client.connect()
            except Exception as error:
                raise translate(error) or BadGateway() from error
            yield client
        finally:
            self._fresh -= 1
            with contextlib.suppress(Exception):
                await client.disconnect()

    async def _end(self, name: str, warm: Warm) -> None:
        if self._warm.get(name) is not warm:
            return
        del self._warm[name]
        task = asyncio.create_task(self._disconnect(warm), context=contextvars.Context())
        self._ending[name] = task
        task.add_done_callback(lambda _: self._ending.pop(name, None))
        await asyncio.shield(task)

    async def _disconnect(self, warm: Warm) -> None:
        warm.opening.cancel()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await warm.opening
        with contextlib.suppress(Exception):
            await warm.client.disconnect()
        if warm.key is not None:
            self._context.floods.forget(warm.client.wiring.key)
