"""What is posted: `{"type": kind, "timestamp": ISO 8601, "data": the event}`."""

from datetime import UTC, datetime
from typing import Any

from core import json
from core.events import StoredEvent
from realtime.eventlog import event_document

TEST = "webhook.test"
RESET = "reset"


def event_body(event: StoredEvent, session_name: str) -> bytes:
    """Return the body for an event of the log: `data` is what `subscribe` sends."""
    return _body(event.kind, event.date, event_document(event, session_name))


def own_body(kind: str, moment: datetime, data: dict[str, Any]) -> bytes:
    """Return the body of a test, or of a `reset` (`data` has the oldest id that is kept)."""
    return _body(kind, moment, json.dumps({"kind": kind, **data}))


def _body(kind: str, moment: datetime, document: bytes) -> bytes:
    timestamp = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = json.dumps({"type": kind, "timestamp": timestamp})
    return head[:-1] + b',"data":' + document + b"}"
