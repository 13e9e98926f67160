"""Each method's body has its signature's name and keywords, and takes the right first argument."""

import importlib
import inspect
import subprocess
import sys
import typing

import pytest

from engine import methods
from engine.methods.registry import Method

HERE = {
    name: entry
    for name, entry in methods.registered().items()
    if name.partition(".")[0] in methods.__all__
}


def body(entry: Method) -> typing.Any:
    topic, _, name = entry.name.partition(".")
    return getattr(importlib.import_module(f"engine.telegram.{topic}"), name)


def test_there_are_methods():
    assert len(HERE) > 45


@pytest.mark.parametrize("name", sorted(HERE))
def test_body_matches_signature(name):
    entry = HERE[name]
    first, *rest = inspect.signature(body(entry)).parameters.values()
    assert first.name == ("client" if entry.connect else "home")
    wanted = list(entry.signature.parameters.values())
    assert [(p.name, p.kind, p.default) for p in rest] == [
        (p.name, p.kind, p.default) for p in wanted
    ]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in wanted)


@pytest.mark.parametrize("name", sorted(HERE))
def test_types_match(name):
    entry = HERE[name]
    module = importlib.import_module(f"engine.methods.{name.partition('.')[0]}")
    signature = getattr(module, name.partition(".")[2]).__wrapped__
    wanted, given = typing.get_type_hints(signature), typing.get_type_hints(body(entry))
    given.pop("client" if entry.connect else "home")
    wanted.pop("upload", None)
    given.pop("upload", None)
    assert given == wanted


@pytest.mark.parametrize("name", sorted(HERE))
def test_it_is_documented(name):
    entry = HERE[name]
    module = importlib.import_module(f"engine.methods.{name.partition('.')[0]}")
    assert inspect.getdoc(getattr(module, name.partition(".")[2]))
    assert not inspect.getdoc(body(entry)), "the docstring stands at the signature"


def test_naming_every_method_imports_no_telethon():
    code = "import sys, engine; print('telethon' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
