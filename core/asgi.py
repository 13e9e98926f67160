"""What Django's middleware does for views, done for the consumers that stand beside them.

`surface(app)` gives a consumer: Host check, CORS, request id, locale, clean answers to
HEAD, OPTIONS and other methods, JSON errors, the security headers; and to WebSockets a
check of `Origin`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils import translation
from django.utils.translation.trans_real import parse_accept_lang_header

from core.errors import BadRequest, Forbidden, MethodNotAllowed, close_code, to_response_parts
from core.middleware import security_headers
from core.request_id import choose_request_id, enter_request

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFLIGHT_SECONDS = 86400


def header_dict(scope: Scope) -> dict[str, str]:
    """Return the headers of an ASGI scope, lower-case; repeated ones are joined by commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope.get("headers", ()):
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def is_known_host(host: str) -> bool:
    """Tell whether a `Host` header is one of ALLOWED_HOSTS."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def is_allowed_origin(origin: str, host: str) -> bool:
    """Tell whether pages of `origin` may talk to this host: its own, and CORS_ORIGINS."""
    if origin in settings.CORS_ALLOWED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.strip().lower()


def surface(app: App, *, methods: Sequence[str] = ("GET",)) -> App:
    """Return `app` (an http or websocket ASGI application) behind the house rules.

    `methods` are those that `app` serves; HEAD comes with GET and is answered with the
    headers of GET.
    """
    allowed = [*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"]

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        headers = header_dict(scope)
        request_id = choose_request_id(headers.get("x-request-id"))
        enter_request(request_id)
        scope = {**scope, "request_id": request_id}
        with accepted_language(headers.get("accept-language", "")):
            if scope["type"] == "websocket":
                await _serve_socket(app, scope, receive, send, headers)
            elif scope["type"] == "http":
                reply = _Reply(send, _common_headers(request_id, headers))
                await _serve_http(app, scope, receive, reply, headers, allowed)
            else:
                await app(scope, receive, send)

    return wrapped


class _Reply:
    """`send` with the common headers, which knows how far the answer has come."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self.headers = headers
        self.started = False
        self.headers_only = False
        self.headers_sent = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": self._merge(message.get("headers", ()))}
            await self._send(message)
            if self.headers_only:
                await self._send({"type": "http.response.body", "body": b""})
                self.headers_sent.set()
        elif not self.headers_only:
            await self._send(message)

    def _merge(self, own: Any) -> list[tuple[bytes, bytes]]:
        merged = [(bytes(name), bytes(value)) for name, value in own]
        present = {name.decode("latin-1").lower(): value for name, value in merged}
        kind = present.get("content-type", b"").decode("latin-1")
        for name, value in {**security_headers(kind), **self.headers}.items():
            if name.lower() not in present:
                merged.append((name.lower().encode(), value.encode("latin-1")))
        return merged

    async def answer(
        self, status: int, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> None:
        """Send a whole answer; a body of None is an empty one."""
        payload = b"" if body is None else orjson.dumps(body)
        own = {**headers, "Content-Length": str(len(payload))}
        if body is not None:
            own["Content-Type"] = "application/json"
        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in own.items()]
        await self({"type": "http.response.start", "status": status, "headers": pairs})
        await self({"type": "http.response.body", "body": payload})

    async def refuse(self, exc: BaseException) -> None:
        parts = to_response_parts(exc)
        await self.answer(parts.status, parts.body, parts.headers)


async def _serve_http(
    app: App,
    scope: Scope,
    receive: Receive,
    reply: _Reply,
    headers: dict[str, str],
    allowed: Sequence[str],
) -> None:
    method = scope["method"]
    reply.headers_only = method == "HEAD"
    if not is_known_host(headers.get("host", "")):
        await reply.refuse(BadRequest("Unknown host.", code="bad_host"))
    elif b"%00" in scope.get("query_string", b"") or "\0" in scope.get("path", ""):
        await reply.refuse(BadRequest("The URL must not hold NUL characters."))
    elif method == "OPTIONS":
        await reply.answer(204, None, {"Allow": ", ".join(allowed), **_preflight(headers, allowed)})
    elif method not in allowed:
        await reply.refuse(MethodNotAllowed(headers={"Allow": ", ".join(allowed)}))
    elif method == "HEAD":
        await _serve_head(app, {**scope, "method": "GET"}, receive, reply)
    else:
        await _guard(app, scope, receive, reply)


async def _guard(app: App, scope: Scope, receive: Receive, reply: _Reply) -> None:
    """Run `app`; what it raises is answered, or ends an answer that has begun."""
    try:
        await app(scope, receive, reply)
    except Exception as exc:
        if not reply.started:
            await reply.refuse(exc)
            return
        logger.exception("an answer broke off")
        with contextlib.suppress(Exception):
            await reply({"type": "http.response.body", "body": b""})


async def _serve_head(app: App, scope: Scope, receive: Receive, reply: _Reply) -> None:
    """Run `app` until its headers are out: the body of a stream might never end."""
    serving = asyncio.create_task(_guard(app, scope, receive, reply))
    headers_sent = asyncio.create_task(reply.headers_sent.wait())
    try:
        await asyncio.wait({serving, headers_sent}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (serving, headers_sent):
            task.cancel()
        await asyncio.gather(serving, headers_sent, return_exceptions=True)


async def _serve_socket(
    app: App, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]
) -> None:
    host, origin = headers.get("host", ""), headers.get("origin")
    refusal: Exception | None = None
    if not is_known_host(host):
        refusal = BadRequest("Unknown host.", code="bad_host")
    elif b"%00" in scope.get("query_string", b"") or "\0" in scope.get("path", ""):
        refusal = BadRequest("The URL must not hold NUL characters.")
    elif origin and not is_allowed_origin(origin, host):
        refusal = Forbidden("Pages of other origins may not connect.", code="foreign_origin")
    if refusal is None:
        await app(scope, receive, send)
    else:
        # Before it is accepted, closing refuses the handshake with 403.
        await receive()
        await send({"type": "websocket.close", "code": close_code(refusal)})


def _common_headers(request_id: str, headers: dict[str, str]) -> dict[str, str]:
    common = {"X-Request-ID": request_id}
    origin = headers.get("origin", "")
    if settings.CORS_ALLOWED_ORIGINS:
        common["Vary"] = "Origin"
        if origin in settings.CORS_ALLOWED_ORIGINS:
            common["Access-Control-Allow-Origin"] = origin
            common["Access-Control-Expose-Headers"] = ", ".join(settings.CORS_EXPOSE_HEADERS)
    return common


def _preflight(headers: dict[str, str], allowed: Sequence[str]) -> dict[str, str]:
    if (
        headers.get("origin") not in settings.CORS_ALLOWED_ORIGINS
        or "access-control-request-method" not in headers
    ):
        return {}
    return {
        "Access-Control-Allow-Methods": ", ".join(allowed),
        "Access-Control-Allow-Headers": ", ".join(settings.CORS_ALLOW_HEADERS),
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }


def accepted_language(accept: str) -> Any:
    """Activate the first language that the client accepts and the hub has."""
    for language, _ in parse_accept_lang_header(accept[:500].lower()):
        with contextlib.suppress(LookupError):
            return translation.override(translation.get_supported_language_variant(language))
    return translation.override(settings.LANGUAGE_CODE)
