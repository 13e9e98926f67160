"""What every answer has, whoever gives it: the server, Django, a view or a page."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sandbox import Sandbox
from tests.hub import Hub, hub_process

PATHS = ["/", "/health", "/login/start", "/sessions", "/api/schema", "/docs", "/redoc", "/nope"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Hub]:
    """A hub for all tests of this module: they change nothing."""
    directory = tmp_path_factory.mktemp("served")
    shutil.copy(migrated, directory / "tghub.sqlite3")
    with Sandbox(seed=1) as telegram, hub_process(directory, telegram) as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "TRACE", "FOO"])
def test_every_answer_is_clean(served: Hub, method: str, path: str) -> None:
    answer = served.http.request(method, path, headers={"X-Request-ID": "mine-1"})
    assert answer.status_code < 500
    assert answer.headers["X-Request-ID"] == "mine-1"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if answer.status_code >= 400 and method != "HEAD":
        assert set(answer.json()) == {"detail", "code"}
    if method == "OPTIONS" and path != "/nope":
        assert "OPTIONS" in answer.headers["Allow"]
    if method in ("PUT", "TRACE", "FOO") and path != "/nope":
        assert answer.status_code == 405
        assert "OPTIONS" in answer.headers["Allow"]


def test_head_is_get_without_its_body(served: Hub) -> None:
    for path in ("/", "/health", "/sessions", "/docs"):
        answer = served.http.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_body_that_is_too_large_is_refused_like_everything_else(served: Hub) -> None:
    answer = served.http.post(
        "/login/start",
        content=b"a" * 2_000_000,
        headers={"Content-Type": "application/json", "X-Request-ID": "mine-2"},
    )
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert answer.headers["X-Request-ID"] == "mine-2"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_body_in_another_format(served: Hub) -> None:
    for kind, content in [
        ("text/plain", b"{}"),
        ("application/x-www-form-urlencoded", b"session_id=a"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("multipart/form-data", b"--x--"),
    ]:
        answer = served.http.post("/login/start", content=content, headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
        assert answer.json()["code"] == "unsupported_media_type"


def exchange(hub: Hub, request: bytes) -> bytes:
    """Send bytes as they are and return the whole answer."""
    url = httpx.URL(hub.url)
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize(
    ("request_line", "host", "status"),
    [
        (b"GET / HTTP/1.1", b"localhost", b"200"),
        (b"GET / HTTP/1.1", b"evil.example", b"400"),
        (b"GET / HTTP/1.1", b"", b"400"),
        (b"GET /%00 HTTP/1.1", b"localhost", b"400"),
        (b"GET /session/%ff/status HTTP/1.1", b"localhost", b"404"),
        (b"GET /session/a%2Fb/status HTTP/1.1", b"localhost", b"404"),
        (b"GET http://evil.example/ HTTP/1.1", b"localhost", b"404"),
        (b"OPTIONS * HTTP/1.1", b"localhost", b"404"),
    ],
)
def test_odd_requests(served: Hub, request_line: bytes, host: bytes, status: bytes) -> None:
    answer = exchange(
        served, request_line + b"\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    )
    assert answer.split()[1] == status
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nx-request-id: " in head
    assert b"\r\ncontent-type: application/json" in head
