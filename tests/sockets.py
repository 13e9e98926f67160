"""A plain WebSocket client for the tests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.hub import Hub

SECONDS = 30.0


class Client:
    """Speaks JSON frames; `data` answers of a frame are compared to the letter."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, event: str, data: Any = None, **more: Any) -> None:
        frame = {"event": event, **more}
        if data is not None:
            frame["data"] = data
        self.socket.send(json.dumps(frame))

    def receive(self, seconds: float = SECONDS) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self.socket.recv(timeout=seconds))
        return frame

    def ask(self, event: str, data: Any = None, **more: Any) -> dict[str, Any]:
        self.send(event, data, **more)
        return self.receive()

    def log_in(self, key: str = "any", session: str | None = None) -> dict[str, Any]:
        data = {"apiKey": key} if session is None else {"apiKey": key, "session": session}
        answer = self.ask("login", data)
        assert answer["data"]["status"] == "success", answer
        return answer

    def frames_until_closed(self, seconds: float = SECONDS) -> list[dict[str, Any]]:
        frames = []
        try:
            while True:
                frames.append(self.receive(seconds))
        except ConnectionClosed:
            return frames

    def close_code(self, seconds: float = SECONDS) -> int | None:
        """Wait for the server to close, without another frame, and return its code."""
        assert self.frames_until_closed(seconds) == []
        return self.socket.close_code

    def until_done(self, group: str) -> list[dict[str, Any]]:
        """Return the frames up to the one that says that a group is done."""
        frames = []
        while True:
            frame = self.receive()
            message = frame["data"]["message"]
            if isinstance(message, dict) and message.get("done") and message["group"] == group:
                assert message["count"] == len(frames) - 1
                return frames
            frames.append(frame)


@contextmanager
def websocket(hub: Hub, path: str = "/ws/telegram/", **options: Any) -> Iterator[Client]:
    """Connect to the hub's WebSocket."""
    url = hub.url.replace("http", "ws", 1) + path
    with connect(url, open_timeout=SECONDS, close_timeout=0.5, **options) as socket:
        yield Client(socket)


def success(event: str, message: Any) -> dict[str, Any]:
    return {"event": event, "data": {"status": "success", "message": message}}


def failed(event: str, message: Any) -> dict[str, Any]:
    return {"event": event, "data": {"status": "failed", "message": message}}
