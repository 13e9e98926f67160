"""Parts of the OpenAPI schema that the hub's operations share."""

import re
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from sessions_app.serializers import ErrorOutput

USER = OpenApiParameter(
    "user",
    str,
    description="Whose sessions, when not the caller's own; needs the scope `admin`.",
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key again, within 24 hours, gives the first answer and sends nothing.",
)

_TEXTS = {
    400: "Invalid input, or Telegram refuses it",
    401: "No or a wrong key; the session is not logged in or was revoked",
    403: "The key lacks the scope, or Telegram forbids the act",
    404: "No such session, chat or login",
    409: "The state does not allow this",
    413: "The body is too large",
    429: "Telegram's flood wait or the hub's own limit; see Retry-After",
    502: "Telegram is unreachable or failing",
    503: "Starting, draining, or another node owns the session; see Retry-After",
}


def responses(output: Any, *errors: int) -> dict[int, Any]:
    """Return the `responses` of an operation: 200, and each error by its status."""
    return {
        200: output,
        **{
            status: OpenApiResponse(ErrorOutput, description=_TEXTS[status])
            for status in sorted({401, 403, 429, 503, *errors})
        },
    }


def add_health(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Describe `/health`, which is no DRF view: it answers without a thread of its own."""
    facts: dict[str, Any] = {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": ["healthy", "unhealthy"]},
            "active_sessions": {"type": "integer"},
            "checks": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["status"],
    }
    content = {"application/json": {"schema": facts}}
    result["paths"]["/health"] = {
        "get": {
            "operationId": "health_retrieve",
            "description": "Tell whether each part of the hub works; needs no key.",
            "tags": ["hub"],
            "security": [{}],
            "responses": {
                "200": {"content": content, "description": "Healthy"},
                "503": {"content": content, "description": "`checks` names what fails"},
            },
        }
    }
    return result


def add_summaries(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Have the pages of the docs name each operation by what its description begins with."""
    for path in result["paths"].values():
        for operation in path.values():
            text = " ".join(operation.get("description", "").split())
            operation.setdefault("summary", re.split(r"[.:;] |\.$", text)[0])
    return result


def add_common_refusals(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add what any operation may answer: 400 to a URL nobody can read, 404 to an unknown user."""
    for path in result["paths"].values():
        for operation in path.values():
            names = {parameter["name"] for parameter in operation.get("parameters", ())}
            for status in (400, 404) if "user" in names else (400,):
                operation["responses"].setdefault(str(status), _refusal(status))
            ordered = sorted(operation["responses"].items())
            operation["responses"] = dict(ordered)
    return result


def _refusal(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ErrorOutput"}
    return {"content": {"application/json": {"schema": schema}}, "description": _TEXTS[status]}
