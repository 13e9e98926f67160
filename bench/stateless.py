"""Warm stateless sends beside bare Telethon, the cold cost of a token, memory per warm token.

Telegram answers after 20 ms, as it does from a good data centre; `bench/` runs both sides
against the same sandbox, one after the other.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

import psutil

from bench import _account
from bench._rig import Telegram, telegram
from bench._telegram import PHONE
from engine.sessions import trust_key
from tests.hub import Hub, hub_process

SENDS = int(os.environ.get("BENCH_SENDS", "1000"))
TOKENS = 16
LATENCY_SECONDS = 0.02
RATIOS = [("warm", "telethon"), ("warm_loopback", "telethon_loopback")]


def measure() -> dict[str, float]:
    with telegram(10) as server, tempfile.TemporaryDirectory(prefix="bench-") as name:
        trust_key(server.public_key_file)
        rates = {"TGHUB_WARM_SESSIONS": "64", "LOG_LEVEL": "warning"}
        hub = Hub(Path(name), server, **rates)
        hub.manage("migrate", "--verbosity", "0")
        hub.close()
        with hub_process(Path(name), server, **rates) as running:
            headers = {"X-Session-String": _log_in(running, server)}
            figures = _cold(running, headers) | _memory(running, server)
            figures["warm_loopback"] = _sends(running, headers)
            figures["telethon_loopback"] = _bare(server)
            server.control.faults.latency(LATENCY_SECONDS, method="messages.sendMessage")
            figures["warm"] = _sends(running, headers)
            figures["telethon"] = _bare(server)
    return figures


def _log_in(hub: Hub, server: Telegram, phone: str = PHONE) -> str:
    body = {"phone": phone, "api_id": _account.API[0], "api_hash": _account.API[1]}
    text = hub.post("/auth/send_code", body).json()["session_string"]
    code = {"code": server.login_code(phone)}
    answer = hub.post("/auth/verify_code", code, headers={"X-Session-String": text}).json()
    return str(answer["session_string"])


def _sends(hub: Hub, headers: dict[str, str]) -> float:
    """Return the rate of sequential sends; what limits count starts anew each minute."""
    started, waited = time.perf_counter(), 0.0
    for number in range(SENDS):
        body = {"chat_id": "me", "text": f"bench {number}"}
        answer = hub.post("/messages/send", body, headers=headers)
        while answer.status_code == 429:
            pause = time.perf_counter()
            time.sleep(float(answer.headers["Retry-After"]))
            waited += time.perf_counter() - pause
            answer = hub.post("/messages/send", body, headers=headers)
        assert answer.status_code == 200, answer.text
    return SENDS / (time.perf_counter() - started - waited)


def _bare(server: Telegram) -> float:
    async def run() -> float:
        client = await _account.log_in(server.dc, server.control_port, PHONE, receive_updates=False)
        await client.send_message("me", "first")
        started = time.perf_counter()
        for number in range(SENDS):
            await client.send_message("me", f"bench {number}")
        seconds = time.perf_counter() - started
        await client.log_out()
        return SENDS / seconds

    return asyncio.run(run())


def _cold(hub: Hub, headers: dict[str, str]) -> dict[str, float]:
    """Return the seconds of a token's first call after a start, and of its second."""
    hub.stop()
    hub.start()
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        hub.get("/chats?limit=1", headers=headers)
        seconds.append(time.perf_counter() - started)
    return {"cold_s": seconds[0], "second_s": seconds[1]}


def _memory(hub: Hub, server: Telegram) -> dict[str, float]:
    """Return the memory of one more warm token, in kB."""
    phones = [f"+1555090{number:04}" for number in range(TOKENS)]
    for number, phone in enumerate(phones):
        server.control.world.add_user(f"Bench {number}", phone=phone)
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    first = {"X-Session-String": _log_in(hub, server, phones[0])}
    hub.get("/chats?limit=1", headers=first)
    before = process.memory_info().rss
    for phone in phones[1:]:
        headers = {"X-Session-String": _log_in(hub, server, phone)}
        hub.get("/chats?limit=1", headers=headers)
    return {"warm_kb": (process.memory_info().rss - before) / 1024 / (TOKENS - 1)}
