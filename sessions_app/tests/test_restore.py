"""Restoring on start, adopting orphans, and the node that does both."""

import threading
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from engine.errors import BadGateway, Unavailable
from engine.methods import sessions
from engine.testing import FakeTransport
from sandbox import Sandbox
from sessions_app.lease import Lease, claim_session
from sessions_app.models import Node, TelegramSession
from sessions_app.restore import orphans, restore_all
from sessions_app.tests.helpers import make_client, make_session, telegram_user
from tests.hub import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_log_says_it_in_the_known_words(fake: FakeTransport, caplog) -> None:
    caplog.set_level("INFO", "sessions_app.restore")
    make_session("user123")
    make_session("idle", ready=False)
    [result] = restore_all()
    assert result.restored
    assert "🔄 Restoring sessions from database..." in caplog.text
    assert "✅ Session user123 restored successfully - User: John" in caplog.text
    assert "✅ Session restoration complete: 1 sessions restored" in caplog.text


def test_an_unreachable_session_stays(fake: FakeTransport) -> None:
    make_session()
    fake.answer(sessions.reconnect, BadGateway())
    [result] = restore_all()
    assert (result.outcome, result.error) == ("unreachable", "telegram_unreachable")
    assert TelegramSession.objects.get().is_ready


def test_a_session_that_telegram_does_not_know_expires(fake: FakeTransport) -> None:
    make_session()
    fake.answer(sessions.reconnect, {"was_connected": False, "user": None})
    [result] = restore_all()
    assert result.outcome == "expired"
    assert TelegramSession.objects.get().state == "expired"


def test_another_nodes_session_is_left_to_it(fake: FakeTransport) -> None:
    make_session()
    fake.answer(sessions.reconnect, Unavailable("session_owned_elsewhere", seconds=9))
    [result] = restore_all()
    assert result.outcome == "elsewhere"
    assert fake.called(sessions.disconnect)


def test_an_imported_session_learns_its_account(fake: FakeTransport) -> None:
    session = make_session(account=None)
    restore_all()
    session.refresh_from_db()
    assert session.account.user_id == telegram_user()["id"]


def test_many_are_restored_some_at_a_time(fake: FakeTransport) -> None:
    lock, busy, most, together = threading.Lock(), [0], [0], threading.Barrier(8)

    def answer() -> dict[str, object]:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        together.wait(30)
        with lock:
            busy[0] -= 1
        return {"was_connected": False, "user": telegram_user()}

    fake.answer(sessions.reconnect, answer)
    for number in range(40):
        make_session(f"s{number}")
    assert sum(result.restored for result in restore_all(parallel=8)) == 40
    assert most[0] == 8


def test_orphans() -> None:
    mine, living, dead = (Lease(name=n, lock_id=n) for n in ("mine", "living", "dead"))
    for lease in (mine, living, dead):
        lease.acquire()
    for lease in (mine, living, dead):
        claim_session(make_session(lease.name).pk, lease)
    make_session("new")
    make_session("idle", ready=False)
    assert [s.name for s in orphans("mine", mine.epoch)] == ["new"]
    Node.objects.filter(name="dead").update(expires_at=Now() - timedelta(seconds=60))
    assert [s.name for s in orphans("mine", mine.epoch)] == ["dead", "new"]
    mine.acquire()
    assert [s.name for s in orphans("mine", mine.epoch)] == ["mine", "dead", "new"]


def test_a_lost_lease_closes_everything_and_comes_back(node: object, sandbox: Sandbox) -> None:
    client, phone = make_client(), "+15550800009"
    sandbox.world.add_user(phone=phone, first_name="John")
    client.post("/login/start", {"session_id": "a", "phone_number": phone}, format="json")
    code = {"session_id": "a", "phone_code": sandbox.login_code(phone)}
    assert client.post("/login/code", code, format="json").json()["status"] == "success"

    def connected() -> bool:
        return client.get("/session/a/status").json()["is_connected"]

    assert connected()
    epoch = node.lease.epoch
    lost, real = threading.Event(), node.lease.on_lost

    def note() -> None:
        real()
        lost.set()

    node.lease.on_lost = note
    Node.objects.update(expires_at=Now() - timedelta(seconds=60))
    assert lost.wait(60)
    wait_until(lambda: node.lease.held and node.lease.epoch > epoch, seconds=60)
    wait_until(connected, seconds=60)
    session = TelegramSession.objects.get()
    assert session.owner_epoch == node.lease.epoch
