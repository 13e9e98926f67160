"""The socket: who may open it, who has gone, who misbehaves."""

import asyncio
import concurrent.futures
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from engine import BadRequest, Engine, TooLarge, Unavailable, wire
from engine.conf import EngineSettings
from engine.errors import BadGateway
from engine.tests import fakes
from engine.tests.test_transports import wait_until
from engine.transports import frames
from engine.transports.frames import EPOCH, HEADER, Kind, listening
from engine.transports.server import UnixServer, bind
from engine.transports.unix import UnixTransport
from engine.wire import Request


@pytest.fixture
def socket_path(tmp_path):
    return tmp_path / "engine.sock"


@pytest.fixture
def serve(hub, socket_path):
    """Start a server on the hub's pool; more than one after another."""
    servers = []

    def start(path=socket_path):
        hub.pool.start()
        servers.append(server := UnixServer(hub.local, path, hub.guard))
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def client(socket_path):
    engine = Engine()
    engine.configure(transport=UnixTransport(socket_path))
    engine.start()
    yield engine
    engine.stop()


def test_only_its_owner_may_open_it(serve, socket_path):
    serve()
    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600


def test_the_file_goes_with_the_server(serve, client, socket_path, caplog):
    server = serve()
    assert listening(socket_path)
    assert client.call(1, fakes.echo, value=1) == 1
    server.stop()
    assert not socket_path.exists()
    assert not listening(socket_path)
    assert caplog.records == []


def test_a_dead_processs_file_is_replaced(serve, client, socket_path):
    bind(socket_path).close()
    assert socket_path.exists()
    assert not listening(socket_path)
    serve()
    assert client.call(1, fakes.echo, value=1) == 1


def test_a_second_server_is_refused(serve, client):
    serve()
    with pytest.raises(RuntimeError, match="another hub"):
        serve()
    assert client.call(1, fakes.echo, value=1) == 1


def test_a_long_path_is_no_obstacle(serve, tmp_path):
    path = tmp_path.joinpath(*["a-long-name-of-a-directory"] * 6) / "engine.sock"
    path.parent.mkdir(parents=True)
    assert len(str(path)) > 150
    serve(path)
    engine = Engine()
    engine.configure(transport=UnixTransport(path))
    assert engine.call(1, fakes.echo, value=1) == 1
    engine.stop()


def test_no_server_is_unavailable_at_once(client):
    started = threading.Event()
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            client.using(timeout_seconds=600).call(1, fakes.echo, value=1)
        started.set()
    assert (caught.value.code, caught.value.status) == ("engine_gone", 503)


def test_a_server_that_goes_ends_the_calls_in_flight(serve, client, probe):
    server = serve()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        held = threads.submit(client.using(timeout_seconds=600).call, 1, fakes.hang, probe="p")
        assert probe.entered.wait(30)
        server.stop()
        with pytest.raises(Unavailable):
            held.result(30)
    assert probe.cancelled.wait(30)


async def test_a_server_that_goes_ends_streams_and_uploads(serve, client, probe):
    server = serve()
    stream = client.stream(1, fakes.count, chunks=1000, size=1000)
    await anext(stream)

    async def slowly():
        yield b"x"
        await asyncio.Event().wait()

    upload = asyncio.create_task(
        client.acall(1, fakes.swallow, upload=slowly(), name="a", probe="p")
    )
    assert await asyncio.to_thread(probe.entered.wait, 30)
    await asyncio.to_thread(server.stop)
    with pytest.raises(Unavailable):
        async for _ in stream:
            pass
    with pytest.raises(Unavailable):
        await upload


def test_it_finds_the_next_server(serve, client):
    server = serve()
    assert client.call(1, fakes.echo, value=1) == 1
    server.stop()
    with pytest.raises(Unavailable):
        client.call(1, fakes.echo, value=2)
    serve()
    assert client.call(1, fakes.echo, value=3) == 3


def test_a_client_that_dies_cancels_its_calls(serve, client, hub, probe):
    serve()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        held = threads.submit(client.call, 1, fakes.hang, probe="p")
        assert probe.entered.wait(30)
        client.stop()
        with pytest.raises(Unavailable):
            held.result(30)
    assert probe.cancelled.wait(30)
    wait_until(lambda: hub.pool.status()["calls"] == 0)


def test_one_client_does_not_wait_for_another(serve, client, socket_path, probe):
    serve()
    other = Engine()
    other.configure(transport=UnixTransport(socket_path))
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        held = threads.submit(client.call, 1, fakes.hold, probe="p")
        assert probe.entered.wait(30)
        assert other.call(1, fakes.echo, value=1) == 1
        assert client.call(1, fakes.echo, value=2) == 2
        probe.release.set()
        assert held.result(30) == "released"
    other.stop()


def test_a_request_that_is_too_large_is_refused(serve, client, monkeypatch):
    serve()
    monkeypatch.setattr("engine.transports.unix.MAX_PAYLOAD_BYTES", 1000)
    with pytest.raises(TooLarge):
        client.call(1, fakes.echo, value="x" * 2000)
    assert client.call(1, fakes.echo, value=1) == 1


def test_a_reply_that_is_too_large_is_refused(serve, client, monkeypatch):
    serve()
    monkeypatch.setattr("engine.transports.server.MAX_PAYLOAD_BYTES", 1000)
    with pytest.raises(TooLarge):
        client.call(1, fakes.echo, value="x" * 2000)
    assert client.call(1, fakes.echo, value=1) == 1


def frame(kind, number, payload=b""):
    return HEADER.pack(len(payload), kind, number) + payload


BAD = {
    "noise": os.urandom(64),
    "a huge frame": HEADER.pack(2**32 - 1, Kind.REQUEST, 1),
    "an unknown kind": HEADER.pack(0, 99, 1),
    "no JSON": frame(Kind.REQUEST, 1, EPOCH.pack(1) + b"{"),
    "no request": frame(Kind.REQUEST, 1, EPOCH.pack(1) + b"{}"),
    "no epoch": frame(Kind.REQUEST, 1, b"x"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_client_that_speaks_strangely_is_hung_up_on(serve, client, socket_path, what):
    serve()
    with frames.connect(socket_path) as stranger:
        stranger.settimeout(30)
        stranger.sendall(BAD[what])
        stranger.shutdown(socket.SHUT_WR)
        with_hello = b""
        while data := stranger.recv(65536):
            with_hello += data
        assert with_hello[4] == Kind.HELLO
    assert client.call(1, fakes.echo, value=1) == 1


def test_more_data_than_credit_is_hung_up_on(serve, client, socket_path, probe):
    serve()
    request = Request("r", 1, "tests.ignore", {"probe": "p"}, time.time() + 60, upload=True)
    with frames.connect(socket_path) as greedy:
        greedy.settimeout(30)
        payload = EPOCH.pack(1) + wire.dumps(request.to_dict())
        greedy.sendall(frame(Kind.REQUEST, 1, payload))
        assert probe.entered.wait(30)
        with pytest.raises(OSError, match="pipe|reset"):
            for _ in range(200):
                greedy.sendall(frame(Kind.DATA, 1, b"x" * 100_000))
    assert probe.cancelled.wait(30)
    assert client.call(1, fakes.echo, value=1) == 1


async def test_an_upload_that_nobody_reads_stands_still(serve, client, probe):
    serve()
    sent = []

    async def endless():
        while True:
            sent.append(1)
            yield b"x" * 1000

    with pytest.raises(BadGateway):
        await client.using(timeout_seconds=0.5).acall(1, fakes.ignore, upload=endless(), probe="p")
    assert len(sent) < 40


def test_an_unknown_method_is_refused(serve, client, hub):
    serve()
    for name in ("tests.nothing", "os.system", "no_topic.x", "auth.__init__", "../x.y", ""):
        with pytest.raises(BadRequest) as caught:
            raise_for(client, name, {})
        assert caught.value.code == "method_unknown"
    with pytest.raises(BadRequest) as caught:
        raise_for(client, "tests.echo", {"valu": 1})
    assert caught.value.code == "arguments_invalid"


def raise_for(client, name, kwargs):
    """Send a request as no façade would."""
    request = Request("r", 1, name, kwargs, time.time() + 30)
    reply = client.transport().submit(request).result(30)
    if reply.error is not None:
        raise reply.error


OWNER = """
    import sys, threading
    from pathlib import Path
    from engine.tests.conftest import Hub
    from engine.transports.server import UnixServer

    hub = Hub()
    hub.pool.start()
    UnixServer(hub.local, Path(sys.argv[1]), hub.guard).start()
    print("ready", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def owner(socket_path):
    """A hub in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), str(socket_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    process.stdout.close()


def test_it_reaches_another_process(owner, client):
    assert client.call(1, fakes.echo, value="é") == "é"
    assert client.status()["server_pid"] == owner.pid


def test_a_killed_owner_is_noticed_at_once(owner, client):
    assert client.call(1, fakes.echo, value=1) == 1
    owner.kill()
    owner.wait()
    with pytest.raises(Unavailable):
        client.using(timeout_seconds=600).call(1, fakes.echo, value=2)


def test_a_frozen_owner_does_nothing_late(owner, client):
    assert client.call(1, fakes.echo, value=1) == 1
    owner.send_signal(signal.SIGSTOP)
    # A process of many threads goes on for a moment: a call that came now would be served.
    os.waitpid(owner.pid, os.WUNTRACED)
    late = client.using(timeout_seconds=0.1)
    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        for call in [
            threads.submit(late.call, 1, fakes.flooded, request="messages.search") for _ in range(5)
        ]:
            with pytest.raises(BadGateway):
                call.result(30)
    owner.send_signal(signal.SIGCONT)
    # The first to be served is this one: it alone was sent and met the flood.
    with pytest.raises(Exception, match="wait 30 seconds"):
        client.call(1, fakes.flooded, request="messages.search")


def test_settings_name_the_socket(socket_path):
    assert EngineSettings(socket=socket_path).socket == socket_path
