"""Methods are named here and live elsewhere."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import engine.methods
from engine.errors import BadRequest
from engine.methods import describe, lookup, method, registered

TOPICS = sorted(
    module.name
    for module in pkgutil.iter_modules(engine.methods.__path__)
    if module.name not in ("registry", "shapes", "answers")
)


def test_it_works():
    assert lookup("auth.send_code") is describe(engine.methods.auth.send_code)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_is_exported(topic):
    assert getattr(engine.methods, topic) is importlib.import_module(f"engine.methods.{topic}")
    assert topic in engine.methods.__all__


@pytest.mark.parametrize(
    "name", ["nothing.here", "auth.nothing", "registry.lookup", "a", "", "a.b.c"]
)
def test_an_unknown_name_is_refused(name):
    with pytest.raises(BadRequest):
        lookup(name)


def test_a_bad_name_is_refused():
    with pytest.raises(ValueError, match="no name"):
        method(name="Bad")(test_it_works)


def test_every_method_tells_what_it_does():
    for name, entry in registered().items():
        if name.startswith("tests."):
            continue
        function = getattr(getattr(engine.methods, name.split(".")[0]), name.split(".")[1])
        assert inspect.getdoc(function), name
        for parameter in entry.signature.parameters.values():
            assert parameter.kind is parameter.KEYWORD_ONLY, name
            assert parameter.annotation is not parameter.empty, name


def test_naming_methods_imports_neither_telethon_nor_django():
    code = (
        "import sys, engine, engine.testing, engine.transports.unix, engine.transports.server;"
        "engine.methods.lookup('history.read_page');"
        "print([m for m in sys.modules if m.split('.')[0] in ('telethon', 'django')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_it_calls_over_a_socket_without_django(tmp_path):
    code = """
import asyncio, sys
from pathlib import Path
from engine import Engine
from engine.tests import fakes
from engine.tests.conftest import Hub
from engine.transports.server import UnixServer
from engine.transports.unix import UnixTransport
hub = Hub()
hub.pool.start()
path = Path(sys.argv[1])
server = UnixServer(hub.local, path, hub.guard)
server.start()
engine = Engine()
engine.configure(transport=UnixTransport(path))
assert engine.call(1, fakes.echo, value=1) == 1
assert asyncio.run(engine.acall(1, fakes.echo, value=2)) == 2
engine.stop(); server.stop(); assert hub.pool.stop()
print("telethon" in sys.modules)
"""
    path = str(tmp_path / "engine.sock")
    result = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr
