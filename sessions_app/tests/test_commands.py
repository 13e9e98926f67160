"""The commands: keys, restoring, taking sessions over."""

import base64
import sqlite3
import struct
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.callers import authenticate
from accounts.models import ApiKey, AuditEvent, User
from core.errors import Unauthorized
from engine.errors import BadGateway, NotAuthorized
from engine.methods import sessions
from engine.testing import FakeTransport
from sessions_app import run_engine
from sessions_app.lookup import default_session_name, visible_sessions
from sessions_app.models import Entity, KeyGrant, SessionState, TelegramSession
from sessions_app.tests.helpers import make_session, make_user, telegram_user

pytestmark = pytest.mark.django_db


def run(*words: object) -> str:
    out = StringIO()
    call_command(*map(str, words), stdout=out, no_color=True)
    return out.getvalue()


# Keys


def test_create_api_key() -> None:
    words = ("--name", "laptop", "--scopes", "read,send", "--expires-days", "30")
    key = run("create_api_key", "alice", *words).splitlines()[-1]
    caller = authenticate(key)
    assert caller.user.username == "alice" and caller.scopes == {"read", "send"}
    assert not User.objects.get().has_usable_password()
    assert caller.key.name == "laptop" and caller.key.expires_at is not None
    assert AuditEvent.objects.get().action == "api_key.created"
    assert key not in str(AuditEvent.objects.values())


def test_a_limited_key_sees_its_sessions_alone() -> None:
    make_session("other", make_user())
    key = run("create_api_key", "alice", "--sessions", "a,b", "--default-session", "a")
    caller = authenticate(key.splitlines()[-1])
    assert sorted(s.name for s in visible_sessions(caller)) == ["a", "b"]
    assert default_session_name(caller) == "a"
    TelegramSession.objects.exclude(name="other").delete()
    assert not visible_sessions(caller).exists(), "a limited key must never widen"
    assert KeyGrant.objects.count() == 2


def test_a_default_session_limits_nothing() -> None:
    make_session("other", make_user())
    caller = authenticate(run("create_api_key", "alice", "--default-session", "a").split()[-1])
    assert visible_sessions(caller).count() == 2 and default_session_name(caller) == "a"


@pytest.mark.parametrize(
    "words",
    [
        ("--scopes", "read,fly"),
        ("--scopes", ","),
        ("--sessions", "a/b"),
        ("--expires-days", "-1"),
        ("--expires-days", "nan"),
        ("--expires-days", "0"),
        ("--name", "x" * 101),
    ],
)
def test_create_api_key_refuses(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run("create_api_key", "alice", *words)
    assert not ApiKey.objects.exists() and not TelegramSession.objects.exists()


@pytest.mark.parametrize("username", ["", "a b", "x" * 151])
def test_create_api_key_refuses_the_user(username: str) -> None:
    with pytest.raises(CommandError):
        run("create_api_key", username)
    assert not ApiKey.objects.exists() and not User.objects.exists()


def test_list_and_revoke() -> None:
    key = run("create_api_key", "alice", "--name", "k", "--sessions", "a").split()[-1]
    run("create_api_key", "bob")
    prefix = key.split("_")[1]
    listed = run("list_api_keys")
    assert prefix in listed and "bob" in listed and key not in listed
    assert key.split("_", 2)[2] not in listed
    assert "bob" not in run("list_api_keys", "--user", "alice")
    assert "revoked" in run("revoke_api_key", prefix)
    with pytest.raises(Unauthorized):
        authenticate(key)
    assert "before" in run("revoke_api_key", f"tgh_{prefix}_…")
    assert "revoked" in run("list_api_keys")
    with pytest.raises(CommandError):
        run("revoke_api_key", "00000000")


# Restoring


@pytest.fixture
def beside(monkeypatch, transactional_db: None, fake: FakeTransport) -> FakeTransport:
    """As beside a running hub: somebody else's engine answers."""
    from contextlib import contextmanager

    @contextmanager
    def engine():
        yield True

    monkeypatch.setattr(
        "sessions_app.management.commands.restore_sessions.engine_for_command", engine
    )
    return fake


def test_restore_sessions(beside: FakeTransport) -> None:
    make_session("a")
    make_session("b")
    make_session("c", ready=False)
    printed = run("restore_sessions")
    assert "🔄 Restoring sessions from database" in printed
    assert "✅ a: restored - User: John" in printed
    assert "SESSION" in printed and "RESULT" in printed
    assert "✅ Session restoration complete: 2 sessions restored" in printed


def test_restore_sessions_tells_what_failed(beside: FakeTransport) -> None:
    good, gone = make_session("good"), make_session("gone")
    make_session("away")

    def answer(ref: int) -> object:
        if ref == good.pk:
            return {"was_connected": False, "user": telegram_user()}
        raise NotAuthorized("session_revoked") if ref == gone.pk else BadGateway("timeout")

    beside.answer(sessions.reconnect, answer)
    out = StringIO()
    with pytest.raises(CommandError, match="2 sessions were not restored"):
        call_command("restore_sessions", stdout=out)
    assert "expired" in out.getvalue() and "timeout" in out.getvalue()
    states = {s.name: s.state for s in TelegramSession.objects.all()}
    assert states == {"good": "ready", "gone": "expired", "away": "ready"}


def test_a_data_directory_in_use_without_a_socket(settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.TELEGRAM = {**settings.TELEGRAM, "SOCKET": str(tmp_path / "engine.sock")}
    holder = run_engine.DataDirLock(tmp_path)
    assert holder.acquire()
    with pytest.raises(CommandError, match="already in use"):
        run("restore_sessions")
    with pytest.raises(CommandError, match="already in use"), run_engine.serving():
        pass
    holder.release()


# Taking over

KEY = bytes(range(255, -1, -1))


def string_session(key: bytes = KEY, host: bytes = bytes([149, 154, 167, 51])) -> str:
    packed = struct.pack(f">B{len(host)}sH256s", 2, host, 443, key)
    return "1" + base64.urlsafe_b64encode(packed).decode()


def make_hub_database(path: Path, **rows: str | None) -> Path:
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE telegram_sessions (id INTEGER PRIMARY KEY, session_id VARCHAR, "
            "session_string TEXT, user_info JSON, is_active BOOLEAN)"
        )
        for number, (name, text) in enumerate(rows.items()):
            user = f'{{"id": {1000 + number}, "first_name": "{name}", "phone": "+1555000{number}"}}'
            database.execute(
                "INSERT INTO telegram_sessions (session_id, session_string, user_info, is_active) "
                "VALUES (?, ?, ?, 1)",
                (name, text, user),
            )
    database.close()
    return path


def test_import_from_the_hub(tmp_path: Path) -> None:
    path = make_hub_database(
        tmp_path / "telegram_hub.db",
        john=string_session(),
        twin=string_session(),
        idle=None,
        odd="nonsense",
        v6=string_session(KEY[::-1], bytes(15) + b"\1"),
    )
    before = path.read_bytes()
    printed = run("import_seed", "hub", path, "--user", "alice")
    assert "2 of 5 sessions imported for alice" in printed
    assert "john" in printed and "its key is here already" in printed and "not logged in" in printed
    john = TelegramSession.objects.get(name="john")
    assert john.auth_key == KEY and john.state == SessionState.READY
    assert (john.dc_id, john.server_address, john.port) == (2, "149.154.167.51", 443)
    assert john.account.user_id == 1000 and john.account.phone == "+15550000"
    assert TelegramSession.objects.get(name="v6").server_address == "::1"
    assert string_session() not in printed and KEY.hex() not in printed
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]
    assert "0 of 5" in run("import_seed", "hub", path, "--user", "alice")


def make_session_file(path: Path, key: bytes = KEY) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        database.executescript(
            """
            CREATE TABLE version (version INTEGER PRIMARY KEY);
            CREATE TABLE sessions (dc_id INTEGER PRIMARY KEY, server_address TEXT, port INTEGER,
                auth_key BLOB, takeout_id INTEGER);
            CREATE TABLE entities (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, username TEXT,
                phone INTEGER, name TEXT, date INTEGER);
            CREATE TABLE update_state (id INTEGER PRIMARY KEY, pts INTEGER, qts INTEGER,
                date INTEGER, seq INTEGER);
            INSERT INTO version VALUES (7);
            INSERT INTO entities VALUES (0, 4242, NULL, NULL, NULL, 0);
            INSERT INTO entities VALUES (4242, 99, 'john', 15550001, 'John Doe', 0);
            INSERT INTO entities VALUES (-1000000000123, 98, 'news', NULL, 'News', 0);
            INSERT INTO update_state VALUES (0, 50, 1, 2, 3);
            INSERT INTO update_state VALUES (123, 7, 0, 0, 0);
            """
        )
        database.execute("INSERT INTO sessions VALUES (4, '149.154.167.91', 443, ?, NULL)", (key,))
    database.close()


def test_import_from_the_scraper(tmp_path: Path) -> None:
    make_session_file(tmp_path / "sessions" / "_john.session")
    make_session_file(tmp_path / "sessions" / "short.session", b"short")
    make_session_file(tmp_path / "sessions" / "empty.session", b"")
    (tmp_path / "sessions" / "text.session").write_text("not a database, not at all" * 50)
    printed = run("import_seed", "scraper", tmp_path)
    assert "1 of 4 sessions imported for local" in printed
    session = TelegramSession.objects.get()
    assert (session.name, session.dc_id, session.account.user_id) == ("_john", 4, 4242)
    assert session.account.username == "john" and session.account.phone == "+15550001"
    assert Entity.objects.get(peer_id=-1000000000123).access_hash == 98
    states = dict(session.box_states.values_list("chat_id", "pts"))
    assert states == {0: 50, -1000000000123: 7}


def test_a_telethon_file_that_telethon_wrote(tmp_path: Path) -> None:
    """The reader follows the library's own format, not our idea of it."""
    session = import_module("telethon.sessions").SQLiteSession(str(tmp_path / "anna"))
    session.set_dc(2, "149.154.167.51", 443)
    session.auth_key = import_module("telethon.crypto").AuthKey(KEY)
    session.save()
    session.close()
    assert "1 of 1" in run("import_seed", "scraper", tmp_path / "anna.session")
    assert TelegramSession.objects.get(name="anna").auth_key == KEY


@pytest.mark.parametrize("kind", ["hub", "scraper"])
def test_import_refuses(tmp_path: Path, kind: str) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CommandError):
            run("import_seed", kind, path)
    text = tmp_path / "text.db"
    text.write_text("not a database" * 100)
    if kind == "hub":
        with pytest.raises(CommandError):
            run("import_seed", kind, text)
    assert not TelegramSession.objects.exists()
