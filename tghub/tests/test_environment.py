"""What is read from the environment, and what is said of values that cannot be read."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

from tghub.environment import Environment

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Environment:
    for name in ("NUMBER", "NUMBER_FILE", "TEXT", "TEXT_FILE", "LIST", "DB"):
        monkeypatch.delenv(name, raising=False)
    environment = Environment()
    # The one of the class remembers files that it has read.
    environment.ENVIRON = FileAwareMapping()
    return environment


def test_it_works(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBER", " 5 ")
    monkeypatch.setenv("LIST", "a,b")
    assert env.int("NUMBER", default=1) == 5
    assert env.list("LIST", default=[]) == ["a", "b"]
    assert env("TEXT", default="x") == "x"


def test_an_empty_variable_counts_as_unset(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBER", "")
    monkeypatch.setenv("LIST", " ")
    assert env.int("NUMBER", default=7) == 7
    assert env.list("LIST", default=["localhost"]) == ["localhost"]


def test_a_file_holds_the_value(
    env: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    monkeypatch.setenv("TEXT_FILE", str(tmp_path / "secret"))
    assert env("TEXT", default="") == "hunter2"
    monkeypatch.setenv("NUMBER_FILE", str(tmp_path / "missing"))
    with pytest.raises(ImproperlyConfigured, match=r"^NUMBER_FILE names a file"):
        env.int("NUMBER", default=1)


def test_a_dollar_sign_is_itself(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT", "$ecret")
    assert env("TEXT", default="") == "$ecret"


def test_what_is_wrong_is_named_and_not_shown(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBER", "hunter2")
    with pytest.raises(ImproperlyConfigured) as refused:
        env.int("NUMBER", default=1)
    assert str(refused.value) == "NUMBER is not a whole number."


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:hunter2@h/d", "postgres://u:p@h:x/d"])
def test_a_database_that_nobody_knows(
    env: Environment, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DB", url)
    with pytest.raises(ImproperlyConfigured, match=r"^DB is no database URL\.") as refused:
        env.database("DB", "sqlite:///x")
    assert "hunter2" not in str(refused.value)


def settings_with(
    tmp_path: Path, code: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Read the settings in a process of their own, with these variables alone."""
    return subprocess.run(
        [sys.executable, "-c", f"import tghub.settings as s; {code}"],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_works_as_it_was_copied(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    names = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)) - {"DATA_DIR"}
    done = settings_with(
        tmp_path,
        "print(s.TELEGRAM['API_ID'], s.TGHUB_AUTH, s.IS_SQLITE, *s.ALLOWED_HOSTS)",
        **dict.fromkeys(names, ""),
    )
    assert done.stdout.split() == ["None", "keys", "True", "localhost", "127.0.0.1", "[::1]"]
    assert done.stderr == ""


def test_the_seeds_names_are_aliases(tmp_path: Path) -> None:
    (tmp_path / "hash").write_text("ab" * 16 + "\n")
    done = settings_with(
        tmp_path,
        "print(s.TELEGRAM['API_ID'], s.TELEGRAM['API_HASH'])",
        TELEGRAM_API_ID="",
        API_ID="77",
        API_HASH_FILE=str(tmp_path / "hash"),
    )
    assert done.stdout.split() == ["77", "ab" * 16]


def test_the_data_directory_and_its_secrets_are_private(tmp_path: Path) -> None:
    done = settings_with(tmp_path, "print(len(s.SECRET_KEY), len(s.TGHUB_ENCRYPTION_KEYS))")
    assert done.stdout.split()[1] == "1", done.stderr
    data = tmp_path / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in data.iterdir()} == {
        "secret_key": 0o600,
        "encryption_keys": 0o600,
    }
