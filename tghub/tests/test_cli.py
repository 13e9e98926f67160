"""What the commands say of settings and arguments that cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def refusal(tmp_path: Path, *words: str, **variables: str) -> tuple[int, list[str]]:
    """Run a command with these variables alone; return how it ended and what it said."""
    done = subprocess.run(
        [sys.executable, *words],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize(
    "words", [("tgsc-auth", "ann"), ("tgsc-server",), ("manage.py", "serve")], ids=lambda w: w[0]
)
def test_a_setting_that_cannot_be_is_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    told = refusal(tmp_path, *words, TELEGRAM_API_ID="abc")
    assert told == (1, ["TELEGRAM_API_ID is not a whole number."])
