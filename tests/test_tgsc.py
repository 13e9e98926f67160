"""`tgsc-auth` and `tgsc-server`, as a person at a terminal uses them."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sandbox import Sandbox
from tests.hub import ROOT, Hub, auth_keys, wait_until

ANN, BEN = "+15550820001", "+15550820002"
PASSWORD = "correct horse battery staple"
SECONDS = 90
# Commands start Python and Django, several in a row.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    with Sandbox(seed=1) as sandbox:
        sandbox.world.add_user("Ann", phone=ANN, username="ann_cli")
        sandbox.world.add_user("Ben", phone=BEN, password=PASSWORD, hint="xkcd")
        yield sandbox


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("tgsc")
    (directory / "tghub.sqlite3").write_bytes(migrated.read_bytes())
    hub = Hub(directory, telegram).start()
    yield hub
    hub.close()


class Talk:
    """A command with somebody who reads what it prints and answers."""

    def __init__(self, hub: Hub, *words: str) -> None:
        self.seen = ""
        self._chunks: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, *words],
            env=hub.environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            self._chunks.put(chunk.decode())
        self._chunks.put("")

    def wait_for(self, text: str) -> str:
        """Return what was printed up to and with `text`, which is read then."""
        while text not in self.seen:
            chunk = self._chunks.get(timeout=SECONDS)
            assert chunk, f"ended before {text!r}: {self.seen}"
            self.seen += chunk
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def answer(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        while chunk := self._chunks.get(timeout=SECONDS):
            self.seen += chunk
        code = self.process.wait(SECONDS)
        self.close()
        return code, self.seen

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def talk() -> Iterator[Callable[..., Talk]]:
    begun: list[Talk] = []

    def begin(hub: Hub, *words: str) -> Talk:
        begun.append(Talk(hub, *words))
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


def url_in(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("tg://login?token="))


def test_help_tells_the_flags() -> None:
    for name, flags in (
        ("tgsc-auth", ["--data-dir", "--user"]),
        ("tgsc-server", ["--data-dir", "--host", "--port", "--settings"]),
    ):
        done = subprocess.run(
            [str(ROOT / name), "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=SECONDS,
        )
        assert all(flag in done.stdout for flag in flags)


def test_qr_without_a_server_then_served(
    make_hub: Callable[..., Hub], telegram: Sandbox, talk: Callable[..., Talk], tmp_path: Path
) -> None:
    hub = make_hub("project")
    elsewhere = tmp_path / "fresh"
    del hub.environment["DATABASE_URL"]
    person = talk(hub, "tgsc-auth", "john_doe", "--data-dir", str(elsewhere))
    person.wait_for("Your choice [1]: ")
    person.answer("")
    shown = person.wait_for("tg://login?token=") + person.wait_for("\n")
    assert "Link Desktop Device" in shown and "█" in shown
    telegram.accept_login_token(url_in(shown), ANN)
    code, text = person.end()
    assert code == 0
    assert "Logged in as Ann (@ann_cli)." in text
    assert "X-Telegram-Username: john_doe" in text
    template = tmp_path / "template.yaml"
    template.write_text("download_media: false\n")
    server = talk(
        hub,
        "tgsc-server",
        *("--data-dir", str(elsewhere), "--host", "127.0.0.1", "--port", "0"),
        *("--settings", str(template)),
    )
    server.wait_for("ready: ")
    url = server.wait_for("\n").strip()
    headers = {"X-Telegram-Username": "john_doe"}
    settings = httpx.get(f"{url}/api/v3/settings", headers=headers).json()
    assert settings["download_media"] is False
    assert yaml.safe_load((elsewhere / "settings.yaml").read_text()) == settings
    found = httpx.get(f"{url}/api/v3/search/dialogs", headers=headers, timeout=60)
    assert found.status_code == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.end()[0] == 0


def test_beside_a_running_hub(hub: Hub, telegram: Sandbox, talk: Callable[..., Talk]) -> None:
    person = talk(hub, "tgsc-auth", "ben")
    person.wait_for("Your choice [1]: ")
    person.answer("1")
    shown = person.wait_for("tg://login?token=") + person.wait_for("\n")
    telegram.accept_login_token(url_in(shown), BEN)
    assert "Hint: xkcd" in person.wait_for("Password: ")
    person.answer("nonsense")
    person.wait_for("Try again.")
    person.wait_for("Password: ")
    person.answer(PASSWORD)
    code, text = person.end()
    assert (code, "Logged in as Ben" in text) == (0, True)
    hub.wait_connected("ben")
    assert hub.get("/api/v3/folders", headers={"X-Telegram-Username": "ben"}).status_code == 200
    # Once more: it asks first, and leaves things as they are.
    again = talk(hub, "tgsc-auth", "ben")
    again.wait_for("Log in again? [y/N] ")
    again.answer("")
    assert again.end()[0] == 0
    assert len(auth_keys(telegram, BEN)) == 1


def test_by_phone(hub: Hub, telegram: Sandbox, talk: Callable[..., Talk]) -> None:
    person = talk(hub, "tgsc-auth", "by phone", "--user", "bob")
    person.wait_for("Your choice [1]: ")
    person.answer("2")
    person.wait_for("Phone number, with country code (+49151…): ")
    person.answer("nonsense")
    person.wait_for("no phone number")
    person.wait_for("+49151…): ")
    person.answer(BEN)
    person.wait_for("Code: ")
    right = telegram.login_code(BEN)
    person.answer("1" + right[1:] if right[0] != "1" else "2" + right[1:])
    person.wait_for("Try again.")
    person.wait_for("Code: ")
    person.answer(right)
    person.wait_for("Password: ")
    person.answer(PASSWORD)
    code, text = person.end()
    assert (code, "Logged in as Ben" in text) == (0, True)
    # It is bob's, not the local user's.
    assert hub.status("by phone").get("code") == "session_not_found"
    assert hub.get("/session/by phone/status?user=bob").json()["is_authenticated"] is True


def test_who_leaves_cancels(hub: Hub, talk: Callable[..., Talk]) -> None:
    person = talk(hub, "tgsc-auth", "hasty")
    person.wait_for("Your choice [1]: ")
    person.answer("1")
    person.wait_for("tg://login?token=")
    person.process.send_signal(signal.SIGINT)
    code, text = person.end()
    assert (code, "Cancelled." in text, "Traceback" in text) == (130, True, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tgsc-auth", "a/b"], "A session name has 1 to 64 printable characters"),
        (["tgsc-auth", "john"], "No answer."),
        (["tgsc-server", "--settings", "/nonexistent.yaml"], "cannot be read"),
    ],
)
def test_refusals_are_one_line(
    make_hub: Callable[..., Hub], words: list[str], message: str
) -> None:
    hub = make_hub()
    done: Any = subprocess.run(
        [sys.executable, *words],
        env=hub.environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_second_server_is_refused(hub: Hub) -> None:
    done = subprocess.run(
        [sys.executable, "tgsc-server", "--port", "0"],
        env=hub.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "already in use by process" in done.stderr
    wait_until(lambda: hub.get("/health").status_code == 200)
