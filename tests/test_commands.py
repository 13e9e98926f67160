"""What is typed at a shell: run.py, test_api.py, and the commands beside a hub and alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.hub import ROOT, Hub

PHONE = "+15550610001"


@pytest.fixture
def ann(telegram: Sandbox) -> str:
    telegram.world.add_user(phone=PHONE, first_name="Ann")
    return PHONE


def program(hub: Hub, name: str, *words: str, answers: str = "") -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / name), *words],
        env=hub.environment,
        input=answers,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_run_and_test_api(make_hub: Callable[..., Hub], telegram: Sandbox, ann: str) -> None:
    hub = make_hub()
    with hub.log_file.open("a") as log:
        hub.popen = (
            lambda *words: subprocess.Popen(  # type: ignore[method-assign]
                [sys.executable, str(ROOT / "run.py"), *words[1:]],
                env=hub.environment,
                cwd="/",
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        )
        hub.start()
    told = program(hub, "test_api.py", hub.url)
    assert (
        "GET / -> 200" in told and "GET /health -> 200" in told and "GET /sessions -> 200" in told
    )
    walk = subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "test_api.py"), hub.url, "--phone", ann],
        env=hub.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert walk.stdin is not None and walk.stdout is not None
    lines = []
    for line in walk.stdout:
        lines.append(line)
        if line == "}\n" and "POST /login/start" in "".join(lines):
            break
    told, _ = walk.communicate(telegram.login_code(ann) + "\n", timeout=120)
    for step in ("POST /login/code", "POST /logout", "DELETE /session/test_api"):
        assert f"{step} -> 200" in told
    assert hub.get("/sessions").json()["total_sessions"] == 0


def test_a_key_can_be_made_before_the_first_start(
    make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir(mode=0o700)
    hub = make_hub("new", TGHUB_AUTH="keys")
    assert hub.manage("list_api_keys").stdout.startswith("PREFIX")
    made = hub.manage("create_api_key", "ann")
    hub.start()
    headers = {"X-API-Key": made.stdout.splitlines()[-1]}
    assert hub.get("/sessions", headers=headers).json()["sessions"] == []


def test_tables_that_machines_share_are_not_made_by_a_command(
    make_hub: Callable[..., Hub], postgresql_database: str
) -> None:
    keys = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    hub = make_hub(DATABASE_URL=postgresql_database, TGHUB_ENCRYPTION_KEYS=keys)
    done = hub.manage("create_api_key", "ann", check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("run `manage.py migrate` first.")
    assert "Traceback" not in done.stderr


def test_without_a_hub_test_api_says_so() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "test_api.py"), "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "No hub answers at http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_beside_a_hub_and_alone_on_postgresql(
    make_hub: Callable[..., Hub], telegram: Sandbox, ann: str, postgresql_database: str
) -> None:
    hub = make_hub(
        DATABASE_URL=postgresql_database,
        TGHUB_ENCRYPTION_KEYS="MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        TGHUB_AUTH="keys",
        LOG_FORMAT="json",
    )
    hub.manage("migrate", "--verbosity", "0")
    hub.start()
    words = ("--name", "laptop", "--scopes", "read,send,sessions")
    key = hub.manage("create_api_key", "ann", *words).stdout.splitlines()[-1]
    hub.http.headers["X-API-Key"] = key
    hub.log_in("mine", ann, telegram.login_code)
    send = {"session_id": "mine", "chat_id": "me", "message": "Hello"}
    once = {"Idempotency-Key": "a"}
    first = hub.post("/message/send", send, headers=once)
    assert first.status_code == 200, first.text
    assert "the running hub" in hub.manage("restore_sessions").stdout
    hub.kill()
    alone = hub.manage("restore_sessions").stdout
    assert "an engine of its own" in alone and "1 sessions restored" in alone
    hub.start()
    hub.wait_connected("mine")
    assert hub.post("/message/send", send, headers=once).json() == first.json()
    assert telegram.calls.count("messages.sendMessage") == 1
    prefix = key.split("_")[1]
    assert prefix in hub.manage("list_api_keys").stdout
    hub.manage("revoke_api_key", prefix)
    assert hub.get("/sessions").json()["code"] == "revoked_key"
    assert hub.stop() == 0
    for line in hub.log().splitlines():
        assert {"time", "level", "logger", "message"} <= set(json.loads(line)), line
    assert key not in hub.log()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"TELEGRAM_API_ID": "abc"}, "TELEGRAM_API_ID is not a whole number."),
        ({"TELEGRAM_DC": "nonsense"}, "TELEGRAM_DC is not <dc id>@<host>:<port>."),
        ({"TELEGRAM_DC_PUBLIC_KEY": "/missing"}, "TELEGRAM_DC_PUBLIC_KEY cannot be read."),
        ({"DATABASE_URL": "mysql://u:hunter2@h/d"}, "DATABASE_URL is no database URL."),
    ],
)
def test_a_setting_that_cannot_be_is_a_clear_message(
    make_hub: Callable[..., Hub], variables: dict[str, str], told: str
) -> None:
    done = make_hub(**variables).manage("serve", "--port", "0", check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr and "hunter2" not in done.stderr


def test_without_credentials_the_hub_starts_and_says_what_is_missing(
    make_hub: Callable[..., Hub], ann: str
) -> None:
    hub = make_hub(TELEGRAM_API_ID="", TELEGRAM_API_HASH="", LOG_LEVEL="info").start()
    assert "TELEGRAM_API_ID and TELEGRAM_API_HASH are not set" in hub.log()
    assert hub.get("/health").status_code == 200
    answer = hub.post("/login/start", {"session_id": "s", "phone_number": ann})
    assert (answer.status_code, answer.json()["code"]) == (503, "api_id_missing")
    assert int(answer.headers["Retry-After"]) > 0
    assert hub.get("/sessions").json()["total_sessions"] == 0


def test_the_data_directory_is_private(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub()
    hub.data_dir.chmod(0o755)
    hub.start()
    assert hub.data_dir.stat().st_mode & 0o777 == 0o700
    for name in ("secret_key", "encryption_keys", "engine.sock", "engine.lock"):
        assert os.stat(hub.data_dir / name).st_mode & 0o077 == 0, name


def test_make_leaves_the_port_to_the_settings_unless_it_is_given() -> None:
    def told(*words: str, **variables: str) -> str:
        done = subprocess.run(
            ["make", "--dry-run", *words],
            env={"PATH": os.environ["PATH"], **variables},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()[-1].partition("manage.py ")[2].strip()

    assert told("serve") == "serve"
    assert told("serve", "PORT=8123") == told("serve", PORT="8123") == "serve --port 8123"
    assert told("demo") == "demo --port 8000"
    assert told("demo", "PORT=8123") == "demo --port 8123"
