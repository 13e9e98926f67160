"""The ASGI application: Django beside the Channels consumers."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tghub.settings")

django = get_asgi_application()

from scraper.routing import http_urlpatterns  # noqa: E402  needs the apps to be ready

application = ProtocolTypeRouter({"http": URLRouter([*http_urlpatterns, re_path(r"", django)])})
