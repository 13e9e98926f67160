"""An engine over each transport, with clients that need no Telegram."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.conf import EngineSettings
from engine.facade import Engine
from engine.pool import Pool
from engine.store import SessionRecord
from engine.testing import JsonTransport, MemorySink, MemoryStore, OpenGuard
from engine.tests import fakes
from engine.transports.base import Transport
from engine.transports.local import LocalTransport
from engine.transports.server import UnixServer
from engine.transports.unix import UnixTransport


class Hub:
    """The owner's side: a pool over fake clients, with what it is made of at hand."""

    def __init__(self, **settings: int) -> None:
        self.store = MemoryStore()
        for session_id in (1, 2, 3):
            self.store.add(SessionRecord(session_id, api_id=1, api_hash="hash"))
        self.sink = MemorySink(self.store)
        self.guard = OpenGuard()
        self.sources: list[fakes.FakeClients] = []
        self.pool = Pool(
            settings=EngineSettings(workers=2, **settings),
            store=self.store,
            sink=self.sink,
            guard=self.guard,
            clients=self._clients,
        )
        self.local = LocalTransport(self.pool)

    def _clients(self, context: fakes.WorkerContext) -> fakes.FakeClients:
        self.sources.append(source := fakes.FakeClients(context))
        return source

    def source(self, session_id: int) -> fakes.FakeClients:
        return next(s for s in self.sources if s.context.index == session_id % 2)


@pytest.fixture
def probe() -> Iterator[fakes.Probe]:
    """What the body called with `probe="p"` shares with the test."""
    fakes.probes["p"] = fakes.Probe()
    yield fakes.probes["p"]
    fakes.probes.pop("p").release.set()


@pytest.fixture
def make_hub() -> Iterator[Callable[..., Hub]]:
    hubs: list[Hub] = []

    def make(**settings: int) -> Hub:
        hubs.append(hub := Hub(**settings))
        return hub

    yield make
    for hub in hubs:
        assert hub.pool.stop(5)


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    return make_hub()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[str, Hub], Engine]]:
    """Return an engine that reaches the hub by a transport's name."""
    engines: list[Engine] = []
    servers: list[UnixServer] = []

    def make(kind: str, hub: Hub) -> Engine:
        transport: Transport = hub.local
        if kind == "json":
            transport = JsonTransport(hub.local)
        elif kind == "unix":
            hub.pool.start()
            servers.append(UnixServer(hub.local, tmp_path / "engine.sock", hub.guard))
            servers[-1].start()
            transport = UnixTransport(tmp_path / "engine.sock")
        engines.append(engine := Engine())
        engine.configure(transport=transport)
        engine.start()
        return engine

    yield make
    for engine in engines:
        engine.stop(5)
    for server in servers:
        server.stop()


@pytest.fixture(params=["local", "json", "unix"])
def engine(request: pytest.FixtureRequest, hub: Hub, connect: Callable[..., Engine]) -> Engine:
    """An engine over each of the transports in turn."""
    return connect(request.param, hub)
