"""A hub over a Telegram of this test's own. Models may be imported only inside."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox
from sandbox.world import World


@pytest.fixture(scope="session")
def count() -> Callable[[int, int], int]:
    """Choose how often to repeat: `count(small, full)`; `make prove` takes the full one."""
    full = bool(os.environ.get("TGHUB_PROVE"))
    return lambda small, many: many if full else small


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    from core import limits

    limits.reset()
    yield
    limits.reset()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A Telegram data centre of this test's own, with nobody in it."""
    with Sandbox(world=World()) as telegram_dc:
        yield telegram_dc


@pytest.fixture
def node(transactional_db: None, sandbox: Sandbox, settings: Any, tmp_path: Path) -> Iterator[Any]:
    """This process as a hub over the sandbox, its engine running."""
    from scraper import loop
    from sessions_app.lock import DataDirLock
    from sessions_app.run_engine import Node

    settings.DATA_DIR = tmp_path
    settings.TELEGRAM = {
        **settings.TELEGRAM,
        "DC": sandbox.dc,
        "DC_PUBLIC_KEY": str(sandbox.public_key_file),
        "SOCKET": str(tmp_path / "engine.sock"),
    }
    lock = DataDirLock(tmp_path)
    assert lock.acquire()
    node = Node(tmp_path, lock)
    node.start()
    yield node
    loop.stop()
    node.stop()
    lock.release()


@pytest.fixture
def rig(node: Any, sandbox: Sandbox) -> Any:
    """What tests of the cache do: people, chats, histories (`scraper.tests.rig.Rig`)."""
    from scraper.tests.rig import Rig

    return Rig(sandbox)


@pytest.fixture
def scene(rig: Any) -> Any:
    """Ann reads a channel in which files are posted (`scraper.tests.web.Scene`)."""
    from scraper.tests.web import Scene

    return Scene(rig)
