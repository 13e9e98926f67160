"""A receiver of webhooks on loopback: keeps what it was sent, answers as the test says."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.hub import wait_until


@dataclass
class Post:
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> None:
        """Raises unless the reference library takes the signature."""
        Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[Post], int | tuple[int, dict[str, str]]]


@dataclass
class Receiver:
    """`answer(post)` gives a status, or a status and headers; it may block."""

    answer: Answer = lambda post: 204
    posts: list[Post] = field(default_factory=list)
    url: str = ""
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def taken(self, path: str | None = None) -> list[Post]:
        """What was answered by a 2xx, in order of arrival."""
        with self.lock:
            posts = list(self.posts)
        return [p for p in posts if 200 <= p.status < 300 and path in (None, p.path)]

    def wait_for(self, count: int, path: str | None = None, seconds: float = 60) -> list[Post]:
        """Wait until so many were taken."""
        wait_until(
            lambda: len(self.taken(path)) >= count,
            seconds=seconds,
            what=f"{count} posts arrived; there are {len(self.taken(path))}",
        )
        return self.taken(path)

    def wait_for_tries(self, count: int, seconds: float = 60) -> list[Post]:
        wait_until(lambda: len(self.posts) >= count, seconds=seconds, what=f"{count} tries")
        return list(self.posts)


@contextmanager
def receiving(
    answer: Answer = lambda post: 204,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Receiver]:
    """Yield a receiver that listens."""
    receiver = Receiver(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            post = Post(self.path, headers, body)
            with receiver.lock:
                receiver.posts.append(post)
            answered = receiver.answer(post)
            status, extra = answered if isinstance(answered, tuple) else (answered, {})
            try:
                self.send_response(status)
                for name, value in {"Content-Length": "0", **extra}.items():
                    self.send_header(name, value)
                self.end_headers()
            except OSError:  # the sender is gone: whether it read the answer nobody knows
                return
            post.status = status

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            pass

    server = Server((host, port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    receiver.url = f"{'https' if tls else 'http'}://{host}:{receiver.port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
