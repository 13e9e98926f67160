"""A few views for the tests of who may call them."""

from typing import Any

from django.contrib import admin
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.callers import caller_of, owner_for

handler403 = "core.errors.permission_denied"
handler404 = "core.errors.page_not_found"


class WhoView(APIView):
    required_scope: Any = "read"

    def get(self, request: Request) -> Response:
        owner = owner_for(caller_of(request), request.query_params.get("user"))
        return Response({"user": request.user.get_username(), "owner": owner.get_username()})


class ByMethodView(APIView):
    required_scope = {"GET": "read", "POST": "send"}

    def get(self, request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        return Response({})

    def delete(self, request: Request) -> Response:
        return Response({})


class ForgottenView(APIView):
    def get(self, request: Request) -> Response:
        return Response({"secret": True})


urlpatterns = [
    path("who", WhoView.as_view()),
    path("by-method", ByMethodView.as_view()),
    path("forgotten", ForgottenView.as_view()),
    path("admin/", admin.site.urls),
    *[
        path(scope, WhoView.as_view(required_scope=scope))
        for scope in ("read", "send", "sessions", "admin")
    ],
]
