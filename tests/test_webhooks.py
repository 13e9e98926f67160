"""Webhooks of a real hub: what happens in Telegram reaches its receivers, whoever fails."""

import itertools
import threading
from collections.abc import Callable
from zlib import crc32

import pytest

from sandbox import Sandbox
from tests.hub import Hub, wait_until
from tests.receiver import Post, Receiver, receiving

URL = "/api/v3/webhooks"
TOKEN = "T0KENT0KEN"


def texts(posts: list[Post], session: str) -> list[str]:
    """What the session's new messages said, in order of arrival, first arrivals only."""
    found = [
        post.json["data"]["message"]["message"]
        for post in posts
        if post.json["type"] == "message.new" and post.json["data"]["session"] == session
    ]
    return [text for text in dict.fromkeys(found) if text.startswith("event ")]


def make_webhook(hub: Hub, url: str, **body: object) -> tuple[int, str]:
    answer = hub.post(URL, {"url": url, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], answer.json()["secret"]


def all_taken(receiver: Receiver, wanted: dict[str, list[str]], path: str | None = None) -> bool:
    posts = receiver.taken(path)
    return all(len(texts(posts, name)) >= len(said) for name, said in wanted.items())


@pytest.mark.timeout(900)
def test_every_event_arrives_in_order_whatever_fails(
    make_hub: Callable[..., Hub], telegram: Sandbox, count: Callable[[int, int], int]
) -> None:
    """A receiver that fails, dawdles and is down for a while; the hub restarted twice."""
    total = count(120, 2000)
    hub = make_hub(TGHUB_WEBHOOK_ALLOW_NETS="127.0.0.0/8").start()
    friend = telegram.world.add_user(phone="+15550880000", first_name="Friend")
    people = {}
    for number, name in enumerate(("a", "b", "c", "d")):
        phone = f"+1555088000{number + 1}"
        people[name] = telegram.world.add_user(phone=phone, first_name=name)
        hub.log_in(name, phone, telegram.login_code)
        hub.wait_connected(name)
    wanted: dict[str, list[str]] = {name: [] for name in people}
    numbers = itertools.count()

    def happen(events: int) -> None:
        for number in itertools.islice(numbers, events):
            name = "abcd"[number % 4]
            telegram.world.post(friend, people[name], f"event {number}")
            wanted[name].append(f"event {number}")

    tries = itertools.count()
    release = threading.Event()

    def flaky(post: Post) -> int | tuple[int, dict[str, str]]:
        draw = crc32(f"{post.id} {next(tries)}".encode()) % 100
        if post.path == "/stuck":
            release.wait(900)
        elif draw < 15:
            return 500
        elif draw < 30:
            return 503, {"Retry-After": "0"}
        elif draw < 40:
            threading.Event().wait(0.05)
        return 200

    with receiving(flaky) as first:
        filters = {"/flaky": {}, "/filtered": {"sessions": ["a"], "kinds": ["message.new"]}}
        secrets = {
            path: make_webhook(hub, first.url + path, **body)[1]
            for path, body in {**filters, "/stuck": {}}.items()
        }
        happen(total // 4)
        # The one that is stuck holds up nobody.
        wait_until(lambda: all_taken(first, wanted, "/flaky"), seconds=300)
        assert not first.taken("/stuck")
        happen(total // 4)
        hub.stop()
        happen(total // 8)
        hub.start()
    # Nobody listens for a while, and in this while the power fails, too.
    release.set()
    happen(total // 8)
    hub.kill()
    hub.start()
    with receiving(flaky, port=first.port) as second:
        happen(total - sum(map(len, wanted.values())))
        posts: list[Post] = []

        def complete() -> bool:
            posts[:] = [p for p in first.posts + second.posts if 200 <= p.status < 300]
            return all(
                len(texts([p for p in posts if p.path == path], name)) >= len(said)
                for path, names in (("/flaky", "abcd"), ("/stuck", "abcd"), ("/filtered", "a"))
                for name, said in wanted.items()
                if name in names
            )

        wait_until(complete, seconds=600, what="every event arrived")
        for path, names in (("/flaky", "abcd"), ("/stuck", "abcd"), ("/filtered", "a")):
            mine = [post for post in posts if post.path == path]
            for name in names:
                assert texts(mine, name) == wanted[name]
        assert {p.json["data"]["session"] for p in posts if p.path == "/filtered"} == {"a"}
        for post in first.posts + second.posts:
            post.verify(secrets[post.path])


def test_a_webhook_in_keys_mode(make_hub: Callable[..., Hub], telegram: Sandbox) -> None:
    """A revoked key ends its webhook, another user's key does not reach it, no secret is logged."""
    hub = make_hub(TGHUB_AUTH="keys", TGHUB_WEBHOOK_ALLOW_NETS="127.0.0.0/8").start()
    keys = {
        user: hub.manage("create_api_key", user, "--scopes", "read,sessions").stdout.split()[-1]
        for user in ("alice", "bob")
    }
    friend = telegram.world.add_user(phone="+15550890000", first_name="Friend")
    for user, phone in (("alice", "+15550890001"), ("bob", "+15550890002")):
        telegram.world.add_user(phone=phone, first_name=user)
        hub.http.headers["X-API-Key"] = keys[user]
        hub.log_in("s", phone, telegram.login_code)
        hub.wait_connected("s")

    def say(user: str, text: str) -> None:
        phone = {"alice": "+15550890001", "bob": "+15550890002"}[user]
        telegram.world.post(friend, telegram.world.by_phone(phone), text)

    with receiving() as receiver:
        secrets = {}
        for user in ("alice", "bob"):
            hub.http.headers["X-API-Key"] = keys[user]
            number, secrets[user] = make_webhook(hub, f"{receiver.url}/{user}/{TOKEN}")
            assert [w["id"] for w in hub.get(URL).json()["webhooks"]] == [number]
        assert hub.get(f"{URL}/1").status_code == 404
        say("alice", "event for alice")
        say("bob", "event for bob")
        for user in ("alice", "bob"):
            wait_until(
                lambda user=user: (
                    texts(receiver.taken(f"/{user}/{TOKEN}"), "s") == [f"event for {user}"]
                )
            )
            for post in receiver.taken(f"/{user}/{TOKEN}"):
                post.verify(secrets[user])
        tested = hub.post(f"{URL}/{number}/test").json()
        assert (tested["state"], tested["status_code"]) == ("delivered", 204)
        hub.manage("revoke_api_key", keys["alice"].split("_")[1])
        say("alice", "event that alice's key may not read")
        say("bob", "event again")
        wait_until(lambda: "event again" in texts(receiver.taken(f"/bob/{TOKEN}"), "s"))
        wait_until(lambda: "is paused" in hub.log())
        assert texts(receiver.taken(f"/alice/{TOKEN}"), "s") == ["event for alice"]
    log = hub.log()
    # A receiver's path is often its only secret.
    for secret in (TOKEN, *secrets.values()):
        assert secret not in log
