"""Every operation on Telegram, as a typed signature to hand to `telegram.call`."""

from engine.methods.registry import Method, describe, lookup, method, registered

__all__ = ["Method", "describe", "lookup", "method", "registered"]
