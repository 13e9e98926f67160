import json
import logging

import pytest
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    ObjectDoesNotExist,
    RequestDataTooBig,
    ValidationError,
)
from django.http import Http404
from rest_framework import exceptions as drf

from core.errors import (
    ApiError,
    Conflict,
    Forbidden,
    ValidationFailed,
    close_code,
    flatten_errors,
    to_response_parts,
)
from core.tests.urls import SECRET
from engine.errors import EngineError, FloodWait, NotAuthorized, Unavailable, from_rpc

pytestmark = pytest.mark.urls("core.tests.urls")


@pytest.fixture
def quiet_client(client):
    client.raise_request_exception = False
    return client


def test_it_works(client):
    response = client.get("/raise/not_found")
    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert response.json() == {"detail": "There is no such chat.", "code": "chat_not_found"}


@pytest.mark.parametrize(
    ("name", "status", "code", "retry_after"),
    [
        ("conflict", 409, "conflict", None),
        ("throttled", 429, "throttled", 3),
        ("unavailable", 503, "unavailable", 3),
        ("flood", 429, "flood_wait", 30),
        ("admin_required", 403, "chat_admin_required", None),
        ("unknown", 500, "server_error", None),
        ("denied", 403, "forbidden", None),
        ("suspicious", 400, "invalid", None),
        ("database", 503, "database_unavailable", 5),
    ],
)
def test_each_error_has_its_answer(client, name, status, code, retry_after):
    response = client.get(f"/raise/{name}")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.get("Retry-After") == (str(retry_after) if retry_after else None)
    assert response.json().get("retry_after") == retry_after
    assert SECRET not in response.content.decode()


@pytest.mark.parametrize(
    ("name", "status"), [("unknown", 500), ("denied", 403), ("suspicious", 400)]
)
def test_plain_views_answer_json_too(quiet_client, name, status):
    response = quiet_client.get(f"/plain/{name}")
    assert response.status_code == status
    assert set(response.json()) == {"detail", "code"}
    assert SECRET not in response.content.decode()


def test_an_unknown_route_is_json(client):
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert response.json() == {"detail": "Not found.", "code": "not_found"}


def test_a_wrong_method_is_json(client):
    response = client.get("/echo")
    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"


def test_an_unknown_host_is_json(client):
    response = client.get("/page", HTTP_HOST="evil.example")
    # Nothing asked for the host yet; CommonMiddleware does.
    assert response.status_code == 400
    assert response.json() == {"detail": "Unknown host.", "code": "bad_host"}


def test_a_large_body_of_a_plain_view_is_413(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    response = client.post("/body", b"x" * 101, content_type="application/octet-stream")
    assert response.status_code == 413
    assert response.json()["code"] == "too_large"


def test_validation_errors_name_their_fields(client):
    response = client.post("/name", json.dumps({"tags": [1, "x"]}), content_type="application/json")
    assert response.status_code == 400
    assert response.json() == {
        "detail": "session_id: This field is required.",
        "code": "invalid",
        "errors": {
            "session_id": ["This field is required."],
            "tags.1": ["A valid integer is required."],
        },
    }


def test_nested_errors_become_paths():
    detail = {"a": [{"b": ["x"]}, {}, {"c": {"d": ["y"]}}], "e": "z", "f": ["1", "2"]}
    assert flatten_errors(detail) == {"a.0.b": ["x"], "a.2.c.d": ["y"], "e": ["z"], "f": ["1", "2"]}


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (drf.NotAuthenticated(), 401, "not_authenticated"),
        (drf.AuthenticationFailed(), 401, "authentication_failed"),
        (drf.PermissionDenied(), 403, "forbidden"),
        (drf.NotFound(), 404, "not_found"),
        (drf.ParseError(), 400, "invalid"),
        (drf.UnsupportedMediaType("text/x"), 415, "unsupported_media_type"),
        (drf.NotAcceptable(), 406, "not_acceptable"),
        (drf.APIException(SECRET[:4]), 500, "server_error"),
        (Http404("secret path"), 404, "not_found"),
        (ObjectDoesNotExist("secret"), 404, "not_found"),
        (RequestDataTooBig("x"), 413, "too_large"),
        (DisallowedHost("x"), 400, "bad_host"),
        (BadRequest("x"), 400, "invalid"),
        (ValidationError({"name": ["bad"]}), 400, "invalid"),
        (ValidationError("bad"), 400, "invalid"),
        (NotAuthorized("auth_key_unregistered"), 401, "auth_key_unregistered"),
        (EngineError("SOME_NAME", "text", 418), 418, "some_name"),
        (Unavailable(), 503, "unavailable"),
        (from_rpc(420, "FLOOD_WAIT_7"), 429, "flood_wait"),
    ],
)
def test_foreign_exceptions_are_mapped(exc, status, code):
    parts = to_response_parts(exc)
    assert (parts.status, parts.body["code"]) == (status, code)


def test_flood_wait_tells_how_long():
    parts = to_response_parts(FloodWait(seconds=30))
    assert parts.headers["Retry-After"] == "30"
    assert parts.body["retry_after"] == 30


def test_429_and_503_always_say_when_to_come_back():
    for status in (429, 503):
        assert "Retry-After" in to_response_parts(ApiError(status=status)).headers


def test_drf_throttles_say_when_to_come_back():
    assert to_response_parts(drf.Throttled(wait=4.2)).headers["Retry-After"] == "5"


def test_model_validation_errors_have_fields():
    parts = to_response_parts(ValidationError({"name": ["bad"], "__all__": ["worse"]}))
    assert parts.body["errors"] == {"name": ["bad"], "non_field_errors": ["worse"]}
    assert to_response_parts(ValidationError("bad")).body["errors"] == {"non_field_errors": ["bad"]}


def test_close_codes_are_4000_plus_status():
    assert close_code(Forbidden()) == 4403
    assert close_code(FloodWait(seconds=1)) == 4429
    assert close_code(Conflict()) == 4409


def test_an_unforeseen_error_is_logged_with_its_traceback(caplog):
    with caplog.at_level(logging.ERROR, "core.errors"):
        assert close_code(RuntimeError("boom")) == 4500
    assert caplog.records[0].exc_info


def test_expected_errors_are_not_logged(caplog):
    to_response_parts(ValidationFailed({"a": ["b"]}))
    to_response_parts(FloodWait(seconds=1))
    assert not caplog.records


def test_without_a_text_the_status_speaks():
    assert to_response_parts(Conflict()).body == {"detail": "Conflict", "code": "conflict"}


def test_a_text_is_spelled_as_it_is_read(client):
    answer = client.get("/nowhere", HTTP_ACCEPT_LANGUAGE="ru")
    assert answer.content.decode() == '{"detail":"Не найдено.","code":"not_found"}'


def test_admin_pages_stay_pages(client):
    response = client.get("/admin/nowhere", HTTP_ACCEPT="text/html")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


def test_csrf_failures_are_json(rf):
    from core.errors import csrf_failure

    response = csrf_failure(rf.post("/somewhere"), "no cookie")
    assert response.status_code == 403
    assert json.loads(response.content)["code"] == "csrf_failed"
    page = csrf_failure(rf.post("/admin/x", HTTP_ACCEPT="text/html"), "no cookie")
    assert page["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("query", ["", "?format=xml"])
def test_a_view_with_one_kind_of_answer_gives_it(client, query):
    for accept in ("text/html", "text/event-stream", "application/xml", "*/*"):
        response = client.get(f"/name{query}", headers={"accept": accept})
        assert response["Content-Type"] == "application/json", accept
        assert response.status_code != 406
