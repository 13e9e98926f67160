"""Daphne as the hub runs it: back-pressure, bounded bodies, JSON errors, graceful drain."""

import asyncio
import io
import logging
from collections.abc import Callable
from functools import partial
from typing import IO, Any

# Daphne installs Twisted's asyncio reactor and has to come before anything else of Twisted.
from daphne.server import Server, reactor  # isort: skip
import orjson
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from core.asgi import accepted_language
from core.errors import SERVER_ERROR, ApiError, to_response_parts
from core.middleware import security_headers
from core.request_id import HEADER, choose_request_id
from tghub.sockets import Socket

logger = logging.getLogger(__name__)

JSON_BODY_BYTES = 1024 * 1024
UPLOAD_BODY_BYTES = 2 * 1024**3
# What a client may still send after its body was found too large, so that it reads the answer.
GRACE_BODY_BYTES = 16 * 1024 * 1024
BODY_PIECE_BYTES = 256 * 1024
STALL_SECONDS = 60.0
DRAIN_SECONDS = 3.5


@implementer(IPushProducer)
class Gate:
    """Closed while the transport of one client holds more than it can send."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    def pauseProducing(self) -> None:  # noqa: N802 (Twisted's name)
        self.open.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        self.open.set()

    # The connection is lost: nobody may go on waiting for it.
    stopProducing = resumeProducing  # noqa: N815


class Request(WebRequest):  # type: ignore[misc]
    """A request whose body is bounded before it is spooled to disk."""

    content: IO[bytes]
    received = 0
    limit = JSON_BODY_BYTES

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        kind = (self.requestHeaders.getRawHeaders(b"content-type") or [b""])[0]
        if kind.lower().startswith((b"multipart/form-data", b"application/octet-stream")):
            self.limit = UPLOAD_BODY_BYTES
        # Twisted picks memory or an unlinked temporary file by this number.
        super().gotLength(None if length is None else min(length, self.limit))

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        self.received += len(data)
        if self.received <= self.limit:
            super().handleContentChunk(data)
        elif self.received > self.limit + GRACE_BODY_BYTES:
            self.channel.abortConnection()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        # Twisted would parse a form by itself, with twelve times its size in memory.
        self.spooled: IO[bytes] = self.content
        self.content = io.BytesIO()
        super().requestReceived(command, path, version)

    def process(self) -> Any:
        self.content = self.spooled
        self.content.seek(0)
        if self.received > self.limit:
            self.clientproto = b"HTTP/1.1"
            self.setHeader(b"connection", b"close")
            self.basic_error(413, b"Content Too Large", "The body is too large.")
            return None
        return super().process()

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer what never reached the application, as the application would."""
        detail = body if status != 500 else SERVER_ERROR
        languages = self.requestHeaders.getRawHeaders(b"accept-language") or [b""]
        with accepted_language(languages[0].decode("latin-1")):
            parts = to_response_parts(ApiError(detail, status=status))
        offered = (self.requestHeaders.getRawHeaders(HEADER) or [None])[0]
        headers = {
            "Content-Type": "application/json",
            HEADER: choose_request_id(offered),
            **security_headers("application/json"),
            **parts.headers,
        }
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self.handle_reply({"type": "http.response.start", "status": status, "headers": pairs})
        self.handle_reply({"type": "http.response.body", "body": orjson.dumps(parts.body)})


class Body(asyncio.Queue[dict[str, Any]]):
    """What an application receives: a spooled body piece by piece, then what Daphne says.

    Daphne puts a whole body into its queue before the application takes the first piece.
    """

    def __init__(self, spool: IO[bytes]) -> None:
        super().__init__()
        self.spool: IO[bytes] | None = spool

    async def get(self) -> dict[str, Any]:
        if self.spool is None or not self.empty():  # not empty: the client has left
            self.spool = None
            return await super().get()
        piece = self.spool.read(BODY_PIECE_BYTES)
        more = len(piece) == BODY_PIECE_BYTES
        if not more:
            self.spool = None
        return {"type": "http.request", "body": piece, "more_body": more}

    def put_nowait(self, item: dict[str, Any]) -> None:
        if item["type"] != "http.request":
            super().put_nowait(item)


class Factory(HTTPFactory):  # type: ignore[misc]
    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = Request
        return protocol


class HubServer(Server):  # type: ignore[misc]
    """Daphne's server, which tells when it listens and lets running requests end."""

    def __init__(self, *args: Any, on_listening: Callable[[int], None], **kwargs: Any) -> None:
        super().__init__(*args, server_name="tghub", **kwargs)
        self.on_listening = on_listening
        self.ports: list[Any] = []
        self.draining = False
        self.error: BaseException | None = None

    @property
    def http_factory(self) -> Factory:
        return self._http_factory

    @http_factory.setter
    def http_factory(self, stock: HTTPFactory) -> None:
        # run() makes Daphne's own factory; ours takes its place.
        self._http_factory = Factory(self)

    @property
    def ws_factory(self) -> WebSocketFactory:
        return self._ws_factory

    @ws_factory.setter
    def ws_factory(self, stock: WebSocketFactory) -> None:
        stock.protocol = Socket
        # A client is told why, before it is dropped.
        stock.setProtocolOptions(failByDrop=False)
        self._ws_factory = stock

    def listen_success(self, port: Any) -> None:
        super().listen_success(port)
        self.ports.append(port)
        try:
            self.on_listening(port.getHost().port)
        except BaseException as error:
            self.error = error
            self.stop()

    def listen_error(self, failure: Any) -> None:
        self.error = failure.value
        self.stop()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        if self.draining and scope["type"] == "http":
            protocol.basic_error(503, b"Service Unavailable", "The hub is stopping.")
            return None
        if scope["type"] == "http" and protocol.received > BODY_PIECE_BYTES:
            return self._create_with_body(protocol, scope)
        return super().create_application(protocol, scope)

    def _create_with_body(self, protocol: Request, scope: dict[str, Any]) -> Body:
        """Do as Daphne does, but leave the body where it was spooled until it is asked for."""
        body = Body(protocol.content)
        # Daphne reads what stands here right away.
        protocol.content = io.BytesIO()
        scope.setdefault("asgi", {"version": "3.0"})
        application = self.application(
            scope=scope, receive=body.get, send=partial(self.handle_reply, protocol)
        )
        details = self.connections[protocol]
        details["application_instance"] = asyncio.ensure_future(application)
        return body

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Send one message, then wait while the client's transport is full.

        Daphne itself never waits: one client that does not read makes it keep the whole
        answer in memory. A client that stalls for `STALL_SECONDS` is cut off.
        """
        kind = message.get("type")
        if message.get("abort"):
            # What was said of the answer's length is not true: only a lost connection says so.
            channel = getattr(protocol, "channel", None)
            if channel is not None and channel.transport is not None:
                channel.transport.abortConnection()
            return
        gate: Gate | None = getattr(protocol, "gate", None)
        live = protocol in self.connections and not self.connections[protocol].get("disconnected")
        if kind == "http.response.body" and live and getattr(protocol, "channel", None):
            if message.get("more_body") and gate is None:
                gate = protocol.gate = Gate()
                protocol.registerProducer(gate, True)
            elif not message.get("more_body") and gate is not None:
                # Twisted wants the producer gone before Request.finish().
                protocol.unregisterProducer()
        await super().handle_reply(protocol, message)
        if (
            kind == "websocket.send"
            and gate is None
            and getattr(protocol.transport, "connected", False)
        ):
            # HTTPChannel's own producer is left over from the upgrade.
            protocol.transport.unregisterProducer()
            gate = protocol.gate = Gate()
            protocol.transport.registerProducer(gate, True)
        if gate is None or gate.open.is_set():
            return
        try:
            await asyncio.wait_for(gate.open.wait(), STALL_SECONDS)
        except TimeoutError:
            stalled = getattr(protocol, "channel", None) or protocol
            if stalled.transport is not None:
                logger.info("A client stopped reading and was cut off")
                stalled.transport.abortConnection()

    def kill_all_applications(self) -> "Deferred[None]":
        """Let what is being answered end, then cancel the rest; runs before the reactor stops."""
        return ensureDeferred(self._drain())

    async def _drain(self) -> None:
        self.draining = True
        for port in self.ports:
            await maybeDeferred(port.stopListening)
        running = []
        for protocol, details in self.connections.items():
            if "application_instance" in details:
                running.append(details["application_instance"])
                if isinstance(protocol, Socket):
                    # It would not end by itself; its client is told to come back.
                    details["application_instance"].cancel()
        await Deferred.fromFuture(asyncio.ensure_future(_settle(running)))


async def _settle(running: list["asyncio.Future[Any]"]) -> None:
    if not running:
        return
    _, late = await asyncio.wait(running, timeout=DRAIN_SECONDS)
    for application in late:
        application.cancel()
    if late:
        logger.info("Cut %d requests short to stop in time", len(late))
        await asyncio.wait(late, timeout=0.5)


def stop_server() -> None:
    """Stop the running server from any thread."""
    reactor.callFromThread(reactor.stop)
