"""Logging in and sending through a real engine, against the sandbox."""

from collections.abc import Iterator

import pytest
from rest_framework.test import APIClient

from core.models import Event
from engine import telegram
from engine.methods import sessions
from sandbox import Sandbox
from sessions_app.models import LoginState, LoginStep, SessionState, TelegramSession
from sessions_app.tests.helpers import make_client
from tests.hub import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = "+15550800001"


@pytest.fixture
def client(node: object) -> Iterator[APIClient]:
    yield make_client()


def post(client: APIClient, path: str, **body: object):
    return client.post(path, body, format="json")


def log_in(client: APIClient, sandbox: Sandbox, name: str = "user123", phone: str = PHONE):
    started = post(client, "/login/start", session_id=name, phone_number=phone)
    assert started.status_code == 200, started.content
    answer = post(client, "/login/code", session_id=name, phone_code=sandbox.login_code(phone))
    assert answer.json()["status"] == "success", answer.content
    return answer.json()["user"]


def test_login_send_and_logout(client: APIClient, sandbox: Sandbox) -> None:
    john = sandbox.world.add_user(phone=PHONE, first_name="John", username="john_800")
    user = log_in(client, sandbox)
    assert user["id"] == john.id and user["phone"] == PHONE
    session = TelegramSession.objects.get()
    assert session.state == SessionState.READY and session.key_fingerprint
    [listed] = client.get("/sessions").json()["sessions"]
    assert listed["is_connected"] and listed["is_authenticated"]
    sent = post(client, "/message/send", session_id="user123", chat_id="me", message="To myself")
    assert sent.status_code == 200, sent.content
    assert sent.json()["chat_id"] == john.id
    answer = post(client, "/logout", session_id="user123")
    assert answer.status_code == 200, answer.content
    session.refresh_from_db()
    assert session.state == SessionState.LOGGED_OUT and session.auth_key is None
    assert not sandbox.world.authorizations_of(john)
    assert log_in(client, sandbox)["id"] == john.id


def test_a_wrong_code_then_the_right_one(client: APIClient, sandbox: Sandbox) -> None:
    sandbox.world.add_user(phone=PHONE, first_name="John")
    post(client, "/login/start", session_id="a", phone_number=PHONE)
    code = sandbox.login_code(PHONE)
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    refused = post(client, "/login/code", session_id="a", phone_code=wrong)
    assert (refused.status_code, refused.json()["code"]) == (400, "phone_code_invalid")
    answer = post(client, "/login/code", session_id="a", phone_code=code)
    assert answer.json()["status"] == "success"


def test_an_expired_code_says_so(client: APIClient, sandbox: Sandbox) -> None:
    sandbox.world.add_user(phone=PHONE, first_name="John")
    post(client, "/login/start", session_id="a", phone_number=PHONE)
    code = sandbox.login_code(PHONE)
    sandbox.world.expire_code(PHONE)
    refused = post(client, "/login/code", session_id="a", phone_code=code)
    assert (refused.status_code, refused.json()["code"]) == (400, "phone_code_expired")
    assert "expired" in refused.json()["detail"].lower()
    assert log_in(client, sandbox, "a")


def test_the_cloud_password_wrong_then_right(client: APIClient, sandbox: Sandbox) -> None:
    john = sandbox.world.add_user(phone=PHONE, first_name="John")
    sandbox.world.set_password(john, "correct horse", hint="battery")
    post(client, "/login/start", session_id="a", phone_number=PHONE)
    code = sandbox.login_code(PHONE)
    answer = post(client, "/login/code", session_id="a", phone_code=code)
    assert answer.json()["status"] == "2fa_required"
    resumed = post(client, "/login/start", session_id="a", phone_number=PHONE)
    assert resumed.json()["status"] == "2fa_required"
    refused = post(client, "/login/password", session_id="a", password="nonsense")
    assert (refused.status_code, refused.json()["code"]) == (400, "password_hash_invalid")
    answer = post(client, "/login/password", session_id="a", password="correct horse")
    assert answer.json()["status"] == "success", answer.content


@pytest.mark.parametrize("engine_died", [True, False])
def test_a_login_whose_process_died_is_taken_up(
    client: APIClient, sandbox: Sandbox, engine_died: bool
) -> None:
    john = sandbox.world.add_user(phone=PHONE, first_name="John")
    jane = sandbox.world.add_user(phone="+15550800002", first_name="Jane")
    post(client, "/login/start", session_id="a", phone_number=PHONE)
    session = TelegramSession.objects.get()
    # Telegram lets it in, and nobody here hears of it.
    [authorization] = sandbox.world.authorizations.values()
    sandbox.world.log_in(authorization, john)
    if engine_died:
        telegram.call(session.pk, sessions.disconnect)
    LoginState.objects.update(step=LoginStep.CHECKING, step_before=LoginStep.WAIT_CODE, process="")
    answer = post(client, "/login/code", session_id="a", phone_code="0")
    assert answer.json()["status"] == "success", answer.content
    assert answer.json()["user"]["id"] == john.id
    [listed] = client.get("/sessions").json()["sessions"]
    assert listed["is_connected"] and listed["is_authenticated"]
    status = telegram.call(session.pk, sessions.status)
    assert status["connected"] and status["authorized"] and status["user_id"] == john.id
    sandbox.world.post(jane, john, "Are you there?")
    event = wait_until(lambda: Event.objects.filter(kind="message.new").first())
    assert event.data["message"]["message"] == "Are you there?"


def test_a_number_without_an_account(client: APIClient, sandbox: Sandbox) -> None:
    answer = post(client, "/login/start", session_id="a", phone_number="+15559990000")
    if answer.status_code == 200:
        code = sandbox.login_code("+15559990000")
        answer = post(client, "/login/code", session_id="a", phone_code=code)
    assert (answer.status_code, answer.json()["code"]) == (400, "phone_number_unoccupied")
    assert client.get("/sessions").json()["total_sessions"] == 0


def test_resend_and_cancel(client: APIClient, sandbox: Sandbox) -> None:
    sandbox.world.add_user(phone=PHONE, first_name="John")
    first = post(client, "/login/start", session_id="a", phone_number=PHONE).json()
    second = post(client, "/login/start", session_id="a", phone_number=PHONE).json()
    assert first["phone_code_hash"] == second["phone_code_hash"]
    assert post(client, "/login/resend", session_id="a").status_code in (200, 429)
    other = post(client, "/login/start", session_id="a", phone_number="+15550800002")
    assert (other.status_code, other.json()["code"]) == (409, "login_in_progress")
    assert post(client, "/login/cancel", session_id="a").status_code == 200
    assert post(client, "/login/code", session_id="a", phone_code="1").status_code == 404
    assert log_in(client, sandbox, "a")


def test_destroy(client: APIClient, sandbox: Sandbox) -> None:
    john = sandbox.world.add_user(phone=PHONE, first_name="John")
    log_in(client, sandbox)
    answer = client.delete("/session/user123")
    assert answer.status_code == 200, answer.content
    assert not TelegramSession.objects.exists()
    assert not sandbox.world.authorizations_of(john)


def test_a_revoked_session_expires(client: APIClient, sandbox: Sandbox) -> None:
    john = sandbox.world.add_user(phone=PHONE, first_name="John")
    log_in(client, sandbox)
    sandbox.world.revoke_sessions(john)
    body = {"session_id": "user123", "chat_id": "me", "message": "No"}
    assert post(client, "/message/send", **body).status_code == 401
    wait_until(lambda: TelegramSession.objects.get().state == SessionState.EXPIRED)
    assert post(client, "/message/send", **body).json()["code"] == "session_expired"
    assert log_in(client, sandbox)["id"] == john.id


def test_one_key_sends_once(client: APIClient, sandbox: Sandbox) -> None:
    sandbox.world.add_user(phone=PHONE, first_name="John")
    log_in(client, sandbox)
    body = {"session_id": "user123", "chat_id": "me", "message": "Once"}
    answers = [
        client.post("/message/send", body, format="json", HTTP_IDEMPOTENCY_KEY="k")
        for _ in range(2)
    ]
    assert answers[0].status_code == 200, answers[0].content
    assert answers[0].json() == answers[1].json()
    assert sandbox.calls.count("messages.sendMessage") == 1
    body["message"] = "Another"
    other = client.post("/message/send", body, format="json", HTTP_IDEMPOTENCY_KEY="k")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
