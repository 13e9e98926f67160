"""Telegram's own search, in one chat and in all."""

import pytest

from engine.errors import BadRequest
from engine.telegram import search
from engine.telegram.rpc import Refusal, refused_with

NOON = 1_700_000_000


@pytest.fixture
def spoken(telegram):
    world = telegram.world
    club = world.add_channel(
        "Club", telegram.bob, [telegram.alice, telegram.carol], megagroup=True, date=NOON
    )
    for number in range(30):
        world.post(telegram.bob, club, f"apple {number}", date=NOON + 10 * number)
    world.post(telegram.carol, club, "apple of Carol", date=NOON + 1000)
    world.post(telegram.bob, telegram.alice, "a pear and an apple", date=NOON + 2000)
    return club


async def everything(page_of):
    found, offset = [], None
    while True:
        page = await page_of(offset)
        found += page["results"]
        offset = page["next"]
        if offset is None:
            return found


async def test_it_works(telegram, client, spoken):
    page = await search.search_chat(client, chat_id=spoken.peer, query="apple", limit=5)
    assert page["total"] == 31
    assert [hit["message"] for hit in page["results"]][:2] == ["apple of Carol", "apple 29"]
    assert {hit["dialog_id"] for hit in page["results"]} == {spoken.peer}
    assert {hit["dialog_name"] for hit in page["results"]} == {"Club"}


async def test_pages(telegram, client, spoken):
    found = await everything(
        lambda offset: search.search_chat(
            client, chat_id=spoken.peer, query="apple", limit=7, offset=offset
        )
    )
    assert len({hit["message_id"] for hit in found}) == len(found) == 31


async def test_everywhere(telegram, client, spoken):
    page = await search.search_global(client, query="apple")
    assert page["total"] == 32
    assert page["results"][0]["dialog_name"] == "Bob"
    found = await everything(
        lambda offset: search.search_global(client, query="apple", limit=9, offset=offset)
    )
    assert len({(hit["dialog_id"], hit["message_id"]) for hit in found}) == len(found) == 32


async def test_dates_are_inclusive(telegram, client, spoken):
    bounds = {"min_date": NOON + 50, "max_date": NOON + 100}
    page = await search.search_chat(client, chat_id=spoken.peer, query="apple", **bounds)
    assert [hit["message"] for hit in page["results"]] == [f"apple {n}" for n in range(10, 4, -1)]
    page = await search.search_global(client, query="apple", **bounds)
    assert len(page["results"]) == 6


async def test_by_sender(telegram, client, spoken):
    page = await search.search_chat(
        client, chat_id=spoken.peer, query="apple", from_user="@bob_the_builder"
    )
    assert page["total"] == 30
    page = await search.search_chat(client, chat_id=spoken.peer, query="", from_user="me")
    assert page["results"] == []


async def test_nothing_found(telegram, client, spoken):
    page = await search.search_chat(client, chat_id=spoken.peer, query="zebra")
    assert page == {"results": [], "total": 0, "next": None}


async def test_refusals(client, spoken, telegram):
    with pytest.raises(BadRequest):
        await search.search_global(client, query="x", limit=0)
    await search.search_chat(client, chat_id=spoken.peer, query="x")
    telegram.world.ban(spoken, telegram.alice)
    with pytest.raises(Refusal) as caught:
        await search.search_chat(client, chat_id=spoken.peer, query="x")
    assert refused_with(caught.value, "CHANNEL_PRIVATE", "USER_BANNED_IN_CHANNEL")
