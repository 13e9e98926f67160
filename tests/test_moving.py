"""Sessions on the move: in from Telethon and Pyrogram, out to them, and between the hub's own."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from telethon import TelegramClient
from telethon.sessions import SQLiteSession, StringSession

from engine.sessions import trust_key
from sandbox import Sandbox
from sandbox.process import ROOT
from sandbox.world import World
from tests.hub import Hub, auth_keys

ALICE, BOB, DORA = "+15550820001", "+15550820002", "+15550820003"
API = (12345, "0123456789abcdef0123456789abcdef")
KURIGRAM = ROOT / "sandbox" / "tests" / "requirements-kurigram.txt"


@pytest.fixture(scope="module")
def telegram() -> Iterator[Sandbox]:
    world = World()
    world.add_user("Alice", phone=ALICE, username="alice_820")
    world.add_user("Bob", phone=BOB, username="bob_820")
    world.add_user("Dora", phone=DORA, username="dora_820", dc=1)
    with Sandbox(world=world) as sandbox:
        # As Telegram does: a second connection on a key kills the session.
        sandbox.faults.duplicated_keys("connection")
        trust_key(sandbox.public_key_file)
        yield sandbox
        assert sandbox.server.crashes == []


@pytest.fixture(scope="module")
def hub(
    telegram: Sandbox, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("hub")
    directory.chmod(0o700)
    shutil.copy(migrated, directory / "tghub.sqlite3")
    hub = Hub(directory, telegram).start()
    yield hub
    hub.close()


def client_of(session: Any, telegram: Sandbox) -> TelegramClient:
    dc_id, _, address = telegram.dc.rpartition("@")
    host, _, port = address.rpartition(":")
    if not session.auth_key:
        session.set_dc(int(dc_id), host, int(port))
    return TelegramClient(session, *API, receive_updates=False)


def telethon_login(telegram: Sandbox, phone: str, session: Any) -> str:
    """Log in with bare Telethon; return its string, disconnected."""

    async def run() -> str:
        client = client_of(session, telegram)
        await client.connect()
        sent = await client.send_code_request(phone)
        await client.sign_in(
            phone, telegram.login_code(phone), phone_code_hash=sent.phone_code_hash
        )
        text: str = StringSession.save(client.session)
        await client.disconnect()
        return text

    return asyncio.run(run())


def telethon_sends(telegram: Sandbox, session: Any, text: str) -> int:
    """Say something to oneself with bare Telethon; return the user's id."""

    async def run() -> int:
        client = client_of(session, telegram)
        await client.connect()
        me = await client.get_me()
        await client.send_message("me", text)
        await client.disconnect()
        return int(me.id)

    return asyncio.run(run())


def ok(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def send(hub: Hub, session: str) -> Any:
    return hub.post("/message/send", {"session_id": session, "chat_id": "me", "message": "hi"})


def saved(telegram: Sandbox, phone: str) -> list[str]:
    return [message.text for message in telegram.world.by_phone(phone).messages.values()]


@pytest.mark.parametrize("phone", [ALICE, DORA])
def test_a_telethon_string_in_and_out(hub: Hub, telegram: Sandbox, phone: str) -> None:
    name = f"string {phone[-1]}"
    text = telethon_login(telegram, phone, StringSession())
    body = {"session_id": name, "session_string": text}
    user = ok(hub.post("/session/import", body))["user"]
    assert user["id"] == telegram.world.by_phone(phone).id
    assert ok(send(hub, name))["message_id"]
    again = hub.post("/session/import", {"session_id": "other", "session_string": text})
    assert (again.status_code, again.json()["code"]) == (409, "session_exists")
    exported = ok(hub.post(f"/session/{name}/export", {}))
    refused = send(hub, name)
    assert (refused.status_code, refused.json()["code"]) == (401, "session_paused")
    assert hub.post(f"/session/{name}/export", {}).status_code == 401
    assert hub.post(f"/session/{name}/reconnect").status_code == 401
    outside = StringSession(exported["telethon"])
    assert telethon_sends(telegram, outside, "from Telethon") == user["id"]
    assert "from Telethon" in saved(telegram, phone)
    # Back under its own name, and under no other.
    body = {"session_id": "other", "session_string": exported["telethon"]}
    assert hub.post("/session/import", body).status_code == 409
    body["session_id"] = name
    assert ok(hub.post("/session/import", body))["user"]["id"] == user["id"]
    assert ok(send(hub, name))


def test_a_session_file_in_and_out(hub: Hub, telegram: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "theirs.session"
    telethon_login(telegram, BOB, SQLiteSession(str(path)))
    files = {"file": ("bob.session", path.read_bytes())}
    form = {"session_id": "file"}
    user = ok(hub.http.post("/session/import", data=form, files=files))["user"]
    assert user["username"] == "bob_820"
    assert ok(send(hub, "file"))
    answer = hub.post("/session/file/export", {"format": "file"})
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment")
    ours = tmp_path / "ours.session"
    ours.write_bytes(answer.content)
    assert telethon_sends(telegram, SQLiteSession(str(ours)), "from a file") == user["id"]
    assert send(hub, "file").status_code == 401
    files = {"file": ("bob.session", ours.read_bytes())}
    assert ok(hub.http.post("/session/import", data=form, files=files))["user"] == user
    assert ok(send(hub, "file"))


def test_between_the_stored_and_the_stateless_world(hub: Hub, telegram: Sandbox) -> None:
    start = {"phone": ALICE, "api_id": API[0], "api_hash": API[1]}
    text = ok(hub.post("/auth/send_code", start))["session_string"]
    headers = {"X-Session-String": text}
    code = {"code": telegram.login_code(ALICE)}
    text = ok(hub.post("/auth/verify_code", code, headers=headers))["session_string"]
    headers = {"X-Session-String": text}
    message = {"chat_id": "me", "text": "carried"}
    ok(hub.post("/messages/send", message, headers=headers))
    # The warm connection is closed before the stored session opens its own.
    ok(hub.post("/session/import", {"session_id": "kept", "session_string": text}))
    ok(send(hub, "kept"))
    # One key, one client: the carried call goes over the stored session's.
    ok(hub.post("/messages/send", message, headers=headers))
    exported = ok(hub.post("/session/kept/export"))
    ok(hub.post("/messages/send", message, headers=headers))
    headers = {"X-Session-String": exported["session_string"]}
    ok(hub.post("/messages/send", message, headers=headers))
    assert send(hub, "kept").json()["code"] == "session_paused"
    ok(hub.delete("/auth/logout", headers=headers))
    # A dead key does not come back, and its name is free once it is destroyed.
    body = {"session_id": "kept", "session_string": exported["telethon"]}
    assert hub.post("/session/import", body).status_code == 401
    assert hub.delete("/session/kept").status_code == 200


def test_destroying_an_exported_session_leaves_it_alive_outside(
    hub: Hub, telegram: Sandbox
) -> None:
    text = telethon_login(telegram, BOB, StringSession())
    ok(hub.post("/session/import", {"session_id": "gone", "session_string": text}))
    exported = ok(hub.post("/session/gone/export"))
    ok(hub.delete("/session/gone"))
    assert telethon_sends(telegram, StringSession(exported["telethon"]), "still here")


def test_what_is_no_session(hub: Hub, telegram: Sandbox) -> None:
    for text in ("x", "1" + "A" * 352, "tgs1.AAAA", "1" * 400, "é"):
        refused = hub.post("/session/import", {"session_id": "bad", "session_string": text})
        assert refused.status_code in (400, 401), refused.text
        assert refused.json()["code"] in ("bad_session_string", "foreign_dc")
    for content in (b"x", b"SQLite format 3\0" + b"x" * 5000, b""):
        files = {"file": ("bad.session", content)}
        refused = hub.http.post("/session/import", data={"session_id": "bad"}, files=files)
        assert refused.status_code == 400, refused.text
    for body in ({"session_id": "bad"}, {"session_id": "a/b", "session_string": "x"}):
        assert hub.post("/session/import", body).status_code == 400
    # A string may not send the hub to any address it likes.
    text = telethon_login(telegram, BOB, StringSession())
    theirs = StringSession(text)
    theirs.set_dc(2, "169.254.169.254", 80)
    body = {"session_id": "bad", "session_string": theirs.save()}
    refused = hub.post("/session/import", body)
    assert (refused.status_code, refused.json()["code"]) == (400, "foreign_dc")
    assert hub.get("/session/bad/status").status_code == 404
    assert hub.post("/session/nobody/export").status_code == 404


def test_a_dead_session_leaves_nothing(hub: Hub, telegram: Sandbox) -> None:
    text = telethon_login(telegram, BOB, StringSession())
    telegram.faults.revoke(user_id=telegram.world.by_phone(BOB).id)
    body = {"session_id": "dead", "session_string": text}
    assert hub.post("/session/import", body).status_code == 401
    assert hub.get("/session/dead/status").status_code == 404


def test_it_is_audited_and_tells_no_secret(hub: Hub, telegram: Sandbox) -> None:
    keys = auth_keys(telegram, DORA)
    log = hub.log().encode()
    assert keys
    assert not [key for key in keys if key in log or key.hex().encode() in log]
    rows = hub.manage(
        "shell",
        "-c",
        "from accounts.models import AuditEvent as A; print(*A.objects.values_list('action'))",
    ).stdout
    assert "session.exported" in rows
    assert "session.imported" in rows


@pytest.fixture(scope="module")
def kurigram() -> Path:
    """The interpreter of a virtual environment with kurigram, made when there is none yet."""
    version = hashlib.sha256(KURIGRAM.read_bytes()).hexdigest()[:12]
    environment = ROOT / "build" / f"kurigram-{version}"
    interpreter = environment / "bin" / "python"
    if not (environment / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        install = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--require-hashes", "-r", KURIGRAM], check=True)
        (environment / "made").touch()
    return interpreter


@pytest.mark.kurigram
@pytest.mark.timeout(300)
def test_a_pyrogram_string_in_and_out(hub: Hub, telegram: Sandbox, kurigram: Path) -> None:
    script = Path(__file__).parent / "kurigram_strings.py"

    def run(*words: str) -> dict[str, Any]:
        place = [telegram.dc, str(telegram.public_key_file)]
        done = subprocess.run(
            [kurigram, script, *place, *words], capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    out = run("login", ALICE, telegram.world.default_code(ALICE))
    body = {"session_id": "pyrogram", "session_string": out["string"]}
    user = ok(hub.post("/session/import", body))["user"]
    assert user["id"] == out["id"]
    assert ok(send(hub, "pyrogram"))
    exported = ok(hub.post("/session/pyrogram/export"))
    assert send(hub, "pyrogram").json()["code"] == "session_paused"
    assert run("send", exported["pyrogram"], "from kurigram")["id"] == user["id"]
    assert "from kurigram" in saved(telegram, ALICE)
