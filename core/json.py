"""JSON by orjson: strict in what comes in, tolerant of what Telegram made of strings."""

import json as stdlib_json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import orjson
from django.conf import settings
from django.utils.functional import Promise
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from core.errors import BadRequest, TooLarge

MAX_DEPTH = 64


def loads(document: bytes | str) -> Any:
    """Return the value of a document that this hub wrote itself."""
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        # Lone surrogates and integers above 64 bits, as `dumps` lets them through.
        return stdlib_json.loads(document)


def dumps(value: Any) -> bytes:
    """Return `value` as JSON.

    What orjson refuses and Telegram sends all the same (lone surrogates, integers
    above 64 bits) is written by the standard library, in ASCII.
    """
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except TypeError:
        return stdlib_json.dumps(value, default=_default, separators=(",", ":")).encode()


_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


def _default(value: Any) -> Any:
    if isinstance(value, Promise | Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "__iter__") and not isinstance(value, bytes | bytearray):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def parse_body(body: bytes) -> Any:
    """Return the value of a document that a client sent.

    Raises BadRequest on anything but UTF-8 JSON, on NUL characters (PostgreSQL keeps
    none) and on more than `MAX_DEPTH` levels.
    """
    # orjson refuses raw control characters, so a NUL can only come escaped.
    suspicious = b"\\u0000" in body
    if suspicious or body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _refuse_deep(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise BadRequest(f"The body is not valid JSON: {where}.", code="bad_json") from None
    if suspicious and _has_nul(value):
        raise BadRequest("Text must not hold NUL characters.", code="bad_json")
    return value


def _refuse_deep(body: bytes) -> None:
    """Raise BadRequest when brackets outside of strings nest too deeply."""
    depth = 0
    in_string = escaped = False
    for byte in body:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > MAX_DEPTH:
                raise BadRequest(
                    f"The body nests more than {MAX_DEPTH} levels deep.", code="bad_json"
                )
        elif byte in (0x5D, 0x7D):
            depth -= 1


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return False


class JSONParser(BaseParser):
    """Reads `application/json`, at most `DATA_UPLOAD_MAX_MEMORY_SIZE` bytes of it."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1) if limit is not None else stream.read()
        if limit is not None and len(body) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        return cast(dict[str, Any], parse_body(body))


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else dumps(data)
