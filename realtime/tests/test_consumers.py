"""What a socket does by the clock, and with more than it can take; the rest is in tests/."""

import asyncio

import pytest
from channels.testing import WebsocketCommunicator

from realtime import consumers
from realtime.consumers import TelegramConsumer


@pytest.fixture
async def socket():
    found = WebsocketCommunicator(TelegramConsumer.as_asgi(), "/ws/telegram/")
    assert (await found.connect(timeout=30))[0]
    yield found
    await found.send_input({"type": "websocket.disconnect", "code": 1000})
    await found.wait(30)


async def closed(socket: WebsocketCommunicator) -> int:
    """Wait for the socket to be closed; return the code."""
    while True:
        message = await socket.receive_output(30)
        if message["type"] == "websocket.close":
            return int(message["code"])


async def test_without_a_login_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "LOGIN_SECONDS", 0.05)
    found = WebsocketCommunicator(TelegramConsumer.as_asgi(), "/ws/telegram/")
    assert (await found.connect(timeout=30))[0]
    assert await found.receive_output(30) == {"type": "websocket.close", "code": 4408}
    await found.send_input({"type": "websocket.disconnect", "code": 4408})
    await found.wait(30)


async def test_frames_beyond_the_rate_close(socket: WebsocketCommunicator) -> None:
    for _ in range(consumers.BURST_FRAMES + 30):
        await socket.send_to('{"event": "ping"}')
    assert await closed(socket) == 4429


async def test_a_stop_tells_the_client_to_come_back() -> None:
    sent: list[dict[str, object]] = []
    received: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "websocket", "headers": [], "client": ("127.0.0.1", 1)}
    serving = asyncio.create_task(TelegramConsumer.as_asgi()(scope, received.get, send))
    async with asyncio.timeout(30):
        while not sent:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert sent[-1] == {"type": "websocket.close", "code": 1012}
