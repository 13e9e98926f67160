"""The worker threads of this very process."""

import importlib
import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from engine import wire
from engine.pool import Pool
from engine.seam import ClientSource, WorkerContext
from engine.streams import Pipe
from engine.wire import Ref, Reply, Request


def telethon_clients(context: WorkerContext) -> ClientSource:
    """Make the clients that talk to Telegram; only now is Telethon imported."""
    source: ClientSource = importlib.import_module("engine.clients").Clients(context)
    return source


class LocalTransport:
    """Hands requests to a pool, through the same JSON as every other transport."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._waited: Counter[int] = Counter()
        self._lock = threading.Lock()

    def start(self) -> None:
        self.pool.start()

    def stop(self, deadline_seconds: float) -> None:
        self.pool.stop(deadline_seconds)

    def submit(
        self, request: Request, *, upload: Pipe | None = None, output: Pipe | None = None
    ) -> Future[Reply]:
        epoch = self.pool.guard.epoch if request.epoch is None else request.epoch
        checked = replace(request, kwargs=wire.normalise(request.kwargs), epoch=epoch)
        future = self.pool.submit(checked, upload, output)
        if isinstance(request.ref, int) and not request.background:
            self._count(request.ref, 1)
            future.add_done_callback(lambda _: self._count(checked.ref, -1))
        return future

    def _count(self, ref: Ref, by: int) -> None:
        if isinstance(ref, int):
            with self._lock:
                self._waited[ref] += by
                if not self._waited[ref]:
                    del self._waited[ref]

    def waited_for(self, session_id: int) -> int:
        """Return how many calls on a session somebody waits for."""
        return self._waited[session_id]

    def status(self) -> dict[str, Any]:
        return {"transport": "local", **self.pool.status()}
