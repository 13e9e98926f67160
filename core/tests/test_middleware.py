import io
import re

import pytest

from core.middleware import security_headers
from core.request_id import choose_request_id

pytestmark = pytest.mark.urls("core.tests.urls")


def test_it_works(client):
    response = client.get("/request-id", headers={"X-Request-ID": "my-id.1"})
    assert response["X-Request-ID"] == "my-id.1"
    assert response.content == b"my-id.1"


async def test_async_views_know_it_too(async_client):
    response = await async_client.get("/async-request-id", headers={"X-Request-ID": "my-id.2"})
    assert response["X-Request-ID"] == "my-id.2"
    assert response.content == b"my-id.2"


def test_without_one_there_is_a_new_one(client):
    first, second = (client.get("/request-id") for _ in range(2))
    assert first["X-Request-ID"] != second["X-Request-ID"]
    assert first.content.decode() == first["X-Request-ID"]


@pytest.mark.parametrize("path", ["/nowhere", "/raise/unknown", "/raise/flood", "/health"])
def test_errors_carry_it(client, path, transactional_db):
    client.raise_request_exception = False
    assert client.get(path, headers={"X-Request-ID": "abc"})["X-Request-ID"] == "abc"


@pytest.mark.parametrize("offered", ["", "a b", "x" * 129, "a\nb", 'a"b', "<b>", "ключ", None])
def test_an_insane_one_is_replaced(offered):
    assert re.fullmatch(r"[0-9a-f-]{36}", choose_request_id(offered))


@pytest.mark.parametrize("path", ["/page%00", "/page?x=%00", "/raise/a%00b"])
def test_it_refuses_nul_in_the_url(client, path):
    response = client.get(path)
    assert response.status_code == 400
    assert response.json()["code"] == "invalid"
    assert "X-Request-ID" in response


def test_data_is_not_kept_and_not_framed(client):
    response = client.get("/nowhere")
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Security-Policy"].startswith("default-src 'none'")
    assert response["X-Content-Type-Options"] == "nosniff"


def test_pages_have_a_strict_policy(client):
    policy = client.get("/page")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "script-src" not in policy  # which means: no inline script
    assert "frame-ancestors 'none'" in policy


def test_a_view_may_have_its_own_policy():
    assert "Cache-Control" not in security_headers("image/png")


def test_a_chunked_body_has_a_length(async_rf):
    from core.middleware import _note_chunked_length

    request = async_rf.post("/echo", b'{"a": 1}', content_type="application/json")
    request._stream = io.BytesIO(b'{"a": 1}')
    request.META["HTTP_TRANSFER_ENCODING"] = "chunked"
    request.META["CONTENT_LENGTH"] = ""
    _note_chunked_length(request)
    assert request.META["CONTENT_LENGTH"] == "8"
    assert request.read() == b'{"a": 1}'
