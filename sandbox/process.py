"""The sandbox as a process: `python -m sandbox` and, for tests, a handle on one.

The process prints one line of JSON when clients can connect: `dc`, `dcs`,
`public_key_file`, `control_port`, `pid`. It stops at SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox.client import Control

ROOT = Path(__file__).resolve().parent.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python -m sandbox` and `manage.py sandbox`."""
    parser.add_argument("--seed", type=int, default=1, help="of the generated world")
    parser.add_argument("--world", type=Path, help="a world's JSON file, instead of a seed")
    parser.add_argument("--dcs", type=int, default=2, help="number of data centres")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--port", type=int, action="append", default=[], help="of DC 1, 2, ... (repeat); 0: free"
    )
    parser.add_argument("--control-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--key-file", type=Path, help="keeps the RSA key")
    parser.add_argument("--state-file", type=Path, help="keeps auth keys and logins")
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="stop when standard input closes"
    )


def run(options: argparse.Namespace) -> None:
    """Run a sandbox until SIGTERM, SIGINT or the verb `shutdown`."""
    from sandbox.sandbox import Sandbox
    from sandbox.world.load import load

    sandbox = Sandbox(
        seed=options.seed,
        world=load(options.world) if options.world else None,
        dcs=options.dcs,
        host=options.host,
        ports=options.port,
        control_port=options.control_port,
        key_file=options.key_file,
        state_file=options.state_file,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sandbox.finish())
    with sandbox:
        print(json.dumps({**sandbox.status(), "pid": os.getpid()}), flush=True)
        if options.exit_with_stdin:
            threading.Thread(target=_watch_stdin, args=(sandbox.finish,), daemon=True).start()
        sandbox.wait()


def _watch_stdin(finish: Any) -> None:
    while os.read(0, 4096):
        pass
    finish()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    run(options)


class SandboxProcess:
    """A sandbox in a process of its own, with `dc`, `public_key_file` and `control`.

    Options as `python -m sandbox` takes them: `SandboxProcess(seed=2, state_file=path)`.
    It ends with this process, however that ends.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.dc = ""
        self.dcs: list[str] = []
        self.public_key_file = Path()
        self.control_port = 0
        self.control: Control

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process; return when clients can connect. Raises RuntimeError."""
        command = [sys.executable, "-m", "sandbox", "--exit-with-stdin"]
        for name, value in self._options.items():
            for item in value if isinstance(value, list | tuple) else [value]:
                command += [f"--{name.replace('_', '-')}", str(item)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox ended with {self._process.wait()}")
        status = json.loads(line)
        self.dc, self.dcs = status["dc"], status["dcs"]
        self.public_key_file = Path(status["public_key_file"])
        self.control_port = status["control_port"]
        self.control = Control(self.control_port)

    def stop(self, *, kill: bool = False) -> int:
        """Stop the process (`kill`: SIGKILL); return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        self.control.close()
        (process.kill if kill else process.terminate)()
        code = process.wait(timeout=30)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def __enter__(self) -> SandboxProcess:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
