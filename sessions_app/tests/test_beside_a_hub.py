"""Commands beside a running `serve`, and with none running."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.hub import ROOT, Hub

PHONE = "+15550800011"


@pytest.fixture
def hub(tmp_path: Path, sandbox: Sandbox) -> Iterator[Hub]:
    sandbox.world.add_user(phone=PHONE, first_name="John")
    directory = tmp_path / "hub"
    directory.mkdir(mode=0o700)
    hub = Hub(directory, sandbox)
    hub.manage("migrate", "--verbosity", "0")
    yield hub
    hub.close()
    shutil.rmtree(directory)


def test_restore_sessions(hub: Hub, sandbox: Sandbox) -> None:
    hub.start()
    hub.log_in("user123", PHONE, sandbox.login_code)
    beside = hub.manage("restore_sessions")
    assert "the running hub" in beside.stdout
    assert "✅ user123: restored - User: John" in beside.stdout
    assert hub.status("user123")["is_connected"]
    assert hub.stop() == 0
    alone = hub.manage("restore_sessions")
    assert "an engine of its own" in alone.stdout
    assert "✅ Session restoration complete: 1 sessions restored" in alone.stdout
    hub.start()
    hub.wait_connected("user123")


def test_a_command_that_runs_an_engine_keeps_serve_out(hub: Hub) -> None:
    script = (
        "import django, sys; django.setup()\n"
        "from sessions_app.run_engine import engine_for_command\n"
        "with engine_for_command() as beside:\n"
        "    print(beside, flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**hub.environment, "DJANGO_SETTINGS_MODULE": "tghub.settings"},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert holder.stdout.readline().strip() == "False"
    refused = hub.manage("serve", "--port", "0", check=False)
    assert refused.returncode != 0 and f"process {holder.pid}" in refused.stderr
    beside = hub.manage("restore_sessions")
    assert "the running hub" in beside.stdout
    holder.communicate()
    assert holder.returncode == 0
    hub.start()
