"""The outbox against a real receiver: once at least, in order, whatever fails."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from zlib import crc32

import pytest
from django.db import connections, transaction
from django.utils import timezone

from accounts.models import User, create_key
from accounts.tests.helpers import make_key
from core.models import Event, EventClock
from core.writer import writer
from realtime.webhooks import endpoints, ledger, runner
from realtime.webhooks.models import Delivery, DeliveryState, WebhookEndpoint
from realtime.webhooks.tests.helpers import HeldLease, happen, make_endpoint, outbox_running
from scraper.models import Chat, ChatAccess
from sessions_app.models import Account, KeyGrant, Node, TelegramSession
from sessions_app.purge import let_go
from sessions_app.tests.helpers import make_session, make_user
from tests.hub import wait_until
from tests.receiver import Post, receiving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.TGHUB_WEBHOOK_ALLOW_NETS = ["127.0.0.0/8"]
    settings.TGHUB_ENCRYPTION_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    monkeypatch.setattr(runner, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(runner, "LONGEST_RETRY_SECONDS", 0.05)
    writer.start()
    yield
    writer.stop()
    connections.close_all()


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def session(alice: User) -> TelegramSession:
    return make_session("a", alice)


def ids(posts: list[Post], session: str | None = None) -> list[int]:
    """The events' ids, in order of arrival, first arrivals only."""
    found = [p.json["data"]["id"] for p in posts if session in (None, p.json["data"]["session"])]
    return list(dict.fromkeys(found))


def state_of(endpoint: WebhookEndpoint) -> Counter[str]:
    return Counter(endpoint.deliveries.values_list("state", flat=True))


def wait_for_states(endpoint: WebhookEndpoint, **wanted: int) -> None:
    wait_until(lambda: state_of(endpoint) == Counter(wanted), what=str(wanted))


@pytest.mark.database
def test_it_works(alice: User, session: TelegramSession) -> None:
    with receiving() as receiver, outbox_running():
        endpoint, secret = endpoints.create_endpoint(alice, url=receiver.url + "/hook")
        (event_id,) = happen(session)
        (post,) = receiver.wait_for(1)
        post.verify(secret)
        assert post.path == "/hook" and post.headers["content-type"] == "application/json"
        body = post.json
        assert list(body) == ["type", "timestamp", "data"]
        assert body["type"] == body["data"]["kind"] == "message.new"
        assert body["timestamp"].endswith("Z")
        assert body["data"]["id"] == event_id and body["data"]["session"] == "a"
        assert body["data"]["chat_id"] == -100
        assert body["data"]["message"] == {"message_id": 0}
        wait_for_states(endpoint, delivered=1)
        delivery = endpoint.deliveries.get()
        assert (delivery.attempts, delivery.status_code, delivery.error) == (1, 204, "")
        assert post.id == delivery.message_id


def test_what_happened_before_is_not_told(alice: User, session: TelegramSession) -> None:
    happen(session, 3)
    with receiving() as receiver, outbox_running():
        make_endpoint(alice, receiver.url)
        new = happen(session, 2)
        assert ids(receiver.wait_for(2)) == new


def test_the_filters(alice: User, session: TelegramSession) -> None:
    other = make_session("b", alice, ready=False)
    with receiving() as receiver, outbox_running():
        make_endpoint(alice, receiver.url + "/session", sessions=["b"])
        make_endpoint(alice, receiver.url + "/chat", chats=[-200])
        make_endpoint(alice, receiver.url + "/kind", kinds=["message.edited"])
        make_endpoint(alice, receiver.url + "/all")
        first = happen(session)
        second = happen(other, chat_id=-200)
        third = happen(session, kind="message.edited")
        assert ids(receiver.wait_for(3, "/all"), "a") == first + third
        assert ids(receiver.wait_for(1, "/session")) == second
        assert ids(receiver.wait_for(1, "/chat")) == second
        assert ids(receiver.wait_for(1, "/kind")) == third
        assert len(receiver.posts) == 6


@pytest.mark.database
def test_order_holds_per_session_though_many_fail(alice: User) -> None:
    sessions = [make_session(f"s{n}", alice, ready=False) for n in range(4)]
    tried: dict[str, int] = defaultdict(int)
    wanted: dict[str, list[int]] = defaultdict(list)

    def flaky(post: Post) -> int:
        tried[post.id] += 1
        return 500 if crc32(f"{post.id}{tried[post.id]}".encode()) % 3 == 0 else 200

    with receiving(flaky) as receiver, outbox_running():
        endpoint, secret = endpoints.create_endpoint(alice, url=receiver.url)
        for _ in range(15):
            for session in sessions:
                wanted[session.name] += happen(session, 2)
        posts = receiver.wait_for(120)
        for session in sessions:
            assert ids(posts, session.name) == wanted[session.name]
        assert len(receiver.posts) > 120
        for post in receiver.posts:
            post.verify(secret)
        wait_for_states(endpoint, delivered=120)
        # One webhook-id per event, at each attempt.
        assert len({post.id for post in receiver.posts}) == 120


def test_a_slow_or_dead_endpoint_delays_no_other(alice: User, session: TelegramSession) -> None:
    release = threading.Event()

    def answer(post: Post) -> int:
        if post.path == "/slow":
            release.wait(60)
        return 500 if post.path == "/dead" else 200

    with receiving(answer) as receiver, outbox_running():
        make_endpoint(alice, receiver.url + "/slow")
        make_endpoint(alice, receiver.url + "/dead")
        make_endpoint(alice, "http://127.0.0.1:9/nobody")
        make_endpoint(alice, receiver.url + "/good")
        wanted = happen(session, 30)
        assert ids(receiver.wait_for(30, "/good")) == wanted
        assert receiver.taken("/slow") == []
        release.set()
        assert ids(receiver.wait_for(30, "/slow")) == wanted


def test_retry_after_holds_for_the_whole_endpoint(alice: User) -> None:
    sessions = [make_session(f"s{n}", alice, ready=False) for n in range(3)]
    asked = threading.Event()

    def answer(post: Post) -> tuple[int, dict[str, str]]:
        asked.set()
        return 429, {"Retry-After": "86400"}

    with receiving(answer) as receiver, outbox_running():
        endpoint = make_endpoint(alice, receiver.url)
        happen(sessions[0])
        assert asked.wait(30)
        wait_until(lambda: WebhookEndpoint.objects.get(pk=endpoint.pk).resume_at)
        endpoint.refresh_from_db()
        # Clamped to an hour.
        assert endpoint.resume_at <= timezone.now() + timedelta(hours=1)
        assert endpoint.resume_at >= timezone.now() + timedelta(minutes=50)
        happen(sessions[1])
        wait_for_states(endpoint, pending=2)
        assert len(receiver.posts) == 1
    # A restart does not forget it, and another URL is not meant.
    with receiving() as receiver, outbox_running():
        happen(sessions[2])
        wait_for_states(endpoint, pending=3)
        assert receiver.posts == []
        endpoints.update_endpoint(endpoint, None, {"url": receiver.url})
        receiver.wait_for(3)


def test_given_up_after_a_day_and_redeliverable(alice: User, session: TelegramSession) -> None:
    status = 500
    with receiving(lambda post: status) as receiver, outbox_running():
        endpoint, secret = endpoints.create_endpoint(alice, url=receiver.url)
        old = happen(session, 3)
        wait_for_states(endpoint, pending=3)
        receiver.wait_for_tries(2)
    # A day later, tried once more, with all those that waited behind it.
    endpoint.deliveries.update(expires_at=timezone.now())
    with receiving(lambda post: status, port=receiver.port) as receiver, outbox_running():
        wait_for_states(endpoint, dead=3)
        new = happen(session)
        receiver.wait_for_tries(2)
        assert state_of(endpoint) == Counter(dead=3, pending=1)
        first = endpoint.deliveries.order_by("pk").first()
        assert first is not None and first.status_code == 500 and first.finished_at
        status = 200
        assert ids(receiver.wait_for(1)) == new
        for delivery in endpoint.deliveries.filter(state=DeliveryState.DEAD):
            endpoints.redeliver(delivery)
        posts = receiver.wait_for(4)
        assert set(ids(posts)) == set(old + new)
        for post in posts:
            post.verify(secret)
        wait_for_states(endpoint, delivered=4)


def test_a_redelivery_holds_up_nothing(alice: User, session: TelegramSession) -> None:
    cursed: set[str] = set()
    with (
        receiving(lambda post: 500 if post.id in cursed else 200) as receiver,
        outbox_running(),
    ):
        endpoint = make_endpoint(alice, receiver.url)
        happen(session)
        wait_for_states(endpoint, delivered=1)
        delivery = endpoint.deliveries.get()
        cursed.add(delivery.message_id)
        endpoints.redeliver(delivery)
        receiver.wait_for_tries(2)
        new = happen(session, 5)
        assert ids(receiver.wait_for(6))[1:] == new
        cursed.clear()
        wait_for_states(endpoint, delivered=6)


def test_a_receiver_that_is_gone_for_a_day_is_left_alone(
    alice: User, session: TelegramSession
) -> None:
    with receiving(lambda post: 410) as receiver, outbox_running():
        endpoint = make_endpoint(alice, receiver.url)
        happen(session, 2)
        receiver.wait_for_tries(2)
        wait_until(lambda: WebhookEndpoint.objects.get(pk=endpoint.pk).gone_since)
        WebhookEndpoint.objects.update(gone_since=timezone.now() - timedelta(hours=23))
        wait_until(lambda: not WebhookEndpoint.objects.get(pk=endpoint.pk).enabled)
        endpoint.refresh_from_db()
        assert endpoint.paused_reason == "gone"
        happen(session)
        # Enabled again it goes on where it stopped: nothing is lost.
        receiver.answer = lambda post: 200
        endpoints.update_endpoint(endpoint, None, {"enabled": True})
        receiver.wait_for(3)
        wait_for_states(endpoint, delivered=3)


def test_nothing_is_lost_by_restarts(alice: User, session: TelegramSession) -> None:
    wanted: list[int] = []
    with receiving() as receiver:
        endpoint = make_endpoint(alice, receiver.url)
        for _ in range(5):
            with outbox_running():
                wanted += happen(session, 40)
                receiver.wait_for(len(receiver.taken()) + 10)
            wanted += happen(session, 10)
        with outbox_running():
            wait_for_states(endpoint, delivered=250)
        assert ids(receiver.taken()) == wanted


def test_a_long_backlog_comes_in_order(
    alice: User, session: TelegramSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "WINDOW", 20)
    monkeypatch.setattr(ledger, "PAGE_EVENTS", 8)
    with receiving() as receiver:
        endpoint = make_endpoint(alice, receiver.url)
        wanted = happen(session, 150)
        with outbox_running():
            assert ids(receiver.wait_for(150)) == wanted
            wait_for_states(endpoint, delivered=150)


def test_an_event_that_is_never_taken_holds_up_its_session_alone(alice: User) -> None:
    cursed, well = make_session("a", alice, ready=False), make_session("b", alice, ready=False)

    def answer(post: Post) -> int:
        return 400 if post.json["data"]["session"] == "a" else 200

    with receiving(answer) as receiver:
        endpoint = make_endpoint(alice, receiver.url)
        happen(cursed, 450)
        wanted = happen(well, 3)
        with outbox_running():
            assert ids(receiver.wait_for(3)) == wanted
            wait_for_states(endpoint, delivered=3, pending=450)


# Whose events


def test_another_users_events_are_never_posted(alice: User, session: TelegramSession) -> None:
    bob = make_user("bob")
    theirs = make_session("a", bob, ready=False)
    with receiving() as receiver, outbox_running():
        make_endpoint(alice, receiver.url + "/alice")
        make_endpoint(bob, receiver.url + "/bob")
        make_endpoint(bob, receiver.url + "/bob-by-name", sessions=["a"])
        ours, his = happen(session, 3), happen(theirs, 3)
        assert ids(receiver.wait_for(3, "/alice")) == ours
        assert ids(receiver.wait_for(3, "/bob")) == his
        assert ids(receiver.wait_for(3, "/bob-by-name")) == his
        assert len(receiver.posts) == 9


def caller_of(user: User, *sessions: TelegramSession) -> Any:
    from accounts.callers import Caller

    key, _ = make_key(user, ["read"])
    for session in sessions:
        KeyGrant.objects.create(api_key=key, session=session)
    return Caller(user, key, frozenset(["read"]))


def test_a_limited_keys_webhook_hears_of_its_sessions_alone(
    alice: User, session: TelegramSession
) -> None:
    other = make_session("b", alice, ready=False)
    with receiving() as receiver, outbox_running():
        make_endpoint(alice, receiver.url, caller=caller_of(alice, session))
        happen(other, 3)
        wanted = happen(session, 2)
        happen(other, 3)
        assert ids(receiver.wait_for(2)) == wanted
        last = happen(session)
        assert ids(receiver.wait_for(3)) == wanted + last
        assert len(receiver.posts) == 3


def test_access_that_is_taken_away_ends_deliveries(alice: User, session: TelegramSession) -> None:
    """Also of what waited already: access is checked at each attempt."""
    other = make_session("b", alice, ready=False)
    caller = caller_of(alice, session, other)
    with receiving(lambda post: 500) as receiver, outbox_running():
        endpoint = make_endpoint(alice, receiver.url, caller=caller)
        happen(session, 3)
        receiver.wait_for_tries(1)
        KeyGrant.objects.filter(session=session).delete()
        wait_for_states(endpoint, dropped=3)
        tries = len(receiver.posts)
        happen(session, 2)
        receiver.answer = lambda post: 200
        wanted = happen(other)
        assert ids(receiver.wait_for(1)) == wanted
        assert len(receiver.posts) == tries + 1


def test_what_waits_is_dropped_after_a_kick(alice: User, session: TelegramSession) -> None:
    session.account = Account.objects.create(user_id=1)
    session.save()
    chat = Chat.objects.create(peer_id=-1_000_000_000_123, type="channel")
    grant = ChatAccess.objects.create(account=session.account, chat=chat)
    with receiving(lambda post: 500) as receiver, outbox_running():
        endpoint = make_endpoint(alice, receiver.url)
        happen(session, 3, chat_id=chat.peer_id)
        receiver.wait_for_tries(1)
        grant.delete()
        wait_for_states(endpoint, dropped=3)
        error = endpoint.deliveries.first().error
        assert error == "The session may not read this chat any more."


@pytest.mark.parametrize("how", ["revoked", "expired", "deleted", "inactive"])
def test_a_webhook_ends_with_its_key(alice: User, session: TelegramSession, how: str) -> None:
    caller = caller_of(alice)
    with receiving() as receiver, outbox_running():
        endpoint = make_endpoint(alice, receiver.url, caller=caller)
        happen(session)
        receiver.wait_for(1)
        if how == "revoked":
            caller.key.revoke()
        elif how == "expired":
            caller.key.expires_at = timezone.now()
            caller.key.save()
        elif how == "deleted":
            caller.key.delete()
        else:
            User.objects.filter(pk=alice.pk).update(is_active=False)
        missed = happen(session, 2)
        wait_until(lambda: not WebhookEndpoint.objects.get(pk=endpoint.pk).enabled)
        assert len(receiver.posts) == 1
        endpoint.refresh_from_db()
        assert endpoint.paused_reason == "key"
        # Taken over by another key of the user's it goes on where it stopped.
        User.objects.filter(pk=alice.pk).update(is_active=True)
        endpoint = WebhookEndpoint.objects.get(pk=endpoint.pk)
        endpoints.update_endpoint(endpoint, caller_of(alice), {"enabled": True})
        assert ids(receiver.wait_for(3))[1:] == missed


@pytest.mark.database
def test_a_destroyed_session_leaves_nothing(alice: User) -> None:
    session = make_session("a", alice, ready=False)
    with receiving(lambda post: 500) as receiver, outbox_running():
        endpoint = make_endpoint(alice, receiver.url)
        happen(session, 3)
        receiver.wait_for_tries(1)
        with transaction.atomic():
            let_go(session, "destroyed")
            TelegramSession.objects.filter(pk=session.pk).delete()
        assert not endpoint.deliveries.exists()


def test_an_event_that_is_not_kept_is_dropped(alice: User, session: TelegramSession) -> None:
    with receiving(lambda post: 500) as receiver, outbox_running():
        endpoint = make_endpoint(alice, receiver.url)
        happen(session)
        receiver.wait_for_tries(1)
        Event.objects.all().delete()
        wait_for_states(endpoint, dropped=1)
        assert endpoint.deliveries.get().error == "The event is not kept any more."


# The log


def test_who_was_away_for_too_long_is_told(alice: User, session: TelegramSession) -> None:
    with receiving() as receiver:
        endpoint, secret = endpoints.create_endpoint(alice, url=receiver.url)
        happen(session, 5)
        Event.objects.filter(id__lte=3).delete()
        EventClock.objects.update(pruned=3)
        with outbox_running():
            posts = receiver.wait_for(3)
            reset = next(p for p in posts if p.json["type"] == "reset")
            reset.verify(secret)
            assert reset.json["data"] == {"id": 3, "kind": "reset", "oldest": 4}
            assert [p.json["data"]["id"] for p in posts if p is not reset] == [4, 5]
            wait_for_states(endpoint, delivered=3)


def test_an_idle_endpoint_keeps_up_with_the_log(
    alice: User, session: TelegramSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else retention would overtake its cursor and it would be told of a loss that is none."""
    monkeypatch.setattr(runner, "SAVE_CURSOR_SECONDS", 0)
    with outbox_running():
        endpoint = make_endpoint(alice, kinds=["session.state"])
        last = happen(session, 50)[-1]
        wait_until(lambda: WebhookEndpoint.objects.get(pk=endpoint.pk).cursor == last)
    assert not endpoint.deliveries.exists()


def test_old_deliveries_are_removed(alice: User, session: TelegramSession) -> None:
    endpoint = make_endpoint(alice)
    now = timezone.now()
    for age in (1, 6, 8, 30):
        row = endpoints.new_delivery(endpoint.pk, now, kind="message.new", event_id=age)
        row.finished_at = now - timedelta(days=age)
        row.save()
    endpoints.new_delivery(endpoint.pk, now, kind="message.new", event_id=99).save()
    assert ledger.prune() == 2
    assert set(endpoint.deliveries.values_list("event_id", flat=True)) == {1, 6, 99}


# The lease


def test_nothing_is_posted_without_the_lease(alice: User, session: TelegramSession) -> None:
    lease = HeldLease(held=False)
    with receiving() as receiver, outbox_running(lease):
        endpoint = make_endpoint(alice, receiver.url)
        wanted = happen(session, 3)
        # Another pass was made, so the outbox has looked.
        assert not Delivery.objects.exists() and receiver.posts == []
        lease.held = True
        assert ids(receiver.wait_for(3)) == wanted
        wait_for_states(endpoint, delivered=3)


@pytest.mark.database
def test_two_nodes_share_no_endpoint(alice: User, session: TelegramSession) -> None:
    """The second takes over when the first one's lease is over."""
    for name in ("one", "two"):
        Node.objects.create(name=name, epoch=1, expires_at=timezone.now() + timedelta(minutes=1))
    with receiving() as receiver:
        first, second = HeldLease("one"), HeldLease("two")
        with outbox_running(first):
            endpoint = make_endpoint(alice, receiver.url)
            wait_until(lambda: WebhookEndpoint.objects.get(pk=endpoint.pk).owner_node == "one")
            with outbox_running(second):
                wanted = happen(session, 20)
                receiver.wait_for(20)
                wait_for_states(endpoint, delivered=20)
                endpoint.refresh_from_db()
                assert endpoint.owner_node == "one"
                first.held = False
                Node.objects.filter(name="one").update(expires_at=timezone.now())
                wait_until(lambda: WebhookEndpoint.objects.get(pk=endpoint.pk).owner_node == "two")
                wanted += happen(session, 5)
                assert ids(receiver.wait_for(25)) == wanted
        assert len(receiver.posts) == 25


def test_a_new_epoch_takes_its_endpoints_again(alice: User, session: TelegramSession) -> None:
    lease = HeldLease()
    with receiving() as receiver, outbox_running(lease):
        endpoint = make_endpoint(alice, receiver.url)
        happen(session)
        receiver.wait_for(1)
        lease.epoch = 2
        wait_until(lambda: WebhookEndpoint.objects.get(pk=endpoint.pk).owner_epoch == 2)
        happen(session)
        receiver.wait_for(2)


def test_an_unlimited_key_outlives_no_scope(alice: User, session: TelegramSession) -> None:
    key, _ = create_key(user=alice, scopes=["send"])
    endpoint = make_endpoint(alice)
    endpoint.key_prefix = key.prefix
    with pytest.raises(endpoints.AccessLost):
        endpoints.readable_sessions(endpoint)
