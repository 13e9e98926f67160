"""The shapes that cross from a caller to the engine and back: JSON and nothing else.

Every transport sends kwargs and results through `normalise`, the one in this process too, so
that a parameter which cannot travel fails today and not on the day when the engine moves out.
Only pages of history are too large for that: there the one in this process trusts the body.
"""

import base64
import hashlib
import json
from collections.abc import AsyncIterable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

from engine.errors import EngineError, from_dict
from engine.store import Device

JSON = Any
"""None, bool, int (64 bits), float, str, list or dict with str keys."""

Upload = AsyncIterable[bytes] | Iterable[bytes]
"""What a method's `upload` parameter takes; the body gets an AsyncIterator[bytes]."""

FloodPolicy = Literal["raise", "wait"]

MAX_DEPTH = 200
_STRICT = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


@dataclass(frozen=True, slots=True)
class Carried:
    """A session that travels with the request; the hub keeps nothing of it.

    `dc_id` 0 with an empty `host` means the server that the settings name; `auth_key` is None
    before the first contact. `device` is what it calls itself, None for the usual one.
    """

    api_id: int
    api_hash: str = field(repr=False)
    dc_id: int = 0
    host: str = ""
    port: int = 0
    auth_key: bytes | None = field(default=None, repr=False)
    device: Device | None = None

    def fingerprint(self) -> str:
        """Return a name for the session that tells nothing of its key; "" without a key."""
        if self.auth_key is None:
            return ""
        return hashlib.sha256(b"tghub carried\0" + self.auth_key).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        key = None if self.auth_key is None else base64.b64encode(self.auth_key).decode()
        return {
            "api_id": self.api_id,
            "api_hash": self.api_hash,
            "dc_id": self.dc_id,
            "host": self.host,
            "port": self.port,
            "auth_key": key,
            "device": None if self.device is None else asdict(self.device),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Carried":
        key, device = data["auth_key"], data["device"]
        known = {
            "auth_key": None if key is None else base64.b64decode(key),
            "device": None if device is None else Device(**device),
        }
        return cls(**{**data, **known})


Ref = int | Carried
"""Whose call it is: a stored session's number, or a session that travels with the request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `deadline` is absolute, in Unix seconds.

    `epoch` is the lease under which the caller saw the owner; the owner drops what comes under
    another. For a stream `timeout_seconds` bounds each chunk, not the whole.
    """

    id: str
    ref: Ref
    method: str
    kwargs: dict[str, Any] = field(repr=False)
    deadline: float
    timeout_seconds: float = 30.0
    epoch: int | None = None
    flood: FloodPolicy = "raise"
    background: bool = False
    stream: bool = False
    upload: bool = False

    def to_dict(self) -> dict[str, Any]:
        ref = {"carried": self.ref.to_dict()} if isinstance(self.ref, Carried) else self.ref
        return {
            "id": self.id,
            "ref": ref,
            "method": self.method,
            "kwargs": self.kwargs,
            "deadline": self.deadline,
            "timeout_seconds": self.timeout_seconds,
            "epoch": self.epoch,
            "flood": self.flood,
            "background": self.background,
            "stream": self.stream,
            "upload": self.upload,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Request":
        ref = data["ref"]
        if isinstance(ref, dict):
            ref = Carried.from_dict(ref["carried"])
        return cls(**{**data, "ref": ref})


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request: a result or an error.

    `carried` is the new state of a carried session whose key or data centre changed, also when
    the call failed.
    """

    id: str
    result: JSON = field(default=None, repr=False)
    error: EngineError | None = None
    carried: Carried | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "result": self.result,
            "error": None if self.error is None else self.error.to_dict(),
            "carried": None if self.carried is None else self.carried.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Reply":
        error, carried = data["error"], data["carried"]
        return cls(
            id=data["id"],
            result=data["result"],
            error=None if error is None else from_dict(error),
            carried=None if carried is None else Carried.from_dict(carried),
        )


def dumps(value: JSON) -> bytes:
    """Return `value` as JSON; TypeError when it is none (bytes, dates, objects, int keys)."""
    try:
        return orjson.dumps(value, option=_STRICT)
    except TypeError as error:
        # Text with a lone surrogate is no UTF-8; escaped it survives.
        if "surrogate" not in str(error):
            raise TypeError(f"only JSON crosses to the engine: {error}") from None
        return json.dumps(value, separators=(",", ":")).encode()


def loads(data: bytes | bytearray | memoryview) -> JSON:
    """Return the value of `dumps`; ValueError when it is no JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(bytes(data))


def normalise(value: JSON) -> JSON:
    """Return `value` as it arrives at the other side, sharing nothing with it."""
    return loads(dumps(value))


def check_json(value: JSON) -> None:
    """Raise TypeError unless `value` is JSON."""
    dumps(value)
