"""Middleware of every Django answer: the request's id, and headers that harden browsers."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.errors import BadRequest, json_response
from core.request_id import choose_request_id, enter_request


class _Middleware:
    """A middleware that serves sync and async views without a thread hop."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self._async_call(request) if self.is_async else self._call(request)

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        return None

    def after(self, request: HttpRequest, response: HttpResponseBase) -> None:
        return None

    def _call(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.before(request) or self.get_response(request)
        self.after(request, response)
        return response

    async def _async_call(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.before(request) or await self.get_response(request)
        self.after(request, response)
        return response


class RequestIDMiddleware(_Middleware):
    """Gives each request an id, for its answer (`X-Request-ID`) and for its log lines.

    Also sees to what Django leaves open: NUL characters in the URL, and bodies that
    come in chunks, whose length DRF would take for zero.
    """

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        request_id = choose_request_id(request.headers.get("X-Request-ID"))
        enter_request(request_id)
        request.META["REQUEST_ID"] = request_id
        _note_chunked_length(request)
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return json_response(BadRequest("The URL must not hold NUL characters."))
        return None

    def after(self, request: HttpRequest, response: HttpResponseBase) -> None:
        response["X-Request-ID"] = request.META["REQUEST_ID"]


def _note_chunked_length(request: HttpRequest) -> None:
    body: Any = getattr(request, "_stream", None)
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "") and hasattr(body, "seek"):
        request.META["CONTENT_LENGTH"] = str(body.seek(0, 2))
        body.seek(0)


class SecurityHeadersMiddleware(_Middleware):
    """Adds what the view did not set itself: CSP and, for data, `no-store`."""

    def after(self, request: HttpRequest, response: HttpResponseBase) -> None:
        for name, value in security_headers(response.get("Content-Type", "")).items():
            response.headers.setdefault(name, value)


PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


def security_headers(content_type: str) -> dict[str, str]:
    """Return the headers that an answer of this type gets unless it has its own."""
    headers = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
    if content_type.startswith("text/html"):
        return headers | {"Content-Security-Policy": PAGE_POLICY}
    headers["Content-Security-Policy"] = DATA_POLICY
    if content_type.startswith(("application/json", "text/event-stream")):
        headers["Cache-Control"] = "no-store"
    return headers
