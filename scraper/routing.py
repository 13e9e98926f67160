"""What of `/api/v3` is served by ASGI applications beside Django."""

from typing import Any

from django.urls import path

from scraper import files

application: Any = files.application
http_urlpatterns = [path("api/v3/files/<str:name>", application)]
