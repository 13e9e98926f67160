import datetime
import json as stdlib_json
from decimal import Decimal

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from core import json
from core.errors import BadRequest

pytestmark = pytest.mark.urls("core.tests.urls")


def post(client, body, content_type="application/json", path="/echo"):
    return client.post(path, body, content_type=content_type)


def test_it_works(client):
    response = post(client, '{"chat": -1001234567890, "text": "Привет"}'.encode())
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response.json() == {"echo": {"chat": -1001234567890, "text": "Привет"}}


def test_64_bit_integers_survive(client):
    body = {"a": 2**63 - 1, "b": -(2**63), "c": 2**64 - 1}
    assert post(client, stdlib_json.dumps(body)).json() == {"echo": body}


@pytest.mark.parametrize("depth", [64, 65, 1000, 100_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_it_refuses_depth(client, depth, brackets):
    opening = "[" if brackets == "[]" else '{"a":'
    inner = "" if brackets == "[]" else "1"
    response = post(client, opening * depth + inner + brackets[1] * depth)
    assert response.status_code == (200 if depth <= 64 else 400)
    if depth > 64:
        assert response.json()["code"] == "bad_json"


def test_brackets_in_strings_are_no_depth(client):
    body = {"text": "[" * 500 + '"\\{{' * 100}
    assert post(client, stdlib_json.dumps(body)).json() == {"echo": body}


def test_many_flat_brackets_are_no_depth(client):
    assert post(client, stdlib_json.dumps({"a": [[]] * 500})).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a": NaN}',
        b'{"a": \xff}',
        b'{"a": "\xff\xfe"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\x00"}',
        b'{"a": "x\\u0000y"}',
        b'{"a\\u0000": 1}',
        b'[["\\u0000"]]',
        b"\xef\xbb\xbf",
        b"'a'",
        "{}".encode("utf-16"),
    ],
)
def test_it_refuses_what_is_no_clean_json(client, body):
    response = post(client, body)
    assert response.status_code == 400
    assert response.json()["code"] == "bad_json"


def test_an_escaped_backslash_before_u0000_is_no_nul(client):
    assert post(client, rb'{"a": "\\u0000"}').json() == {"echo": {"a": "\\u0000"}}


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "x", ""])
def test_it_refuses_other_content_types(client, content_type):
    response = post(client, b'{"a": 1}', content_type=content_type)
    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"


def test_it_refuses_large_bodies(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    response = post(client, b'"' + b"x" * 999 + b'"')
    assert response.status_code == 413
    assert response.json()["code"] == "too_large"
    assert post(client, b'"' + b"x" * 998 + b'"').status_code == 200


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"true"])
def test_a_body_that_is_no_object_is_a_validation_error(client, body):
    response = post(client, body, path="/name")
    assert response.status_code == 400
    assert "errors" in response.json()


def test_an_empty_body_is_a_validation_error(client):
    response = post(client, b"", path="/name")
    assert response.status_code == 400
    assert "session_id" in response.json()["errors"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(-9, 9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_what_is_written_can_be_read(value):
    assert json.loads(json.dumps(value)) == value


@given(st.dictionaries(st.text(), st.text(st.characters()) | st.integers()))
def test_surrogates_and_huge_integers_survive(value):
    value["surrogate"] = "\ud83d and \0"
    value["huge"] = 2**70
    document = json.dumps(value)
    assert b"\0" not in document
    assert json.loads(document) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_bad_request(body):
    try:
        json.parse_body(body)
    except BadRequest as error:
        assert error.status == 400


def test_it_renders_what_views_return():
    value = {
        "lazy": gettext_lazy("Not found."),
        "number": Decimal("1.5"),
        "at": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "set": {3, 1},
        1: "key",
        "rows": (n for n in range(2)),
    }
    assert stdlib_json.loads(json.dumps(value)) == {
        "lazy": "Not found.",
        "number": "1.5",
        "at": "2026-01-02T00:00:00Z",
        "set": [1, 3],
        "1": "key",
        "rows": [0, 1],
    }


def test_bytes_are_not_rendered():
    with pytest.raises(TypeError):
        json.dumps({"auth_key": b"secret"})
