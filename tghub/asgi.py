"""The ASGI application: Django beside the Channels consumers."""

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tghub.settings")

django: Any = get_asgi_application()

import core.health  # noqa: E402  needs the apps to be ready
import realtime.routing  # noqa: E402
import scraper.routing  # noqa: E402
import sessions_app.stateless.routing  # noqa: E402

health: Any = core.health.application

application = realtime.routing.announced(
    ProtocolTypeRouter(
        {
            "http": URLRouter(
                [
                    path("health", health),
                    *scraper.routing.http_urlpatterns,
                    *realtime.routing.http_urlpatterns,
                    *sessions_app.stateless.routing.http_urlpatterns,
                    re_path(r"", django),
                ]
            ),
            "websocket": URLRouter(realtime.routing.websocket_urlpatterns),
        }
    )
)
