"""A few views for the tests of what surrounds every view."""

from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.errors import Conflict, NotFound, TooManyRequests, Unavailable
from core.health import health
from core.request_id import current_request_id
from core.validation import SessionNameField, validated
from engine.errors import FloodWait, from_rpc

handler400 = "core.errors.bad_request"
handler403 = "core.errors.permission_denied"
handler404 = "core.errors.page_not_found"
handler500 = "core.errors.server_error"

SECRET = "tgh_12345678_secretsecretsecretsecretsecretsecretsecretse"

RAISES: dict[str, Exception] = {
    "not_found": NotFound("There is no such chat.", code="chat_not_found"),
    "conflict": Conflict("The session exists."),
    "throttled": TooManyRequests("Slower.", retry_after=2.1),
    "unavailable": Unavailable("The hub is starting.", retry_after=3),
    "flood": FloodWait(seconds=30),
    "admin_required": from_rpc(400, "CHAT_ADMIN_REQUIRED", "messages.sendMessage"),
    "unknown": RuntimeError(SECRET),
    "denied": PermissionDenied(SECRET),
    "suspicious": SuspiciousOperation(SECRET),
    "database": OperationalError(SECRET),
}


class OpenView(APIView):
    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes: list[Any] = []


class NameInput(serializers.Serializer[Any]):
    session_id = SessionNameField()
    tags = serializers.ListField(child=serializers.IntegerField(), required=False)


class EchoView(OpenView):
    def post(self, request: Request) -> Response:
        return Response({"echo": request.data})


class NameView(OpenView):
    def post(self, request: Request) -> Response:
        return Response(validated(NameInput, request.data))


class RaisingView(OpenView):
    def get(self, request: Request, name: str) -> Response:
        raise RAISES[name]


def plain(request: HttpRequest, name: str) -> HttpResponse:
    raise RAISES[name]


def request_id(request: HttpRequest) -> HttpResponse:
    return HttpResponse(current_request_id(), content_type="text/plain")


async def async_request_id(request: HttpRequest) -> HttpResponse:
    return HttpResponse(current_request_id(), content_type="text/plain")


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>page</p>")


def body(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(request.body)))


urlpatterns = [
    path("echo", EchoView.as_view()),
    path("name", NameView.as_view()),
    path("raise/<name>", RaisingView.as_view()),
    path("plain/<name>", plain),
    path("request-id", request_id),
    path("async-request-id", async_request_id),
    path("page", page),
    path("body", body),
    path("health", health),
]
