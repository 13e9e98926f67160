"""Test-wide set-up: a private data directory and the environment of a bare hub.

It runs before Django reads its settings, so it may decide where the database is. (With
DJANGO_SETTINGS_MODULE in pyproject.toml, pytest-django would read them before this file.)
"""

import atexit
import base64
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

# The workers of pytest-xdist inherit the environment, and with it the directory.
_data = Path(os.environ.get("TGHUB_TESTS_DIR") or tempfile.mkdtemp(prefix="tghub-tests-"))
if "TGHUB_TESTS_DIR" not in os.environ:
    atexit.register(shutil.rmtree, _data, ignore_errors=True)
os.environ["TGHUB_TESTS_DIR"] = str(_data)
for name in ("TELEGRAM_DC", "TELEGRAM_DC_PUBLIC_KEY", "REDIS_URL", "TGHUB_ENCRYPTION_KEYS"):
    os.environ.setdefault(name, "")
os.environ["DATA_DIR"] = str(_data)
os.environ["TGHUB_AUTH"] = "keys"
os.environ["TELEGRAM_API_ID"] = "12345"
os.environ["TELEGRAM_API_HASH"] = "0123456789abcdef0123456789abcdef"
os.environ.setdefault("DATABASE_URL", os.environ.get("TEST_DATABASE_URL", ""))
if not os.environ["DATABASE_URL"]:
    del os.environ["DATABASE_URL"]
elif not os.environ["DATABASE_URL"].startswith("sqlite"):
    # Where machines share a database, the hub makes no key of its own.
    os.environ["TGHUB_ENCRYPTION_KEYS"] = base64.b64encode(bytes(range(32))).decode()
os.environ["DJANGO_SETTINGS_MODULE"] = "tghub.settings"

from django.conf import settings  # noqa: E402

assert _data == settings.DATA_DIR


@pytest.fixture(autouse=True)
def _writing() -> None:
    """Start the process's writer again: commands and nodes that end stop it for good."""
    from core.writer import writer

    writer.start()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say what was measured: `figure("200 sessions in 3 s")`; told at the end of the run."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = [
        f"{report.nodeid}: {value}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "figure"
    ]
    if figures:
        terminalreporter.section("figures")
        for line in sorted(figures):
            terminalreporter.write_line(line)
