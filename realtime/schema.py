"""The streams in the OpenAPI schema, by hand: the consumers are no DRF views."""

from typing import Any

from realtime.eventlog import KINDS
from scraper.base import HEADER

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
ERRORS = {
    400: "Invalid input",
    401: "No or a wrong key; the session is unknown or not logged in",
    403: "The key lacks the scope",
    404: "No such session or chat",
    429: "Telegram's flood wait or the hub's own limit; see Retry-After",
    502: "Telegram is unreachable or failing",
    503: "Starting, draining, or another node owns the session; see Retry-After",
}
EVENT: dict[str, Any] = {
    "type": "object",
    "description": "What else an event has depends on its kind: see docs/events.md, /api/asyncapi.",
    "properties": {
        "id": {"type": "integer"},
        "kind": {"type": "string", "enum": [*KINDS, "reset"]},
        "session": {"type": "string"},
        "chat_id": {"type": "integer", "nullable": True},
        "date": {"type": "string", "format": "date-time"},
    },
    "required": ["id", "kind"],
    "additionalProperties": True,
}
STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


def _parameter(
    name: str, schema: dict[str, Any], text: str, where: str = "query", *, required: bool = False
) -> dict[str, Any]:
    found = {"name": name, "in": where, "schema": schema, "description": text}
    return {**found, "required": True} if required else found


TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
FLAG = {"type": "boolean", "default": False}
USER = _parameter(
    "user", TEXT, "Whose sessions, when not the caller's own; needs the scope `admin`."
)


def _errors(*statuses: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ErrorOutput"}
    content = {"application/json": {"schema": schema}}
    return {str(status): {"content": content, "description": ERRORS[status]} for status in statuses}


HISTORY: dict[str, Any] = {
    "operationId": "api_v3_history_stream",
    "description": (
        "Stream a dialog's messages as server-sent events, from the cache and from Telegram. "
        'Each event is `id: <last message_id>` and `data: {"messages": [...]}`; a whole stream '
        "ends with `event: end`, one that broke off with `event: error`."
    ),
    "tags": ["history"],
    "security": SECURITY,
    "parameters": [
        _parameter("dialog_id", TEXT, "A chat reference.", "path", required=True),
        _parameter(HEADER, TEXT, "The session's name.", "header", required=True),
        _parameter("Last-Event-ID", NUMBER, "Go on after this message.", "header"),
        _parameter("start_date", TEXT, "YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, UTC unless said."),
        _parameter("end_date", TEXT, "Likewise; a date alone includes its whole day."),
        _parameter(
            "chunk_size",
            {"type": "integer", "minimum": 1, "default": 100},
            "Messages per event, at most 10 000.",
        ),
        _parameter("reverse", {"type": "boolean", "default": True}, "Oldest first."),
        _parameter("force_refresh", FLAG, "Read the range again from Telegram."),
        _parameter("include_deleted", FLAG, "Also messages that were deleted at Telegram."),
        _parameter(
            "max_wait",
            {"type": "number", "minimum": 0, "default": 60},
            "For how many seconds of a flood wait the stream is kept open.",
        ),
        USER,
    ],
    "responses": {
        "200": {"content": STREAM, "description": "The stream"},
        **_errors(400, 401, 403, 404, 429, 502, 503),
    },
}

EVENTS: dict[str, Any] = {
    "operationId": "api_v3_events_list",
    "description": (
        "Read the event log after a cursor: as server-sent events with `Accept: "
        "text/event-stream`, else what is there, waiting up to `timeout` seconds for the first."
    ),
    "tags": ["events"],
    "security": SECURITY,
    "parameters": [
        _parameter("since", NUMBER, "The cursor; from now on when there is none, 0: everything."),
        _parameter("Last-Event-ID", NUMBER, "The cursor again; it goes first.", "header"),
        _parameter("session", {"type": "array", "items": TEXT}, "Names of sessions."),
        _parameter("chat", {"type": "array", "items": NUMBER}, "Marked ids of chats."),
        _parameter(
            "kind", {"type": "array", "items": {**TEXT, "enum": list(KINDS)}}, "Kinds of events."
        ),
        _parameter(
            "timeout", {"type": "number", "minimum": 0, "maximum": 60, "default": 0}, "Seconds."
        ),
        _parameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            "At most so many events; not for streams.",
        ),
        _parameter(HEADER, TEXT, "This session alone.", "header"),
        USER,
    ],
    "responses": {
        "200": {
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "events": {
                                "type": "array",
                                "items": {"$ref": "#/components/schemas/Event"},
                            },
                            "next": NUMBER,
                        },
                        "required": ["events", "next"],
                    }
                },
                **STREAM,
            },
            "description": "The events, and the cursor to go on with",
        },
        **_errors(400, 401, 403, 404, 429, 503),
    },
}


def add_streams(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the operations of the consumers, and what their answers are made of."""
    result["paths"]["/api/v3/history/{dialog_id}"] = {"get": HISTORY}
    result["paths"]["/api/v3/events"] = {"get": EVENTS}
    result["paths"] = dict(sorted(result["paths"].items()))
    result["components"].setdefault("schemas", {})["Event"] = EVENT
    return result
