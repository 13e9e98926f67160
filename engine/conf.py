"""The engine's settings, read lazily from `django.conf.settings.TELEGRAM`; its only reader.

Nothing here imports Django before it is asked to, so that the engine can be used without.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class DataCenter:
    """A Telegram server: `2@149.154.167.51:443`."""

    id: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine is told. `dc` and `dc_public_key` are None for Telegram's own servers.

    `warm` carried sessions stay connected in each worker for a while; 0 keeps none.
    """

    api_id: int | None = None
    api_hash: str = field(default="", repr=False)
    dc: DataCenter | None = None
    dc_public_key: Path | None = None
    workers: int = 2
    socket: Path | None = None
    calls_per_session: int = 50
    calls: int = 500
    warm: int | None = None


def parse_dc(text: str) -> DataCenter | None:
    """Parse `<dc id>@<host>:<port>` (an IPv6 host in brackets); None for an empty text."""
    if not text:
        return None
    match = re.fullmatch(r"(\d+)@(\[[0-9A-Fa-f:.]+\]|[^:\[\]@\s]+):(\d+)", text.strip())
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError(f"{text!r} is not <dc id>@<host>:<port>")
    return DataCenter(int(match[1]), match[2].strip("[]"), int(match[3]))


def read(values: dict[str, Any] | None = None) -> EngineSettings:
    """Return the settings in `values`, by default those of the Django project."""
    if values is None:
        from django.conf import settings

        values = getattr(settings, "TELEGRAM", {})
    defaults = EngineSettings()
    key, socket = values.get("DC_PUBLIC_KEY"), values.get("SOCKET")
    return EngineSettings(
        api_id=values.get("API_ID") or None,
        api_hash=values.get("API_HASH") or "",
        dc=parse_dc(values.get("DC") or ""),
        dc_public_key=Path(key) if key else None,
        workers=max(1, int(values.get("WORKERS") or defaults.workers)),
        socket=Path(socket) if socket else None,
        calls_per_session=int(values.get("CALLS_PER_SESSION") or defaults.calls_per_session),
        calls=int(values.get("CALLS") or defaults.calls),
        warm=values.get("WARM"),
    )
