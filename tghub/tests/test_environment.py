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
    for name in ("NUMBER", "NUMBER_FILE", "TEXT", "TEXT_FILE", "LIST", "FLAG", "DB"):
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


def test_a_flag_is_a_word_that_is_known(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, value in (("1 true yes ON y", True), ("0 False no off N", False)):
        for word in words.split():
            monkeypatch.setenv("FLAG", word)
            assert env.bool("FLAG", default=not value) is value
    monkeypatch.setenv("FLAG", " ")
    assert env.bool("FLAG", default=True) is True
    for wrong in ("ture", "quatsch", "2"):
        monkeypatch.setenv("FLAG", wrong)
        with pytest.raises(ImproperlyConfigured, match=r"^FLAG is not on or off\.$"):
            env.bool("FLAG", default=True)


@pytest.mark.parametrize(
    ("cast", "limits", "good", "bad", "told"),
    [
        (int, {}, "0", "-1", "a whole number of at least 0"),
        (int, {"least": 1}, "1", "0", "a whole number of at least 1"),
        (int, {"most": 9}, "9", "10", "a whole number from 0 to 9"),
        (float, {}, "0.5", "-0.5", "a number of at least 0"),
        (int, {}, "3", "x", "a whole number"),
    ],
)
def test_a_number_has_its_limits(
    env: Environment,
    monkeypatch: pytest.MonkeyPatch,
    cast: type[int],
    limits: dict[str, int],
    good: str,
    bad: str,
    told: str,
) -> None:
    assert env.within("NUMBER", cast, None, **limits) is None
    monkeypatch.setenv("NUMBER", good)
    assert env.within("NUMBER", cast, None, **limits) == cast(good)
    monkeypatch.setenv("NUMBER", bad)
    with pytest.raises(ImproperlyConfigured) as refused:
        env.within("NUMBER", cast, None, **limits)
    assert str(refused.value) == f"NUMBER is not {told}."


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
    listed = re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)
    assert len(listed) == len(set(listed))
    names = set(listed) - {"DATA_DIR"}
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "quatsch"),
        ("TGHUB_HTTPS", "ture"),
        ("TGHUB_PORT", "65536"),
        ("TGHUB_WORKERS", "0"),
        ("TGHUB_WARM_SESSIONS", "-1"),
        ("TGHUB_SEND_INTERVAL_SECONDS", "-1"),
        ("TGHUB_SEND_DAILY_CAP", "-1"),
        ("TGHUB_MEDIA_QUOTA_MB", "-1"),
        ("EVENT_RETENTION_DAYS", "0"),
        ("EVENT_RETENTION_DAYS", "36501"),
    ],
)
def test_the_hub_refuses_what_cannot_be(tmp_path: Path, name: str, value: str) -> None:
    told = settings_with(tmp_path, "", **{name: value}).stderr.splitlines()[-1]
    assert told.startswith(f"django.core.exceptions.ImproperlyConfigured: {name} is not ")
