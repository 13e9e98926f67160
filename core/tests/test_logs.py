import base64
import io
import json
import logging
import os
import threading
from urllib.parse import quote

import pytest
from django.contrib.admin.exceptions import DisallowedModelAdminToField
from django.core.exceptions import (
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.core.handlers.exception import response_for_exception
from django.http import HttpResponse
from django.utils.log import log_response

from core import logs
from core.logs import JSONFormatter, RedactingFilter, TextFormatter, redact
from core.request_id import enter_request

AUTH_KEY = bytes(range(256))
STRING_SESSION = "1" + base64.urlsafe_b64encode(os.urandom(263)).decode()
CANARIES = {
    "api key": ("key tgh_abcd1234_{}", "A" * 43),
    "bearer": ("Authorization: Bearer {}", "abcdefghijk.lmnop"),
    "basic": ("proxy-authorization: Basic {}", "dXNlcjpwYXNz"),
    "x-api-key": ("X-API-Key: {}", "whatever-they-sent"),
    "session header": ("X-Session-String={}", "short-but-secret"),
    "string session": ("restored {} now", STRING_SESSION),
    "auth key repr": ("{}", repr(AUTH_KEY)),
    "auth key hex": ("{}", AUTH_KEY.hex()),
    "auth key base64": ("{}", base64.b64encode(AUTH_KEY).decode()),
    "api hash": ("api_hash='{}'", "0123456789abcdef0123456789abcdee"),
    "bare api hash": ("InitConnection(12345, {})", "0123456789abcdef0123456789abcdee"),
    "json": ('{{"phone_code": "{}"}}', "54321"),
    "dict": ("{{'password': '{}', 'x': 1}}", "correct horse ' battery".replace("'", "\\'")),
    "double quotes": ('password="{}"', "correct horse battery"),
    "keyword": ("sign_in(phone_code={}, x=1)", "54321"),
    "query": ("GET /x?token={}&a=1", "qrtoken123"),
    "code hash": ("phone_code_hash={}", "a1b2c3d4e5"),
    "code": ("code: {}", "54321"),
    "login message": ("Login code: {}. Do not give", "543219"),
    "spoken code": ("your code is {}", "54321"),
    "russian code": ("Ваш код: {}", "54321"),
    "new password": ("new_password={}", "hunter2!"),
    "bytes": ("password=b'{}'", "hunter2"),
    "qr": ("tg://login?token={}", "AQIDBAUGBwg"),
    "qr path": ("GET /api/v3/auth/qr/{}.svg HTTP/1.1", "zzzzTokenzzzz"),
    "webhook": ("secret {}", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    "proxy": ("socks5://user:{}@10.0.0.1:1080", "pr0xyPass"),
    "database": ("postgres://tghub:{}@db/tghub", "dbPass1"),
    "bot token": ("{}", "123456789:AAEhBP0av28gvWFd4ivR7hvFg_CqTPcv3Rw"),
    "phone": ("sending to {} now", "+15551234567"),
    "spaced phone": ("sending to {} now", "+1 555 123-45-67"),
    "phone field": ("phone={}", "15551234567"),
    "cookie": ("Cookie: sessionid={}; x=y", "abc123def"),
    "refused row": ("null value\nDETAIL:  Failing row contains (1, {}).", "private text"),
}


@pytest.fixture
def stream():
    """A logger as the settings make it, writing text into a string."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    handler.setFormatter(TextFormatter())
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "telethon")}
    root.addHandler(handler)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_it_works(stream):
    enter_request("request-1")
    logging.getLogger("engine.worker").info("connected", extra={"session_id": 7})
    line = stream.getvalue()
    assert line.endswith(" INFO engine.worker [request-1] session=7 connected\n")


def test_a_refusal_is_a_line_that_says_what_was_called(stream, client):
    client.get("/nowhere", HTTP_X_REQUEST_ID="request-1")
    assert stream.getvalue().endswith(" INFO django.request [request-1] GET /nowhere: 404\n")


@pytest.mark.parametrize("path", ["/no/password", "/no/token", "/no/secret", "/no/100%"])
def test_a_refusal_keeps_its_status(stream, client, path):
    client.post(path.replace("%", "%25"))
    assert stream.getvalue().endswith(f" POST {path}: 404\n")


@pytest.mark.parametrize("path", ["/password: hunter2", "/password=409abc", '/"password": "x"'])
def test_a_refusal_hides_what_its_path_tells(stream, client, path):
    client.get(quote(path))
    name = path[: path.index("d") + 1]
    assert f" GET {name}" in stream.getvalue()
    assert stream.getvalue().endswith("[hidden]: 404\n")


def test_a_refusal_has_no_traceback(stream, rf):
    response = response_for_exception(rf.get("/admin/x/1/delete/"), PermissionDenied("no"))
    assert response.status_code == 403
    assert stream.getvalue().endswith(" GET /admin/x/1/delete/: 403\n")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DisallowedHost, 400),
        (DisallowedModelAdminToField, 400),
        (RequestDataTooBig, 413),
        (SuspiciousOperation, 400),
        (TooManyFieldsSent, 400),
    ],
)
def test_a_suspicious_request_is_a_refusal_too(stream, rf, error, status):
    assert response_for_exception(rf.post("/x"), error("no")).status_code == status
    assert stream.getvalue().endswith(f" POST /x: {status}\n")
    assert stream.getvalue().count("\n") == 1


def test_a_failure_has_its_traceback(stream, rf):
    request, response = rf.get("/x"), HttpResponse(status=500)
    try:
        raise ValueError("password=hunter2")
    except ValueError as error:
        log_response("Failed", response=response, request=request, exception=error)
    assert "ValueError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_refusals_are_no_warnings(stream, client):
    logging.getLogger().setLevel(logging.WARNING)
    client.get("/nowhere")
    assert "nowhere" not in stream.getvalue()


@pytest.mark.parametrize("name", CANARIES)
@pytest.mark.parametrize("logger", ["telethon.network", "django.request", "daphne.server", "core"])
def test_no_secret_is_logged(stream, logger, name):
    template, secret = CANARIES[name]
    logging.getLogger(logger).warning(template.format(secret))
    logging.getLogger(logger).error("%s", template.format(secret))
    assert secret not in stream.getvalue()
    assert stream.getvalue().count("\n") >= 2


@pytest.mark.parametrize("name", CANARIES)
def test_no_secret_is_in_a_traceback(stream, name):
    template, secret = CANARIES[name]
    try:
        raise ValueError(template.format(secret))
    except ValueError:
        logging.getLogger("x").exception("it failed")
    assert secret not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


@pytest.mark.parametrize("formatter", [TextFormatter(), JSONFormatter()])
@pytest.mark.parametrize("name", CANARIES)
def test_formatters_redact_by_themselves(formatter, name):
    template, secret = CANARIES[name]
    record = logging.LogRecord("x", 30, "f", 1, "%s", (template.format(secret),), None)
    assert secret not in formatter.format(record)


@pytest.mark.parametrize(
    "text",
    [
        "session 7 connected to dc 2 in 0.35 s",
        "status code 404, close code: 4404",
        "message 123456789 from -1001234567890 in chat 777000",
        "GET /session/Анна/status 200",
        "request 0b3ce7a2-6d2a-4f3e-9d3c-2f6f0a1b2c3d",
        "2026-11-20 12:00:00+00:00",
        "flood_wait 30 s for messages.getHistory",
        "b'short'",
        "7 rotated, 1 were current",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_a_key_keeps_its_prefix():
    assert redact("tgh_abcd1234_" + "x" * 43) == "tgh_abcd1234_[hidden]"


def test_known_secrets_are_hidden_everywhere(monkeypatch):
    monkeypatch.setattr(logs, "_known_secrets", set())
    logs.hide("hunter22")
    logs.hide("ab")
    logs.hide(None)
    assert redact("xhunter22y ab") == "x[hidden]y ab"


def test_arguments_that_do_not_fit_are_not_printed(stream, capsys):
    logging.getLogger("x").warning("one %s two %s", "tgh_abcd1234_" + "A" * 43)
    assert "do not fit" in stream.getvalue()
    assert "A" * 43 not in stream.getvalue() + capsys.readouterr().err


def test_one_record_is_one_line(stream):
    logging.getLogger("x").warning("a\nb\r\n2026 ERROR forged")
    assert stream.getvalue().count("\n") == 1


def test_json_lines_can_be_parsed():
    enter_request("request-2")
    record = logging.LogRecord("core", 30, "f", 1, "Привет %s", ("\ud83d",), None)
    record.session_id = 7
    line = json.loads(JSONFormatter().format(record))
    assert line["message"] == "Привет \ud83d"
    assert (line["level"], line["logger"], line["session_id"]) == ("warning", "core", 7)
    assert line["request_id"] == "request-2"
    assert line["time"].endswith("+00:00")


def test_json_lines_hold_tracebacks():
    try:
        raise ValueError("password=hunter2")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("core", 40, "f", 1, "failed", (), info)
    line = json.loads(JSONFormatter().format(record))
    assert "ValueError" in line["exception"]
    assert "hunter2" not in line["exception"]


def test_a_dying_thread_is_logged(stream, capsys):
    undo = logs.log_uncaught()
    try:

        def die() -> None:
            raise RuntimeError("password=hunter2")

        thread = threading.Thread(target=die, name="doomed")
        thread.start()
        thread.join(30)
    finally:
        undo()
    assert "thread doomed died" in stream.getvalue()
    assert "hunter2" not in stream.getvalue() + capsys.readouterr().err


def test_the_settings_use_it(settings):
    assert settings.LOGGING["handlers"]["console"]["filters"] == ["redact"]
    assert settings.LOGGING["loggers"]["django"]["handlers"] == []


def test_redacting_stays_fast():
    """Nothing quadratic: a long line of a stranger's making is done in one go."""
    for text in ("a-" * 100_000, "+1" * 100_000, "b'" * 100_000, "://a:" * 50_000, "\\" * 100_000):
        redact(text)


def test_the_settings_secrets_are_known(settings):
    for secret in (settings.SECRET_KEY, settings.TELEGRAM["API_HASH"]):
        assert redact(f"x{secret}y") == "x[hidden]y"
