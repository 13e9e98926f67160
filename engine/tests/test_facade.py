"""The façade: what it refuses, when it starts, and that mypy reads through it."""

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import engine as package
from engine import BadGateway, Engine, Unavailable, methods
from engine.conf import EngineSettings
from engine.errors import FloodWait, NotFound
from engine.testing import FakeTransport, MemorySink, MemoryStore, OpenGuard
from engine.tests import fakes
from engine.wire import Carried


def test_it_starts_at_the_first_call(hub):
    engine = Engine()
    engine.configure(
        store=MemoryStore(),
        sink=MemorySink(),
        guard=OpenGuard(),
        settings=EngineSettings(workers=1),
        clients=fakes.FakeClients,
    )
    assert engine.status() == {"running": False}
    assert engine.call(1, fakes.where)["thread"] == "telegram-0"
    assert engine.status()["workers"][0]["state"] == "running"
    engine.start()  # once more is no harm
    engine.stop(5)
    assert engine.status() == {"running": False}


def test_it_says_what_was_not_configured():
    with pytest.raises(RuntimeError, match="guard, sink, store"):
        Engine().call(1, fakes.echo, value=1)


def test_after_its_stop_calls_are_unavailable(hub, connect):
    engine = connect("local", hub)
    engine.stop(5)
    with pytest.raises(Unavailable):
        engine.call(1, fakes.echo, value=1)
    engine.stop(5)


def test_it_is_not_configured_while_it_runs(hub, connect):
    with pytest.raises(RuntimeError, match="stop it"):
        connect("local", hub).configure(store=MemoryStore())


async def test_a_blocking_call_on_a_loop_is_refused(hub, connect):
    with pytest.raises(RuntimeError, match="acall"):
        connect("local", hub).call(1, fakes.echo, value=1)


def test_a_synchronous_call_does_not_take_an_asynchronous_upload(hub, connect):
    async def chunks():
        yield b"x"

    with pytest.raises(TypeError, match="iterable"):
        connect("local", hub).call(1, fakes.swallow, upload=chunks(), name="a")


def test_a_stream_is_not_called_and_a_call_not_streamed(hub, connect):
    engine = connect("local", hub)
    with pytest.raises(TypeError, match="a method to stream"):
        engine.call(1, fakes.count, chunks=1, size=1)

    async def stream():
        return [chunk async for chunk in engine.stream(1, fakes.echo, value=1)]

    with pytest.raises(TypeError, match="a method to call"):
        asyncio.run(stream())


def test_disconnect_is_safe_at_any_time(hub, connect):
    assert Engine().disconnect()
    engine = connect("local", hub)
    engine.call(1, fakes.echo, value=1)
    assert engine.disconnect()
    assert hub.source(1).closed == [1]


def test_methods_are_not_called_directly():
    with pytest.raises(TypeError, match=r"telegram\.call"):
        methods.auth.send_code(phone="+1")


# FakeTransport, the stand-in for rooms above


def test_a_fake_answers_as_told():
    engine, fake = Engine(), FakeTransport()
    fake.answer(methods.auth.cancel_code, True)
    with engine.over(fake):
        assert engine.call(7, methods.auth.cancel_code, phone="+1", phone_code_hash="h") is True
    assert fake.calls[0].ref == 7
    assert fake.called(methods.auth.cancel_code)[0].kwargs["phone"] == "+1"
    assert engine.status() == {"running": False}


def test_a_fake_raises_as_told():
    engine, fake = Engine(), FakeTransport()
    fake.answer(methods.auth.cancel_code, FloodWait(seconds=30))
    fake.answer(methods.auth.send_code, lambda phone, ref: {"phone": phone, "ref": ref})
    with engine.over(fake):
        with pytest.raises(FloodWait):
            engine.call(1, methods.auth.cancel_code, phone="+1", phone_code_hash="h")
        assert engine.call(1, methods.auth.send_code, phone="+2") == {"phone": "+2", "ref": 1}


def test_a_fake_says_what_it_was_not_told():
    engine = Engine()
    with engine.over(FakeTransport()), pytest.raises(LookupError, match=r"auth\.send_code"):
        engine.call(1, methods.auth.send_code, phone="+1")


def test_a_fake_moves_carried_sessions():
    engine, fake, after = Engine(), FakeTransport(), Carried(1, "h", dc_id=4, auth_key=b"k")
    fake.answer(methods.auth.send_code, {}, carried=after)
    with engine.over(fake):
        assert engine.carry(Carried(1, "h"), methods.auth.send_code, phone="+1") == ({}, after)


async def test_a_fake_streams_and_takes_uploads():
    engine, fake = Engine(), FakeTransport()
    fake.answer(fakes.count, [b"one", b"two"])
    fake.answer(fakes.swallow, lambda upload, name: len(upload))
    with engine.over(fake):
        got = [chunk async for chunk in engine.stream(1, fakes.count, chunks=2, size=3)]
        assert got == [b"one", b"two"]
        assert await engine.acall(1, fakes.swallow, upload=[b"x" * 9, b"y"], name="a") == 10


async def test_a_fake_fails_a_stream():
    engine, fake = Engine(), FakeTransport()
    fake.answer(fakes.count, NotFound())
    with engine.over(fake), pytest.raises(NotFound):
        async for _ in engine.stream(1, fakes.count, chunks=2, size=3):
            pass


async def test_a_silent_owner_is_given_up_on(monkeypatch):
    monkeypatch.setattr("engine.facade.GRACE_SECONDS", 0.05)

    class Silent(FakeTransport):
        def _serve(self, request, upload, output, future):
            self.future = future

    engine, silent = Engine(), Silent()
    with engine.over(silent):
        quick = engine.using(timeout_seconds=0.05)
        with pytest.raises(BadGateway) as caught:
            await quick.acall(1, fakes.echo, value=1)
        assert caught.value.code == "timeout"
        assert silent.future.cancelled()
        with pytest.raises(BadGateway):
            await asyncio.to_thread(quick.call, 1, fakes.echo, value=1)
        with pytest.raises(BadGateway):
            await anext(quick.stream(1, fakes.count, chunks=1, size=1))


TYPES = """
    from engine import telegram
    from engine.tests_types import cancel, numbers

    async def main() -> None:
        reveal_type(telegram.call(1, cancel, phone="+1"))
        reveal_type(await telegram.acall(1, cancel, phone="+1"))
        async for chunk in telegram.using(flood="wait").stream(1, numbers, count=1):
            reveal_type(chunk)
        telegram.call(1, cancel, phon="+1")
        telegram.call(1, cancel, phone=1)
        telegram.call("1", cancel, phone="+1")
        telegram.stream(1, cancel, phone="+1")
        text: str = telegram.call(1, cancel, phone="+1")
"""


def test_mypy_reads_through_the_facade(tmp_path):
    source = textwrap.dedent(TYPES).replace(
        "from engine.tests_types import cancel, numbers",
        textwrap.dedent("""
            from collections.abc import AsyncIterator
            from engine.methods.registry import method

            @method
            async def cancel(*, phone: str) -> bool:
                raise NotImplementedError

            @method
            def numbers(*, count: int) -> AsyncIterator[bytes]:
                raise NotImplementedError
        """),
    )
    (tmp_path / "example.py").write_text(source)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file=", "--strict", "--no-error-summary"),
            *("--follow-imports=silent", "--ignore-missing-imports"),
            *("--disable-error-code=empty-body", f"--cache-dir={tmp_path / 'cache'}"),
            str(tmp_path / "example.py"),
        ],
        cwd=Path(package.__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    lines = [line.partition(".py:")[2] for line in result.stdout.splitlines()]
    revealed = [line.rpartition("type is ")[2] for line in lines if "Revealed" in line]
    assert revealed == ['"bool"', '"bool"', '"bytes"'], result.stdout + result.stderr
    errors = [line for line in lines if "error:" in line]
    assert len(errors) == 5, result.stdout
    for words, line in zip(
        ('Unexpected keyword argument "phon"', '"phone"', "Argument 1", "Argument 2", "str"),
        errors,
        strict=True,
    ):
        assert words in line
