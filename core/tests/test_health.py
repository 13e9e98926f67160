import asyncio

import pytest

from core import health

pytestmark = [pytest.mark.urls("core.tests.urls"), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def part():
    """Register checks and facts for one test."""
    names = []

    def register(name, function, fact=False):
        names.append(name)
        (health.register_fact if fact else health.register_check)(name, function)

    yield register
    for name in names:
        health.unregister(name)


async def test_it_works(async_client):
    response = await async_client.get("/health")
    assert response.status_code == 200
    assert response.json()["status"] == "healthy"
    assert "checks" not in response.json()


async def test_facts_are_told(async_client, part):
    part("open_doors", lambda: 3, fact=True)
    assert (await async_client.get("/health")).json()["open_doors"] == 3


async def test_a_failing_part_makes_it_503(async_client, part):
    async def fine():
        return None

    async def broken():
        raise RuntimeError("/secret/path")

    async def no():
        return False

    async def drained():
        raise health.Unhealthy("is draining")

    for name, check in {"a": fine, "b": broken, "c": no, "d": drained}.items():
        part(name, check)
    response = await async_client.get("/health")
    assert response.status_code == 503
    assert response["Retry-After"]
    body = response.json()
    assert body["status"] == "unhealthy"
    expected = {"database": "ok", "a": "ok", "b": "fails", "c": "fails", "d": "is draining"}
    assert expected.items() <= body["checks"].items()
    assert "secret" not in response.content.decode()


async def test_a_part_that_hangs_is_not_waited_for(async_client, part, monkeypatch):
    async def hang():
        await asyncio.Event().wait()

    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0.01)
    part("hanging", hang)
    response = await async_client.get("/health")
    assert response.json()["checks"]["hanging"] == "does not answer"


async def test_a_failing_fact_is_null(async_client, part):
    def broken():
        raise RuntimeError

    part("open_doors", broken, fact=True)
    response = await async_client.get("/health")
    assert response.status_code == 200
    assert response.json()["open_doors"] is None


async def test_it_refuses_other_methods(async_client):
    response = await async_client.post("/health")
    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, OPTIONS"
