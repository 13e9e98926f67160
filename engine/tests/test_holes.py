"""Refilling from history: a page at a time, around what cannot be read."""

from types import SimpleNamespace

from telethon import errors, types

from engine.ingest_holes import account_pages, channel_pages, latest_channel_pages


def message(number):
    return types.Message(id=number, peer_id=types.PeerChannel(1), message=str(number))


class History:
    """Answers history requests as Telegram's documentation says, from a list of ids."""

    def __init__(self, ids, unreadable=()):
        self.ids = sorted(ids, reverse=True)
        self.unreadable = set(unreadable)
        self.asked = 0

    async def __call__(self, request):
        self.asked += 1
        if hasattr(request, "offset_id"):
            newer = [i for i in self.ids if request.offset_id and i >= request.offset_id]
            start = max(0, len(newer) + request.add_offset)
            page = self.ids[start : start + request.limit]
            page = [i for i in page if i > request.min_id]
        else:
            page = [one.id for one in request.id if one.id in self.ids]
        if self.unreadable & set(page):
            raise errors.TypeNotFoundError(0xDEADBEEF, b"")
        return SimpleNamespace(messages=[message(i) for i in page], users=[], chats=[])


async def read(pages):
    return [m.id for page in [page async for page in pages] for m in page.messages]


async def test_it_works():
    history = History(range(1, 251))
    assert await read(channel_pages(history, None, 40, 250)) == list(range(41, 251))
    assert history.asked == 3


async def test_nothing_is_missing():
    assert await read(channel_pages(History(range(1, 41)), None, 40, 0)) == []


async def test_deleted_messages_leave_no_gap_behind():
    ids = [n for n in range(1, 1000) if n % 7 and not 300 < n < 600]
    wanted = [n for n in ids if n > 40]
    assert await read(channel_pages(History(ids), None, 40, 999)) == wanted


async def test_a_message_that_cannot_be_read_is_left_out_alone():
    history = History(range(1, 301), unreadable=[150])
    wanted = [n for n in range(41, 301) if n != 150]
    assert await read(channel_pages(history, None, 40, 300)) == wanted


async def test_the_account_is_read_by_id():
    ids = [n for n in range(1, 400) if n % 5]
    history = History(ids)
    assert await read(account_pages(history, 40, 399)) == [n for n in ids if n > 40]


async def test_the_account_is_read_around_what_cannot_be_read():
    history = History(range(1, 301), unreadable=[77])
    wanted = [n for n in range(41, 301) if n != 77]
    assert await read(account_pages(history, 40, 300)) == wanted


async def test_each_page_says_how_far_it_reaches():
    pages = [page async for page in account_pages(History(range(1, 251)), 0, 250)]
    assert [page.reached for page in pages] == [100, 200, 250]


async def test_without_a_known_message_the_latest_are_read():
    assert await read(latest_channel_pages(History(range(1, 501)), None, 151)) == list(
        range(350, 501)
    )
