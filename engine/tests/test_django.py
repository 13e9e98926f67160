"""The engine under Django's real handlers: nothing waits for itself, nothing keeps a connection."""

import asyncio
import contextlib
import functools
import threading

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.contenttypes.models import ContentType
from django.core.asgi import get_asgi_application
from django.db import DatabaseError, InterfaceError, connection, connections, transaction
from django.http import HttpResponse, JsonResponse
from django.urls import path

from engine import Engine, methods
from engine.methods import method
from engine.tests import fakes

engines: list[Engine] = []
seen: dict[str, object] = {}


async def _count_rows(client):
    # What no body should do, but what deadlocked views when one did.
    try:
        return await ContentType.objects.acount()
    finally:
        await sync_to_async(connections.close_all)()


@method(body=_count_rows, name="tests.count_rows")
async def count_rows() -> int:
    """Count rows through the asynchronous ORM."""


async def _look_at_connection(client):
    wrapper = seen["wrapper"]
    return wrapper.connection is None


@method(body=_look_at_connection, name="tests.look_at_connection")
async def look_at_connection() -> bool:
    """Tell whether the caller's database connection is closed."""


def sync_view(request):
    return JsonResponse({"rows": engines[0].call(1, count_rows)})


async def async_view(request):
    return JsonResponse({"rows": await engines[0].acall(1, count_rows)})


def sync_view_with_query(request):
    ContentType.objects.count()
    seen["wrapper"] = connections["default"]
    return JsonResponse({"closed": engines[0].call(1, look_at_connection)})


async def async_view_with_query(request):
    await ContentType.objects.acount()
    seen["wrapper"] = await sync_to_async(lambda: connections["default"])()
    return JsonResponse({"closed": await engines[0].acall(1, look_at_connection)})


def atomic_view(request):
    with transaction.atomic():
        try:
            engines[0].call(1, fakes.echo, value=1)
        except RuntimeError as error:
            return HttpResponse(str(error), status=418)
    return HttpResponse("called")


urlpatterns = [
    path("sync", sync_view),
    path("async", async_view),
    path("sync-query", sync_view_with_query),
    path("async-query", async_view_with_query),
    path("atomic", atomic_view),
]


@pytest.fixture
def application(settings, hub, connect):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []
    settings.ALLOWED_HOSTS = ["*"]
    engines.append(connect("local", hub))
    yield get_asgi_application()
    engines.clear()
    seen.clear()


async def get(application, url):
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": url,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await communicator.receive_output(30)
    body = await communicator.receive_output(30)
    await communicator.wait(30)
    return start["status"], body["body"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/sync", "/async"])
async def test_a_view_may_wait_for_a_method_that_uses_the_asynchronous_orm(application, url):
    status, body = await get(application, url)
    assert status == 200
    assert int(body.split(b":")[1].strip(b" }")) > 0


@pytest.mark.django_db(transaction=True)
async def test_many_views_may_wait_at_once(application):
    answers = await asyncio.gather(*(get(application, "/sync") for _ in range(20)))
    assert {status for status, _ in answers} == {200}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/sync-query", "/async-query"])
async def test_a_waiting_view_has_no_connection(application, url):
    assert await get(application, url) == (200, b'{"closed": true}')


@pytest.mark.django_db(transaction=True)
async def test_it_refuses_to_be_called_inside_atomic(application):
    status, body = await get(application, "/atomic")
    assert (status, body) == (418, b"Telegram was called inside transaction.atomic()")


@pytest.mark.django_db
def test_the_transaction_around_a_test_is_none(hub, connect):
    assert connect("local", hub).call(1, fakes.echo, value=1) == 1
    assert ContentType.objects.count() > 0


@pytest.mark.django_db
def test_a_transaction_inside_a_test_is_one(hub, connect):
    engine = connect("local", hub)
    with transaction.atomic(), pytest.raises(RuntimeError, match="atomic"):
        engine.call(1, fakes.echo, value=1)


def _asked_of_a_worker(hub, *functions):
    """Return what functions say that a worker calls as it calls its store, one after the other."""

    async def ask(source, function):
        return await source.context.database.run(function)

    hub.pool.start()
    worker = hub.pool._workers[1]
    return [worker.run(functools.partial(ask, function=each)).result(30) for each in functions]


def _open_connection():
    ContentType.objects.count()
    return connection.connection


@pytest.mark.django_db(transaction=True)
def test_the_store_is_asked_in_one_thread_over_one_connection(hub):
    def thread_name():
        return threading.current_thread().name

    name, first, second = _asked_of_a_worker(hub, thread_name, _open_connection, _open_connection)
    assert name == "telegram-1-db_0"
    assert first is second is not None


@pytest.mark.django_db(transaction=True)
def test_the_stores_connection_is_replaced_when_it_broke(hub):
    def lose():
        lost = connection.connection
        lost.close()
        with contextlib.suppress(DatabaseError, InterfaceError):
            ContentType.objects.count()
        return lost

    _, lost, again = _asked_of_a_worker(hub, _open_connection, lose, _open_connection)
    assert again is not lost


def test_methods_are_named_without_telethon():
    assert methods.describe(methods.auth.send_code).name == "auth.send_code"
