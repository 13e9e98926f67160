"""Reading messages with unmodified Telethon: every offset, count and refusal of getHistory."""

from datetime import UTC, datetime

import pytest
from telethon import errors, functions, types

from sandbox.methods.pages import results_hash

START = 1_700_000_000


def fill(world, chat, author, count, *, step=60):
    """Post `count` messages "1", "2", … one minute apart."""
    return [
        world.post(author, chat, str(number), date=START + step * number)
        for number in range(1, count + 1)
    ]


@pytest.fixture
def channel(sandbox, alice):
    """A supergroup of Alice's with 250 messages, ids 2 to 251 (1 is its founding)."""
    group = sandbox.world.add_channel("Talk", alice, megagroup=True, date=START)
    fill(sandbox.world, group, alice, 250)
    return group


@pytest.fixture
async def client(telethon, alice):
    return await telethon(alice)


@pytest.fixture
async def peer(client, channel):
    await client.get_dialogs()
    return await client.get_input_entity(channel.peer)


async def page(client, peer, **given):
    fields = dict(offset_id=0, offset_date=None, add_offset=0, limit=5, max_id=0, min_id=0, hash=0)
    return await client(functions.messages.GetHistoryRequest(peer, **{**fields, **given}))


def ids(result):
    return [message.id for message in result.messages]


async def test_it_works(client, peer, channel):
    result = await page(client, peer)
    assert isinstance(result, types.messages.ChannelMessages)
    assert ids(result) == [251, 250, 249, 248, 247]
    assert (result.count, result.pts) == (251, channel.box.pts)
    assert [chat.id for chat in result.chats] == [channel.id]
    assert result.messages[0].message == "250"


async def test_offset_id_is_exclusive(client, peer):
    assert ids(await page(client, peer, offset_id=100)) == [99, 98, 97, 96, 95]


async def test_offset_id_beyond_the_newest_begins_there(client, peer):
    assert ids(await page(client, peer, offset_id=9999, limit=2)) == [251, 250]


async def test_add_offset_moves_the_page(client, peer):
    assert ids(await page(client, peer, offset_id=100, add_offset=3)) == [96, 95, 94, 93, 92]
    assert ids(await page(client, peer, offset_id=100, add_offset=-5)) == [104, 103, 102, 101, 100]
    assert ids(await page(client, peer, offset_id=100, add_offset=-2)) == [101, 100, 99, 98, 97]


async def test_what_lies_beyond_the_newest_is_cut_off(client, peer):
    assert ids(await page(client, peer, offset_id=250, add_offset=-5)) == [251, 250]
    assert ids(await page(client, peer, add_offset=-5)) == []


async def test_offset_date_is_exclusive(client, peer):
    date = datetime.fromtimestamp(START + 60 * 99, UTC)  # when id 100 was sent
    assert ids(await page(client, peer, offset_date=date)) == [99, 98, 97, 96, 95]


async def test_offset_id_beats_offset_date(client, peer):
    date = datetime.fromtimestamp(START + 60 * 10, UTC)
    assert ids(await page(client, peer, offset_id=200, offset_date=date, limit=2)) == [199, 198]


async def test_max_id_and_min_id_filter_a_page_and_do_not_move_it(client, peer):
    assert ids(await page(client, peer, max_id=249)) == [248, 247]
    assert ids(await page(client, peer, max_id=100)) == []
    assert ids(await page(client, peer, min_id=248)) == [251, 250, 249]
    window = await page(client, peer, offset_id=101, min_id=97, limit=100)
    assert ids(window) == [100, 99, 98]


async def test_limit_is_capped_at_100(client, peer):
    assert len((await page(client, peer, limit=1000)).messages) == 100


async def test_limit_0_gives_an_intermediate_number(client, peer):
    assert len((await page(client, peer, limit=0)).messages) == 20


async def test_a_known_hash_is_not_modified(client, peer):
    known = results_hash([251, 250, 249, 248, 247])
    result = await page(client, peer, hash=known)
    assert isinstance(result, types.messages.MessagesNotModified)
    assert result.count == 251
    assert ids(await page(client, peer, hash=known + 1))


async def test_iter_messages_both_ways(client, peer):
    newest = [message.id async for message in client.iter_messages(peer, wait_time=0)]
    assert newest == list(range(251, 0, -1))
    oldest = [m.id async for m in client.iter_messages(peer, reverse=True, wait_time=0)]
    assert oldest == list(range(1, 252))


async def test_iter_messages_between_ids(client, peer):
    some = [m.id async for m in client.iter_messages(peer, min_id=20, max_id=150, wait_time=0)]
    assert some == list(range(149, 20, -1))
    back = [
        m.id
        async for m in client.iter_messages(peer, min_id=20, max_id=150, reverse=True, wait_time=0)
    ]
    assert back == list(range(21, 150))


async def test_iter_messages_from_a_date_on(client, peer):
    date = datetime.fromtimestamp(START + 60 * 240, UTC)
    found = await client.get_messages(peer, None, offset_date=date, reverse=True, wait_time=0)
    assert [message.id for message in found] == list(range(241, 252))


async def test_deleted_messages_leave_gaps(sandbox, client, peer, channel):
    gone = [channel.history.get(number) for number in (250, 249)]
    sandbox.world.delete(*gone)
    result = await page(client, peer, limit=3)
    assert ids(result) == [251, 248, 247]
    assert result.count == 249


async def test_a_private_chat_counts_its_own_messages(sandbox, telethon, alice, bob):
    world = sandbox.world
    group = world.add_group("Three", bob, [alice], date=START)
    fill(world, bob, alice, 3)
    world.post(bob, group, "elsewhere", date=START + 900)
    fill(world, alice, bob, 2)
    client = await telethon(alice)
    await client.get_dialogs()
    result = await page(client, await client.get_input_entity(bob.id))
    assert isinstance(result, types.messages.Messages)
    assert [(m.message, m.out) for m in result.messages] == [
        ("2", False),
        ("1", False),
        ("3", True),
        ("2", True),
        ("1", True),
    ]
    part = await page(client, await client.get_input_entity(bob.id), limit=2)
    assert isinstance(part, types.messages.MessagesSlice)
    assert part.count == 5


async def test_ids_differ_between_the_two_sides(sandbox, telethon, alice, bob):
    world = sandbox.world
    world.post(bob, bob, "to myself")
    message = world.post(alice, bob, "hello")
    clients = [await telethon(user) for user in (alice, bob)]
    for client in clients:
        await client.get_dialogs()
    [mine] = await clients[0].get_messages(bob.id)
    [theirs] = await clients[1].get_messages(alice.id)
    assert (mine.message, theirs.message) == ("hello", "hello")
    assert (mine.id, theirs.id) == (message.ids[alice.id], message.ids[bob.id])
    assert mine.id != theirs.id
    assert (mine.out, theirs.out) == (True, False)
    assert (mine.sender_id, theirs.sender_id) == (alice.id, alice.id)


async def test_hidden_pre_history_does_not_exist(sandbox, telethon, alice, bob):
    world = sandbox.world
    group = world.add_channel("Quiet", alice, megagroup=True, hidden_prehistory=True, date=START)
    fill(world, group, alice, 10)
    world.join(bob, group)
    world.post(alice, group, "welcome")
    client = await telethon(bob)
    await client.get_dialogs()
    messages = await client.get_messages(group.peer, None)
    assert [message.message for message in messages][:-1] == ["welcome"]
    assert isinstance(messages[-1], types.MessageService)
    assert messages.total == 2
    assert await client.get_messages(group.peer, ids=[3]) == [None]
    full = await client(functions.channels.GetFullChannelRequest(group.peer))
    assert full.full_chat.available_min_id == 11
    assert full.full_chat.hidden_prehistory


async def test_messages_by_id_keep_their_order(client, peer):
    found = await client.get_messages(peer, ids=[7, 5000, 3])
    assert [message and message.id for message in found] == [7, None, 3]


async def test_the_message_replied_to(sandbox, client, peer, channel, alice):
    first = channel.history.get(50)
    answer = sandbox.world.post(alice, channel, "answer", reply_to=first)
    message = await client.get_messages(peer, ids=answer.channel_id)
    assert (await message.get_reply_message()).id == 50


async def test_the_pinned_message(sandbox, client, peer, channel, alice):
    sandbox.world.pin(channel.history.get(40), alice)
    found = await client.get_messages(peer, ids=types.InputMessagePinned())
    assert found.id == 40


async def test_no_ids_is_refused(client, peer):
    with pytest.raises(errors.MessageIdsEmptyError):
        await client(functions.channels.GetMessagesRequest(peer, []))


async def test_another_accounts_access_hash_is_refused(sandbox, telethon, bob, client, peer):
    sandbox.world.join(bob, -1_000_000_000_000 - peer.channel_id)
    other = await telethon(bob)
    with pytest.raises(errors.ChannelInvalidError):
        await page(other, peer)


async def test_a_wrong_user_hash_is_refused(client, bob):
    with pytest.raises(errors.PeerIdInvalidError):
        await page(client, types.InputPeerUser(bob.id, 12345))


async def test_an_empty_peer_is_refused(client):
    with pytest.raises(errors.PeerIdInvalidError):
        await page(client, types.InputPeerEmpty())


async def test_a_foreign_group_is_refused(sandbox, telethon, alice, bob):
    group = sandbox.world.add_group("Bob's", bob)
    client = await telethon(alice)
    with pytest.raises(errors.PeerIdInvalidError):
        await page(client, types.InputPeerChat(group.id))


async def test_a_private_channel_is_closed_to_outsiders(sandbox, telethon, alice, bob, channel):
    client = await telethon(bob)
    access_hash = sandbox.world.access_hash(bob.id, channel.peer)
    with pytest.raises(errors.ChannelPrivateError):
        await page(client, types.InputPeerChannel(channel.id, access_hash))


async def test_a_public_channel_is_open_until_one_is_banned(sandbox, telethon, alice, bob):
    world = sandbox.world
    news = world.add_channel("News", alice, username="news", date=START)
    fill(world, news, alice, 3)
    client = await telethon(bob)
    assert len(await client.get_messages("news", None)) == 4
    world.ban(news, bob)
    with pytest.raises(errors.ChannelPrivateError):
        await client.get_messages("news", None)


async def test_the_kicked_lose_a_private_supergroup(sandbox, telethon, alice, bob, channel):
    world = sandbox.world
    world.join(bob, channel)
    client = await telethon(bob)
    await client.get_dialogs()
    assert await client.get_messages(channel.peer)
    world.kick(channel, bob)
    with pytest.raises(errors.ChannelPrivateError):
        await client.get_messages(channel.peer)


async def test_the_kicked_keep_what_a_basic_group_gave_them(sandbox, telethon, alice, bob):
    world = sandbox.world
    group = world.add_group("Three", alice, [bob], date=START)
    world.post(alice, group, "before")
    world.kick(group, bob)
    world.post(alice, group, "after")
    client = await telethon(bob)
    await client.get_dialogs()
    messages = await client.get_messages(types.PeerChat(group.id), None)
    assert [message.message for message in messages if message.message] == ["before"]


async def test_a_negative_offset_id_is_refused(client, peer):
    with pytest.raises(errors.MsgIdInvalidError):
        await page(client, peer, offset_id=-1)


async def test_comments_of_a_post(sandbox, telethon, alice, bob):
    world = sandbox.world
    news = world.add_channel("News", alice, username="thenews", date=START)
    talk = world.add_channel("Talk", alice, megagroup=True, username="thetalk", date=START)
    world.link_discussion(news, talk)
    post = world.post(alice, news, "post")
    copy = talk.history.top
    first = world.post(bob, talk, "first!", reply_to=copy)
    world.post(alice, talk, "besides")
    world.post(alice, talk, "answer", reply_to=first)
    client = await telethon(bob)
    found = await client.get_messages("thenews", None, reply_to=post.channel_id)
    assert [message.message for message in found] == ["answer", "first!"]
    assert found.total == 2
    sent = await client.send_message("thenews", "me too", comment_to=post.channel_id)
    assert sent.peer_id == types.PeerChannel(talk.id)
    assert sent.reply_to.reply_to_msg_id == copy.channel_id


async def test_comments_of_a_message_that_is_not_there(client, peer):
    with pytest.raises(errors.MsgIdInvalidError):
        await client.get_messages(peer, 5, reply_to=9999)


async def test_a_forum_topic(sandbox, telethon, alice):
    world = sandbox.world
    forum = world.add_channel("Forum", alice, megagroup=True, forum=True)
    topic = world.add_topic(forum, "Cats")
    world.post(alice, forum, "meow", topic_id=topic.id)
    world.post(alice, forum, "general")
    client = await telethon(alice)
    await client.get_dialogs()
    found = await client.get_messages(forum.peer, None, reply_to=topic.id)
    assert [message.message for message in found if message.message] == ["meow"]
    assert found[0].reply_to.forum_topic
    assert found[0].reply_to.reply_to_msg_id == topic.id


async def test_view_counters_count_an_account_once(sandbox, telethon, alice, bob):
    world = sandbox.world
    news = world.add_channel("News", alice, username="counted")
    post = world.post(alice, news, "post", views=41)
    client = await telethon(bob)
    peer = await client.get_input_entity("counted")
    for _ in range(2):
        result = await client(
            functions.messages.GetMessagesViewsRequest(peer, [post.channel_id], increment=True)
        )
        assert result.views[0].views == 42


async def test_a_history_of_reads(sandbox, telethon, alice, bob):
    world = sandbox.world
    fill(world, alice, bob, 3)
    clients = [await telethon(user) for user in (alice, bob)]
    await clients[0].get_dialogs()
    [dialog] = [one for one in await clients[0].get_dialogs() if one.id == bob.id]
    assert dialog.unread_count == 3
    await clients[0].send_read_acknowledge(bob.id, max_id=dialog.message.id - 1)
    [dialog] = [one for one in await clients[0].get_dialogs() if one.id == bob.id]
    assert dialog.unread_count == 1
    [theirs] = [one for one in await clients[1].get_dialogs() if one.id == alice.id]
    assert theirs.dialog.read_outbox_max_id == world.history(bob.id, alice.id).ids[1]


async def test_reading_a_channel(client, peer, channel, sandbox, bob):
    sandbox.world.join(bob, channel)
    sandbox.world.post(bob, channel, "news")
    [dialog] = await client.get_dialogs()
    assert dialog.unread_count > 0
    assert await client.send_read_acknowledge(peer) is True
    [dialog] = await client.get_dialogs()
    assert dialog.unread_count == 0
