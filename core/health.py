"""`GET /health`: whether each part of the hub works, asked of the parts themselves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from core.errors import MethodNotAllowed, json_answer, json_response

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 3.0
RETRY_AFTER_SECONDS = 5

Check = Callable[[], Awaitable[object]]
_checks: dict[str, Check] = {}
_facts: dict[str, Check] = {}


class Unhealthy(Exception):
    """A part does not work; the text is shown to anybody."""


def register_check(name: str, check: Check) -> None:
    """Have `/health` await `check()`: anything but False is well, an exception is not.

    The text of `Unhealthy` is shown; of other exceptions only that there was one.
    """
    _checks[name] = check


def register_fact(name: str, fact: Check) -> None:
    """Have `/health` answer with `{name: await fact()}`, for example `active_sessions`."""
    _facts[name] = fact


def unregister(name: str) -> None:
    """Take back a check or a fact."""
    _checks.pop(name, None)
    _facts.pop(name, None)


@csrf_exempt
async def health(request: HttpRequest) -> Any:
    """Answer 200 `{"status": "healthy", …}`, or 503 with `checks` that names what fails."""
    allow = {"Allow": "GET, HEAD, OPTIONS"}
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=allow)
    if request.method not in ("GET", "HEAD"):
        return json_response(MethodNotAllowed(headers=allow))
    names, facts = list(_checks), list(_facts)
    answers = await asyncio.gather(
        *(_ask(name, _checks[name]) for name in names), *(_fact(name) for name in facts)
    )
    checks = dict(zip(names, answers, strict=False))
    body: dict[str, Any] = {"status": "healthy"}
    body |= dict(zip(facts, answers[len(names) :], strict=True))
    if all(state == "ok" for state in checks.values()):
        return json_answer(body)
    body |= {"status": "unhealthy", "checks": checks}
    return json_answer(body, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


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


async def _fact(name: str) -> Any:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _facts[name]()
    except Exception:
        logger.exception("the health fact %s fails", name)
        return None


async def check_database() -> None:
    await sync_to_async(_select)()


def _select() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    finally:
        connection.close_if_unusable_or_obsolete()


register_check("database", check_database)
