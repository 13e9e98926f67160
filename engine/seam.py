"""What a worker and its clients know of each other."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

from engine import database
from engine.conf import EngineSettings
from engine.errors import EngineError
from engine.floods import Floods
from engine.store import Guard, SessionStore, UpdateSink
from engine.wire import Carried, Ref

P = ParamSpec("P")
T = TypeVar("T")


class ClientSource(Protocol):
    """Connected clients by session. Made and used on one worker's loop; no other thread asks.

    What it keeps running (reading updates, supervising) it starts in a clean
    `contextvars.Context()`: a task started inside a call would inherit that call's deadline and
    flood policy (`floods.current_call`).
    """

    def use(self, ref: Ref) -> AbstractAsyncContextManager[Any]:
        """Lend a connected client, which is not evicted while it is lent. Raises EngineError."""
        ...

    def carried(self, client: Any) -> Carried:
        """Return the present state of a client that was lent for a carried session."""
        ...

    def translate(self, error: Exception, method: str) -> EngineError | None:
        """Return our error for one of the library's, None for a stranger."""
        ...

    async def close(self, ref: Ref) -> bool:
        """Disconnect the session's client; whether there was one."""
        ...

    async def close_all(self) -> None:
        """Disconnect every client, saving what is unsaved."""
        ...

    def status(self) -> dict[str, Any]:
        """Return facts for `telegram.status()`, as JSON. Reads only: any thread may ask."""
        ...


class DatabaseThread:
    """The one thread in which a worker calls its store."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in the thread, whose connection stays open from call to call."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._call, function, args, kwargs)

    def stop(self) -> None:
        self._executor.submit(database.close_connections)
        self._executor.shutdown(wait=False)

    @staticmethod
    def _call(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        # To open one takes longer than what is asked of it.
        database.close_broken_connections()
        return function(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a ClientSource is made with. `floods` and `database` belong to this worker alone."""

    index: int
    workers: int
    loop: asyncio.AbstractEventLoop
    settings: EngineSettings
    store: SessionStore
    sink: UpdateSink
    guard: Guard
    floods: Floods
    database: DatabaseThread


ClientFactory = Callable[[WorkerContext], ClientSource]


@dataclass(frozen=True, slots=True)
class Home:
    """What a method with `connect=False` gets instead of a connected client."""

    ref: Ref
    clients: Any
