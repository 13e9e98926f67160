"""The files in the OpenAPI schema, by hand: their consumer is no DRF view."""

from typing import Any

from scraper.base import HEADER

_BINARY = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_REFUSALS = {
    400: "Invalid input",
    401: "No or a wrong key; the session is unknown or not logged in",
    403: "The key lacks the scope",
    404: "No such file, or this session may not see it",
    416: "The range lies behind the end of the file",
    429: "Telegram's flood wait or the hub's own limit; see Retry-After",
    502: "Telegram is unreachable or failing",
    503: "Starting, draining, or another node owns the session; see Retry-After",
    507: "There is no room on the disk",
}
_TEXT = {"type": "string"}


def _parameter(name: str, where: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    required = {"required": True} if name in ("uuid", HEADER) else {}
    return {"name": name, "in": where, "schema": schema, "description": text, **required}


FILES: dict[str, Any] = {
    "operationId": "api_v3_files_retrieve",
    "description": (
        "Download a message's file by its `media.uuid`: from the store, or from Telegram while it "
        "is being stored. HEAD fetches nothing."
    ),
    "tags": ["files"],
    "security": [{"bearer": []}, {"apiKey": []}],
    "parameters": [
        _parameter("uuid", "path", {**_TEXT, "format": "uuid"}, "`media.uuid` of a message."),
        _parameter(HEADER, "header", _TEXT, "The session's name."),
        _parameter("Range", "header", _TEXT, "One range of bytes."),
        _parameter("If-Range", "header", _TEXT, "The ETag that the range is meant for."),
        _parameter("If-None-Match", "header", _TEXT, "ETags that the client has."),
        _parameter(
            "thumb", "query", {"type": "boolean", "default": False}, "A small preview instead."
        ),
        _parameter("user", "query", _TEXT, "Whose sessions; needs the scope `admin`."),
    ],
    "responses": {
        "200": {"content": _BINARY, "description": "The file"},
        "206": {"content": _BINARY, "description": "The range"},
        "304": {"description": "The client has it"},
        **{
            str(status): {
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/ErrorOutput"}}
                },
                "description": text,
            }
            for status, text in _REFUSALS.items()
        },
    },
}


def add_files(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the operation of the consumer."""
    result["paths"]["/api/v3/files/{uuid}"] = {"get": FILES}
    result["paths"] = dict(sorted(result["paths"].items()))
    return result
