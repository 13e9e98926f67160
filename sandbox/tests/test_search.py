"""Telegram's search with unmodified Telethon: words, filters, senders, dates, counts."""

from datetime import UTC, datetime

import pytest
from telethon import errors, functions, types

from sandbox.world.blobs import Blob

START = 1_700_000_000


@pytest.fixture
async def client(telethon, alice):
    client = await telethon(alice)
    await client.get_dialogs()
    return client


@pytest.fixture(autouse=True)
def talk(sandbox, alice, bob):
    """A supergroup of Bob's with a message of each kind, one a minute."""
    world = sandbox.world
    chat = world.add_channel("Talk", bob, [alice], megagroup=True, date=START)
    rows = [
        (bob, "Apples and pears", None),
        (alice, "an apple a day #fruit", None),
        (bob, "Яблоко от яблони", None),
        (bob, "holiday", world.add_photo()),
        (bob, "", world.add_document(Blob(1000, 1), "apple pie.pdf", "application/pdf")),
        (alice, "", world.add_video(5000)),
        (bob, "", world.add_voice()),
        (bob, "look: https://example.org", None),
        (bob, "", world.add_poll("Apple or pear?", "apple", "pear")),
        (bob, "", types.MessageMediaGeo(types.GeoPoint(1.0, 2.0, 0))),
    ]
    for number, (who, text, media) in enumerate(rows, 1):
        world.post(who, chat, text, media=media, date=START + 60 * number)
    return chat


async def found(client, peer, *args, **options):
    messages = await client.get_messages(peer, None, *args, **options)
    return [message.id for message in messages]


async def test_it_works(client, talk):
    messages = await client.get_messages(talk.peer, None, search="apple")
    assert [message.id for message in messages] == [10, 6, 3, 2]
    assert messages.total == 4


async def test_words_are_found_by_their_beginning(client, talk):
    assert await found(client, talk.peer, search="APPL") == [10, 6, 3, 2]
    assert await found(client, talk.peer, search="pple") == []
    assert await found(client, talk.peer, search="pears apples") == [2]
    assert await found(client, talk.peer, search="яблок") == [4]
    assert await found(client, talk.peer, search="#fruit") == [3]
    assert await found(client, talk.peer, search="...") == []


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (types.InputMessagesFilterPhotos, [5]),
        (types.InputMessagesFilterVideo, [7]),
        (types.InputMessagesFilterPhotoVideo, [7, 5]),
        (types.InputMessagesFilterDocument, [6]),
        (types.InputMessagesFilterVoice, [8]),
        (types.InputMessagesFilterUrl, [9]),
        (types.InputMessagesFilterPoll, [10]),
        (types.InputMessagesFilterGeo, [11]),
        (types.InputMessagesFilterMusic, []),
        (types.InputMessagesFilterGif, []),
        (types.InputMessagesFilterPinned, []),
        (types.InputMessagesFilterMyMentions, []),
        (types.InputMessagesFilterPhoneCalls, []),
        (types.InputMessagesFilterChatPhotos, []),
    ],
)
async def test_filters(client, talk, wanted, ids):
    assert await found(client, talk.peer, filter=wanted) == ids


async def test_a_limit_of_0_gives_the_count(client, talk):
    messages = await client.get_messages(talk.peer, 0, search="apple")
    assert (list(messages), messages.total) == ([], 4)


async def test_by_sender(client, talk, alice, bob):
    assert await found(client, talk.peer, from_user="me") == [7, 3]
    await client.get_participants(talk.peer)
    assert await found(client, talk.peer, from_user=bob.id, search="apple") == [10, 6, 2]


async def test_dates_are_exclusive_on_both_sides(client, talk):
    peer = await client.get_input_entity(talk.peer)

    def at(minute):
        return datetime.fromtimestamp(START + 60 * minute, UTC)

    result = await client(
        functions.messages.SearchRequest(
            peer, "apple", types.InputMessagesFilterEmpty(), at(1), at(9), 0, 0, 100, 0, 0, 0
        )
    )
    assert [message.id for message in result.messages] == [6, 3]


async def test_pages(client, talk):
    peer = await client.get_input_entity(talk.peer)

    async def page(**fields):
        given = {**dict(offset_id=0, add_offset=0, limit=2, max_id=0, min_id=0, hash=0), **fields}
        result = await client(
            functions.messages.SearchRequest(
                peer, "apple", types.InputMessagesFilterEmpty(), None, None, **given
            )
        )
        return [message.id for message in result.messages], result.count

    assert await page() == ([10, 6], 4)
    assert await page(offset_id=6) == ([3, 2], 4)
    assert await page(add_offset=1) == ([6, 3], 4)
    assert await page(min_id=6) == ([10], 4)


async def test_an_empty_query_is_refused(client, talk):
    peer = await client.get_input_entity(talk.peer)
    with pytest.raises(errors.SearchQueryEmptyError):
        await client.get_messages(peer, 5, search="")
    with pytest.raises(errors.SearchQueryEmptyError):
        await client.get_messages(None, 5)


async def test_everywhere(sandbox, client, alice, bob, talk):
    world = sandbox.world
    world.post(bob, alice, "apple juice", date=START + 310)
    secret = world.add_channel("Elsewhere", bob)
    world.post(bob, secret, "apples too")
    messages = await client.get_messages(None, None, search="apple")
    assert [(message.chat_id, message.message) for message in messages] == [
        (talk.peer, ""),
        (bob.id, "apple juice"),
        (talk.peer, ""),
        (talk.peer, "an apple a day #fruit"),
        (talk.peer, "Apples and pears"),
    ]
    assert messages.total == 5


async def test_everywhere_in_pages(sandbox, client, bob, talk):
    for number in range(250):
        sandbox.world.post(bob, talk, f"word {number}", date=START + 3600 + number // 3)
    texts = [m.message async for m in client.iter_messages(None, search="word", wait_time=0)]
    assert texts == [f"word {number}" for number in reversed(range(250))]


async def test_kinds_of_chats(sandbox, client, alice, bob, talk):
    sandbox.world.post(bob, alice, "apple juice")

    async def count(**kinds):
        result = await client(
            functions.messages.SearchGlobalRequest(
                "apple",
                types.InputMessagesFilterEmpty(),
                None,
                None,
                0,
                types.InputPeerEmpty(),
                0,
                10,
                **kinds,
            )
        )
        return len(result.messages)

    assert await count(users_only=True) == 1
    assert await count(groups_only=True) == 4
    assert await count(broadcasts_only=True) == 0
    assert await count(folder_id=1) == 0
    with pytest.raises(errors.FolderIdInvalidError):
        await count(folder_id=9)


async def test_counters(client, talk):
    peer = await client.get_input_entity(talk.peer)
    filters = [types.InputMessagesFilterPhotos(), types.InputMessagesFilterMusic()]
    rows = await client(functions.messages.GetSearchCountersRequest(peer, filters))
    assert [row.count for row in rows] == [1, 0]


async def test_hidden_pre_history_is_not_found(sandbox, client, alice, bob):
    chat = sandbox.world.add_channel("Quiet", bob, megagroup=True, hidden_prehistory=True)
    sandbox.world.post(bob, chat, "apple before")
    sandbox.world.join(alice, chat)
    sandbox.world.post(bob, chat, "apple after")
    await client.get_dialogs()
    messages = await client.get_messages(chat.peer, None, search="apple")
    assert [message.message for message in messages] == ["apple after"]


async def test_a_contacts_name_is_not_searched_for(client, talk):
    assert await found(client, talk.peer, search="bob") == []
