"""What the commands say of settings and arguments that cannot be."""

import os
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from tghub import arguments

ROOT = Path(__file__).resolve().parent.parent.parent


def refusal(tmp_path: Path, *words: str, **variables: str) -> tuple[int, list[str]]:
    """Run a command with these variables alone; return how it ended and what it said."""
    done = subprocess.run(
        [sys.executable, *words],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data")} | variables,
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


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_data_directory_that_cannot_be_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    code, told = refusal(tmp_path, "manage.py", "check", DATA_DIR=str(tmp_path / place))
    assert code == 1
    assert len(told) == 1 and told[0].startswith("DATA_DIR is not a directory, and none can be")


def test_a_data_directory_without_its_secret_is_one_line(tmp_path: Path) -> None:
    # What is no file cannot be read, whoever asks.
    (tmp_path / "data" / "secret_key").mkdir(parents=True)
    told = refusal(tmp_path, "manage.py", "check")
    assert told == (1, ["DATA_DIR is not a directory that can keep secret_key: Is a directory."])


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (("tgsc-server",), "70000"),
        (("manage.py", "serve"), "99999"),
        (("manage.py", "demo"), "-1"),
    ],
    ids=lambda each: each[-1],
)
def test_a_port_that_cannot_be_is_refused(
    tmp_path: Path, words: tuple[str, ...], number: str
) -> None:
    code, told = refusal(tmp_path, *words, "--port", number)
    assert code == 2 and told[0].startswith("usage: ")
    reason = f"argument --port: '{number}' is not a whole number from 0 to 65535"
    assert told[-1].endswith(f"error: {reason}")


def test_ports() -> None:
    assert [arguments.port(text) for text in ("0", "8000", "65535")] == [0, 8000, 65535]
    for text in ("-1", "65536", "http", ""):
        with pytest.raises(ArgumentTypeError, match="from 0 to 65535"):
            arguments.port(text)
