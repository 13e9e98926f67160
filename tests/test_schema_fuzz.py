"""Every operation of the OpenAPI schema, called with what Schemathesis thinks of.

No answer is a server error, each has a status, a type and a body that the schema tells of.
A few examples for each operation, the same at each run; `make prove` takes many, and every
boundary that Schemathesis finds in the schema.
"""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sandbox import Sandbox
from tests.hub import Hub, hub_process

PROVE = bool(os.environ.get("TGHUB_PROVE"))
PHONE, CARRIED_PHONE = "+15550700001", "+15550700002"
# Telegram or another part is away: an answer as good as any other, where the schema tells of it.
EXPECTED = (502, 503, 507)
NUMBER_OF_KEYS = 50
Keys = Iterator[str]

schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))


@pytest.fixture(scope="module")
def world() -> Iterator[Sandbox]:
    with Sandbox(seed=1) as telegram:
        for phone in (PHONE, CARRIED_PHONE):
            telegram.world.add_user(phone=phone, first_name="Fuzz")
        yield telegram


@pytest.fixture(scope="module")
def fuzzed(
    tmp_path_factory: pytest.TempPathFactory, migrated: Path, world: Sandbox
) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("fuzzed")
    shutil.copy(migrated, directory / "tghub.sqlite3")
    with hub_process(directory, world, LOG_LEVEL="info", TGHUB_AUTH="keys") as hub:
        yield hub
        assert "Traceback" not in hub.log()


@pytest.fixture(scope="module")
def keys(fuzzed: Hub) -> Keys:
    """Keys of one user in turn: each has its own limit of calls."""
    program = (
        "from accounts.models import User, create_key\n"
        "user = User.objects.create(username='fuzz')\n"
        f"for _ in range({NUMBER_OF_KEYS}):\n"
        "    print(create_key(user=user, scopes=['admin'])[1])"
    )
    return itertools.cycle(fuzzed.manage("shell", "--verbosity", "0", "-c", program).stdout.split())


@pytest.fixture(scope="module")
def carried(fuzzed: Hub, keys: Keys, world: Sandbox) -> str:
    """A session string of a login that waits for its code; the session `fuzz` is logged in."""
    fuzzed.http.headers["X-API-Key"] = next(keys)
    fuzzed.log_in("fuzz", PHONE, world.login_code)
    body = {"phone": CARRIED_PHONE, "api_id": 12345, "api_hash": "ab" * 16}
    answer = fuzzed.post("/auth/send_code", body)
    assert answer.status_code == 200, answer.text
    result: str = answer.json()["session_string"]
    return result


@schema.parametrize()
@settings(
    max_examples=50 if PROVE else 3,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate] if PROVE else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_it_keeps_to_its_schema(case: Any, fuzzed: Hub, keys: Keys, carried: str) -> None:
    lead_inside(case, carried)
    answer = case.call(base_url=fuzzed.url, timeout=60, headers={"X-API-Key": next(keys)})
    checks = [
        status_code_conformance,
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
    ]
    if answer.status_code not in EXPECTED:
        checks.append(not_a_server_error)
    case.validate_response(answer, checks=checks)
    assert answer.headers["x-request-id"]


def lead_inside(case: Any, carried: str) -> None:
    """Name a session that exists: a random one would be refused before anything else is read."""
    headers = case.headers if case.headers is not None else {}
    headers.pop("Authorization", None)
    if "X-Telegram-Username" in headers:
        headers["X-Telegram-Username"] = "fuzz"
    if "X-Session-String" in headers:
        headers["X-Session-String"] = carried
    if case.path == "/message/send" and isinstance(case.body, dict):
        case.body["session_id"] = "fuzz"
    if isinstance(case.query, dict):
        for name in ("timeout", "max_wait"):
            if name in case.query:
                case.query[name] = 0
