"""A second MTProto client, in an environment of its own, against the sandbox."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.process import ROOT, SandboxProcess

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements-kurigram.txt"
TRANSPORTS = [
    "TCPAbridged",
    "TCPAbridgedO",
    "TCPFull",
    "TCPIntermediate",
    "TCPIntermediateO",
    "TCPIntermediatePadded",
]

pytestmark = pytest.mark.kurigram


@pytest.fixture(scope="module")
def python():
    """The interpreter of a virtual environment with kurigram, made when there is none yet."""
    version = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    environment = ROOT / "build" / f"kurigram-{version}"
    made = environment / "made"
    interpreter = environment / "bin" / "python"
    if not made.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        subprocess.run(
            [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            + ["--require-hashes", "-r", REQUIREMENTS],
            check=True,
        )
        made.touch()
    return interpreter


@pytest.mark.timeout(300)
def test_kurigram_logs_in_reads_writes_and_receives(python):
    with SandboxProcess(seed=1) as sandbox:
        phone = "+15550000001"
        arguments = [sandbox.dc, sandbox.public_key_file, str(sandbox.control_port), phone]
        done = subprocess.run(
            [python, HERE / "kurigram_client.py", *arguments],
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        seen = [json.loads(line) for line in done.stdout.splitlines()]
        assert [one["transport"] for one in seen] == TRANSPORTS
        for one in seen:
            assert one["user"] == "Demo"
            assert one["dialogs"] > 10
            assert one["history"] == 250
            assert one["history_is_in_order"]
            assert one["media"]
            assert one["sent"] == "hello from another client"
            assert one["saved"] == "a note"
            assert one["received"] == "are you there?"
        assert sandbox.control.crashes() == []
