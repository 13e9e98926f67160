"""A Telegram that answers as the test says, and small makers of rows."""

from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import ALL_SCOPES, User, create_key
from core import limits
from engine import telegram
from engine.methods import auth, messages, sessions
from engine.testing import FakeTransport
from sessions_app.models import Account, SessionState, TelegramSession

PHONE = "+15550000001"


def make_user(username: str = "alice") -> User:
    return User.objects.get_or_create(username=username)[0]


def make_account(user_id: int = 1001, phone: str = PHONE, **names: str) -> Account:
    names.setdefault("first_name", "John")
    return Account.objects.get_or_create(user_id=user_id, defaults={"phone": phone, **names})[0]


def make_session(
    name: str = "user123", owner: User | None = None, *, ready: bool = True, **fields: Any
) -> TelegramSession:
    if ready:
        fields.setdefault("state", SessionState.READY)
        fields.setdefault("account", make_account())
    return TelegramSession.objects.create(owner=owner or make_user(), name=name, **fields)


def make_client(user: User | None = None, *scopes: str) -> APIClient:
    _, key = create_key(user=user or make_user(), scopes=scopes or ALL_SCOPES)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


def telegram_user(user_id: int = 1001, phone: str | None = PHONE, **names: Any) -> dict[str, Any]:
    return {
        "id": user_id,
        "first_name": "John",
        "last_name": "Doe",
        "username": "johndoe",
        "phone": phone,
        **names,
    }


def sent_code(phone_code_hash: str = "hash", **facts: Any) -> dict[str, Any]:
    return {
        "phone_code_hash": phone_code_hash,
        "type": "app",
        "next_type": "sms",
        "timeout_seconds": None,
        "length": 5,
        "email_pattern": None,
        **facts,
    }


def ready(**user: Any) -> dict[str, Any]:
    return {"state": "ready", "user": telegram_user(**user), "hint": None}


def wait_password(hint: str | None = "pet") -> dict[str, Any]:
    return {"state": "wait_password", "user": None, "hint": hint}


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    limits.reset()
    yield
    limits.reset()


@pytest.fixture
def fake() -> Iterator[FakeTransport]:
    """A Telegram where everything goes well."""
    transport = FakeTransport()
    transport.answer(auth.send_code, sent_code())
    transport.answer(auth.resend_code, sent_code("hash2", type="sms", next_type=None))
    transport.answer(auth.cancel_code, True)
    transport.answer(auth.sign_in, ready())
    transport.answer(auth.check_password, ready())
    transport.answer(auth.log_out, True)
    transport.answer(sessions.disconnect, True)
    transport.answer(sessions.reconnect, {"was_connected": False, "user": telegram_user()})
    transport.answer(
        messages.send_message,
        {
            "message_id": 42,
            "chat_id": 1002,
            "date": "2026-11-20 12:00:00",
            "message": None,
            "duplicate": False,
            "scheduled": False,
        },
    )
    with telegram.over(transport):
        yield transport
