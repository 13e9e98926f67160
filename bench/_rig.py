"""What the benches of histories share: a Telegram, hubs, and a client that only reads."""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench._telegram import PHONE
from sandbox.client import Control
from tests.hub import ROOT, Hub, hub_process

SESSION = "bench"


class Program:
    """A module of the bench's in a process of its own; it is talked to in lines."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None and process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def tell(self, line: str) -> None:
        self._stdin.write(f"{line}\n")
        self._stdin.flush()

    def hear(self) -> str:
        """Wait for its next line; raises EOFError when it has ended."""
        line = self._stdout.readline()
        if not line:
            raise EOFError("A program of the bench's has ended.")
        return line.rstrip("\n")

    def let_go(self) -> None:
        """Close its input, on which it ends."""
        self._stdin.close()

    def finish(self) -> None:
        """Let it go, and read what it still has to say."""
        self.let_go()
        self._stdout.read()


@contextlib.contextmanager
def program(
    module: str, *arguments: object, environment: dict[str, str] | None = None
) -> Iterator[Program]:
    """Run a module of the bench's until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", f"bench.{module}", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    ) as process:
        running = Program(process)
        try:
            yield running
        finally:
            running.finish()


@dataclass(frozen=True, slots=True)
class Telegram:
    """The sandbox's process, as `tests.hub.Hub` takes it; `peer` is the channel."""

    program: Program
    dc: str
    public_key_file: Path
    control_port: int
    peer: int
    control: Control

    def login_code(self, phone: str) -> str:
        return self.control.login_code(phone)

    @property
    def words(self) -> tuple[str, str, str]:
        """What a yardstick wants to know: see `bench._account.run`."""
        return self.dc, str(self.public_key_file), str(self.control_port)


@contextlib.contextmanager
def telegram(*arguments: object, module: str = "_telegram") -> Iterator[Telegram]:
    """Run a sandbox in a process of its own: `bench._telegram POSTS`, or another module."""
    with program(module, *arguments) as process:
        facts: dict[str, Any] = json.loads(process.hear())
        with Control(facts["control_port"]) as control:
            yield Telegram(
                process,
                facts["dc"],
                Path(facts["public_key_file"]),
                facts["control_port"],
                facts["peer"],
                control,
            )


@contextlib.contextmanager
def hub(server: Telegram) -> Iterator[Hub]:
    """Yield a fresh hub, one session of which is logged in."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        environment = {**os.environ, "DATA_DIR": name}
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            env=environment,
            cwd=ROOT,
            check=True,
        )
        with hub_process(directory, server, LOG_LEVEL="warning") as running:
            running.log_in(SESSION, PHONE, server.login_code)
            running.wait_connected(SESSION)
            yield running


def drain(running: Hub, path: str, *, first: bool = False) -> tuple[float, int, bytes]:
    """Read an answer to its end (or its `first` data); return the seconds, size, last bytes.

    A bare socket: the client costs next to nothing of the machine that it shares.
    """
    address = urlsplit(running.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        request = ask(address.netloc, path)
        started = time.perf_counter()
        connection.sendall(request)
        size, tail = 0, b""
        while chunk := connection.recv(1 << 18):
            size += len(chunk)
            tail = (tail + chunk)[-1000:]
            if first and b"data:" in chunk:
                break
        return time.perf_counter() - started, size, tail


def ask(host: str, path: str) -> bytes:
    """Return the request of a stream, after which the hub closes the connection."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"X-Telegram-Username: {SESSION}\r\nAccept: text/event-stream\r\n\r\n"
    ).encode()


def p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def ended(tail: bytes) -> dict[str, int]:
    """Return what `event: end` said of a stream; raises ValueError when there was none."""
    start = tail.rindex(b"event: end")
    body = tail[start:].split(b"data: ", 1)[1].split(b"\n", 1)[0]
    found: dict[str, int] = json.loads(body)
    return found


__all__ = [
    "SESSION",
    "Program",
    "Telegram",
    "ask",
    "drain",
    "ended",
    "hub",
    "p99",
    "program",
    "telegram",
]
