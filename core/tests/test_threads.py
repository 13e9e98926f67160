"""Threads that keep their connections."""

import asyncio
import threading

import pytest
from django.db import DatabaseError, connection

from core.threads import DatabaseThreads

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]


def identity() -> tuple[int, int]:
    connection.ensure_connection()
    return threading.get_ident(), id(connection.connection)


def fail() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nonsense FROM nowhere")


async def test_a_connection_is_kept():
    threads = DatabaseThreads("kept")
    first = await threads.run(identity)
    assert await threads.run(identity) == first
    assert first[0] != threading.get_ident()
    threads.close_connections()


async def test_many_questions_at_once():
    threads = DatabaseThreads("many", 3)
    together = threading.Barrier(3, timeout=30)

    def meet() -> tuple[int, int]:
        together.wait()
        return identity()

    assert len(set(await asyncio.gather(*[threads.run(meet) for _ in range(3)]))) == 3
    threads.close_connections()


async def test_it_goes_on_after_an_error():
    threads = DatabaseThreads("erring")
    with pytest.raises(DatabaseError):
        await threads.run(fail)
    assert not await threads.run(lambda: connection.errors_occurred)
    assert await threads.run(identity)
    threads.close_connections()


async def test_closing_reaches_every_thread():
    threads = DatabaseThreads("closing", 2)
    together = threading.Barrier(2, timeout=30)

    def open_one() -> None:
        together.wait()
        connection.ensure_connection()

    def is_open() -> bool:
        together.wait()
        return connection.connection is not None

    await asyncio.gather(threads.run(open_one), threads.run(open_one))
    threads.close_connections()
    assert await asyncio.gather(threads.run(is_open), threads.run(is_open)) == [False, False]
