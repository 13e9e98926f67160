"""The control port: the same verbs for other processes, and who may not use it."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from telethon import errors
from telethon.tl import functions

from sandbox.client import Control, ControlError
from sandbox.process import ROOT, SandboxProcess
from sandbox.tests.conftest import key_id, log_in


@pytest.fixture
def control(sandbox):
    with Control(sandbox.control_port) as control:
        yield control


def test_it_tells_where_everything_is(sandbox, control):
    assert control.status() == sandbox.status()
    assert control.status()["dc"] == sandbox.dc


async def test_faults(sandbox, control, telethon, alice):
    client = await telethon(alice)
    control.faults.flood("updates.getState", 30, user_id=alice.id)
    with pytest.raises(errors.FloodWaitError):
        await client(functions.updates.GetStateRequest())
    control.faults.clear()
    assert control.faults.revoke(user_id=alice.id, error="SESSION_REVOKED") == 1
    with pytest.raises(errors.SessionRevokedError):
        await client.get_dialogs()


def test_the_world(sandbox, control, alice, bob):
    posted = control.world.post(bob.id, alice.id, "hello")
    assert posted["text"] == "hello"
    assert len(sandbox.world.history(alice.id, bob.id)) == 1
    assert control.world.by_phone("+15550000001")["id"] == alice.id


def test_login_codes(sandbox, control):
    assert control.login_code("+15550000001") == sandbox.login_code("+15550000001")


async def test_scanning_a_login_token(sandbox, control, telethon, alice):
    client = await telethon()
    qr = await client.qr_login()
    waiting = asyncio.ensure_future(qr.wait(20))
    await asyncio.sleep(0)
    await asyncio.to_thread(control.accept_login_token, qr.url, alice.id)
    assert (await waiting).id == alice.id
    assert sandbox.world.authorizations[key_id(client)].user_id == alice.id


async def test_calls(sandbox, control, telethon, alice):
    client = await telethon()
    log_in(sandbox, client, alice)
    await client(functions.updates.GetStateRequest())
    assert control.count("updates.getState") == 1
    assert control.counts()["updates.getState"] == 1
    (entry,) = control.calls("updates.getState", user_id=alice.id)
    assert entry["dc"] == 2
    assert "request" not in entry
    control.clear_calls()
    assert control.count("*") == 0
    assert control.crashes() == []


def test_no_secret_leaves_through_records(control):
    user = control.world.by_phone("+15550000001")
    assert "password" not in user
    assert "contacts" in user or "first_name" in user


@pytest.mark.parametrize(
    "verb", ["nope", "faults/verdict", "faults/_reset", "world/__init__", "world/users", "x/y"]
)
def test_an_unknown_verb(control, verb):
    with pytest.raises(ControlError, match="no such verb"):
        control.call(verb)


def test_wrong_arguments(control):
    with pytest.raises(ControlError, match="TypeError"):
        control.faults.flood(colour="red")


def test_a_verb_that_fails(control):
    with pytest.raises(ControlError, match="UnknownPeer"):
        control.world.post("@nobody", "@nobody", "hello")


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Content-Type": "application/json"}, 405),
        ("POST", {"Content-Type": "text/plain"}, 415),
        ("POST", {"Content-Type": "application/json", "Origin": "http://localhost"}, 403),
        ("POST", {"Content-Type": "application/json", "Host": "evil.example:80"}, 403),
    ],
)
def test_browsers_are_refused(sandbox, method, headers, status):
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.control_port, timeout=20)
    connection.request(method, "/status", "{}", headers)
    response = connection.getresponse()
    assert response.status == status
    assert "error" in json.loads(response.read())
    connection.close()


@pytest.mark.parametrize("body", ["[1]", "nonsense"])
def test_a_body_that_is_no_object(sandbox, body):
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.control_port, timeout=20)
    connection.request("POST", "/status", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 400
    connection.close()


def test_shutdown_stops_the_sandbox(sandbox, control):
    waiting = threading.Thread(target=sandbox.wait)
    waiting.start()
    control.shutdown()
    waiting.join(20)
    assert not waiting.is_alive()


# A process of its own


@pytest.fixture
def process(tmp_path):
    with SandboxProcess(
        seed=3, key_file=tmp_path / "key.pem", state_file=tmp_path / "state.json"
    ) as process:
        yield process


def test_a_process_prints_where_it_is_and_stops_at_sigterm(process):
    assert process.control.status()["dc"] == process.dc
    assert process.public_key_file.read_text().startswith("-----BEGIN RSA PUBLIC KEY-----")
    assert len(process.dcs) == 2
    assert process.stop() == 0


def test_a_process_stops_at_sigint(process):
    os.kill(process.pid, signal.SIGINT)
    assert process._process.wait(timeout=30) == 0


def test_a_process_ends_with_the_one_that_started_it(process):
    child = process._process
    child.stdin.close()
    assert child.wait(timeout=30) == 0


def test_manage_py_runs_one():
    command = [sys.executable, "manage.py", "sandbox", "--exit-with-stdin", "--seed", "2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as child:
        status = json.loads(child.stdout.readline())
        with Control(status["control_port"]) as control:
            assert control.status()["dc"] == status["dc"]
        child.stdin.close()
        assert child.wait(timeout=30) == 0


def test_a_world_from_a_file(tmp_path):
    path = tmp_path / "world.json"
    path.write_text(json.dumps({"users": [{"id": 7, "first_name": "Zoe", "phone": "15550001234"}]}))
    with SandboxProcess(world=path) as process:
        assert process.control.world.by_phone("+15550001234")["first_name"] == "Zoe"


def test_naming_the_package_imports_no_telethon():
    code = """
import sys, sandbox, sandbox.apps, sandbox.management.commands.sandbox
assert "telethon" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
