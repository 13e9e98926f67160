"""The JSON of events and frames, as JSON Schema: for the documents, and for the tests."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}


def nullable(schema: Schema) -> Schema:
    """Return a schema that also takes null."""
    return {**schema, "type": [schema["type"], "null"]}


def shape(required: dict[str, Any], **optional: Any) -> Schema:
    """Return the schema of an object."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
    }


REACTION = shape({"count": NUMBER}, emoji=TEXT, custom_emoji_id=TEXT)
MEDIA = shape(
    {
        "type": {**TEXT, "description": "Telethon's class name"},
        "uuid": {**nullable(TEXT), "description": "for GET /api/v3/files/{uuid}"},
        "filename": nullable(TEXT),
        "size": {**nullable(NUMBER), "description": "bytes"},
    }
)
MESSAGE = shape(
    {
        "message_id": NUMBER,
        "date": {**nullable(TEXT), "description": "YYYY-MM-DD HH:MM:SS, UTC"},
        "sender_id": {**nullable(NUMBER), "description": "marked id"},
        "first_name": nullable(TEXT),
        "last_name": nullable(TEXT),
        "username": nullable(TEXT),
        "message": TEXT,
        "media": {**MEDIA, "type": ["object", "null"]},
        "reply_to": nullable(NUMBER),
        "post_author": nullable(TEXT),
        "is_forwarded": {"type": "integer", "enum": [0, 1]},
        "forwarded_from_channel_id": nullable(NUMBER),
    },
    edit_date=TEXT,
    deleted=FLAG,
    views=NUMBER,
    reactions={"type": "array", "items": REACTION},
    topic_id=NUMBER,
    grouped_id=NUMBER,
    action={**TEXT, "description": "of a service message: Telethon's class name"},
)

# Of each kind: what it tells, and what it has beside the fields of every event.
EVENTS: dict[str, tuple[str, Schema]] = {
    "message.new": ("A message came, or was sent from this account.", shape({"message": MESSAGE})),
    "message.edited": ("A message was edited.", shape({"message": MESSAGE})),
    "message.deleted": (
        "Messages were deleted. In private chats and basic groups Telegram does not name the "
        "chat: `chat_id` is null, and the ids count per account.",
        shape({"message_ids": {"type": "array", "items": NUMBER}}),
    ),
    "message.read": (
        "Messages up to `max_id` were read: by the others when `outgoing`, else by this account.",
        shape({"max_id": NUMBER, "outgoing": FLAG, "unread_count": nullable(NUMBER)}),
    ),
    "message.reactions": (
        "The reactions to a message are these now.",
        shape({"message_id": NUMBER, "reactions": {"type": "array", "items": REACTION}}),
    ),
    "chat.member": (
        "Somebody came or went, or this account's own place in the chat changed.",
        shape(
            {
                "user_id": nullable(NUMBER),
                "action": {**TEXT, "enum": ["added", "removed", "changed"]},
                "by_id": {**nullable(NUMBER), "description": "who did it, where that is known"},
            }
        ),
    ),
    "dialog.changed": (
        "The dialog stands otherwise in this account's list.",
        shape({"what": {**TEXT, "enum": ["archive", "mute", "unread_mark", "name"]}}),
    ),
    "folders.changed": ("This account's folders changed; ask for them again.", shape({})),
    "session.state": (
        "The session was logged in or out, revoked, paused, or its connection changed. "
        "A `degraded` connection is up and receives nothing; what it missed is refilled.",
        shape(
            {"state": TEXT},
            connection={
                **TEXT,
                "enum": ["connected", "disconnected", "retrying", "degraded"],
            },
            error=nullable(TEXT),
        ),
    ),
}

RESET = shape(
    {
        "id": {**NUMBER, "description": "the cursor to go on with"},
        "kind": {"const": "reset"},
        "oldest": {**NUMBER, "description": "the first event that is kept"},
    }
)


def event_schema(kind: str) -> Schema:
    """Return the schema of a whole event of a kind."""
    about, own = EVENTS[kind]
    return {
        "type": "object",
        "description": about,
        "properties": {
            "id": {**NUMBER, "description": "the event's place in the log: a cursor"},
            "kind": {"const": kind},
            "session": {**TEXT, "description": "the session's name"},
            "chat_id": {**nullable(NUMBER), "description": "marked id"},
            "date": {**TEXT, "format": "date-time", "description": "when it happened"},
            **own["properties"],
        },
        "required": ["id", "kind", "session", "chat_id", "date", *own["required"]],
    }
