"""Bytes between threads, as many as there is credit for."""

import asyncio
import threading

import pytest

from engine.streams import MAX_CHUNK_BYTES, Pipe, PipeClosed, pieces


async def test_it_works():
    pipe = Pipe()
    await pipe.send(b"one")
    await pipe.send(b"two")
    pipe.finish()
    assert [chunk async for chunk in pipe] == [b"one", b"two"]


async def test_a_writer_waits_for_credit():
    pipe = Pipe(window=2)
    sent = []

    async def write():
        for number in range(5):
            await pipe.send(bytes([number]))
            sent.append(number)
        pipe.finish()

    task = asyncio.create_task(write())
    for _ in range(10):
        await asyncio.sleep(0)
    assert sent == [0, 1]
    assert [c async for c in pipe] == [bytes([n]) for n in range(5)]
    await task


async def test_it_joins_two_threads():
    pipe = Pipe(window=3)

    def write():
        for number in range(2000):
            pipe.put(number.to_bytes(2, "big"), 30)
        pipe.finish()

    thread = threading.Thread(target=write)
    thread.start()
    got = [int.from_bytes(chunk, "big") async for chunk in pipe]
    thread.join()
    assert got == list(range(2000))


async def test_it_joins_two_loops():
    pipe = Pipe(window=1)

    async def write():
        for number in range(500):
            await pipe.send(bytes([number % 256]))
        pipe.finish()

    thread = threading.Thread(target=asyncio.run, args=(write(),))
    thread.start()
    assert len([chunk async for chunk in pipe]) == 500
    thread.join()


async def test_what_was_sent_comes_before_the_error():
    pipe = Pipe()
    await pipe.send(b"one")
    pipe.finish(KeyError("later"))
    assert await pipe.receive() == b"one"
    with pytest.raises(KeyError):
        await pipe.receive()


async def test_a_reader_that_leaves_frees_the_writer():
    pipe = Pipe(window=1)
    await pipe.send(b"one")
    waiting = asyncio.create_task(pipe.send(b"two"))
    await asyncio.sleep(0)
    pipe.close()
    with pytest.raises(PipeClosed):
        await waiting
    assert pipe.closed
    assert await pipe.receive() is None


def test_put_gives_up_on_a_reader_that_does_not_read():
    pipe = Pipe(window=1)
    pipe.put(b"one")
    with pytest.raises(TimeoutError):
        pipe.put(b"two", 0.01)


async def test_offer_needs_credit():
    taken = []
    pipe = Pipe(window=1, on_take=lambda: taken.append(1))
    assert pipe.offer(b"one")
    assert not pipe.offer(b"two")
    assert await pipe.receive() == b"one"
    assert taken == [1]
    assert pipe.offer(b"two")


async def test_a_cancelled_wait_loses_nothing():
    pipe = Pipe()
    for _ in range(3):
        reader = asyncio.create_task(pipe.receive())
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
    await pipe.send(b"one")
    assert await pipe.receive() == b"one"


def test_it_cuts_chunks():
    assert list(pieces(b"")) == []
    assert [len(p) for p in pieces(b"x" * (MAX_CHUNK_BYTES * 2 + 1))] == [
        MAX_CHUNK_BYTES,
        MAX_CHUNK_BYTES,
        1,
    ]
