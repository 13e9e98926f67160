"""Feeds over a real log: replay, live, too slow, and back again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from accounts.callers import Caller
from accounts.models import ALL_SCOPES, User
from core import events
from realtime import fanout as module
from realtime import threads
from realtime.eventlog import Filter, access_of
from realtime.fanout import Fanout, Feed
from scraper.models import Chat, ChatAccess
from sessions_app.models import Account, TelegramSession

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

CHANNEL = -1_000_000_000_123


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    threads.close_connections()


@pytest.fixture
def session() -> TelegramSession:
    user = User.objects.create(username="alice")
    return TelegramSession.objects.create(owner=user, name="a")


@pytest.fixture
async def fanout() -> AsyncIterator[Fanout]:
    found = Fanout()
    yield found
    found.close()
    await sync_to_async(connections.close_all)()


@sync_to_async
def append(
    session: TelegramSession,
    first: int,
    last: int,
    kind: str = "message.new",
    chat_id: int | None = None,
) -> None:
    events.append(
        [
            events.NewEvent(kind, {"n": n}, session_id=session.pk, chat_id=chat_id)
            for n in range(first, last)
        ]
    )


def access(session: TelegramSession):
    return access_of(Caller(session.owner, None, ALL_SCOPES))


async def take(feed: Feed, count: int, limit: int = 100) -> list[int]:
    """Return the numbers of the next events."""
    found: list[int] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            batch = await feed.next(limit)
            assert not batch.reset
            found += [int(event.document.rsplit(b":", 1)[1][:-1]) for event in batch.events]
    return found


async def test_it_works(fanout: Fanout, session: TelegramSession) -> None:
    mine = await sync_to_async(access)(session)
    await append(session, 0, 5)
    replay = await fanout.join(mine, Filter(), 0)
    live = await fanout.join(mine, Filter())
    assert await take(replay, 5) == list(range(5))
    await append(session, 5, 10)
    assert await take(replay, 5) == await take(live, 5) == list(range(5, 10))
    assert replay.cursor == live.cursor == 10


async def test_a_slow_feed_reads_the_log_again(
    fanout: Fanout, session: TelegramSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_EVENTS", 20)
    mine = await sync_to_async(access)(session)
    slow, quick = await fanout.join(mine, Filter(), 0), await fanout.join(mine, Filter(), 0)
    await append(session, 0, 1)
    assert await take(slow, 1) == await take(quick, 1) == [0]
    waiting = asyncio.create_task(take(slow, 1, limit=1))
    while not slow.live:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    for start in range(1, 201, 10):
        await append(session, start, start + 10)
        assert await take(quick, 10) == list(range(start, start + 10))
    assert await waiting == [1]
    assert not slow.live
    assert await take(slow, 199) == list(range(2, 201))
    await append(session, 201, 205)
    assert await take(slow, 4) == list(range(201, 205))


async def test_filters_and_owners(fanout: Fanout, session: TelegramSession) -> None:
    mine = await sync_to_async(access)(session)
    stranger = await User.objects.acreate(username="bob")
    foreign = await TelegramSession.objects.acreate(owner=stranger, name="b")
    wanted = Filter(kinds=frozenset({"message.edited"}))
    feed = await fanout.join(mine, wanted)
    await append(foreign, 0, 3, "message.edited")
    await append(session, 3, 6)
    await append(session, 6, 8, "message.edited")
    assert await take(feed, 2) == [6, 7]


async def test_a_session_that_is_made_later_is_heard_of(
    fanout: Fanout, session: TelegramSession
) -> None:
    mine = await sync_to_async(access)(session)
    feed = await fanout.join(mine, Filter())
    later = await TelegramSession.objects.acreate(owner=session.owner, name="later")
    await append(later, 0, 1)
    assert await take(feed, 1) == [0]


async def test_a_cursor_before_what_is_kept_is_reset(
    fanout: Fanout, session: TelegramSession
) -> None:
    mine = await sync_to_async(access)(session)
    await append(session, 0, 5)
    later = datetime.now(UTC) + timedelta(days=1)
    await sync_to_async(events.prune)(before=later)
    await append(session, 5, 7)
    feed = await fanout.join(mine, Filter(), 2)
    batch = await feed.next()
    assert (batch.reset, batch.oldest, batch.next) == (True, 6, 5)
    assert await take(feed, 2) == [5, 6]


@sync_to_async
def let_in(session: TelegramSession) -> ChatAccess:
    """Have the session's account read a channel."""
    session.account = Account.objects.create(user_id=1)
    session.save()
    chat = Chat.objects.create(peer_id=CHANNEL, type="channel")
    return ChatAccess.objects.create(account=session.account, chat=chat, member=True)


async def test_what_waits_is_not_told_after_a_kick(
    fanout: Fanout, session: TelegramSession
) -> None:
    grant = await let_in(session)
    mine = await sync_to_async(access)(session)
    slow, quick = await fanout.join(mine, Filter()), await fanout.join(mine, Filter())
    await append(session, 0, 1)
    assert await take(slow, 1) == await take(quick, 1) == [0]
    waiting = asyncio.create_task(take(slow, 1, limit=1))
    while not slow.live:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    await append(session, 1, 5, chat_id=CHANNEL)
    assert await take(quick, 4) == [1, 2, 3, 4]
    assert await waiting == [1]
    await grant.adelete()
    while not fanout.withdrawn:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await append(session, 5, 6, chat_id=CHANNEL)
    await append(session, 6, 7, "chat.member", chat_id=CHANNEL)
    assert await take(slow, 1) == await take(quick, 1) == [6]
    # Back again: what is said now is told, though it was not just asked for.
    await grant.asave(force_insert=True)
    await append(session, 7, 8, chat_id=CHANNEL)
    assert await take(slow, 1) == await take(quick, 1) == [7]


async def test_what_was_lent_is_not_sent_after_a_kick(
    fanout: Fanout, session: TelegramSession
) -> None:
    grant = await let_in(session)
    mine = await sync_to_async(access)(session)
    feed = await fanout.join(mine, Filter(), 0)
    await append(session, 0, 3, chat_id=CHANNEL)
    batch = await feed.next()
    assert [feed.may_tell(event) for event in batch.events] == [True] * 3
    await grant.adelete()
    while not fanout.withdrawn:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    assert [feed.may_tell(event) for event in batch.events] == [False] * 3
