"""A loopback HTTP port that offers the sandbox's verbs to other processes, as JSON.

`POST /<verb>` with a JSON object of arguments (`_args`: positional ones) answers
`{"result": …}`, or an error status and `{"error": …}`. Verbs: `status`, `login_code`,
`accept_login_token`, `connections`, `calls`, `counts`, `count`, `clear_calls`, `crashes`,
`shutdown`, `faults/<verb>`, `world/<verb>`.
Only for tests and demos: who can reach the port may do everything. Browsers cannot: a
request with an `Origin`, a foreign `Host` or another content type is refused.
"""

from __future__ import annotations

import asyncio
import enum
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.sandbox import Sandbox

logger = logging.getLogger(__name__)
MAX_BODY = 16 * 1024 * 1024
LOCAL_HOSTS = {"127.0.0.1", "localhost", "[::1]"}
HIDDEN_FAULTS = {
    "attach",
    "verdict",
    "update_fate",
    "on_connect",
    "handshake_fault",
    "packet_fault",
}


class Refused(Exception):
    """The request is not served; `status` is the HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ControlServer:
    """Serves one sandbox's verbs on its loop."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._serve, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; False when the connection is at its end."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, *_ = head[0].split(" ") + [""]
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        try:
            body = await self._body(reader, headers)
            check_headers(method, headers)
            answer: dict[str, Any] = {"result": to_json(await self._do(path, body))}
            status = 200
        except Refused as error:
            status, answer = error.status, {"error": str(error)}
        except Exception as error:
            status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
        content = json.dumps(answer).encode()
        writer.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (status, b"OK" if status == 200 else b"Refused", len(content))
            + content
        )
        await writer.drain()
        if path.strip("/") == "shutdown" and status == 200:
            self._sandbox.finish()
        return headers.get("connection", "").lower() != "close" and status != 413

    async def _body(self, reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
        length = int(headers.get("content-length") or 0)
        if not 0 <= length <= MAX_BODY:
            raise Refused(413, "too large")
        return await reader.readexactly(length)

    async def _do(self, path: str, body: bytes) -> Any:
        arguments = json.loads(body) if body else {}
        if not isinstance(arguments, dict):
            raise Refused(400, "arguments are a JSON object")
        verb = self._verb(path.strip("/"))
        if verb is None:
            raise Refused(404, "no such verb")
        # Verbs of the world may take its lock while a method holds it.
        positional = arguments.pop("_args", [])
        return await asyncio.to_thread(verb, *positional, **arguments)

    def _verb(self, name: str) -> Callable[..., Any] | None:
        sandbox, calls = self._sandbox, self._sandbox.calls
        own: dict[str, Callable[..., Any]] = {
            "status": sandbox.status,
            "login_code": sandbox.login_code,
            "accept_login_token": sandbox.accept_login_token,
            "shutdown": lambda: None,
            "connections": sandbox.connections,
            "calls": calls.entries,
            "count": calls.count,
            "counts": calls.counts,
            "clear_calls": calls.clear,
            "crashes": lambda: [f"{type(e).__name__}: {e}" for e in sandbox.server.crashes],
        }
        if name in own:
            return own[name]
        room, _, verb = name.partition("/")
        target = {"faults": sandbox.faults, "world": sandbox.world}.get(room)
        if target is None or verb.startswith("_") or verb in HIDDEN_FAULTS:
            return None
        found = getattr(target, verb, None)
        return found if callable(found) else None


def check_headers(method: str, headers: Mapping[str, str]) -> None:
    """Refuse what a web page could have a browser send."""
    host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
    if method != "POST":
        raise Refused(405, "POST only")
    if host not in LOCAL_HOSTS or "origin" in headers:
        raise Refused(403, "for local programs only")
    if not headers.get("content-type", "").startswith("application/json"):
        raise Refused(415, "application/json only")


def to_json(value: Any) -> Any:
    """Return `value` as JSON; records give their plain fields, and `peer` where they have one."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    if is_dataclass(value):
        shown = {f.name: getattr(value, f.name) for f in fields(value) if f.repr}
        plain = {
            name: to_json(item)
            for name, item in shown.items()
            if item is None
            or isinstance(item, bool | int | float | str | enum.Enum)
            or (isinstance(item, dict) and all(isinstance(v, int | str) for v in item.values()))
        }
        if isinstance(peer := getattr(value, "peer", None), int):
            plain["peer"] = peer
        return plain
    return None
