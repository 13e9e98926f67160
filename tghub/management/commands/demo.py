"""Run the hub on the bundled sandbox Telegram, with one account logged in."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tghub import arguments

DEMO_PHONE = "+15550000001"
NEW_PHONE = "+15550000003"
SESSION = "demo"
START_SECONDS = 60


class Command(BaseCommand):
    help = "Run the hub on a sandbox Telegram: no credentials, no network, one account logged in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=arguments.port, default=settings.TGHUB_PORT)
        parser.add_argument("--seed", type=int, default=1, help="which world the sandbox makes")

    def handle(self, *args: Any, port: int, seed: int, **options: Any) -> None:
        from sandbox import Sandbox

        data = settings.BASE_DIR / "data" / f"demo-{port}"
        if (data / "engine.sock").exists() and _answers(port):
            raise CommandError(f"A demo already runs on port {port}; choose another: --port")
        # The sandbox's Telegram begins anew each time, so nothing of an older one may remain.
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700, parents=True)
        stop_on_sigterm()
        with Sandbox(seed=seed) as telegram:
            environment = hub_environment(data, port, telegram.dc, str(telegram.public_key_file))
            password = secrets.token_urlsafe(9)
            manage(environment, "migrate", "--verbosity", "0")
            manage(
                {**environment, "DJANGO_SUPERUSER_PASSWORD": password},
                *("createsuperuser", "--noinput", "--username", "admin", "--email", ""),
            )
            key = manage(environment, "create_api_key", "local", "--name", "demo").splitlines()[-1]
            with running_hub(environment) as (hub, url):
                log_in(url, SESSION, DEMO_PHONE, telegram.login_code)
                self.stdout.write(greeting(url, key, password, telegram.login_code(NEW_PHONE)))
                hub.wait()


def stop_on_sigterm() -> None:
    """Leave by the same road as Ctrl-C, so that nothing is left running."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def hub_environment(data: Path, port: int, dc: str, public_key_file: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATA_DIR": str(data),
        "DATABASE_URL": f"sqlite:///{data / 'tghub.sqlite3'}",
        "REDIS_URL": "",
        "TGHUB_AUTH": "open",
        "TGHUB_HOST": "127.0.0.1",
        "TGHUB_PORT": str(port),
        "TELEGRAM_DC": dc,
        "TELEGRAM_DC_PUBLIC_KEY": public_key_file,
        # The sandbox takes any application.
        "TELEGRAM_API_ID": "1",
        "TELEGRAM_API_HASH": "0" * 32,
    }


def manage(environment: dict[str, str], *words: str) -> str:
    """Run a management command with the demo's settings and return what it printed."""
    done = subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(done.stderr.strip() or f"{words[0]} failed")
    return done.stdout.strip()


@contextlib.contextmanager
def running_hub(environment: dict[str, str]) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start `serve`, yield it and its address once it answers, stop it in the end."""
    hub = subprocess.Popen(
        # Its input ends with this process, also when that is killed.
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "serve", "--until-eof"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C reaches this process alone, which then stops the hub in order.
        start_new_session=True,
    )
    try:
        yield hub, _ready_url(hub)
    except KeyboardInterrupt:
        pass
    finally:
        hub.terminate()
        hub.wait()


def _ready_url(hub: "subprocess.Popen[str]") -> str:
    assert hub.stdout is not None
    guard = threading.Timer(START_SECONDS, hub.kill)
    guard.start()
    try:
        for line in hub.stdout:
            if line.startswith("ready: "):
                threading.Thread(target=_echo, args=(hub.stdout,), daemon=True).start()
                return line.removeprefix("ready: ").strip()
            sys.stdout.write(line)
    finally:
        guard.cancel()
    raise CommandError("The hub did not start; see above.")


def _echo(stream: IO[str]) -> None:
    for line in stream:
        sys.stdout.write(line)


def log_in(url: str, session: str, phone: str, code_of: Any) -> None:
    """Log a session in over the hub's own REST surface, as any client would."""
    post(f"{url}/login/start", session_id=session, phone_number=phone)
    post(f"{url}/login/code", session_id=session, phone_code=code_of(phone))


def post(url: str, **body: str) -> dict[str, Any]:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(url, orjson.dumps(body), {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=30) as answer:
            result: dict[str, Any] = orjson.loads(answer.read())
            return result
    except HTTPError as error:
        raise CommandError(f"{url} answered {error.code}: {error.read().decode()}") from error


def _answers(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def greeting(url: str, key: str, password: str, code: str) -> str:
    json = "-H 'Content-Type: application/json'"
    return f"""
tghub is running on a sandbox Telegram; nothing leaves this machine.

  curl {url}/health
  curl {url}/sessions
  curl -X POST {url}/message/send {json} \\
    -d '{{"session_id": "{SESSION}", "chat_id": "me", "message": "Hello, World!"}}'

Log in another account (the sandbox "sends" {NEW_PHONE} the code {code}):

  curl -X POST {url}/login/start {json} \\
    -d '{{"session_id": "second", "phone_number": "{NEW_PHONE}"}}'
  curl -X POST {url}/login/code {json} \\
    -d '{{"session_id": "second", "phone_code": "{code}"}}'

API docs  {url}/docs
Admin     {url}/admin/  (admin / {password})
API key   {key}

Ctrl-C stops it.

ready: {url}
"""
