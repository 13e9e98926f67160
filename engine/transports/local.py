"""The worker threads of this very process."""

import importlib
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from engine import wire
from engine.pool import Pool
from engine.seam import ClientSource, WorkerContext
from engine.streams import Pipe
from engine.wire import Reply, Request


def telethon_clients(context: WorkerContext) -> ClientSource:
    """Make the clients that talk to Telegram; only now is Telethon imported."""
    source: ClientSource = importlib.import_module("engine.clients").Clients(context)
    return source


class LocalTransport:
    """Hands requests to a pool, through the same JSON as every other transport."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def start(self) -> None:
        self.pool.start()

    def stop(self, deadline_seconds: float) -> None:
        self.pool.stop(deadline_seconds)

    def submit(
        self, request: Request, *, upload: Pipe | None = None, output: Pipe | None = None
    ) -> Future[Reply]:
        epoch = self.pool.guard.epoch if request.epoch is None else request.epoch
        checked = replace(request, kwargs=wire.normalise(request.kwargs), epoch=epoch)
        return self.pool.submit(checked, upload, output)

    def status(self) -> dict[str, Any]:
        return {"transport": "local", **self.pool.status()}
