"""What of `/api/v3` is served by ASGI applications beside Django."""

from django.urls import path

from scraper import files

http_urlpatterns = [path("api/v3/files/<str:name>", files.application)]
