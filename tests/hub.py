"""A real hub for the tests: `manage.py serve` in a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0


def wait_until(condition: Callable[[], Any], *, seconds: float = 30.0, what: str = "") -> Any:
    """Return the first truthy answer of `condition`; fail after a generous deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"Never came true: {what or condition}")
        pause.wait(0.1)


class Hub:
    """One data directory and, while it runs, the process that serves it."""

    def __init__(self, data_dir: Path, telegram: Any, **environment: str) -> None:
        self.data_dir = data_dir
        self.log_file = data_dir / "hub.log"
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if name not in ("TGHUB_PROVE", "TGHUB_TESTS_DIR")
            },
            "DATA_DIR": str(data_dir),
            "DATABASE_URL": f"sqlite:///{data_dir / 'tghub.sqlite3'}",
            "REDIS_URL": "",
            "TGHUB_AUTH": "open",
            "TELEGRAM_DC": telegram.dc,
            "TELEGRAM_DC_PUBLIC_KEY": str(telegram.public_key_file),
            "TELEGRAM_API_ID": "12345",
            "TELEGRAM_API_HASH": "0123456789abcdef0123456789abcdef",
            "LOG_LEVEL": "debug",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.http = httpx.Client(timeout=60)

    # The process

    def start(self) -> "Hub":
        """Start `serve` on a free port and return once it answers."""
        self.process = self.popen("serve", "--port", "0")
        self.url = self._ready_url()
        self.http.base_url = httpx.URL(self.url)
        return self

    def popen(self, *words: str) -> "subprocess.Popen[str]":
        with self.log_file.open("a") as log:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), *words],
                env=self.environment,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _ready_url(self) -> str:
        process = self.process
        assert process is not None and process.stdout is not None
        guard = threading.Timer(START_SECONDS, process.kill)
        guard.start()
        try:
            for line in process.stdout:
                if line.startswith("ready: "):
                    return line.removeprefix("ready: ").strip()
        finally:
            guard.cancel()
        process.wait()
        raise AssertionError(f"The hub did not start:\n{self.log()[-4000:]}")

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL, no goodbye."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """Ask it to stop (SIGTERM), wait, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        code = self.process.wait(timeout=60)
        if self.process.stdout:
            self.process.stdout.close()
        self.process = None
        return code

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # its threads go on for a moment

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()
        self.http.close()

    # What it says

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def manage(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a management command with this hub's settings."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *words],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{words[0]}: {done.stdout}{done.stderr}")
        return done

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.http.post(path, json=body, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.http.delete(path, **options)

    # What a user does

    def log_in(
        self, session: str, phone: str, login_code: Callable[[str], str], password: str = ""
    ) -> dict[str, Any]:
        """Log a session in by phone, code and, where Telegram asks for it, password.

        `login_code` tells the code that Telegram has just sent to a phone.
        """
        started = self.post("/login/start", {"session_id": session, "phone_number": phone})
        assert started.status_code == 200, started.text
        answer = self.post("/login/code", {"session_id": session, "phone_code": login_code(phone)})
        if answer.json().get("status") == "2fa_required":
            answer = self.post("/login/password", {"session_id": session, "password": password})
        assert answer.json()["status"] == "success", answer.text
        result: dict[str, Any] = answer.json()["user"]
        return result

    def status(self, session: str) -> dict[str, Any]:
        result: dict[str, Any] = self.get(f"/session/{session}/status").json()
        return result

    def fill_cache(self, posts: int, peer: int = -1_009_999_999_999) -> int:
        """Put a channel of so many posts into the cache of the one session; return its id."""
        subprocess.run(
            [sys.executable, "-m", "tests.cached", str(peer), str(posts)],
            env=self.environment,
            cwd=ROOT,
            check=True,
        )
        return peer

    def wait_connected(self, session: str, seconds: float = 30) -> None:
        wait_until(
            lambda: self.status(session).get("is_connected"),
            seconds=seconds,
            what=f"{session} is connected",
        )


@contextlib.contextmanager
def hub_process(data_dir: Path, telegram: Any, **environment: str) -> Iterator[Hub]:
    """Yield a running hub and end it, however the test went."""
    hub = Hub(data_dir, telegram, **environment)
    try:
        yield hub.start()
    finally:
        hub.close()


# What a test asks the sandbox


def user_id(telegram: Any, phone: str) -> int:
    user = telegram.world.by_phone(phone)
    assert user is not None, phone
    result: int = user.id
    return result


def auth_keys(telegram: Any, phone: str) -> list[bytes]:
    """The key material of every authorization that a user has at Telegram."""
    logins = telegram.world.authorizations_of(user_id(telegram, phone))
    return [telegram.server.keys[login.auth_key_id].data for login in logins]
