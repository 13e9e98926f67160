"""Small makers of rows and of Telegram's answers."""

from typing import Any

from rest_framework.test import APIClient

from accounts.models import ALL_SCOPES, User, create_key
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
