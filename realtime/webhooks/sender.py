"""One HTTP POST to a URL that a user gave: to a checked address, never further.

Redirects are not followed, an answer is read up to a limit, and every step has an end.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from realtime.webhooks.safety import Target, UnsafeUrl, check_addresses, parse_url

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER_SECONDS = 3600.0
USER_AGENT = "tghub-webhooks/1"

Resolve = Callable[[str, int], Awaitable[list[str]]]

# So many names at once.
_lookups = threading.BoundedSemaphore(64)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one POST: the answer's status, or 0 and why there was none."""

    status: int = 0
    error: str = ""
    retry_after: float | None = None
    duration_ms: int = 0

    @property
    def delivered(self) -> bool:
        return 200 <= self.status < 300


class _Failed(Exception):
    """The receiver could not be reached, or answered no HTTP; the text is for its owner."""


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
) -> Outcome:
    """POST `body` and tell what came of it; raises nothing but cancellation."""
    started = time.monotonic()
    try:
        target = parse_url(url)
        async with asyncio.timeout(CONNECT_SECONDS):
            addresses = await _addresses(target, resolve or look_up)
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await _connect(target, addresses, tls)
            try:
                writer.write(_request(target, body, headers))
                await writer.drain()
                status, answered = await _answer(reader)
            finally:
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        error = "Redirects are not followed." if 300 <= status < 400 else ""
        outcome = Outcome(status, error, retry_after=_retry_after(answered))
    except UnsafeUrl as exc:
        outcome = Outcome(error=str(exc))
    except _Failed as exc:
        outcome = Outcome(error=str(exc))
    except TimeoutError:
        outcome = Outcome(error="The receiver did not answer in time.")
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        outcome = Outcome(error="The receiver broke the connection off.")
    return Outcome(
        outcome.status,
        outcome.error,
        outcome.retry_after,
        duration_ms=round((time.monotonic() - started) * 1000),
    )


async def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name, in the resolver's order; raises OSError.

    Each in a thread of its own: a resolver that hangs, which nothing can cut short,
    holds up neither other names nor the end of the process.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()
    if not _lookups.acquire(blocking=False):
        raise OSError("too many names are being looked up")

    def tell(addresses: list[str] | None, error: OSError | None) -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses or [])

    def run() -> None:
        addresses, error = None, None
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(entry[4][0]) for entry in entries]
        except (OSError, UnicodeError) as exc:
            error = OSError(str(exc))
        finally:
            _lookups.release()
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(tell, addresses, error)

    threading.Thread(target=run, name="webhook-dns", daemon=True).start()
    return await found


async def _addresses(target: Target, resolve: Resolve) -> list[str]:
    """Return where to connect to: checked addresses, looked up this once."""
    if target.literal is not None:
        return check_addresses([str(target.literal)], target)
    try:
        texts = await resolve(target.host, target.port)
    except OSError:
        raise _Failed("The receiver's name could not be looked up.") from None
    return check_addresses(texts, target)


async def _connect(
    target: Target, addresses: list[str], tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers; the certificate must be the host's."""
    context = (tls or _tls()) if target.scheme == "https" else None
    error: Exception = _Failed("The receiver could not be reached.")
    for address in addresses[:4]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_connection(
                    address,
                    target.port,
                    ssl=context,
                    server_hostname=target.host.rstrip(".") if context else None,
                    limit=MAX_ANSWER_BYTES,
                )
        except ssl.SSLCertVerificationError as exc:
            error = _Failed(f"The receiver's certificate is not valid: {exc.verify_message}.")
        except ssl.SSLError:
            error = _Failed("The receiver speaks no TLS that fits.")
        except (TimeoutError, OSError):
            error = _Failed("The receiver could not be reached.")
    raise error


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _request(target: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = {
        "Host": target.host_header,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Return status and headers (lower-case names); reads at most `MAX_ANSWER_BYTES`."""
    left = MAX_ANSWER_BYTES
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise _Failed("The answer is too long.") from None
        left -= len(head)
        status, headers = _parse_head(head)
        if status >= 200:
            break
        if left < 0:
            raise _Failed("The answer is too long.")
    # What it says does not matter; that it could say it spares the receiver an error.
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            while left > 0 and (chunk := await reader.read(min(left, 16 * 1024))):
                left -= len(chunk)
    return status, headers


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    version, _, tail = first.partition(" ")
    code = tail[:3]
    known = version in ("HTTP/1.1", "HTTP/1.0")
    if not known or not (len(code) == 3 and code.isascii() and code.isdigit()):
        raise _Failed("The receiver does not speak HTTP.")
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return int(code), headers


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds the receiver wants to be left alone, within limits."""
    text = headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        # Of a number with a thousand digits nobody needs more than these.
        seconds = float(text[:9])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
