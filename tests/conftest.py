"""Fixtures of the end-to-end tests: a sandbox Telegram and hubs in processes of their own."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from sandbox import Sandbox
from sandbox.world import World
from tests.hub import ROOT, Hub
from tests.services import postgresql, redis

if TYPE_CHECKING:
    from playwright.sync_api import Browser

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs tests in the background has them ignore Ctrl-C, and so the commands that
    # they run, some of which they interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROVE = bool(os.environ.get("TGHUB_PROVE"))


@pytest.fixture(scope="session")
def count() -> Callable[[int, int], int]:
    """Choose how often to repeat: `count(small, full)`; `make prove` takes the full one."""
    return lambda small, full: full if PROVE else small


@pytest.fixture
def telegram() -> Iterator[Sandbox]:
    """An empty Telegram of this test's own, in this process: it outlives hubs that are killed."""
    with Sandbox(world=World()) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite database to copy from; migrating takes seconds."""
    directory = tmp_path_factory.mktemp("migrated")
    path = directory / "tghub.sqlite3"
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        env={**os.environ, "DATA_DIR": str(directory), "DATABASE_URL": f"sqlite:///{path}"},
        cwd=ROOT,
        check=True,
    )
    return path


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The PostgreSQL of this run: the suite's, or one of this process's own."""
    given = os.environ.get("TEST_POSTGRESQL_URL")
    if given:
        yield given
        return
    with postgresql() as url:
        yield url


@pytest.fixture
def postgresql_database(postgresql_server: str) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own, as a DATABASE_URL."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgresql_server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield postgresql_server.rpartition("/")[0] + "/" + name
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The Redis of this run: the suite's, or one of this process's own."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield given
        return
    with redis() as url:
        yield url


@pytest.fixture
def make_hub(tmp_path: Path, telegram: Sandbox, migrated: Path) -> Iterator[Callable[..., Hub]]:
    """Make hubs over data directories of this test: `make_hub("name", VARIABLE=value)`."""
    hubs: list[Hub] = []

    def make(name: str = "hub", **environment: str) -> Hub:
        directory = tmp_path / name
        if not directory.exists():
            directory.mkdir(mode=0o700)
            shutil.copy(migrated, directory / "tghub.sqlite3")
        hub = Hub(directory, telegram, **environment)
        hubs.append(hub)
        return hub

    yield make
    for hub in hubs:
        hub.close()


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    """A running hub in open mode."""
    return make_hub().start()


@pytest.fixture(scope="module")
def module_telegram() -> Iterator[Sandbox]:
    """An empty Telegram that the tests of one module share; each brings users of its own."""
    with Sandbox(world=World()) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def module_hub(
    tmp_path_factory: pytest.TempPathFactory, module_telegram: Sandbox, migrated: Path
) -> Iterator[Hub]:
    """A hub in open mode that the tests of one module share: starting one takes seconds."""
    directory = tmp_path_factory.mktemp("hub", numbered=True)
    shutil.copy(migrated, directory / "tghub.sqlite3")
    hub = Hub(directory, module_telegram)
    yield hub.start()
    hub.close()


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """A Chromium, one for all tests that open pages."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.fail("No Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()
