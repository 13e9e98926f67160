"""An engine whose Telegram is the sandbox, with short times."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from engine import methods
from engine.clients import Clients
from engine.conf import EngineSettings, parse_dc
from engine.facade import Engine
from engine.store import SessionRecord, SessionReport, UpdateBatch
from engine.testing import MemorySink, MemoryStore, OpenGuard
from engine.timing import Timing
from sandbox import Sandbox

QUICK = Timing(
    connect=2.0,
    check=0.3,
    answer=0.6,
    grace=0.2,
    reconcile_gap=0.0,
    backoff_first=0.05,
    backoff_max=0.4,
    reconnect_gap=0.01,
    flush=0.05,
    retry_difference=0.1,
    drain=5.0,
)
WAIT = 20.0


class Store(MemoryStore):
    """A MemoryStore on whose reports a test can wait; what is logged in stays so."""

    def __init__(self) -> None:
        super().__init__()
        self._news = threading.Condition()

    def report(self, session_id: int, report: SessionReport) -> None:
        super().report(session_id, report)
        with self._news:
            self._news.notify_all()

    def kinds(self, session_id: int) -> list[str]:
        return [report.kind for number, report in self.reports if number == session_id]

    def wait_for_report(self, session_id: int, kind: str, count: int = 1) -> SessionReport:
        """Wait for the `count`th report of a kind and return the latest one."""
        with self._news:
            if not self._news.wait_for(lambda: self.kinds(session_id).count(kind) >= count, WAIT):
                raise TimeoutError(f"no {kind} came, only {self.kinds(session_id)}")
        return [r for n, r in self.reports if n == session_id and r.kind == kind][-1]

    def change(self, session_id: int, **values: Any) -> None:
        self.add(replace(self.load(session_id), **values))


class Sink(MemorySink):
    """A MemorySink that can be held, and can fail."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.open = threading.Event()
        self.open.set()
        self.failures = 0
        self.lost_answers = 0
        self._line = threading.Lock()

    def submit(self, batch: UpdateBatch) -> Future[None]:
        if self.open.is_set() and not self.failures and not self.lost_answers:
            return super().submit(batch)
        done: Future[None] = Future()
        threading.Thread(target=self._later, args=(batch, done), daemon=True).start()
        return done

    def _later(self, batch: UpdateBatch, done: Future[None]) -> None:
        with self._line:
            self.open.wait(WAIT)
            if self.failures:
                self.failures -= 1
                done.set_exception(RuntimeError("the database is away"))
                return
            super().submit(batch)
            if self.lost_answers:
                self.lost_answers -= 1
                return  # committed, and nobody learns of it
            done.set_result(None)

    def kinds(self) -> set[str]:
        return {event.kind for event in self.events}

    def texts(self) -> list[str]:
        """Return the texts of the new messages so far, in order."""
        return texts(self.events)

    def wait_for_texts(self, count: int, prefix: str = "") -> list[str]:
        """Wait until `count` different new messages with a prefix came; return all of those."""

        def enough(events: list[Any]) -> bool:
            return len({t for t in texts(events) if t.startswith(prefix)}) >= count

        return [t for t in texts(self.wait_for(enough, WAIT)) if t.startswith(prefix)]


def texts(events: list[Any]) -> list[str]:
    return [e.data["message"]["message"] for e in events if e.kind == "message.new"]


class Rig:
    """A sandbox and an engine that talks to it; engines may come and go over one store."""

    def __init__(self, sandbox: Sandbox, *, timing: Timing = QUICK, workers: int = 1) -> None:
        self.sandbox = sandbox
        self.timing = timing
        self.workers = workers
        self.store = Store()
        self.sink = Sink(self.store)
        self.guard = OpenGuard()
        self.engine = self.make_engine()

    def make_engine(self) -> Engine:
        engine = Engine()
        engine.configure(
            store=self.store,
            sink=self.sink,
            guard=self.guard,
            settings=EngineSettings(
                api_id=1,
                api_hash="hash",
                dc=parse_dc(self.sandbox.dc),
                dc_public_key=self.sandbox.public_key_file,
                workers=self.workers,
            ),
            clients=lambda context: Clients(context, self.timing),
        )
        return engine

    def restart(self) -> None:
        """Stop the engine and begin another one on what it stored."""
        self.engine.stop(10)
        self.engine = self.make_engine()

    def call(self, session_id: Any, method: Callable[..., Any], **kwargs: Any) -> Any:
        return self.engine.using(timeout_seconds=WAIT).call(session_id, method, **kwargs)

    def connect(self, session_id: int = 1) -> Any:
        return self.call(session_id, methods.sessions.connect)

    def log_in(self, user: Any, session_id: int = 1, **record: Any) -> None:
        """Log a user in on a new stored session."""
        self.store.add(SessionRecord(session_id, api_id=1, api_hash="hash", **record))
        phone = f"+{user.phone}"
        sent = self.call(session_id, methods.auth.send_code, phone=phone)
        code = self.sandbox.login_code(phone)
        login = self.call(
            session_id,
            methods.auth.sign_in,
            phone=phone,
            code=code,
            phone_code_hash=sent["phone_code_hash"],
        )
        assert login["state"] == "ready"
        self.store.change(session_id, state="ready", account_id=user.id)

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition holds; it is asked again and again."""
        until = time.monotonic() + WAIT
        pause = threading.Event()
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError("what was waited for did not come")
            pause.wait(0.01)

    def boxes(self, session_id: int = 1) -> dict[int, Any]:
        return {box.chat_id: box for box in self.store.load(session_id).boxes}

    def facts(self, session_id: int = 1) -> dict[str, Any]:
        for worker in self.engine.status()["workers"]:
            if str(session_id) in worker["clients"].get("sessions", {}):
                return worker["clients"]["sessions"][str(session_id)]
        return {}
