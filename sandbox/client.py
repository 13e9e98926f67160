"""The sandbox's verbs from another process, over its control port."""

from __future__ import annotations

import http.client
import json
from typing import Any


class ControlError(Exception):
    """The sandbox refused a verb, or the verb failed there."""


class Control:
    """`Control(port).faults.flood("messages.sendMessage", 30)`, as in-process.

    Verbs of `faults` and `world` take plain JSON values; records come back as dicts.
    Not for several threads at once.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", *, timeout_seconds: float = 60) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
        self.faults = _Room(self, "faults")
        self.world = _Room(self, "world")

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def call(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """Do a verb such as `world/post`. Raises ControlError, OSError."""
        body = json.dumps({**kwargs, **({"_args": args} if args else {})})
        headers = {"Content-Type": "application/json"}
        try:
            self._connection.request("POST", f"/{verb}", body, headers)
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except http.client.HTTPException as error:
            self._connection.close()
            raise ConnectionError(f"the sandbox does not answer: {error}") from error
        except OSError:
            self._connection.close()
            raise
        if response.status != 200:
            raise ControlError(answer["error"])
        return answer["result"]

    def status(self) -> dict[str, Any]:
        """Return dc, dcs, public_key_file and control_port."""
        result: dict[str, Any] = self.call("status")
        return result

    def login_code(self, phone: str) -> str:
        return str(self.call("login_code", phone))

    def accept_login_token(self, url: str, user: int | str) -> None:
        self.call("accept_login_token", url, user)

    def connections(self) -> list[dict[str, Any]]:
        """Return the present connections: see `Sandbox.connections`."""
        result: list[dict[str, Any]] = self.call("connections")
        return result

    def calls(self, method: str = "*", *, user_id: int | None = None) -> list[dict[str, Any]]:
        """Return the logged calls of a method, oldest first."""
        result: list[dict[str, Any]] = self.call("calls", method, user_id=user_id)
        return result

    def count(self, method: str, *, user_id: int | None = None) -> int:
        return int(self.call("count", method, user_id=user_id))

    def counts(self) -> dict[str, int]:
        result: dict[str, int] = self.call("counts")
        return result

    def clear_calls(self) -> None:
        self.call("clear_calls")

    def crashes(self) -> list[str]:
        """Return what handlers raised that is no RPC error."""
        result: list[str] = self.call("crashes")
        return result

    def shutdown(self) -> None:
        """Ask the sandbox to stop; returns at once."""
        self.call("shutdown")


class _Room:
    def __init__(self, control: Control, name: str) -> None:
        self._control = control
        self._name = name

    def __getattr__(self, verb: str) -> Any:
        if verb.startswith("_"):
            raise AttributeError(verb)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._control.call(f"{self._name}/{verb}", *args, **kwargs)

        return call
