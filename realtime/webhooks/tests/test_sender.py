import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from realtime.webhooks import sender
from tests.receiver import receiving


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.TGHUB_WEBHOOK_ALLOW_NETS = ["127.0.0.0/8"]


async def to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@contextmanager
def answering(raw: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads one request and then does as `raw` says; yields its URL."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = server.accept()
        with client:
            client.recv(65536)
            raw(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    server.close()
    thread.join()


async def test_it_works() -> None:
    with receiving() as receiver:
        outcome = await sender.post(
            f"{receiver.url}/hook/ä?a=b c".replace(" ", "%20"), b'{"x":1}', {"webhook-id": "msg_1"}
        )
    assert (outcome.status, outcome.error, outcome.delivered) == (204, "", True)
    (post,) = receiver.posts
    assert post.path == "/hook/%C3%A4?a=b%20c"
    assert post.body == b'{"x":1}'
    assert post.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert post.headers["content-type"] == "application/json"
    assert post.headers["webhook-id"] == "msg_1"


async def test_a_redirect_is_not_followed() -> None:
    with receiving() as inner:
        with receiving(lambda post: (302, {"Location": inner.url})) as outer:
            outcome = await sender.post(outer.url, b"{}", {})
        assert (outcome.status, outcome.delivered) == (302, False)
        assert outcome.error == "Redirects are not followed."
        assert inner.posts == []


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
async def test_other_answers_are_failures(status: int) -> None:
    with receiving(lambda post: status) as receiver:
        outcome = await sender.post(receiver.url, b"{}", {})
    assert (outcome.status, outcome.delivered, outcome.error) == (status, False, "")


async def test_nobody_listens() -> None:
    with receiving() as receiver:
        url = receiver.url
    outcome = await sender.post(url, b"{}", {})
    assert (outcome.status, outcome.error) == (0, "The receiver could not be reached.")


async def test_a_name_that_does_not_exist() -> None:
    async def fails(host: str, port: int) -> list[str]:
        raise socket.gaierror

    outcome = await sender.post("https://nowhere.example/", b"{}", {}, resolve=fails)
    assert outcome.error == "The receiver's name could not be looked up."


async def test_a_silent_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "ANSWER_SECONDS", 0.2)
    silence = threading.Event()
    with answering(lambda client: silence.wait(30)) as url:
        outcome = await sender.post(url, b"{}", {})
        silence.set()
    assert outcome.error == "The receiver did not answer in time."


async def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "CONNECT_SECONDS", 0.2)
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kw: release.wait(30) and [])
    outcome = await sender.post("https://slow.example/", b"{}", {})
    release.set()
    assert outcome.error == "The receiver did not answer in time."


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "The receiver does not speak HTTP."),
        (b"HTTP/1.1 abc\r\n\r\n", "The receiver does not speak HTTP."),
        (b"HTTP/1.1 20\r\n", "The receiver broke the connection off."),
        (b"", "The receiver broke the connection off."),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000, "The answer is too long."),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000, "The answer is too long."),
    ],
)
async def test_answers_that_are_none(answer: bytes, error: str) -> None:
    with answering(lambda client: client.sendall(answer)) as url:
        outcome = await sender.post(url, b"{}", {})
    assert (outcome.status, outcome.error) == (0, error)


async def test_an_endless_answer_is_read_up_to_a_limit() -> None:
    sent = 0

    def talk(client: socket.socket) -> None:
        nonlocal sent
        client.settimeout(30)
        try:
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
            while True:
                sent += client.send(b"x" * 65536)
        except OSError:
            return

    with answering(talk) as url:
        outcome = await sender.post(url, b"{}", {})
    assert outcome.status == 200
    assert sent < 32 * 1024 * 1024  # what the kernel's buffers took


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("99999999999999999999999", 3600.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        (format_datetime(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), usegmt=True), 0.0),
        (format_datetime(datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC), usegmt=True), 3600.0),
    ],
)
async def test_retry_after_is_understood_and_clamped(text: str, seconds: float | None) -> None:
    with receiving(lambda post: (503, {"Retry-After": text})) as receiver:
        outcome = await sender.post(receiver.url, b"{}", {})
    assert outcome.retry_after == seconds


# TLS


def certificate(directory: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context for `name`, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "receiver.pem"
    pem.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


async def test_tls_to_the_pinned_address_by_the_hosts_name(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "hooks.example")
    asked: list[str] = []
    server.sni_callback = lambda sock, name, context: asked.append(name)
    with receiving(tls=server) as receiver:
        url = f"https://hooks.example:{receiver.port}/in"
        outcome = await sender.post(url, b"{}", {}, resolve=to_loopback, tls=client)
    assert outcome.status == 204, outcome
    assert asked == ["hooks.example"]
    assert receiver.posts[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "hooks.example")
    with receiving(tls=server) as receiver:
        url = f"https://other.example:{receiver.port}/in"
        outcome = await sender.post(url, b"{}", {}, resolve=to_loopback, tls=client)
        stranger = await sender.post(
            f"https://hooks.example:{receiver.port}/", b"{}", {}, resolve=to_loopback
        )
    assert outcome.error.startswith("The receiver's certificate is not valid: Hostname mismatch")
    assert stranger.error.startswith("The receiver's certificate is not valid: self")
    assert receiver.posts == []


async def test_a_receiver_without_tls() -> None:
    with receiving() as receiver:
        url = receiver.url.replace("http:", "https:")
        outcome = await sender.post(url, b"{}", {})
    assert outcome.status == 0 and "TLS" in outcome.error
    assert receiver.posts == []
