"""No secret is readable anywhere: database, WAL, logs at DEBUG, pages, answers."""

import re
from collections.abc import Callable, Iterator

import pytest

from sandbox import Sandbox
from tests.hub import Hub, auth_keys, wait_until

PHONE = "+15550600001"
PASSWORD = "tr0ub4dor-and-3-canaries"
API_HASH = "c0ffee11c0ffee22c0ffee33c0ffee44"


def forms(secret: bytes) -> Iterator[bytes]:
    """A secret as it could lie around: raw, hexadecimal, base64 in two alphabets."""
    import base64

    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    # Without the ends, which depend on what stands before and after.
    yield base64.b64encode(secret)[:-4]
    yield base64.urlsafe_b64encode(secret)[:-4]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_secret_is_readable(
    make_hub: Callable[..., Hub],
    telegram: Sandbox,
    database: str,
    postgresql_database: str,
) -> None:
    telegram.world.add_user(phone=PHONE, first_name="Sam", username="sam_600", password=PASSWORD)
    environment = {"TGHUB_AUTH": "keys", "TELEGRAM_API_HASH": API_HASH, "LOG_LEVEL": "debug"}
    if database == "postgresql":
        environment |= {
            "DATABASE_URL": postgresql_database,
            "TGHUB_ENCRYPTION_KEYS": "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=",
        }
    hub = make_hub(**environment)
    if database == "postgresql":
        hub.manage("migrate", "--verbosity", "0")
    hub.start()
    key = hub.manage("create_api_key", "alice", "--name", "k", "--scopes", "read,send,sessions")
    api_key = key.stdout.split()[-1]
    headers = {"Authorization": f"Bearer {api_key}"}
    answers = []

    def ask(method: str, path: str, body: object = None) -> None:
        answers.append(hub.http.request(method, path, json=body, headers=headers))

    ask("POST", "/login/start", {"session_id": "s", "phone_number": PHONE})
    code = telegram.login_code(PHONE)
    ask("POST", "/login/code", {"session_id": "s", "phone_code": "0" + code[1:][::-1] + "9"})
    ask("POST", "/login/code", {"session_id": "s", "phone_code": code})
    ask("POST", "/login/password", {"session_id": "s", "password": "not " + PASSWORD})
    ask("POST", "/login/password", {"session_id": "s", "password": PASSWORD})
    assert answers[-1].json()["status"] == "success", answers[-1].text
    ask("POST", "/message/send", {"session_id": "s", "chat_id": "me", "message": "hi"})
    ask("POST", "/message/send", {"session_id": "s", "chat_id": "@nobody_at_all", "message": "x"})
    ask("GET", "/sessions")
    ask("GET", "/session/s/status")
    ask("GET", "/api/v3/me")
    # A code for an account that is logged in comes to it as a message.
    ask("POST", "/login/start", {"session_id": "t", "phone_number": PHONE})
    wait_until(lambda: "from 777000" in hub.log(), what="the code came as a message")
    keys = auth_keys(telegram, PHONE)
    assert keys
    secrets = [
        *(form for auth_key in keys for form in forms(auth_key)),
        PASSWORD.encode(),
        API_HASH.encode(),
        api_key.encode(),
        api_key.split("_", 2)[2].encode(),
    ]
    hub.kill()
    places = {
        str(path.relative_to(hub.data_dir)): path.read_bytes()
        for path in hub.data_dir.rglob("*")
        if path.is_file() and not path.name.startswith("encryption_keys")
    }
    places["answers"] = b"\n".join(answer.content for answer in answers)
    if database == "postgresql":
        places["dump"] = dump(postgresql_database)
    assert any(len(content) > 1000 for content in places.values())
    for name, content in places.items():
        for secret in secrets:
            assert secret not in content, f"{secret!r} lies in {name}"
        # The code is short: look for it as a word, where it could be told apart from numbers.
        assert not re.search(rb"(code|Code)\W{1,8}" + code.encode(), content), name


def dump(database_url: str) -> bytes:
    """Every row of every table, as text."""
    import psycopg

    rows = []
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in tables:
            rows += connection.execute(f"SELECT t::text FROM {table} t").fetchall()
    return "\n".join(row[0] for row in rows).encode()
