"""The workers of one process: a session lives on worker `session_id % N`."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from engine.conf import EngineSettings
from engine.errors import TooManyCalls, Unavailable
from engine.seam import ClientFactory
from engine.store import Guard, SessionStore, UpdateSink
from engine.streams import Pipe
from engine.wire import Ref, Reply, Request
from engine.worker import Worker


class Admission:
    """Caps on the calls in flight, per session and in all."""

    def __init__(self, per_session: int, total: int) -> None:
        self._per_session = per_session
        self._total = total
        self._lock = threading.Lock()
        self._sessions: Counter[int | str] = Counter()
        self._calls = 0

    @property
    def calls(self) -> int:
        return self._calls

    def enter(self, session: int | str) -> Callable[[object], None]:
        """Count a call in and return what counts it out; raises TooManyCalls."""
        with self._lock:
            if self._calls >= self._total:
                raise TooManyCalls(detail="Too many calls are in flight.", seconds=1)
            if self._sessions[session] >= self._per_session:
                raise TooManyCalls(
                    detail="Too many calls of this session are in flight.", seconds=1
                )
            self._sessions[session] += 1
            self._calls += 1

        def leave(_: object) -> None:
            with self._lock:
                self._calls -= 1
                self._sessions[session] -= 1
                if not self._sessions[session]:
                    del self._sessions[session]

        return leave


class Pool:
    """N workers behind one `submit`. Every method is safe from any thread."""

    def __init__(
        self,
        *,
        settings: EngineSettings,
        store: SessionStore,
        sink: UpdateSink,
        guard: Guard,
        clients: ClientFactory,
    ) -> None:
        self.guard = guard
        self._admission = Admission(settings.calls_per_session, settings.calls)
        self._workers = [
            Worker(
                index,
                settings=settings,
                store=store,
                sink=sink,
                guard=guard,
                clients=clients,
                forward=self._forward,
            )
            for index in range(settings.workers)
        ]

    def start(self) -> None:
        """Start every worker; when one fails the others are stopped and its error is raised."""
        try:
            for worker in self._workers:
                worker.start()
        except BaseException:
            self.stop(1.0)
            raise

    def stop(self, deadline_seconds: float = 10.0) -> bool:
        """Stop every worker within the deadline; whether all threads have ended."""
        until = time.monotonic() + deadline_seconds + 1.0
        for worker in self._workers:
            worker.ask_to_stop(deadline_seconds)
        return all([worker.join(until - time.monotonic()) for worker in self._workers])

    def disconnect(self, deadline_seconds: float = 5.0) -> bool:
        """Close every client and go on; whether all were closed in time.

        For a node whose lease is over: no client may outlive it.
        """
        closing = []
        for worker in self._workers:
            try:
                closing.append(worker.run(lambda clients: clients.close_all()))
            except Unavailable:
                continue
        return not wait(closing, deadline_seconds).not_done

    def submit(
        self, request: Request, upload: Pipe | None = None, output: Pipe | None = None
    ) -> Future[Reply]:
        """Hand a request to the worker of its session."""
        key = session_key(request.ref) or request.id
        try:
            leave = self._admission.enter(key)
        except TooManyCalls as error:
            if output is not None:
                output.finish()
            refused: Future[Reply] = Future()
            refused.set_result(Reply(request.id, error=error))
            return refused
        future = self._worker(key).submit(request, upload, output)
        future.add_done_callback(leave)
        return future

    def status(self) -> dict[str, Any]:
        """Return the workers' facts, as JSON."""
        return {
            "calls": self._admission.calls,
            "workers": [worker.status() for worker in self._workers],
        }

    def _worker(self, key: int | str) -> Worker:
        number = key if isinstance(key, int) else int(uuid.uuid5(uuid.NAMESPACE_OID, key))
        return self._workers[number % len(self._workers)]

    def _forward(self, request: Request, upload: Pipe | None, output: Pipe | None) -> Future[Reply]:
        return self._worker(session_key(request.ref)).submit(request, upload, output)


def session_key(ref: Ref) -> int | str:
    """Return a stored session's number or a carried one's fingerprint ("" without a key)."""
    return ref if isinstance(ref, int) else ref.fingerprint()
