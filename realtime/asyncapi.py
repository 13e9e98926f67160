"""The AsyncAPI document: the WebSocket, the event streams and the webhooks, for machines."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from realtime.shapes import EVENTS, FLAG, MESSAGE, NUMBER, RESET, TEXT, Schema, event_schema, shape

STATUS = {**TEXT, "enum": ["success", "failed"]}
GROUP = shape({"name": TEXT}, status={**TEXT, "enum": ["", "latest"]})
GROUPS: Schema = {"type": "array", "items": {"oneOf": [TEXT, GROUP]}}
ORDER = shape({"group": GROUPS}, status={**TEXT, "enum": ["", "latest"]}, done=FLAG)


def _ref(section: str, name: str) -> Schema:
    return {"$ref": f"#/components/{section}/{name}"}


def _key(group: str, event: str) -> str:
    """Return the name of a message in the document, where blanks are not allowed."""
    return f"{group}.{event.replace(' ', '-')}"


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


REQUESTS: dict[str, tuple[str, Schema | None]] = {
    "login": (
        "Bind the socket to a key's user and a session.",
        shape({"apiKey": TEXT}, session=TEXT),
    ),
    "telegram login": (
        "Log the session in: phone, then code, then where Telegram asks for it password.",
        shape({}, phone=TEXT, code=TEXT, password=TEXT),
    ),
    "users": ("Ask for the members of groups.", ORDER),
    "chats": ("Ask for the messages of chats, oldest first.", ORDER),
    "subscribe": (
        "Hear of events, after everything since a cursor.",
        shape({}, sessions=_list(TEXT), chats=_list(NUMBER), kinds=_list(TEXT), since=NUMBER),
    ),
    "unsubscribe": ("Hear of no more events.", None),
    "ping": ("Ask whether the socket is alive.", None),
}
"""What a client sends: each event, and its `data`."""


def _reply(event: str, message: Schema) -> Schema:
    data = shape({"status": STATUS, "message": message}, retry_after=NUMBER)
    if event in ("subscribe", "unsubscribe"):
        data["properties"]["next"] = {**NUMBER, "description": "the cursor to go on with"}
    return shape({"event": {"const": event}, "data": data})


def _answers() -> dict[str, Schema]:
    done = shape({"group": TEXT, "done": FLAG, "count": NUMBER})
    user = shape({"group": TEXT, "user": shape({"id": NUMBER})})
    chat = shape({"group": TEXT, "chat": _ref("schemas", "chat")})
    answers = {event: _reply(event, TEXT) for event in REQUESTS if event != "ping"}
    answers["users"] = _reply("users", {"oneOf": [TEXT, user, done]})
    answers["chats"] = _reply("chats", {"oneOf": [TEXT, chat, done]})
    answers["error"] = _reply("error", TEXT)
    answers["pong"] = shape({"event": {"const": "pong"}})
    answers["reset"] = shape({"event": {"const": "reset"}, "data": _ref("schemas", "reset")})
    return answers


def document(host: str) -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of a hub that is reached as `host`."""
    messages: dict[str, Any] = {}
    for event, (about, data) in REQUESTS.items():
        frame = shape({"event": {"const": event}, **({"data": data} if data else {})})
        messages[_key("ask", event)] = {"name": event, "summary": about, "payload": frame}
    for event, payload in _answers().items():
        messages[_key("answer", event)] = {"name": event, "payload": payload}
    for kind, (about, _) in EVENTS.items():
        whole = _ref("schemas", kind)
        update = shape({"event": {"const": "update"}, "data": whole})
        post = shape({"type": {"const": kind}, "timestamp": TEXT, "data": whole})
        messages[f"update.{kind}"] = {"name": "update", "summary": about, "payload": update}
        messages[f"event.{kind}"] = {"name": kind, "summary": about, "payload": whole}
        messages[f"webhook.{kind}"] = {"name": kind, "summary": about, "payload": post}
    messages["event.reset"] = {
        "name": "reset",
        "summary": "The cursor is older than what is kept.",
        "payload": _ref("schemas", "reset"),
    }
    asked = [name for name in messages if name.startswith("ask.")]
    told = [name for name in messages if name.startswith(("answer.", "update."))]
    streamed = [name for name in messages if name.startswith("event.")]
    posted = [name for name in messages if name.startswith("webhook.")]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tghub",
            "version": settings.VERSION,
            "description": "What the hub tells by itself; docs/events.md says it in words.",
        },
        "servers": {
            "socket": {"host": host, "protocol": "ws"},
            "streams": {"host": host, "protocol": "http"},
        },
        "channels": {
            "socket": _channel("/ws/telegram/", "socket", [*asked, *told]),
            "events": _channel("/api/v3/events", "streams", streamed),
            "webhooks": {"address": None, "messages": _messages(posted)},
        },
        "operations": {
            "ask": _operation("receive", "socket", asked),
            "tell": _operation("send", "socket", told),
            "stream": _operation("send", "events", streamed),
            "post": _operation("send", "webhooks", posted),
        },
        "components": {
            "messages": messages,
            "schemas": {
                "chat": shape({"id": NUMBER, **MESSAGE["properties"]}),
                "reset": RESET,
                **{kind: event_schema(kind) for kind in EVENTS},
            },
        },
    }


def _messages(names: list[str]) -> dict[str, Schema]:
    return {name: _ref("messages", name) for name in names}


def _channel(address: str, server: str, names: list[str]) -> dict[str, Any]:
    return {
        "address": address,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": _messages(names),
    }


def _operation(action: str, channel: str, names: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


@require_safe
def asyncapi(request: HttpRequest) -> JsonResponse:
    """`GET /api/asyncapi`: like the OpenAPI document, for everybody."""
    return JsonResponse(document(request.get_host()))
