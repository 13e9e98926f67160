"""Ours becomes HTTP here, once: status, body, headers and WebSocket close code.

Every body is `{"detail": text, "code": stable name}`, with `errors` (`{field: [text]}`)
for input that failed validation and `retry_after` (seconds) wherever waiting helps.
The text of an exception that nobody foresaw is logged and never shown.
"""

import logging
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from django.core import exceptions as django_errors
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.views import csrf, defaults
from rest_framework import exceptions as drf_errors
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from core.translations import translated
from engine.errors import EngineError

logger = logging.getLogger(__name__)

# The code of an error that has no better name.
CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    410: "gone",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    429: "throttled",
    500: "server_error",
    502: "telegram_unavailable",
    503: "unavailable",
    507: "storage_full",
}
SERVER_ERROR = "The server failed to answer."
# Without a better guess: how long to wait before asking again, in seconds.
RETRY_AFTER = {429: 60, 503: 5}


class ErrorParts(NamedTuple):
    """What an answer is made of."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


class ApiError(Exception):
    """An expected refusal, which the client is told in these very words."""

    status = 500

    def __init__(
        self,
        detail: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        errors: Mapping[str, list[str]] | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status or self.status
        self.detail = detail or HTTPStatus(self.status).phrase
        self.code = code or CODES.get(self.status, "error")
        self.errors = dict(errors) if errors else None
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        super().__init__(self.detail)


class BadRequest(ApiError):
    status = 400


class Unauthorized(ApiError):
    status = 401


class Forbidden(ApiError):
    status = 403


class NotFound(ApiError):
    status = 404


class MethodNotAllowed(ApiError):
    status = 405


class Conflict(ApiError):
    status = 409


class Gone(ApiError):
    status = 410


class TooLarge(ApiError):
    status = 413


class UnsupportedMediaType(ApiError):
    status = 415


class TooManyRequests(ApiError):
    status = 429


class BadGateway(ApiError):
    status = 502


class Unavailable(ApiError):
    status = 503


class ValidationFailed(BadRequest):
    """Input that failed validation: `errors` maps each field to what is wrong with it."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        field, texts = next(iter(errors.items()))
        text = texts[0] if texts else "Invalid input."
        super().__init__(text if field == NON_FIELD else f"{field}: {text}", errors=errors)


NON_FIELD = "non_field_errors"


def to_response_parts(exc: BaseException) -> ErrorParts:
    """Return status, JSON body and headers for `exc`, whatever it is.

    Texts are in the active language.
    """
    error = to_api_error(exc)
    body: dict[str, Any] = {"detail": translated(error.detail), "code": error.code}
    headers = dict(error.headers)
    if error.errors is not None:
        body["errors"] = {
            name: [translated(text) for text in texts] for name, texts in error.errors.items()
        }
    retry_after = error.retry_after
    if retry_after is None:
        retry_after = RETRY_AFTER.get(error.status)
    if retry_after is not None:
        seconds = max(1, math.ceil(retry_after))
        body["retry_after"] = seconds
        headers["Retry-After"] = str(seconds)
    return ErrorParts(error.status, body, headers)


def close_code(exc: BaseException) -> int:
    """Return the WebSocket close code for `exc`: 4000 + its HTTP status."""
    return 4000 + to_api_error(exc).status


def to_api_error(exc: BaseException) -> ApiError:
    """Return `exc` as an ApiError; logs the traceback of one that nobody foresaw."""
    if isinstance(exc, ApiError):
        return exc
    for kind, convert in _CONVERSIONS:
        if isinstance(exc, kind):
            return convert(exc)
    logger.error("unexpected %s", type(exc).__name__, exc_info=exc)
    return ApiError(SERVER_ERROR)


def _from_engine(exc: Any) -> ApiError:
    return ApiError(
        exc.detail, status=exc.status, code=exc.code.lower(), retry_after=exc.seconds or None
    )


def _from_drf_validation(exc: Any) -> ApiError:
    return ValidationFailed(flatten_errors(exc.detail))


def _from_django_validation(exc: Any) -> ApiError:
    errors = exc.message_dict if hasattr(exc, "error_dict") else {NON_FIELD: exc.messages}
    if "__all__" in errors:
        errors[NON_FIELD] = errors.pop("__all__")
    return ValidationFailed(errors)


def _from_drf(exc: Any) -> ApiError:
    code = exc.get_codes()
    headers = {}
    if getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = exc.auth_header
    return ApiError(
        str(exc.detail),
        status=exc.status_code,
        code=_DRF_CODES.get(code, code) if isinstance(code, str) else None,
        retry_after=getattr(exc, "wait", None),
        headers=headers,
    )


_DRF_CODES = {"permission_denied": "forbidden", "error": "server_error", "parse_error": "invalid"}


def _from_database(exc: Any) -> ApiError:
    logger.error("the database fails: %s", type(exc).__name__, exc_info=exc)
    return Unavailable("The database does not answer.", code="database_unavailable")


_CONVERSIONS: list[tuple[type[BaseException], Callable[[Any], ApiError]]] = [
    (EngineError, _from_engine),
    (drf_errors.ValidationError, _from_drf_validation),
    (drf_errors.APIException, _from_drf),
    (django_errors.ValidationError, _from_django_validation),
    (Http404, lambda exc: NotFound("Not found.")),
    (django_errors.ObjectDoesNotExist, lambda exc: NotFound("Not found.")),
    (django_errors.PermissionDenied, lambda exc: Forbidden("This is forbidden.")),
    (django_errors.RequestDataTooBig, lambda exc: TooLarge("The body is too large.")),
    (django_errors.DisallowedHost, lambda exc: BadRequest("Unknown host.", code="bad_host")),
    (django_errors.SuspiciousOperation, lambda exc: BadRequest("Bad request.")),
    (django_errors.BadRequest, lambda exc: BadRequest("Bad request.")),
    (UnreadablePostError, lambda exc: BadRequest("The body could not be read.")),
    (OperationalError, _from_database),
    (InterfaceError, _from_database),
]


def flatten_errors(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    """Return DRF's nested error detail as `{"field" or "list.0.field": [texts]}`."""
    if isinstance(detail, Mapping):
        flat: dict[str, list[str]] = {}
        for name, inner in detail.items():
            flat |= flatten_errors(inner, f"{prefix}.{name}" if prefix else str(name))
        return flat
    if isinstance(detail, list) and any(isinstance(item, Mapping | list) for item in detail):
        flat = {}
        for index, inner in enumerate(detail):
            if inner:
                flat |= flatten_errors(inner, f"{prefix}.{index}" if prefix else str(index))
        return flat
    texts = detail if isinstance(detail, list) else [detail]
    return {prefix or NON_FIELD: [str(text) for text in texts]}


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Answer for a DRF view (`EXCEPTION_HANDLER`)."""
    parts = to_response_parts(exc)
    request = context.get("request")
    if request is not None:
        # Whatever the view renders for those whom it serves.
        request.accepted_renderer = JSONRenderer()
        request.accepted_media_type = JSONRenderer.media_type
    response = Response(parts.body, status=parts.status, headers=parts.headers)
    response.exception = True
    return response


def json_response(exc: BaseException) -> HttpResponse:
    """Answer for a plain Django view, a handler or a middleware."""
    parts = to_response_parts(exc)
    return json_answer(parts.body, status=parts.status, headers=parts.headers)


def json_answer(
    body: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return JSON from a plain Django view, spelled as DRF's views and the consumers spell it."""
    content = orjson.dumps(body)
    return HttpResponse(content, "application/json", status=status, headers=headers)


def _is_admin_page(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/") and "text/html" in request.headers.get("Accept", "")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler400`; a body that is too large arrives here and is answered by 413."""
    return json_response(exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler403`."""
    if _is_admin_page(request):
        return defaults.permission_denied(request, exception)
    return json_response(exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler404`."""
    if _is_admin_page(request):
        return defaults.page_not_found(request, exception)
    return json_response(exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`; Django has logged the exception."""
    if _is_admin_page(request):
        return defaults.server_error(request)
    return json_response(ApiError(SERVER_ERROR))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """`CSRF_FAILURE_VIEW`."""
    if _is_admin_page(request):
        return csrf.csrf_failure(request, reason)
    return json_response(Forbidden("The CSRF token is missing or wrong.", code="csrf_failed"))
