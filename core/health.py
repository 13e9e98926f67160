"""`GET /health`: whether each part of the hub works, asked of the parts themselves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from core import json
from core.asgi import Receive, Scope, Send, surface
from core.errors import MethodNotAllowed, json_response

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 3.0
RETRY_AFTER_SECONDS = 5

Check = Callable[[], Awaitable[object]]
Fact = Callable[[], object]
_checks: dict[str, Check] = {}
_facts: dict[str, Fact] = {}
_thread = ThreadPoolExecutor(1, thread_name_prefix="health")


class Unhealthy(Exception):
    """A part does not work; the text is shown to anybody."""


def register_check(name: str, check: Check) -> None:
    """Have `/health` await `check()`: anything but False is well, an exception is not.

    The text of `Unhealthy` is shown; of other exceptions only that there was one.
    """
    _checks[name] = check


def register_fact(name: str, fact: Fact) -> None:
    """Have `/health` answer with `{name: fact()}`, for example `active_sessions`.

    It is called in a thread, and may ask the database something short.
    """
    _facts[name] = fact


def unregister(name: str) -> None:
    """Take back a check or a fact."""
    _checks.pop(name, None)
    _facts.pop(name, None)


@csrf_exempt
async def health(request: HttpRequest) -> Any:
    """Answer as `application` does, where Django is asked instead of it."""
    allow = {"Allow": "GET, HEAD, OPTIONS"}
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=allow)
    if request.method not in ("GET", "HEAD"):
        return json_response(MethodNotAllowed(headers=allow))
    status, body, headers = await report()
    return HttpResponse(body, "application/json", status, headers=headers)


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    status, body, headers = await report()
    headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


application = surface(_application)
"""`/health` beside Django, whose middleware goes from thread to thread a dozen times: each waits
for its turn while others parse Telegram's pages, and whoever watches takes the hub for dead."""


async def report() -> tuple[int, bytes, dict[str, str]]:
    """Return 200 and `{"status": "healthy", …}`, or 503 with `checks` that names what fails.

    Status, JSON and headers.
    """
    names = list(_checks)
    (state, facts), *states = await asyncio.gather(
        _ask_database(), *(_ask(name, _checks[name]) for name in names)
    )
    checks = {"database": state} | dict(zip(names, states, strict=True))
    if all(state == "ok" for state in checks.values()):
        return 200, json.dumps({"status": "healthy"} | facts), {}
    body = {"status": "unhealthy"} | facts | {"checks": checks}
    return 503, json.dumps(body), {"Retry-After": str(RETRY_AFTER_SECONDS)}


async def _ask_database() -> tuple[str, dict[str, Any]]:
    """Return the database's state and the facts, which it tells.

    In one turn in a thread that is kept for it: each waits while others parse Telegram's pages.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return "ok", await asyncio.get_running_loop().run_in_executor(_thread, _on_kept)
    except TimeoutError:
        state = "does not answer"
    except Exception:
        logger.exception("the database does not work")
        state = "fails"
    return state, dict.fromkeys(_facts)


def _on_kept() -> dict[str, Any]:
    # To open a connection takes ten times as long as to ask.
    try:
        return _answers()
    except (DatabaseError, InterfaceError):
        # It may be the connection that is lost, not the database.
        connection.close()
        return _answers()


def _answers() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return {name: _answer(name, fact) for name, fact in _facts.items()}


def _answer(name: str, fact: Fact) -> object:
    try:
        return fact()
    except Exception:
        logger.exception("the health fact %s fails", name)
        return None


async def _ask(name: str, check: Check) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            well = await check()
    except TimeoutError:
        return "does not answer"
    except Unhealthy as error:
        return str(error) or "fails"
    except Exception:
        logger.exception("the health check of %s fails", name)
        return "fails"
    return "fails" if well is False else "ok"
