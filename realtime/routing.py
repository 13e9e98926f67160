"""What is served beside Django: streams over HTTP, and the WebSocket."""

from typing import Any

from django.conf import settings
from django.urls import re_path

from core.asgi import App, Receive, Scope, Send, surface
from realtime.consumers import TelegramConsumer
from realtime.events_api import EventsConsumer
from realtime.fanout import fanout
from realtime.history import HistoryConsumer


async def refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse the handshake: there is no such path."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


def _route(pattern: str, app: Any) -> Any:
    return re_path(pattern, app)


http_urlpatterns = [
    _route(r"^api/v3/history/(?P<dialog_id>.+)$", surface(HistoryConsumer.as_asgi())),
    _route(r"^api/v3/events$", surface(EventsConsumer.as_asgi())),
]
websocket_urlpatterns = [
    _route(r"^ws/telegram/?$", surface(TelegramConsumer.as_asgi())),
    _route(r"", refuse_socket),
]


def announced(app: Any) -> App:
    """Return `app`, which tells other processes of events from its first request on."""
    if not settings.REDIS_URL:
        return app  # type: ignore[no-any-return]

    async def announcing(scope: Scope, receive: Receive, send: Send) -> None:
        fanout()
        await app(scope, receive, send)

    return announcing
