"""A send is done once, whoever asks how often."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from core.errors import BadRequest, Conflict
from engine.errors import BadGateway
from sessions_app import idempotency
from sessions_app.idempotency import RandomIds, prune, send_once
from sessions_app.models import IdempotencyRecord
from sessions_app.tests.helpers import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.database]

DEAD = "00000000.1.2.3"


class Sender:
    """Counts what is sent, and by which random_id."""

    def __init__(self, *, fail: int = 0) -> None:
        self.random_ids: list[int] = []
        self.fail = fail

    def __call__(self, random_id: RandomIds) -> dict[str, Any]:
        self.random_ids.append(random_id(0))
        if self.fail:
            self.fail -= 1
            raise BadGateway()
        return {"message_id": len(self.random_ids)}


def once(send: Sender, key: str = "k", body: object = "hello", user: str = "alice"):
    return send_once(user_id=make_user(user).pk, key=key, body=body, send=send)


def test_it_works() -> None:
    send = Sender()
    assert once(send) == once(send) == {"message_id": 1}
    assert len(send.random_ids) == 1


def test_another_body_is_refused() -> None:
    send = Sender()
    once(send)
    with pytest.raises(Conflict):
        once(send, body="other")


def test_another_user_and_another_key_are_others() -> None:
    send = Sender()
    once(send)
    once(send, user="bob")
    once(send, key="l")
    assert len(set(send.random_ids)) == 3


@pytest.mark.parametrize("key", ["", "a" * 256, "a\nb", "\x7f"])
def test_bad_keys(key: str) -> None:
    with pytest.raises(BadRequest):
        once(Sender(), key=key)


def test_a_failure_may_be_tried_again_by_the_same_random_id() -> None:
    send = Sender(fail=1)
    with pytest.raises(BadGateway):
        once(send)
    assert once(send) == {"message_id": 2}
    assert len(set(send.random_ids)) == 1


def test_after_a_crash_the_same_random_id_is_sent_again(monkeypatch) -> None:
    send = Sender()

    class Killed(BaseException):
        pass

    def die(random_id: RandomIds) -> dict[str, Any]:
        send(random_id)
        raise Killed

    monkeypatch.setattr(idempotency, "process_token", lambda: DEAD)
    monkeypatch.setattr(idempotency, "is_alive", lambda token: token != DEAD)
    with pytest.raises(Killed):
        once(die)
    IdempotencyRecord.objects.update(process=DEAD)
    monkeypatch.setattr(idempotency, "process_token", lambda: "me")
    once(send)
    assert len(send.random_ids) == 2 and len(set(send.random_ids)) == 1
    once(send)
    assert len(send.random_ids) == 2


def test_after_a_day_the_key_is_free() -> None:
    send = Sender()
    once(send)
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))
    once(send, body="other")
    assert len(set(send.random_ids)) == 2


def test_prune() -> None:
    once(Sender())
    assert prune() == 0
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert prune() == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_send_once() -> None:
    user, going, go = make_user(), threading.Event(), threading.Event()
    sent: list[int] = []

    def send(random_id: RandomIds) -> dict[str, Any]:
        sent.append(random_id(0))
        going.set()
        assert go.wait(30)
        return {"message_id": 7}

    def ask(_: int) -> dict[str, Any]:
        try:
            return send_once(user_id=user.pk, key="k", body=1, send=send)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        answers = pool.map(ask, range(20))
        assert going.wait(30)
        go.set()
        assert [answer["message_id"] for answer in answers] == [7] * 20
    assert len(sent) == 1


@pytest.mark.django_db(transaction=True)
def test_another_process_waits_for_the_answer(monkeypatch) -> None:
    user, send = make_user(), Sender()
    monkeypatch.setattr(idempotency, "is_alive", lambda token: True)
    once(send)
    IdempotencyRecord.objects.update(answer=None, process="other", claimed_at=timezone.now())
    waiting = threading.Event()
    real = idempotency._is_free

    def looked(record: IdempotencyRecord) -> bool:
        waiting.set()
        return real(record)

    monkeypatch.setattr(idempotency, "_is_free", looked)

    def ask() -> dict[str, Any]:
        try:
            return send_once(user_id=user.pk, key="k", body="hello", send=send)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        assert waiting.wait(30)
        IdempotencyRecord.objects.update(answer={"message_id": 99})
        assert answer.result(30) == {"message_id": 99}
    assert len(send.random_ids) == 1
