import threading
from collections.abc import Iterator

import pytest
from limits import parse

from core import limits
from core.errors import TooManyRequests, to_response_parts
from core.limits import ProcessStorage, caller_identity
from tests.services import free_port, redis

DEADLINE = 60


@pytest.fixture(autouse=True)
def fresh(settings) -> Iterator[None]:
    settings.TGHUB_RATES = {"few": "10/minute", "long": "1/hour"}
    limits.reset()
    yield
    limits.reset()


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis() as url:
        yield url


def count_allowed(calls: int) -> int:
    barrier = threading.Barrier(calls)
    allowed: list[int] = []
    failures: list[BaseException] = []

    def call() -> None:
        barrier.wait(DEADLINE)
        try:
            limits.hit("few", "key", 1)
            allowed.append(1)
        except TooManyRequests:
            pass
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert failures == []
    return len(allowed)


def test_it_works():
    for _ in range(10):
        limits.hit("few", "key", 1)
    with pytest.raises(TooManyRequests) as caught:
        limits.hit("few", "key", 1)
    parts = to_response_parts(caught.value)
    assert parts.status == 429
    assert 1 <= int(parts.headers["Retry-After"]) <= 60


def test_200_threads_on_a_limit_of_10():
    assert count_allowed(200) == 10


def test_200_threads_on_a_limit_of_10_with_redis(settings, redis_url):
    settings.REDIS_URL = redis_url
    assert count_allowed(200) == 10


def test_redis_holds_no_phone_number(settings, redis_url):
    import redis as client_library

    settings.REDIS_URL = redis_url
    limits.hit("few", "phone", "+15551234567")
    with client_library.Redis.from_url(redis_url) as client:
        keys = b" ".join(client.keys("*"))
    assert b"few" in keys
    assert b"5551234567" not in keys


def test_without_its_redis_each_process_counts(settings, caplog):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    for _ in range(10):
        limits.hit("few", "key", 1)
    with pytest.raises(TooManyRequests):
        limits.hit("few", "key", 1)
    assert "Redis" in caplog.text


def test_counts_are_separate():
    limits.hit("long", "phone", "+1")
    limits.hit("long", "phone", "+2")
    limits.hit("long", "session", "+1")
    with pytest.raises(TooManyRequests):
        limits.hit("long", "phone", "+1")


def test_a_count_can_be_forgotten():
    limits.hit("long", "phone", "+1")
    limits.forget("long", "phone", "+1")
    limits.hit("long", "phone", "+1")


def test_an_unknown_limit_is_a_mistake():
    with pytest.raises(KeyError):
        limits.hit("unheard_of", 1)


def test_every_limit_can_be_parsed():
    assert all(parse(text) for text in limits.RATES.values())


def test_the_window_moves(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(limits.time, "time", lambda: now[0])
    storage = ProcessStorage()
    assert [storage.acquire_entry("k", 2, 60) for _ in range(3)] == [True, True, False]
    now[0] += 59.9
    assert not storage.acquire_entry("k", 2, 60)
    assert storage.get_moving_window("k", 2, 60) == (1000.0, 2)
    now[0] += 0.2
    assert storage.acquire_entry("k", 2, 60)
    assert storage.get_moving_window("k", 2, 60)[1] == 1


def test_idle_counts_take_no_memory(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(limits.time, "time", lambda: now[0])
    storage = ProcessStorage()
    for n in range(100):
        storage.acquire_entry(str(n), 2, 60)
    now[0] += 120
    storage.acquire_entry("new", 2, 60)
    assert storage.reset() == 1
    assert storage.check()


def test_a_view_is_counted_by_key_then_user_then_address(rf):
    class Thing:
        pk = 7

    class Auth:
        key: Thing | None = Thing()

    request = rf.get("/", REMOTE_ADDR="192.0.2.9")
    assert caller_identity(request) == ("ip", "192.0.2.9")
    request.user = Thing()
    assert caller_identity(request) == ("user", 7)
    request.auth = Auth()
    assert caller_identity(request) == ("key", 7)


@pytest.mark.urls("core.tests.urls")
def test_a_throttled_view_answers_429(client, settings, monkeypatch):
    from core.tests.urls import EchoView

    settings.TGHUB_RATES = {"call": "1/hour"}
    monkeypatch.setattr(EchoView, "throttle_classes", [limits.CallerThrottle])
    headers = {"content_type": "application/json"}
    assert client.post("/echo", "{}", **headers).status_code == 200
    response = client.post("/echo", "{}", HTTP_X_FORWARDED_FOR="6.6.6.6", **headers)
    assert response.status_code == 429
    assert 3500 < int(response["Retry-After"]) <= 3601
    assert response.json()["code"] == "throttled"
