"""TL that is already serialised, to be put into other TL objects."""

from __future__ import annotations

from typing import Any

from telethon.tl.tlobject import TLObject


class Raw(TLObject):
    """Ready bytes that stand where a TL object is expected."""

    __slots__ = ("ready",)

    def __init__(self, ready: bytes) -> None:
        self.ready = ready

    def _bytes(self) -> bytes:
        return self.ready

    def to_dict(self) -> dict[str, Any]:
        return {"_": "Raw", "size": len(self.ready)}
