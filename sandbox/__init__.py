"""A Telegram data centre on loopback: MTProto 2.0, a world of chats, and faults on demand."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.sandbox import Sandbox as Sandbox

__all__ = ["Sandbox"]


def __getattr__(name: str) -> Any:
    # Loaded when used: Django imports this package in processes that need no Telethon.
    if name == "Sandbox":
        from sandbox.sandbox import Sandbox

        return Sandbox
    raise AttributeError(f"module 'sandbox' has no attribute {name!r}")
