import asyncio
import json

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.testing import WebsocketCommunicator
from django.utils.translation import get_language

from core.asgi import header_dict, surface
from core.errors import NotFound, TooManyRequests
from core.request_id import current_request_id

ORIGIN = "https://app.example.org"


async def call(app, method="GET", path="/stream", query=b"", headers=None):
    """Return (status, headers, body) of one answer."""
    pairs = {"host": "127.0.0.1:8000", **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [(k.encode(), v.encode()) for k, v in pairs.items()],
    }
    communicator = ApplicationCommunicator(app, scope)
    await communicator.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await communicator.receive_output(10)
    body, more = b"", True
    while more:
        message = await communicator.receive_output(10)
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await communicator.wait(10)
    answered = {k.decode(): v.decode() for k, v in start["headers"]}
    return start["status"], answered, body


async def stream(scope, receive, send):
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/event-stream")],
        }
    )
    text = f"data: {current_request_id()} {get_language()}\n\n"
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def endless(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        scope["stopped"].set()
        raise


def refusing(exc):
    async def app(scope, receive, send):
        raise exc

    return app


async def test_it_works():
    status, headers, body = await call(surface(stream), headers={"x-request-id": "my-id"})
    assert (status, body) == (200, b"data: my-id en\n\n")
    assert headers["x-request-id"] == "my-id"
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


async def test_the_language_is_the_clients():
    _, _, body = await call(surface(stream), headers={"accept-language": "xx, ru-RU;q=0.9"})
    assert body.endswith(b" ru\n\n")


@pytest.mark.parametrize(
    "host", ["evil.example", "", "127.0.0.1.evil.example", "127.0.0.1:x", "a b"]
)
async def test_it_refuses_unknown_hosts(host):
    status, _, body = await call(surface(stream), headers={"host": host})
    assert status == 400
    assert json.loads(body) == {"detail": "Unknown host.", "code": "bad_host"}


@pytest.mark.parametrize(("path", "query"), [("/a\0b", b""), ("/a", b"x=%00")])
async def test_it_refuses_nul_in_the_url(path, query):
    status, _, body = await call(surface(stream), path=path, query=query)
    assert status == 400
    assert json.loads(body)["code"] == "invalid"


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "TRACE", "BREW"])
async def test_it_refuses_other_methods(method):
    status, headers, body = await call(surface(stream), method)
    assert status == 405
    assert headers["allow"] == "GET, HEAD, OPTIONS"
    assert json.loads(body)["code"] == "method_not_allowed"
    assert headers["x-request-id"]


async def test_a_post_surface_has_no_head():
    status, headers, _ = await call(surface(stream, methods=("POST",)), "HEAD")
    assert (status, headers["allow"]) == (405, "POST, OPTIONS")


async def test_options_names_the_methods():
    status, headers, body = await call(surface(stream), "OPTIONS")
    assert (status, body) == (204, b"")
    assert headers["allow"] == "GET, HEAD, OPTIONS"
    assert "access-control-allow-origin" not in headers


async def test_head_has_the_headers_of_get():
    status, headers, body = await call(surface(stream), "HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-type"] == "text/event-stream"


async def test_head_ends_an_endless_stream():
    stopped = asyncio.Event()

    async def app(scope, receive, send):
        await endless({**scope, "stopped": stopped}, receive, send)

    status, _, body = await call(surface(app), "HEAD")
    assert (status, body) == (200, b"")
    assert stopped.is_set()


async def test_head_of_what_is_missing_has_no_body():
    status, _, body = await call(surface(refusing(NotFound())), "HEAD")
    assert (status, body) == (404, b"")


async def test_errors_are_json():
    exc = TooManyRequests("Slower.", retry_after=7)
    status, headers, body = await call(surface(refusing(exc)))
    assert status == 429
    assert headers["retry-after"] == "7"
    assert json.loads(body) == {"detail": "Slower.", "code": "throttled", "retry_after": 7}


async def test_unforeseen_errors_say_nothing():
    status, _, body = await call(surface(refusing(RuntimeError("secret"))))
    assert status == 500
    assert b"secret" not in body


async def test_an_answer_that_breaks_off_is_ended(caplog):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        raise RuntimeError("broken")

    status, _, body = await call(surface(app))
    assert (status, body) == (200, b"some")
    assert "broke off" in caplog.text


async def test_foreign_origins_get_no_permission():
    _, headers, _ = await call(surface(stream), headers={"origin": "https://evil.example"})
    assert not [name for name in headers if name.startswith("access-control")]


async def test_allowed_origins_get_it(settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    _, headers, _ = await call(surface(stream), headers={"origin": ORIGIN})
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["vary"] == "Origin"
    _, headers, _ = await call(surface(stream), headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in headers


async def test_a_preflight_is_answered(settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    asked = {"origin": ORIGIN, "access-control-request-method": "GET"}
    status, headers, _ = await call(surface(stream), "OPTIONS", headers=asked)
    assert status == 204
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "x-api-key" in headers["access-control-allow-headers"]
    asked["origin"] = "https://evil.example"
    _, headers, _ = await call(surface(stream), "OPTIONS", headers=asked)
    assert not [name for name in headers if name.startswith("access-control")]


async def socket(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": current_request_id()})
    await receive()


async def connect(headers):
    pairs = {"host": "127.0.0.1:8000", "x-request-id": "socket-1", **headers}
    communicator = WebsocketCommunicator(
        surface(socket), "/ws", headers=[(k.encode(), v.encode()) for k, v in pairs.items()]
    )
    connected, code = await communicator.connect()
    text = await communicator.receive_from() if connected else ""
    await communicator.disconnect()
    return connected, code, text


@pytest.mark.parametrize("headers", [{}, {"origin": "http://127.0.0.1:8000"}])
async def test_sockets_connect(headers):
    connected, _, text = await connect(headers)
    assert connected and text == "socket-1"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, 4400),
        ({"origin": "https://evil.example"}, 4403),
        ({"origin": "http://127.0.0.1:9999"}, 4403),
        ({"origin": "null"}, 4403),
        ({"origin": "http://[bad"}, 4403),
    ],
)
async def test_sockets_refuse_strangers(headers, code):
    assert (await connect(headers))[:2] == (False, code)


async def test_sockets_of_allowed_origins_connect(settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    assert (await connect({"origin": ORIGIN}))[0]


def test_repeated_headers_are_joined():
    scope = {"headers": [(b"X-Forwarded-For", b"1"), (b"x-forwarded-for", b"2")]}
    assert header_dict(scope) == {"x-forwarded-for": "1,2"}
