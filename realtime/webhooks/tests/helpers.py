"""Small makers: an endpoint, events of a session, an outbox that runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts.models import User
from core import events
from realtime.webhooks.endpoints import create_endpoint
from realtime.webhooks.models import WebhookEndpoint
from realtime.webhooks.outbox import Outbox
from sessions_app.models import TelegramSession


def make_endpoint(
    owner: User, url: str = "https://example.com/hook", **fields: Any
) -> WebhookEndpoint:
    return create_endpoint(owner, url=url, **fields)[0]


def happen(
    session: TelegramSession, count: int = 1, *, kind: str = "message.new", chat_id: int = -100
) -> list[int]:
    """Append events to the log; return their ids."""
    with transaction.atomic():
        before = events.bounds().last
        events.append(
            [
                events.NewEvent(
                    kind, {"message": {"message_id": n}}, session_id=session.pk, chat_id=chat_id
                )
                for n in range(count)
            ]
        )
    return list(range(before + 1, before + count + 1))


@dataclass
class HeldLease:
    name: str = "node"
    epoch: int = 1
    held: bool = True


@contextmanager
def outbox_running(lease: HeldLease | None = None, **options: Any) -> Iterator[Outbox]:
    outbox = Outbox(lease or HeldLease(), **options)
    outbox.start()
    try:
        yield outbox
    finally:
        outbox.stop()
