"""WebSockets as the hub serves them: pings of the application's own, and bounded input."""

import logging
from typing import Any

from daphne.ws_protocol import WebSocketProtocol

logger = logging.getLogger(__name__)

# Frames of one client that wait for the application; each may have 64 KiB.
WAITING_FRAMES = 256


class Socket(WebSocketProtocol):  # type: ignore[misc]
    """A WebSocket whose application may send pings and is told of the pongs.

    Beyond ASGI: `{"type": "websocket.ping", "bytes": payload}` from the application, the same
    payload in `websocket.pong` to it.
    """

    def handle_reply(self, message: dict[str, Any]) -> None:
        if message.get("type") != "websocket.ping":
            super().handle_reply(message)
        elif self.state == self.STATE_OPEN:
            self.sendPing(message["bytes"])

    def onPong(self, payload: bytes) -> None:  # noqa: N802 (Autobahn's name)
        if not self.muted and self._may_hand_over():
            self.application_queue.put_nowait({"type": "websocket.pong", "bytes": payload})

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        if self._may_hand_over():
            super().onMessage(payload, isBinary)

    def _may_hand_over(self) -> bool:
        """Cut off a client who sends faster than the application takes it in."""
        waiting = getattr(self, "application_queue", None)
        if waiting is None:
            return False
        if waiting.qsize() < WAITING_FRAMES:
            return True
        logger.info("A client sent more frames than could be taken in and was cut off")
        self.transport.abortConnection()
        return False
