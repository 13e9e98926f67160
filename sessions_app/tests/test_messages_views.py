"""Messaging over `/api/v3` in keys mode: scopes, ownership, one answer for one key."""

import pytest

from engine.methods import messages
from sessions_app.messages import pacing
from sessions_app.models import SessionState
from sessions_app.tests.helpers import make_client, make_session, make_user

pytestmark = pytest.mark.django_db

SEND = "/api/v3/messages/send"
BODY = {"chat_id": "@x", "text": "hi"}
NAME = {"HTTP_X_TELEGRAM_USERNAME": "user123"}


@pytest.fixture(autouse=True)
def keys_mode(settings):
    settings.TGHUB_AUTH = "keys"


def test_it_works(fake):
    make_session()
    answer = make_client().post(SEND, BODY, format="json", **NAME)
    assert answer.json() == {"success": True, "message_id": 42, "date": "2026-11-20 12:00:00"}


def test_it_needs_the_scope(fake):
    make_session()
    refused = make_client(None, "read").post(SEND, BODY, format="json", **NAME)
    assert refused.status_code == 403
    assert "send" in refused.json()["detail"]


def test_it_validates_ownership(fake):
    make_session()
    refused = make_client(make_user("bob")).post(SEND, BODY, format="json", **NAME)
    unknown = make_client(make_user("bob")).post(
        SEND, BODY, format="json", HTTP_X_TELEGRAM_USERNAME="nobody"
    )
    assert refused.status_code == unknown.status_code == 401
    assert refused.json() == unknown.json()


def test_an_admin_reaches_others(fake):
    make_session()
    admin = make_client(make_user("root"), "admin")
    assert admin.post(f"{SEND}?user=alice", BODY, format="json", **NAME).status_code == 200


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (SessionState.PAUSED, "session_paused"),
        (SessionState.EXPIRED, "session_expired"),
        (SessionState.LOGGED_OUT, "session_not_logged_in"),
    ],
)
def test_a_session_that_is_not_ready(fake, state, code):
    make_session(state=state)
    refused = make_client().post(SEND, BODY, format="json", **NAME)
    assert (refused.status_code, refused.json()["code"]) == (401, code)


def test_a_key_sends_once(fake):
    make_session()
    client = make_client()
    words = {**NAME, "HTTP_IDEMPOTENCY_KEY": "k"}
    first = client.post(SEND, BODY, format="json", **words)
    again = client.post(SEND, BODY, format="json", **words)
    assert first.json() == again.json()
    calls = [call for call in fake.calls if call.method == "messages.send_message"]
    assert len(calls) == 1
    other = client.post(SEND, {**BODY, "text": "other"}, format="json", **words)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_the_settings_limits_hold_until_a_session_has_its_own(fake, settings):
    settings.TGHUB_SEND_DAILY_CAP = 1
    session = make_session()
    client = make_client()
    assert client.post(SEND, BODY, format="json", **NAME).status_code == 200
    refused = client.post(SEND, BODY, format="json", **NAME)
    assert (refused.status_code, refused.json()["code"]) == (429, "daily_cap_reached")
    pacing.set_limits(session.pk, daily_cap=0)
    assert client.post(SEND, BODY, format="json", **NAME).status_code == 200


def test_a_forward_counts_each_message(fake, settings):
    settings.TGHUB_SEND_DAILY_CAP = 2
    make_session()
    fake.answer(messages.forward_messages, [])
    body = {"from_chat_id": "me", "to_chat_id": "@x", "message_id": [1, 2, 3]}
    refused = make_client().post("/api/v3/messages/forward", body, format="json", **NAME)
    assert refused.json()["code"] == "daily_cap_reached"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"chat_id": "@x"},
        {"chat_id": "", "text": "x"},
        {"chat_id": [1], "text": "x"},
        {"chat_id": 1, "text": ""},
        {"chat_id": 1, "text": "x", "reply_to_message_id": 0},
        {"chat_id": 1, "text": "x", "parse_mode": "bbcode"},
        {"chat_id": 1, "text": "x", "schedule_date": "soon"},
    ],
)
def test_input_that_is_not_valid(fake, body):
    make_session()
    refused = make_client().post(SEND, body, format="json", **NAME)
    assert refused.status_code == 400
    assert refused.json()["errors"]
