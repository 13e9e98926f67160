"""Clients that are no Telegram clients, and methods to call on them."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import EngineError, FloodWait, from_rpc
from engine.floods import CallContext, current_call
from engine.methods import method
from engine.seam import Home, WorkerContext
from engine.wire import Carried, Ref, Upload


class LibraryError(Exception):
    """Stands for what a Telegram library raises."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class FakeClient:
    ref: Ref
    source: "FakeClients"
    state: Carried | None = None
    log: list[Any] = field(default_factory=list)


class FakeClients:
    """A ClientSource whose clients are connected by wishing."""

    def __init__(self, context: WorkerContext) -> None:
        self.context = context
        self.clients: dict[Ref, FakeClient] = {}
        self.lent = 0
        self.closed: list[Ref] = []

    @contextlib.asynccontextmanager
    async def use(self, ref: Ref) -> AsyncIterator[FakeClient]:
        client = self.clients.setdefault(ref, FakeClient(ref, self))
        client.state = ref if isinstance(ref, Carried) else None
        self.lent += 1
        try:
            yield client
        finally:
            self.lent -= 1

    def carried(self, client: FakeClient) -> Carried:
        assert client.state is not None
        return client.state

    def translate(self, error: Exception, method: str) -> EngineError | None:
        if isinstance(error, LibraryError):
            return from_rpc(error.code, error.message, method)
        return None

    async def close(self, ref: Ref) -> bool:
        self.closed.append(ref)
        return self.clients.pop(ref, None) is not None

    async def close_all(self) -> None:
        for ref in list(self.clients):
            await self.close(ref)

    def status(self) -> dict[str, Any]:
        return {"clients": len(self.clients), "lent": self.lent}


@dataclass
class Probe:
    """What the bodies tell the test, and what the test tells them."""

    entered: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    notes: list[Any] = field(default_factory=list)


probes: dict[str, Probe] = {}


async def _echo(client: FakeClient, *, value: Any) -> Any:
    return value


@method(body=_echo, name="tests.echo")
async def echo(*, value: Any) -> Any:
    """Return the value."""


async def _where(client: FakeClient) -> dict[str, Any]:
    call: CallContext = current_call()
    return {
        "thread": threading.current_thread().name,
        "ref": client.ref if isinstance(client.ref, int) else "carried",
        "flood": call.flood,
        "background": call.background,
        "method": call.method,
        "loop": type(asyncio.get_running_loop()).__module__,
    }


@method(body=_where, name="tests.where")
async def where() -> dict[str, Any]:
    """Tell where the body runs and for which call."""


async def _fail(client: FakeClient, *, code: int, message: str) -> None:
    raise LibraryError(code, message)


@method(body=_fail, name="tests.fail")
async def fail(*, code: int, message: str) -> None:
    """Fail as Telegram does."""


async def _crash(client: FakeClient, *, kind: str) -> Any:
    if kind == "bug":
        raise ZeroDivisionError("secret-7")
    if kind == "timeout":
        raise TimeoutError
    if kind == "refused":
        raise ConnectionRefusedError("10.0.0.1 refused")
    if kind == "cancelled":
        raise asyncio.CancelledError
    return {"bytes": b"x"}


@method(body=_crash, name="tests.crash")
async def crash(*, kind: str) -> Any:
    """Fail in a way that is no error of Telegram's."""


async def _hang(client: FakeClient, *, probe: str) -> None:
    notes = probes[probe]
    notes.entered.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        notes.cancelled.set()
        raise


@method(body=_hang, name="tests.hang")
async def hang(*, probe: str) -> None:
    """Never return."""


async def _hold(client: FakeClient, *, probe: str) -> str:
    notes = probes[probe]
    notes.notes.append(1)
    notes.entered.set()
    await asyncio.to_thread(notes.release.wait, 60)
    return "released"


@method(body=_hold, name="tests.hold")
async def hold(*, probe: str) -> str:
    """Return when the test says so."""


async def _migrate(client: FakeClient, *, dc_id: int, error: str = "") -> int:
    assert client.state is not None
    client.state = replace(client.state, dc_id=dc_id, auth_key=b"k" * 256)
    if error:
        raise LibraryError(400, error)
    return dc_id


@method(body=_migrate, name="tests.migrate")
async def migrate(*, dc_id: int, error: str = "") -> int:
    """Move a carried session to another data centre."""


async def _disconnect(home: Home) -> bool:
    return bool(await home.clients.close(home.ref))


@method(body=_disconnect, connect=False, name="tests.disconnect")
async def disconnect() -> bool:
    """Close the client."""


async def _count(
    client: FakeClient, *, chunks: int, size: int, probe: str = "", fail_at: int = -1
) -> AsyncIterator[bytes]:
    try:
        for number in range(chunks):
            if number == fail_at:
                raise LibraryError(420, "FLOOD_WAIT_9")
            if probe:
                probes[probe].notes.append(number)
            yield bytes([number % 256]) * size
    finally:
        if probe:
            probes[probe].cancelled.set()


@method(body=_count, name="tests.count")
def count(*, chunks: int, size: int, probe: str = "", fail_at: int = -1) -> AsyncIterator[bytes]:
    """Stream numbered chunks."""


async def _swallow(
    client: FakeClient, *, upload: AsyncIterator[bytes], name: str, limit: int = 0, probe: str = ""
) -> dict[str, Any]:
    total = last = 0
    async for chunk in upload:
        total += len(chunk)
        last = chunk[-1]
        if probe:
            probes[probe].notes.append(len(chunk))
            probes[probe].entered.set()
        if limit and total > limit:
            raise from_rpc(400, "FILE_PART_TOO_BIG")
    return {"name": name, "bytes": total, "last": last}


@method(body=_swallow, name="tests.swallow")
async def swallow(*, upload: Upload, name: str, limit: int = 0, probe: str = "") -> dict[str, Any]:
    """Take an upload."""


async def _ignore(client: FakeClient, *, upload: AsyncIterator[bytes], probe: str) -> None:
    await _hang(client, probe=probe)


@method(body=_ignore, name="tests.ignore")
async def ignore(*, upload: Upload, probe: str) -> None:
    """Take an upload and never read it."""


async def _flooded(client: FakeClient, *, request: str) -> Any:
    """Call as the Telethon subclass does: through the governor, Telegram answering a flood."""
    floods, log = client.source.context.floods, client.log

    async def send() -> str:
        log.append(request)
        if len(log) == 1:
            raise FloodWait(seconds=30, argument=30)
        return "sent"

    await floods.paced(client.ref if isinstance(client.ref, int) else "", request, send)
    return len(log)


@method(body=_flooded, name="tests.flooded")
async def flooded(*, request: str) -> Any:
    """Send a request that meets a flood the first time."""
