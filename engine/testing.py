"""Stand-ins for tests: a transport without Telegram, a store without a database."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from engine import wire
from engine.errors import Conflict, EngineError, NotFound
from engine.methods.registry import describe
from engine.store import EntityRow, SessionRecord, SessionReport, UpdateBatch
from engine.streams import Pipe
from engine.transports.base import Transport
from engine.wire import Carried, Reply, Request

Answer = Callable[..., Any]


class FakeTransport:
    """Answers calls as told and keeps them, for tests of what stands above the engine.

        fake = FakeTransport()
        fake.answer(methods.messages.send_message, {"message_id": 1, ...})
        with telegram.over(fake):
            ...
        assert fake.calls[0].kwargs["text"] == "hi"

    An answer is a result, an EngineError, or a function of the call's keywords (and `ref`, if it
    takes one) that returns or raises either. A stream's result is a list of bytes; an upload
    arrives as bytes in the keyword `upload`.
    """

    def __init__(self) -> None:
        self.calls: list[Request] = []
        self.uploads: dict[str, bytes] = {}
        self._answers: dict[str, Any] = {}
        self._carried: dict[str, Carried] = {}
        self._lock = threading.Lock()

    def answer(
        self, method: Callable[..., Any], answer: Any, *, carried: Carried | None = None
    ) -> None:
        """Say how a method is answered from now on."""
        name = describe(method).name
        self._answers[name] = answer
        if carried is not None:
            self._carried[name] = carried

    def called(self, method: Callable[..., Any]) -> list[Request]:
        """Return the calls of one method so far."""
        name = describe(method).name
        return [request for request in self.calls if request.method == name]

    def start(self) -> None:
        return

    def stop(self, deadline_seconds: float) -> None:
        return

    def status(self) -> dict[str, Any]:
        return {"transport": "fake", "calls": 0, "workers": []}

    def submit(
        self, request: Request, *, upload: Pipe | None = None, output: Pipe | None = None
    ) -> Future[Reply]:
        request = replace(request, kwargs=wire.normalise(request.kwargs))
        with self._lock:
            self.calls.append(request)
        future: Future[Reply] = Future()
        # A thread of its own, as answers may block, and streams wait for their reader.
        threading.Thread(
            target=self._serve, args=(request, upload, output, future), daemon=True
        ).start()
        return future

    def _serve(
        self, request: Request, upload: Pipe | None, output: Pipe | None, future: Future[Reply]
    ) -> None:
        import asyncio

        kwargs, result, error = dict(request.kwargs), None, None
        try:
            if upload is not None:
                data = asyncio.run(_read_all(upload))
                self.uploads[request.id] = kwargs["upload"] = data
            result = self._result(request, kwargs)
            if output is not None:
                for chunk in result or []:
                    output.put(chunk)
                result = None
            result = wire.normalise(result)
        except EngineError as failure:
            error = failure
        except Exception as failure:
            future.set_exception(failure)  # the test's own mistake
        if output is not None:
            output.finish()
        if not future.done() and future.set_running_or_notify_cancel():
            carried = self._carried.get(request.method)
            future.set_result(Reply(request.id, None if error else result, error, carried))

    def _result(self, request: Request, kwargs: dict[str, Any]) -> Any:
        if request.method not in self._answers:
            raise LookupError(f"the test gave no answer for {request.method}")
        answer = self._answers[request.method]
        if callable(answer):
            code = getattr(answer, "__code__", None)
            if code is not None and "ref" in code.co_varnames[: code.co_argcount + 1]:
                kwargs["ref"] = request.ref
            answer = answer(**kwargs)
        if isinstance(answer, EngineError):
            raise answer
        return answer


async def _read_all(pipe: Pipe) -> bytes:
    return b"".join([chunk async for chunk in pipe])


class JsonTransport:
    """Sends everything through bytes on its way to another transport and back."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    def start(self) -> None:
        self.inner.start()

    def stop(self, deadline_seconds: float) -> None:
        self.inner.stop(deadline_seconds)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = wire.normalise({**self.inner.status(), "transport": "json"})
        return status

    def submit(
        self, request: Request, *, upload: Pipe | None = None, output: Pipe | None = None
    ) -> Future[Reply]:
        sent = Request.from_dict(wire.normalise(request.to_dict()))
        inner = self.inner.submit(sent, upload=upload, output=output)
        outer: Future[Reply] = Future()

        def there(done: Future[Reply]) -> None:
            if not done.cancelled() and outer.set_running_or_notify_cancel():
                outer.set_result(Reply.from_dict(wire.normalise(done.result().to_dict())))

        def back(done: Future[Reply]) -> None:
            if done.cancelled():
                inner.cancel()

        inner.add_done_callback(there)
        outer.add_done_callback(back)
        return outer


@dataclass
class MemoryStore:
    """A SessionStore in memory."""

    sessions: dict[int, SessionRecord] = field(default_factory=dict)
    reports: list[tuple[int, SessionReport]] = field(default_factory=list)
    epoch: int = 1
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def add(self, record: SessionRecord) -> SessionRecord:
        """Put a session into the store."""
        with self._lock:
            self.sessions[record.session_id] = record
        return record

    def load(self, session_id: int) -> SessionRecord:
        with self._lock:
            if session_id not in self.sessions:
                raise NotFound(detail="There is no such session.")
            return self.sessions[session_id]

    def claim(self, session_id: int) -> int:
        self.load(session_id)
        return self.epoch

    def find_key(self, auth_key: bytes) -> int | None:
        with self._lock:
            for record in self.sessions.values():
                if record.auth_key == auth_key:
                    return record.session_id
        return None

    def save_key(
        self, session_id: int, *, dc_id: int, host: str, port: int, auth_key: bytes | None
    ) -> None:
        with self._lock:
            holder = None if auth_key is None else self.find_key(auth_key)
            if holder not in (None, session_id):
                raise Conflict("key_in_use", "Another session holds this key.")
            self._change(session_id, dc_id=dc_id, host=host, port=port, auth_key=auth_key)

    def save_entities(self, session_id: int, rows: list[EntityRow]) -> None:
        with self._lock:
            known = {row.id: row for row in self.load(session_id).entities}
            known.update({row.id: row for row in rows})
            self._change(session_id, entities=tuple(known.values()))

    def save_flood(self, session_id: int, method: str, until: float) -> None:
        with self._lock:
            floods = {**self.load(session_id).floods, method: until}
            self._change(session_id, floods=floods)

    def report(self, session_id: int, report: SessionReport) -> None:
        with self._lock:
            self.reports.append((session_id, report))

    def _change(self, session_id: int, **values: Any) -> None:
        self.sessions[session_id] = replace(self.load(session_id), **values)


class MemorySink:
    """An UpdateSink that keeps batches; with a `store` it keeps their box states there, too."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.batches: list[UpdateBatch] = []
        self._store = store
        self._changed = threading.Condition()

    def submit(self, batch: UpdateBatch) -> Future[None]:
        with self._changed:
            self.batches.append(batch)
            if self._store is not None and batch.session_id in self._store.sessions:
                record = self._store.load(batch.session_id)
                boxes = {box.chat_id: box for box in record.boxes}
                boxes.update({box.chat_id: box for box in batch.states})
                self._store.add(replace(record, boxes=tuple(boxes.values())))
                self._store.save_entities(batch.session_id, list(batch.entities))
            self._changed.notify_all()
        done: Future[None] = Future()
        done.set_result(None)
        return done

    @property
    def events(self) -> list[Any]:
        """All events so far, in order."""
        with self._changed:
            return [event for batch in self.batches for event in batch.events]

    def wait_for(self, condition: Callable[[list[Any]], bool], seconds: float = 30.0) -> list[Any]:
        """Wait until the events satisfy `condition` and return them."""
        until = time.monotonic() + seconds
        with self._changed:
            while not condition(events := self.events):
                if not self._changed.wait(until - time.monotonic()):
                    raise TimeoutError(f"{len(events)} events came, not what was waited for")
            return events


@dataclass
class OpenGuard:
    """A Guard that never objects, unless `error` is set."""

    epoch: int = 1
    error: EngineError | None = None

    def check(self) -> None:
        if self.error is not None:
            raise self.error
