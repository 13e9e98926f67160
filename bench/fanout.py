"""One event to 500 WebSocket subscribers, beside a bare set of queues on the same server."""

import asyncio
import json
import os
import time
from base64 import b64encode

import httpx

from bench._rig import SESSION, Telegram, hub, program, telegram
from bench.live import wait_followed
from tests.hub import Hub

SOCKETS = 500
EVENTS = 40
RATIOS = [("events", "bare_events")]


class Reader(asyncio.Protocol):
    """A WebSocket client that counts frames and looks at none: its own cost is next to nothing."""

    def __init__(self, frames: list[str]) -> None:
        self._frames = frames
        self._left = b""
        self._wanted = 0
        self._done: asyncio.Future[None] | None = None
        self._open = False
        self.count = 0
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        key = b64encode(os.urandom(16)).decode()
        transport.write(  # type: ignore[attr-defined]
            "GET /ws/telegram/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self._left + data
        if not self._open:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._left = head
                return
            self._open = True
            for frame in self._frames:
                self._send(frame.encode())
            self.opened.set_result(None)
        at = 0
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            if len(data) < start + size:
                break
            at = start + size
            self.count += 1
        self._left = data[at:]
        if self._done is not None and self.count >= self._wanted and not self._done.done():
            self._done.set_result(None)

    def _send(self, payload: bytes) -> None:
        # A mask of zeros leaves the payload as it is.
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
        self._transport.write(b"\x81" + length + bytes(4) + payload)  # type: ignore[attr-defined]

    async def reach(self, count: int) -> None:
        self._wanted, self._done = count, asyncio.get_running_loop().create_future()
        if self.count < count:
            await self._done


def measure() -> dict[str, float]:
    with telegram(module="_pusher") as server, hub(server) as running:
        wait_followed(running)
        ours = asyncio.run(of_hub(running, server))
        with program("_queues", environment=running.environment) as queues:
            yardstick = asyncio.run(of_queues(int(queues.hear().split()[1])))
    return {"events": ours, "bare_events": yardstick}


async def connect(port: int, frames: list[str]) -> list[Reader]:
    loop, readers = asyncio.get_running_loop(), []
    for _ in range(SOCKETS):
        _, reader = await loop.create_connection(lambda: Reader(frames), "127.0.0.1", port)
        await reader.opened
        await asyncio.wait_for(reader.reach(len(frames)), 30)
        readers.append(reader)
    return readers


async def reach(readers: list[Reader], more: int) -> float:
    """Return the moment at which every socket has so many frames more."""
    await asyncio.wait_for(
        asyncio.gather(*(each.reach(each.count + more) for each in readers)), 120
    )
    return time.perf_counter()


async def of_hub(running: Hub, server: Telegram) -> float:
    frames = [
        json.dumps({"event": "login", "data": {"apiKey": "any", "session": SESSION}}),
        json.dumps({"event": "subscribe", "data": {"kinds": ["message.new"]}}),
    ]
    readers = await connect(int(running.url.rpartition(":")[2]), frames)
    for events in (2, EVENTS):  # what is lazy is loaded first
        began = time.perf_counter()
        ended = asyncio.create_task(reach(readers, events))
        await asyncio.sleep(0)
        server.program.tell(f"0 {events}")
        seconds = await ended - began
    for each in readers:
        each._transport.close()
    return EVENTS / seconds


async def of_queues(port: int) -> float:
    readers = await connect(port, [])
    # As long as a frame of the hub's.
    line = json.dumps({"event": "update", "data": {"message": "x" * 500}})
    async with httpx.AsyncClient(timeout=120) as client:
        for events in (2, EVENTS):
            began = time.perf_counter()
            ended = asyncio.create_task(reach(readers, events))
            await asyncio.sleep(0)
            body = "\n".join([line] * events)
            await client.post(f"http://127.0.0.1:{port}/", content=body)
            seconds = await ended - began
    for each in readers:
        each._transport.close()
    return EVENTS / seconds
