"""A stored session's link to Telegram: what the supervisor opens, watches and closes."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from typing import Any

from telethon import types

from engine.client import HubClient, Wiring
from engine.client_errors import translate
from engine.errors import BadGateway, EngineError, Unavailable
from engine.floods import CallContext, enter_call
from engine.ingest import Ingest
from engine.ingest_holes import dialogs_request
from engine.seam import WorkerContext
from engine.sessions import HubSession, Server
from engine.store import SessionRecord
from engine.timing import Queue, Timing

logger = logging.getLogger(__name__)

FIRST_DIALOGS = 1000
"""How many chats are read at a session's first start, to know where its channels stand."""

OPEN_TRIES_FACTOR = 4
"""How much longer than one connection a whole opening may take."""


def default_server(context: WorkerContext) -> Server:
    """Return the data centre for new sessions: the settings' one, or Telegram's own."""
    dc = context.settings.dc
    return Server.parse("") if dc is None else Server(dc.id, dc.host, dc.port)


class StoredLink:
    """One stored session. Implements `supervisor.Link`."""

    def __init__(
        self, session_id: int, context: WorkerContext, turns: Queue, timing: Timing
    ) -> None:
        self.session_id = session_id
        self._context = context
        self._turns = turns
        self._timing = timing
        self._record: SessionRecord | None = None
        self._client: HubClient | None = None
        self._session: HubSession | None = None
        self._ingest: Ingest | None = None
        self._ready = False
        self._lost: asyncio.Future[EngineError] | None = None
        self._reconciling: asyncio.Task[None] | None = None
        self._reconciled_at = float("-inf")

    @property
    def opened(self) -> bool:
        return self._client is not None

    @property
    def client(self) -> HubClient:
        """Return the client; Unavailable before the first opening."""
        if self._client is None:
            raise Unavailable()
        return self._client

    @property
    def lost(self) -> EngineError | None:
        """Return what Telegram said when it ended the session, None while it has not."""
        lost = self._lost
        return lost.result() if lost is not None and lost.done() and not lost.cancelled() else None

    # What the supervisor looks at.

    @property
    def logged_in(self) -> bool:
        return self._ready and not (self._client is not None and self._client.logged_out)

    @property
    def up(self) -> bool:
        return self._client is not None and self._client.up

    @property
    def pts(self) -> int | None:
        return self._client.pts if self._client is not None else None

    @property
    def behind(self) -> bool:
        return self._ingest is not None and self._ingest.behind

    @property
    def fault(self) -> EngineError | None:
        error = self._client.fault if self._client is not None else None
        if error is None:
            return None
        return translate(error) or BadGateway("updates_stopped", "Updates are not read any more.")

    def renew(self) -> None:
        self.client.renew()

    async def remote_pts(self) -> int | None:
        if not self._ready:
            return None
        enter_call(_AT_ONCE)
        if self._context.floods.remaining(self.session_id, "updates.getState") > 0:
            return None
        with _translated():
            state = await self.client.state()
        return int(state.pts)

    async def gone(self) -> EngineError:
        client, lost = self.client, self._lost
        assert lost is not None
        while True:
            ended = client.ended
            either: set[asyncio.Future[Any]] = {lost, ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                return lost.result()
            if not client.switching:
                break
            await client.switched()
        cause = client.fault or (None if ended.cancelled() else ended.exception())
        return (translate(cause) if cause else None) or BadGateway()

    # Opening and closing.

    async def open(self) -> None:
        enter_call(_AT_ONCE)
        try:
            with _translated():
                async with asyncio.timeout(self._timing.connect * OPEN_TRIES_FACTOR):
                    await self._open()
        except BaseException:
            with contextlib.suppress(Exception):
                await self.close()
            raise

    async def _open(self) -> None:
        self._context.guard.check()
        store, database = self._context.store, self._context.database
        await database.run(store.claim, self.session_id)
        record = await database.run(store.load, self.session_id)
        self._context.floods.load(self.session_id, record.floods)
        if not self._fits(record):
            self._make(record)
        self._record = record
        self._ready = record.state == "ready"
        self._lost = asyncio.get_running_loop().create_future()
        client = self.client
        await client.connect()
        if self._ready:
            await client.greet()
            self._start_ingest()

    def _fits(self, record: SessionRecord) -> bool:
        """Whether the client at hand is that of this record still."""
        old, session = self._record, self._session
        if self._client is None or old is None or session is None or self._client.logged_out:
            return False
        same = (old.api_id, old.api_hash, old.device, old.proxy) == (
            record.api_id,
            record.api_hash,
            record.device,
            record.proxy,
        )
        return same and session.key == record.auth_key and old.account_id == record.account_id

    def _make(self, record: SessionRecord) -> None:
        server = default_server(self._context)
        if record.host:
            server = Server(record.dc_id, record.host, record.port)
        # Before a login it is not known whose account it will be; access hashes are one account's.
        known = record.state == "ready"
        session = HubSession(
            server,
            auth_key=None if record.state == "expired" else record.auth_key,
            account_id=record.account_id if known else None,
            entities=record.entities if known else (),
            states=lambda: ingest.states,
        )
        ingest = Ingest(
            self.session_id,
            session,
            self._context.sink,
            boxes=record.boxes if known else (),
            timing=self._timing,
        )
        self._session, self._ingest = session, ingest
        self._client = HubClient(
            session,
            api_id=record.api_id or self._context.settings.api_id or 0,
            api_hash=record.api_hash or self._context.settings.api_hash,
            device=record.device,
            proxy=record.proxy,
            wiring=Wiring(
                key=self.session_id,
                floods=self._context.floods,
                check=self._context.guard.check,
                turns=self._turns,
                timing=self._timing,
                ingest=ingest,
                on_key=self._save_key,
                on_login=self._logged_in,
                on_error=self._notice,
                on_return=self._reconcile_soon,
            ),
        )
        ingest.ask = self._client

    async def close(self) -> None:
        if self._reconciling is not None:
            self._reconciling.cancel()
        if self._client is not None:
            with contextlib.suppress(Exception):
                await self._client.disconnect()
        stored = self._ingest is None or await self._ingest.stop(self._timing.drain)
        if not stored:
            logger.info("Session %s: what was not stored is asked for again", self.session_id)
        try:
            # A database that did not answer until now is not waited for any longer.
            async with asyncio.timeout(None if stored else self._timing.drain / 2):
                await self.flush()
        except TimeoutError:
            logger.info("Session %s: new entities were not stored", self.session_id)

    async def flush(self) -> None:
        """Store entities that are new."""
        if self._session is None or not self._ready:
            return
        rows = self._session.take_changed()
        if not rows:
            return
        try:
            await self._context.database.run(
                self._context.store.save_entities, self.session_id, rows
            )
        except Exception as error:
            self._session.put_back(rows)
            logger.warning(
                "Session %s: entities were not stored: %s", self.session_id, type(error).__name__
            )

    def status(self) -> dict[str, Any]:
        """Return facts as JSON."""
        if self._session is None or self._ingest is None:
            return {}
        counts = self._ingest.counts
        return {
            "dc_id": self._session.dc_id,
            "account_id": self._session.account_id,
            "pts": self.pts,
            "waiting_updates": self._ingest.waiting,
            "events": counts.events,
            "holes": counts.holes,
            "refilled_messages": counts.refilled,
        }

    # What the client tells.

    async def _save_key(self, session: HubSession) -> None:
        server = session.server
        await self._context.database.run(
            self._context.store.save_key,
            self.session_id,
            dc_id=server.dc_id,
            host=server.host,
            port=server.port,
            auth_key=session.key,
        )

    async def _logged_in(self, _: int) -> None:
        assert self._ingest is not None
        self._ready = True
        self._ingest.begin_account(self.client.account_state)
        self._start_ingest()

    def _notice(self, error: Exception) -> None:
        ours = translate(error)
        lost = self._lost
        if ours is not None and ours.expired and self.logged_in and lost and not lost.done():
            lost.set_result(ours)

    # Where channels stand.

    def _start_ingest(self) -> None:
        assert self._ingest is not None
        self._ingest.start()
        self._reconcile_soon()

    def _reconcile_soon(self) -> None:
        """Compare where channels stand with Telegram, unless that was done just now."""
        now = self._context.loop.time()
        if not self._ready or now - self._reconciled_at < self._timing.reconcile_gap:
            return
        if self._reconciling is None or self._reconciling.done():
            self._reconciled_at = now
            self._reconciling = asyncio.create_task(
                self._reconcile(), context=contextvars.Context()
            )

    def reconcile_if_due(self) -> None:
        """Reconcile when the last time is long ago."""
        if self._context.loop.time() - self._reconciled_at >= self._timing.reconcile and self.up:
            self._reconcile_soon()

    async def _reconcile(self) -> None:
        """Ask for the difference of each channel that Telegram is ahead in.

        The account's own difference tells of channels only while Telegram remembers that it
        should; a crash between the two would hide a channel's news until its next message.
        """
        client, ingest = self.client, self._ingest
        assert ingest is not None
        try:
            if not ingest.follows_channels:
                async for _ in client.iter_dialogs(limit=FIRST_DIALOGS, ignore_migrated=True):
                    pass  # The client learns the channels from each page.
            result = await client(dialogs_request())
            tops = [0]
            for dialog in result.dialogs:
                if not isinstance(dialog, types.Dialog):
                    continue
                if not isinstance(dialog.peer, types.PeerChannel):
                    tops.append(dialog.top_message)
                elif dialog.pts and dialog.pts > (ingest.pts(dialog.peer.channel_id) or 0):
                    client.ask_difference(dialog.peer.channel_id)
            ingest.know_account_top(max(tops))
        except Exception as error:
            logger.info("Session %s was not compared: %s", self.session_id, type(error).__name__)
            self._reconciled_at = float("-inf")


_AT_ONCE = CallContext(id="", method="", flood="raise", background=True)
"""A supervisor does not wait floods out inside a call: it has its own clock."""


@contextlib.contextmanager
def _translated() -> Any:
    """Turn what Telethon and the network raise into EngineError."""
    try:
        yield
    except Exception as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
