"""What every transport promises."""

from concurrent.futures import Future
from typing import Any, Protocol

from engine.streams import Pipe
from engine.wire import Reply, Request


class Transport(Protocol):
    """Carries requests to the process that owns the session. Every method is thread-safe."""

    def start(self) -> None:
        """Make ready; does nothing when it already is."""
        ...

    def stop(self, deadline_seconds: float) -> None:
        """Stop within the deadline; calls in flight are answered with Unavailable."""
        ...

    def submit(
        self, request: Request, *, upload: Pipe | None = None, output: Pipe | None = None
    ) -> Future[Reply]:
        """Send a request and return at once; TypeError when its kwargs are no JSON.

        The future always ends in a Reply, unless the caller cancels it, which cancels the
        coroutine that serves it. A stream's bytes come through `output`, whose end the transport
        declares before the reply; `upload` is read by the body.
        """
        ...

    def status(self) -> dict[str, Any]:
        """Return what there is to know, as JSON, without asking Telegram."""
        ...
