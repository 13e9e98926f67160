"""The connection below a client: sender and transport, told what the hub knows.

Telethon re-sends what was under way after a reconnect, also what nobody waits for any more, and
leaves what was still queued without an answer after a disconnect. A link sends nothing late:
each packet asks the lease, cancelled requests are dropped, the rest fails at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from telethon.network import ConnectionTcpFull, MTProtoSender
from telethon.network.connection import ConnectionTcpMTProxyRandomizedIntermediate
from telethon.tl.functions import PingRequest

from engine.errors import EngineError
from engine.store import Proxy
from engine.timing import Queue

FRUITLESS_TRIES = 3
"""New connections in a row on which nothing is heard, before the supervisor takes over."""


def transport(proxy: Proxy | None, check: Callable[[], None]) -> type:
    """Return the connection class for a session; `check` raises when nothing may be sent."""
    mtproxy = proxy is not None and proxy.kind == "mtproxy"
    base: Any = ConnectionTcpMTProxyRandomizedIntermediate if mtproxy else ConnectionTcpFull

    class Transport(base):  # type: ignore[misc]
        """A TCP connection to Telegram, straight or through a proxy."""

        def _send(self, data: bytes) -> None:
            # A thawed process finds old packets to acknowledge; its lease may be over by now.
            try:
                check()
            except EngineError as error:
                raise ConnectionError(f"Nothing may be sent: {error.code}") from None
            super()._send(data)

        async def _proxy_connect(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await super()._proxy_connect(*args, **kwargs)
            except (TimeoutError, OSError):
                raise
            except Exception as error:  # python-socks has errors of its own
                raise ConnectionError(f"The proxy refused: {type(error).__name__}") from None

        def abort(self) -> None:
            """Close at once: a half-dead peer takes no last bytes."""
            if self._writer is not None and self._writer.transport is not None:
                self._writer.transport.abort()

    Transport.__name__ = base.__name__
    return Transport


def proxy_argument(proxy: Proxy | None) -> tuple[Any, ...] | None:
    """Return the proxy as Telethon takes it."""
    if proxy is None:
        return None
    if proxy.kind == "mtproxy":
        return proxy.host, proxy.port, proxy.secret or ""
    return proxy.kind, proxy.host, proxy.port, True, proxy.username, proxy.password


class Sender(MTProtoSender):  # type: ignore[misc]
    """A sender that comes back in turn and does nothing late."""

    def __init__(self, *args: Any, turns: Queue, pause: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turns = turns
        self._pause = pause
        self._returning = False
        self._heard = False
        self._fruitless = 0

    @property
    def up(self) -> bool:
        """Whether the transport stands right now."""
        return bool(self._transport_connected())

    def renew(self) -> None:
        """Give the transport up and connect again; what is under way is sent again."""
        if self._user_connected and not self._comes_back:
            if self._connection is not None:
                self._connection.abort()
            self._start_reconnect(ConnectionError("Telegram does not answer."))

    @property
    def _comes_back(self) -> bool:
        task = self._reconnect_task
        return bool(self._reconnecting) or (task is not None and not task.done())

    def _start_reconnect(self, error: Any) -> None:
        # Telethon clears its mark before it connects: two would connect at the same time.
        if not self._comes_back:
            super()._start_reconnect(error)

    def drop_cancelled(self) -> None:
        """Forget queued requests that nobody waits for any more."""
        queue = self._send_queue._deque
        if any(state.future.cancelled() for state in queue):
            waiting = [state for state in queue if not state.future.cancelled()]
            queue.clear()
            queue.extend(waiting)

    async def _reconnect(self, last_error: Any) -> None:
        self._returning = True
        # Those that Telegram never confirmed: without their callers they are not sent again.
        for msg_id, state in list(self._pending_state.items()):
            if state.future.cancelled():
                del self._pending_state[msg_id]
        self._ping = None
        # A server that accepts and hangs up would be connected to in an endless hurry.
        self._fruitless = 0 if self._heard else self._fruitless + 1
        self._heard = False
        if self._fruitless > FRUITLESS_TRIES:
            self._reconnecting = False
            await self._disconnect(error=last_error or ConnectionError("Telegram hangs up."))
            return
        await super()._reconnect(last_error)

    async def _connect(self) -> None:
        if self._returning:
            self._returning = False
            await asyncio.sleep(self._turns.wait() + self._pause * self._fruitless)
            self.drop_cancelled()
        await super()._connect()

    async def _process_message(self, message: Any) -> None:
        self._heard = True
        await super()._process_message(message)

    async def _disconnect(self, error: Any = None) -> None:
        failure = error or ConnectionError("The connection was closed.")
        queue = self._send_queue._deque
        for state in (*self._pending_state.values(), *queue):
            if state.future.done():
                continue
            if isinstance(state.request, PingRequest):
                state.future.cancel()  # Nobody awaits a ping.
            else:
                with contextlib.suppress(asyncio.InvalidStateError):
                    state.future.set_exception(failure)
        queue.clear()
        await super()._disconnect(error=error)
        ended = self._disconnected
        if ended.done() and not ended.cancelled():
            ended.exception()  # Told to those who waited; asyncio need not tell it again.
