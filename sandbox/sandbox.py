"""The sandbox as a thing to start: in a thread of this process, or as the whole process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import uvloop

from sandbox import state
from sandbox.authkeys import AuthKey
from sandbox.calls import CallLog
from sandbox.control import ControlServer
from sandbox.faults import Faults
from sandbox.files import write_private
from sandbox.keys import load_key, process_key
from sandbox.server import MAIN_DC, DataCentres
from sandbox.world import World

if TYPE_CHECKING:
    from sandbox.world.model import User

logger = logging.getLogger(__name__)
SAVE_SECONDS = 0.2


class Sandbox:
    """A Telegram on loopback; every attribute and verb may be used from any thread.

    `dc` and `public_key_file` are what `TELEGRAM_DC` and `TELEGRAM_DC_PUBLIC_KEY` take.
    `world` changes what there is (posts, edits, joins, ...), `faults` what goes wrong,
    `calls` tells what was asked. It can be started again after `stop`, on the same ports
    and with the same keys, as a data centre that was away.

    `key_file` keeps the RSA key (else it is the process's), `state_file` the auth keys and
    logins across processes.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        dcs: int = 2,
        host: str = "127.0.0.1",
        world: World | None = None,
        key_file: Path | None = None,
        state_file: Path | None = None,
        ports: Sequence[int] = (),
        control_port: int = 0,
    ) -> None:
        if dcs < MAIN_DC:
            raise ValueError(f"there are at least {MAIN_DC} data centres")
        self.host = host
        self.world = world if world is not None else World.generate(seed, dcs=dcs)
        self.faults = Faults(seed)
        self.calls = CallLog()
        self.control_port = control_port
        server_key = load_key(key_file) if key_file else process_key()
        self.public_key_pem = server_key.public_pem
        self.server = DataCentres(self.world, server_key, self.faults, self.calls)
        self._dcs = dcs
        self._ports: list[int] = list(ports)
        self.saved = threading.Event()  # set by each writing of the state file
        self._state_file = state_file
        self._key_file = key_file
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished: asyncio.Event | None = None
        self._save_timer: asyncio.TimerHandle | None = None
        if state_file:
            state.load(self.server, state_file)

    @property
    def dc(self) -> str:
        """The main data centre as `TELEGRAM_DC` takes it: `2@127.0.0.1:port`."""
        return self.dc_address(MAIN_DC)

    def dc_address(self, dc: int) -> str:
        for option in self.server.dc_options:
            if option.dc == dc:
                return f"{option.dc}@{option.host}:{option.port}"
        raise RuntimeError("the sandbox was not started")

    @property
    def public_key_file(self) -> Path:
        """A PEM file with the public key, beside `key_file` or in a directory of its own."""
        if self._key_file is not None:
            path = self._key_file.with_suffix(".pub.pem")
        else:
            if self._directory is None:
                self._directory = tempfile.TemporaryDirectory(prefix="sandbox-")
            path = Path(self._directory.name) / "public.pem"
        if not path.exists() or path.read_text() != self.public_key_pem:
            write_private(path, self.public_key_pem.encode())
        return path

    # Running

    def start(self) -> None:
        """Listen; return when clients can connect."""
        if self._thread is not None:
            raise RuntimeError("the sandbox runs already")
        ready = threading.Event()
        failure: list[BaseException] = []

        def body() -> None:
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(self._run(ready))
            except BaseException as error:
                failure.append(error)
                ready.set()

        self._thread = threading.Thread(target=body, name="sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        if failure:
            self._thread = None
            raise failure[0]

    def stop(self) -> None:
        """Cut all connections and wait until the thread has ended."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self.finish()
        thread.join(timeout=30)

    def wait(self) -> None:
        """Block until the sandbox has stopped."""
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """Ask the running sandbox to stop; returns at once."""
        if self._loop is not None and self._finished is not None:
            # It may have come to its end by itself a moment ago.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._finished.set)

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._finished = asyncio.Event()
        control = ControlServer(self)
        try:
            await self.server.start(self.host, self._dcs, self._ports)
            self.control_port = await control.start(self.host, self.control_port)
            self._ports = [option.port for option in self.server.dc_options]
            self.server.changed = self._changed
            ready.set()
            await self._finished.wait()
        finally:
            await control.stop()
            await self.server.stop()
            if self._save_timer is not None:
                self._save_timer.cancel()
                self._save_timer = None
            self._save()

    # Keeping logins

    def _changed(self) -> None:
        if self._state_file is not None and self._save_timer is None and self._loop is not None:
            loop = self._loop
            loop.call_soon_threadsafe(self._save_later, loop)

    def _save_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._save_timer is None:
            self._save_timer = loop.call_later(SAVE_SECONDS, self._save)

    def _save(self) -> None:
        self._save_timer = None
        if self._state_file is not None:
            state.save(self.server, self._state_file)
            self.saved.set()

    # What a user would do with their phone in hand

    def login_code(self, phone: str) -> str:
        """Return the code that was last "sent" to a phone."""
        return self.world.login_code(phone)

    def accept_login_token(self, url: str, user: User | int | str) -> None:
        """Scan a login QR code (`tg://login?token=…`) as `user`."""
        self.world.accept_login_token(url, user)

    def auth_key_of(self, user: User | int | str, dc: int = MAIN_DC) -> bytes:
        """Return a new auth key that acts for `user`, as a client has it from an earlier login."""
        key = AuthKey(os.urandom(256), dc)

        def add() -> None:
            self.server.accept_key(key)
            self.world.log_in(self.server.authorization(key), user)

        self.server.run(add)
        return key.data

    def connections(self) -> list[dict[str, Any]]:
        """Return the present connections, each with `dc`, `ip`, `transport`, `silent`,
        `auth_key_ids`, `user_ids` and `clients` (what `initConnection` said).
        """
        return self.server.run(self.server.describe_connections)

    def status(self) -> dict[str, Any]:
        """Return where everything listens, as the process prints it."""
        return {
            "dc": self.dc,
            "dcs": [self.dc_address(option.dc) for option in self.server.dc_options],
            "public_key_file": str(self.public_key_file),
            "control_port": self.control_port,
        }
