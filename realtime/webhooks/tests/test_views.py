"""`/api/v3/webhooks`: what it answers, to whom, and what it refuses."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent, User, create_key
from core import limits
from realtime.eventlog import KINDS
from realtime.webhooks.models import Delivery, DeliveryState, WebhookEndpoint
from realtime.webhooks.tests.helpers import happen, make_endpoint
from sessions_app.grants import create_key_for_sessions
from sessions_app.tests.helpers import make_client, make_session, make_user
from tests.receiver import receiving

pytestmark = pytest.mark.django_db

URL = "/api/v3/webhooks"
HOOK = "https://example.com/hook"


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    limits.reset()
    yield
    limits.reset()


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def client(alice: User) -> APIClient:
    return make_client(alice, "read")


def create(client: APIClient, **body: Any) -> dict[str, Any]:
    answer = client.post(URL, {"url": HOOK, **body}, format="json")
    assert answer.status_code == 201, answer.content
    result: dict[str, Any] = answer.json()
    return result


def test_it_works(client: APIClient, alice: User) -> None:
    make_session("a", alice)
    made = create(
        client,
        sessions=["a"],
        chats=[-1001],
        kinds=["message.new"],
        description="Orders",
    )
    assert made["secret"].startswith("whsec_")
    facts = {name: value for name, value in made.items() if name != "secret"}
    assert facts["url"] == HOOK and facts["enabled"] is True
    assert facts["sessions"] == ["a"] and facts["chats"] == [-1001]
    assert facts["kinds"] == ["message.new"] and facts["description"] == "Orders"
    assert facts["paused_reason"] is None and facts["failing_since"] is None
    assert client.get(f"{URL}/{made['id']}").json() == facts
    assert client.get(URL).json() == {"webhooks": [facts]}
    changed = client.patch(f"{URL}/{made['id']}", {"kinds": []}, format="json").json()
    assert changed["kinds"] == [] and changed["chats"] == [-1001]
    gone = client.delete(f"{URL}/{made['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.get(f"{URL}/{made['id']}").json()["code"] == "webhook_not_found"
    assert list(AuditEvent.objects.values_list("action", flat=True)) == [
        "webhook.created",
        "webhook.changed",
        "webhook.deleted",
    ]


def test_what_is_left_out_means_all(client: APIClient) -> None:
    made = create(client, sessions=None, description=None)
    assert (made["sessions"], made["chats"], made["kinds"], made["description"]) == ([], [], [], "")


def test_the_secret_is_encrypted_and_shown_once(client: APIClient) -> None:
    made = create(client)
    secret = made["secret"]
    number = made["id"]
    assert secret.removeprefix("whsec_").encode() not in bytes(
        WebhookEndpoint.objects.filter(pk=number).values_list("secret", flat=True)[0]
    )
    rotated = client.post(f"{URL}/{number}/rotate-secret").json()
    assert set(rotated) == {"id", "secret", "previous_until"} and rotated["secret"] != secret
    for answer in (
        client.get(URL),
        client.get(f"{URL}/{number}"),
        client.patch(f"{URL}/{number}", {"description": "x"}, format="json"),
    ):
        text = answer.content.decode()
        assert secret not in text and rotated["secret"] not in text and "whsec_" not in text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": 7}, "url"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://localhost/"}, "url"),
        ({"url": "https://user:pw@example.com/"}, "url"),
        ({"url": "https://example.com:9000/"}, "url"),
        ({"url": "https://example.com/" + "x" * 3000}, "url"),
        ({"url": HOOK, "kinds": ["nonsense"]}, "kinds.0"),
        ({"url": HOOK, "kinds": "message.new"}, "kinds"),
        ({"url": HOOK, "chats": ["x"]}, "chats.0"),
        ({"url": HOOK, "chats": [2**70]}, "chats.0"),
        ({"url": HOOK, "sessions": ["a/b"]}, "sessions.0"),
        ({"url": HOOK, "description": "x" * 501}, "description"),
    ],
)
def test_bad_input(client: APIClient, body: dict[str, Any], field: str) -> None:
    answer = client.post(URL, body, format="json")
    assert answer.status_code == 400 and field in answer.json()["errors"], answer.content
    assert not WebhookEndpoint.objects.exists()


def test_no_json_object(client: APIClient) -> None:
    assert client.post(URL, [1], format="json").status_code == 400
    assert client.post(URL, "{", content_type="application/json").status_code == 400


def test_a_session_that_is_not_the_callers(client: APIClient) -> None:
    make_session("theirs", make_user("bob"))
    for name in ("theirs", "nobodys"):
        answer = client.post(URL, {"url": HOOK, "sessions": [name]}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")


def test_a_patch_is_checked_like_a_post(client: APIClient, alice: User) -> None:
    number = make_endpoint(alice).pk
    for body, status in (
        ({"url": "https://10.0.0.1/"}, 400),
        ({"kinds": ["x"]}, 400),
        ({"enabled": "perhaps"}, 400),
        ({"sessions": ["nobodys"]}, 404),
        ({}, 200),
    ):
        answer = client.patch(f"{URL}/{number}", body, format="json")
        assert answer.status_code == status, answer.content


def test_there_is_a_limit_per_user(
    client: APIClient, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realtime.webhooks import endpoints

    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 2)
    create(client)
    create(client)
    answer = client.post(URL, {"url": HOOK}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")
    create(make_client(make_user("bob"), "read"))


# Who may


CALLS = [
    ("get", ""),
    ("post", ""),
    ("get", "/{id}"),
    ("patch", "/{id}"),
    ("delete", "/{id}"),
    ("post", "/{id}/test"),
    ("post", "/{id}/rotate-secret"),
    ("get", "/{id}/deliveries"),
    ("post", "/{id}/deliveries/{n}/redeliver"),
]


def call(client: APIClient, method: str, path: str, number: int, delivery: int) -> Any:
    url = URL + path.format(id=number, n=delivery)
    body = {"url": HOOK} if (method, path) == ("post", "") else {}
    return getattr(client, method)(url, body, format="json" if method != "get" else None)


@pytest.fixture
def delivery(alice: User) -> Delivery:
    now = timezone.now()
    return Delivery.objects.create(
        endpoint=make_endpoint(alice),
        event_id=happen(make_session("a", alice))[0],
        kind="message.new",
        state=DeliveryState.DEAD,
        created_at=now,
        next_attempt_at=now,
        expires_at=now,
        finished_at=now,
    )


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_it_needs_a_key_with_read(delivery: Delivery, method: str, path: str) -> None:
    ids = delivery.endpoint_id, delivery.pk
    assert call(APIClient(), method, path, *ids).status_code == 401
    poor = call(make_client(make_user("alice"), "send", "sessions"), method, path, *ids)
    assert poor.status_code == 403 and "'read'" in poor.json()["detail"]


@pytest.mark.parametrize(("method", "path"), CALLS[2:])
def test_another_users_webhook_does_not_exist(delivery: Delivery, method: str, path: str) -> None:
    bob = make_client(make_user("bob"))
    answer = call(bob, method, path, delivery.endpoint_id, delivery.pk)
    assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found")
    assert bob.get(URL).json() == {"webhooks": []}
    # An admin key reaches it by naming the user.
    admin = make_client(make_user("charlie"), "admin")
    assert admin.get(f"{URL}/{delivery.endpoint_id}").status_code == 404
    assert admin.get(f"{URL}/{delivery.endpoint_id}?user=alice").status_code == 200
    plain = make_client(make_user("charlie"), "read")
    assert plain.get(f"{URL}/{delivery.endpoint_id}?user=alice").status_code == 403


def test_a_delivery_of_another_webhook(client: APIClient, delivery: Delivery, alice: User) -> None:
    other = make_endpoint(alice)
    answer = client.post(f"{URL}/{other.pk}/deliveries/{delivery.pk}/redeliver")
    assert (answer.status_code, answer.json()["code"]) == (404, "delivery_not_found")


def test_a_limited_key_sees_what_it_made(client: APIClient, alice: User) -> None:
    make_session("a", alice)
    make_session("b", alice)
    _, key = create_key_for_sessions(
        username="alice", name="limited", scopes=["read"], sessions=["a"]
    )
    limited = APIClient()
    limited.credentials(HTTP_X_API_KEY=key)
    whole = create(client)
    made = create(limited)
    assert [w["id"] for w in limited.get(URL).json()["webhooks"]] == [made["id"]]
    assert [w["id"] for w in client.get(URL).json()["webhooks"]] == [whole["id"], made["id"]]
    assert limited.patch(f"{URL}/{whole['id']}", {}, format="json").status_code == 404
    refused = limited.post(URL, {"url": HOOK, "sessions": ["b"]}, format="json")
    assert refused.status_code == 404


def test_an_admins_webhook_for_a_user_is_bound_to_the_admins_key(alice: User) -> None:
    from realtime.webhooks.endpoints import AccessLost, readable_sessions

    session = make_session("a", alice)
    charlie = make_user("charlie")
    key, plaintext = create_key(user=charlie, scopes=["admin"])
    admin = APIClient()
    admin.credentials(HTTP_X_API_KEY=plaintext)
    made = admin.post(f"{URL}?user=alice", {"url": HOOK}, format="json").json()
    endpoint = WebhookEndpoint.objects.get(pk=made["id"])
    assert endpoint.owner == alice
    assert readable_sessions(endpoint) == {session.pk: "a"}
    key.revoke()
    with pytest.raises(AccessLost):
        readable_sessions(endpoint)


@pytest.mark.parametrize("path", [f"{URL}/x", f"{URL}/-1", f"{URL}/{2**80}", f"{URL}/0", f"{URL}/"])
def test_numbers_that_are_none(client: APIClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and "detail" in answer.json()


def test_methods_that_are_none(client: APIClient, alice: User) -> None:
    number = make_endpoint(alice).pk
    assert client.put(f"{URL}/{number}", {}, format="json").status_code in (403, 405)
    assert client.delete(URL).status_code in (403, 405)


# Tests, deliveries


@pytest.mark.django_db(transaction=True)
def test_the_test_button(client: APIClient, settings: Any) -> None:
    settings.TGHUB_WEBHOOK_ALLOW_NETS = ["127.0.0.0/8"]
    with receiving() as receiver:
        made = create(client, url=receiver.url + "/in")
        told = client.post(f"{URL}/{made['id']}/test").json()
        (post,) = receiver.posts
        post.verify(made["secret"])
        assert post.json["type"] == "webhook.test" and told["kind"] == "webhook.test"
        assert (told["state"], told["status_code"], told["attempts"]) == ("delivered", 204, 1)
        assert told["message_id"] == post.id and told["session"] is None
        # After a rotation both secrets hold, for a day.
        rotated = client.post(f"{URL}/{made['id']}/rotate-secret").json()
        client.post(f"{URL}/{made['id']}/test")
        for secret in (made["secret"], rotated["secret"]):
            receiver.posts[-1].verify(secret)
        WebhookEndpoint.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
        client.post(f"{URL}/{made['id']}/test")
        assert len(receiver.posts[-1].headers["webhook-signature"].split()) == 1
        receiver.posts[-1].verify(rotated["secret"])
        # A paused webhook can be tested, too; a failure is told, not raised.
        client.patch(f"{URL}/{made['id']}", {"enabled": False}, format="json")
        receiver.answer = lambda post: 500
        failed = client.post(f"{URL}/{made['id']}/test")
        assert failed.status_code == 200
        assert (failed.json()["state"], failed.json()["status_code"]) == ("dead", 500)
    log = client.get(f"{URL}/{made['id']}/deliveries").json()
    assert [d["state"] for d in log["results"]] == ["dead", "delivered", "delivered", "delivered"]
    assert log["next"] is None


def test_a_test_reaches_no_forbidden_address(client: APIClient, settings: Any) -> None:
    """Not even when the URL was taken while the network was allowed."""
    with receiving() as receiver:
        settings.TGHUB_WEBHOOK_ALLOW_NETS = ["127.0.0.0/8"]
        made = create(client, url=receiver.url)
        settings.TGHUB_WEBHOOK_ALLOW_NETS = []
        told = client.post(f"{URL}/{made['id']}/test").json()
        assert told["state"] == "dead" and told["status_code"] is None
        assert told["error"] == "The URL must begin with https://."
        assert receiver.posts == []


def test_the_log_of_deliveries(client: APIClient, delivery: Delivery) -> None:
    url = f"{URL}/{delivery.endpoint_id}/deliveries"
    now = timezone.now()
    for n in range(5):
        Delivery.objects.create(
            endpoint_id=delivery.endpoint_id,
            event_id=100 + n,
            kind="message.new",
            created_at=now,
            next_attempt_at=now,
            expires_at=now,
        )
    first = client.get(url, {"limit": 4}).json()
    assert [d["event_id"] for d in first["results"]] == [104, 103, 102, 101]
    rest = client.get(url, {"limit": 4, "before": first["next"]}).json()
    assert [d["event_id"] for d in rest["results"]] == [100, delivery.event_id]
    dead = client.get(url, {"state": "dead"}).json()["results"]
    assert [d["id"] for d in dead] == [delivery.pk]
    assert set(dead[0]) == {
        "id",
        "message_id",
        "event_id",
        "kind",
        "session",
        "state",
        "attempts",
        "status_code",
        "error",
        "duration_ms",
        "created_at",
        "next_attempt_at",
        "expires_at",
        "finished_at",
    }
    for query in ({"state": "x"}, {"limit": 0}, {"limit": 501}, {"before": "x"}):
        assert client.get(url, query).status_code == 400


def test_redeliver(client: APIClient, delivery: Delivery) -> None:
    url = f"{URL}/{delivery.endpoint_id}/deliveries/{delivery.pk}/redeliver"
    answer = client.post(url)
    assert answer.status_code == 202 and answer.json()["state"] == "pending"
    again = client.post(url)
    assert (again.status_code, again.json()["code"]) == (409, "delivery_pending")


def test_an_event_that_is_gone_is_not_delivered_again(
    client: APIClient, delivery: Delivery
) -> None:
    Delivery.objects.update(event_id=999)
    url = f"{URL}/{delivery.endpoint_id}/deliveries/{delivery.pk}/redeliver"
    assert client.post(url).status_code == 410


def test_every_kind_can_be_asked_for(client: APIClient) -> None:
    assert create(client, kinds=list(KINDS))["kinds"] == list(KINDS)
