"""Who may begin, see and end a QR login; what is kept of one. The rest is tested over HTTP."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from engine import telegram
from engine.errors import BadGateway, NotFound
from engine.methods import auth, sessions
from engine.testing import FakeTransport

QR = "/api/v3/auth/qr"
URL = "tg://login?token=abc"


def reply(state: str = "wait_other_device_confirmation", **facts: Any) -> dict[str, Any]:
    waiting = state == "wait_other_device_confirmation"
    return {
        "state": state,
        "url": URL if waiting else None,
        "expires_at": None,
        "user": None,
        "hint": None,
        "error": None,
        **facts,
    }


@pytest.fixture
def fake(transactional_db: None) -> Iterator[FakeTransport]:
    transport = FakeTransport()
    transport.answer(auth.start_qr, reply())
    transport.answer(auth.qr_status, reply())
    transport.answer(auth.cancel_qr, True)
    transport.answer(sessions.disconnect, True)
    transport.answer(
        sessions.status, {"connected": True, "authorized": False, "dc_id": 2, "user_id": None}
    )
    with telegram.over(transport):
        yield transport


def begin(client: Any, name: str = "ann", query: str = "", **body: Any) -> str:
    answer = client.post(f"{QR}{query}", {"username": name, **body}, format="json")
    assert answer.status_code == 200, answer.content
    token: str = answer.json()["token"]
    return token


def test_only_the_key_that_began_it_sees_it(fake: FakeTransport) -> None:
    from accounts.models import Scope
    from sessions_app.tests.helpers import make_client, make_user

    alice = make_client(make_user("alice"))
    token = begin(make_client(make_user("alice"), Scope.SESSIONS), "ann")
    mine = make_client(make_user("alice"), Scope.SESSIONS)
    other = begin(mine, "bea")
    assert mine.get(f"{QR}/{other}").json()["status"] == "pending"
    bob = make_client(make_user("bob"), Scope.SESSIONS)
    for stranger in (bob, mine):
        for answer in (
            stranger.get(f"{QR}/{token}"),
            stranger.get(f"{QR}/{token}.svg"),
            stranger.delete(f"{QR}/{token}"),
            stranger.post(f"{QR}/{token}/2fa", {"password": "x"}, format="json"),
        ):
            assert answer.status_code == 404
    # An admin's key sees all.
    assert alice.get(f"{QR}/{token}").json()["username"] == "ann"


def test_the_scope_is_needed(fake: FakeTransport) -> None:
    from rest_framework.test import APIClient

    from accounts.models import Scope
    from sessions_app.tests.helpers import make_client, make_user

    reader = make_client(make_user(), Scope.READ)
    answer = reader.post(QR, {"username": "ann"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert "sessions" in answer.json()["detail"]
    assert APIClient().post(QR, {"username": "ann"}, format="json").status_code == 401
    assert APIClient().get(f"{QR}/x").status_code == 401


def test_for_another_user(fake: FakeTransport) -> None:
    from accounts.models import Scope
    from scraper.qr_models import QrLogin
    from sessions_app.tests.helpers import make_client, make_user

    bob = make_user("bob")
    begin(make_client(make_user("root"), Scope.ADMIN), "theirs", "?user=bob")
    assert QrLogin.objects.get().owner == bob
    assert (
        make_client(make_user("alice"), Scope.SESSIONS)
        .post(f"{QR}?user=bob", {"username": "theirs"}, format="json")
        .status_code
        == 403
    )


def test_a_key_that_is_limited_to_sessions(fake: FakeTransport) -> None:
    from rest_framework.test import APIClient

    from accounts.models import Scope, create_key
    from sessions_app.models import KeyGrant
    from sessions_app.tests.helpers import make_session, make_user

    own = make_session("own", ready=False)
    key, secret = create_key(user=make_user(), scopes=[Scope.SESSIONS])
    KeyGrant.objects.create(api_key=key, session=own)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    begin(client, "own")
    refused = client.post(QR, {"username": "other"}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "session_not_allowed")


def test_what_is_kept_while_the_code_is_shown(fake: FakeTransport) -> None:
    from accounts.models import Scope
    from scraper.qr_models import QrLogin
    from sessions_app.models import TelegramSession
    from sessions_app.tests.helpers import make_client, make_user

    client = make_client(make_user(), Scope.SESSIONS, Scope.READ)
    token = begin(client)
    login = QrLogin.objects.get()
    assert token not in str(QrLogin.objects.values().get())
    assert client.get("/sessions").json()["sessions"] == []
    assert client.get(f"/session/{login.session.name}/status").status_code in (400, 404)
    client.delete(f"{QR}/{token}")
    assert not QrLogin.objects.exists() and not TelegramSession.objects.exists()


def test_telegram_is_not_there(fake: FakeTransport) -> None:
    from accounts.models import Scope
    from scraper.qr_models import QrLogin
    from sessions_app.models import TelegramSession
    from sessions_app.tests.helpers import make_client, make_user

    client = make_client(make_user(), Scope.SESSIONS)
    away = BadGateway("telegram_unreachable", "Telegram cannot be reached.")
    fake.answer(auth.start_qr, away)
    assert client.post(QR, {"username": "ann"}, format="json").status_code == 502
    assert not QrLogin.objects.exists() and not TelegramSession.objects.exists()
    fake.answer(auth.start_qr, reply())
    token = begin(client)
    fake.answer(auth.qr_status, away)
    assert client.get(f"{QR}/{token}").status_code == 502
    # The engine was started anew: the same key shows a code again.
    fake.answer(auth.qr_status, NotFound("qr_not_started", "No QR login is under way."))
    assert client.get(f"{QR}/{token}").json()["qr_url"] == URL


def test_telegram_refuses(fake: FakeTransport) -> None:
    from sessions_app.models import TelegramSession
    from sessions_app.tests.helpers import make_client

    client = make_client()
    token = begin(client)
    fake.answer(auth.qr_status, reply("failed", error="auth_token_exception"))
    found = client.get(f"{QR}/{token}").json()
    assert (found["status"], found["error"]) == ("error", "auth_token_exception")
    assert not TelegramSession.objects.exists()
    expired = begin(client)
    fake.answer(auth.qr_status, reply("failed", error="expired"))
    assert client.get(f"{QR}/{expired}").json()["status"] == "expired"


def test_housekeeping_ends_and_forgets(fake: FakeTransport) -> None:
    from django.utils import timezone

    from scraper import qr
    from scraper.qr_models import QrLogin, QrStatus
    from sessions_app.tests.helpers import make_client

    begin(make_client())
    qr.settle_all()
    assert QrLogin.objects.get().status == QrStatus.PENDING
    QrLogin.objects.update(expires_at=timezone.now())
    qr.settle_all()
    login = QrLogin.objects.get()
    assert (login.status, login.session) == (QrStatus.EXPIRED, None)
    assert login.expires_at > timezone.now() + timedelta(minutes=9)
    QrLogin.objects.update(expires_at=timezone.now())
    qr.settle_all()
    assert not QrLogin.objects.exists()
