"""`POST /messages/send` beside Django, as a chatty client calls it a thousand times.

The same answers as `views.SendView`, which the schema describes and Django would serve, without
Django's middleware and the threads that it hops through: nothing here touches the database.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.urls import re_path

from core import json, limits
from core.asgi import Receive, Scope, Send, header_dict, surface
from core.errors import TooLarge, UnsupportedMediaType
from core.validation import validated
from engine import telegram
from engine.methods import messages
from sessions_app.messages.messenger import placed_as, sent_answer
from sessions_app.messages.serializers import SendTextInput
from sessions_app.stateless import token
from sessions_app.stateless.authentication import HEADER, carried_token, require_complete
from sessions_app.stateless.carrying import first_random_id


async def send_message(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a text message for the session that the request carries."""
    headers = header_dict(scope)
    client = scope.get("client")
    held = carried_token(headers, client[0] if client else None)
    require_complete(held)
    await _count(held.name)
    body = validated(SendTextInput, await _read_json(headers, receive))
    sent, carried = await telegram.acarry(
        held.carried,
        messages.send_message,
        text=body.pop("text"),
        link_preview=body.pop("link_preview"),
        random_id=first_random_id(held.carried, headers.get("idempotency-key")),
        **placed_as(body),
    )
    pairs = [(b"content-type", b"application/json")]
    if text := token.renewed(headers[HEADER.lower()].strip(), held, carried):
        pairs.append((HEADER.lower().encode(), text.encode()))
    content = json.dumps(sent_answer(sent))
    pairs.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": pairs})
    await send({"type": "http.response.body", "body": content})


async def _count(name: str) -> None:
    if settings.REDIS_URL:
        await sync_to_async(limits.hit, thread_sensitive=False)("call", "carried", name)
    else:
        limits.hit("call", "carried", name)


async def _read_json(headers: dict[str, str], receive: Receive) -> Any:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType(f'Unsupported media type "{kind}" in request.')
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    content = bytearray()
    while True:
        message = await receive()
        content += message.get("body", b"")
        if len(content) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        if not message.get("more_body"):
            return json.parse_body(bytes(content))


consumer: Any = surface(send_message, methods=("POST",))
http_urlpatterns = [re_path(r"^messages/send$", consumer)]
