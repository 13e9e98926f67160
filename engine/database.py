"""The few words that the engine says to Django's connections, if there is a Django at all."""

from typing import Any


def _connections() -> list[Any]:
    from django.conf import settings

    if not settings.configured:
        return []
    from django.db import connections

    return list(connections.all(initialized_only=True))


def close_broken_connections() -> None:
    """Close those of this thread's connections that no longer work, whatever their age."""
    for connection in _connections():
        if connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()


def close_connections() -> None:
    """Close all of this thread's connections."""
    for connection in _connections():
        connection.close()


def release() -> None:
    """Give back this thread's connections before a long wait.

    Raises RuntimeError inside `atomic`: a transaction must not stay open while Telegram thinks.
    The transaction that a test case wraps around a test is left alone.
    """
    for connection in _connections():
        if not connection.in_atomic_block:
            connection.close()
        elif any(not block._from_testcase for block in connection.atomic_blocks):
            raise RuntimeError("Telegram was called inside transaction.atomic()")


async def arelease() -> None:
    """Do as `release` for an async caller: also in the thread of its request's ORM calls."""
    from asgiref.sync import SyncToAsync, sync_to_async

    request = SyncToAsync.thread_sensitive_context.get(None)
    if request is not None and request in SyncToAsync.context_to_thread_executor:
        await sync_to_async(release)()
