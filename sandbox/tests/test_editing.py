"""Editing, deleting, pinning, reacting and voting with unmodified Telethon, and each refusal."""

import asyncio

import pytest
from telethon import errors, events, functions, types
from telethon.tl.types import ChatAdminRights, ChatBannedRights

OLD = 1_700_000_000


@pytest.fixture
async def client(telethon, alice):
    return await telethon(alice)


@pytest.fixture
def group(sandbox, alice, bob):
    return sandbox.world.add_group("Three", alice, [bob])


@pytest.fixture
def talk(sandbox, alice, bob):
    """A supergroup of Bob's with Alice in it."""
    return sandbox.world.add_channel("Talk", bob, [alice], megagroup=True)


@pytest.fixture
def news(sandbox, alice, bob):
    """A broadcast channel of Bob's with Alice in it."""
    return sandbox.world.add_channel("News", bob, [alice])


@pytest.fixture
def chat(sandbox, alice, bob):
    """A private chat that has begun."""
    sandbox.world.post(bob, alice, "hello")
    return bob


async def known(client, peer):
    """Let a client learn its dialogs, and return the input peer of one."""
    await client.get_dialogs()
    return await client.get_input_entity(peer)


async def test_editing(telethon, client, alice, bob, chat):
    other = await telethon(bob)
    await other.get_dialogs()
    seen = asyncio.Queue()
    other.add_event_handler(seen.put, events.MessageEdited())
    await client.get_dialogs()
    message = await client.send_message(chat.id, "hi")
    edited = await client.edit_message(message, "hi!")
    assert (edited.id, edited.message) == (message.id, "hi!")
    assert edited.edit_date
    assert (await asyncio.wait_for(seen.get(), 20)).raw_text == "hi!"


async def test_editing_nothing_is_refused(client, talk):
    await client.get_dialogs()
    message = await client.send_message(talk.peer, "same **bold**")
    with pytest.raises(errors.MessageNotModifiedError):
        await client.edit_message(talk.peer, message.id, "same **bold**")
    with pytest.raises(errors.MessageEmptyError):
        await client(functions.messages.EditMessageRequest(talk.peer, message.id, message=" "))
    with pytest.raises(errors.MessageIdInvalidError):
        await client.edit_message(talk.peer, 999, "text")
    with pytest.raises(errors.MessageTooLongError):
        await client.edit_message(talk.peer, message.id, "x" * 4097)


async def test_editing_what_others_wrote_is_refused(sandbox, client, talk, news, bob):
    await client.get_dialogs()
    post = sandbox.world.post(bob, talk, "Bob's")
    with pytest.raises(errors.MessageAuthorRequiredError):
        await client.edit_message(talk.peer, post.channel_id, "mine")
    post = sandbox.world.post(bob, news, "Bob's")
    with pytest.raises(errors.ChatAdminRequiredError):
        await client.edit_message(news.peer, post.channel_id, "mine")


async def test_editing_ends_after_48_hours(sandbox, client, alice, bob):
    world = sandbox.world
    old = world.post(alice, bob, "old", date=OLD)
    note = world.post(alice, alice, "old", date=OLD)
    await client.get_dialogs()
    with pytest.raises(errors.MessageEditTimeExpiredError):
        await client.edit_message(bob.id, old.ids[alice.id], "new")
    assert await client.edit_message("me", note.ids[alice.id], "new")


async def test_deleting(telethon, client, alice, bob, chat):
    other = await telethon(bob)
    await other.get_dialogs()
    gone = asyncio.Queue()
    other.add_event_handler(gone.put, events.MessageDeleted())
    await client.get_dialogs()
    sent = [await client.send_message(chat.id, text) for text in "ab"]
    before = alice.box.pts
    [affected] = await client.delete_messages(chat.id, [*sent, 999])
    assert (affected.pts, affected.pts_count) == (before + 2, 2)
    event = await asyncio.wait_for(gone.get(), 20)
    assert len(event.deleted_ids) == 2
    assert [m.message for m in await client.get_messages(chat.id, None)] == ["hello"]
    assert [m.message for m in await other.get_messages(alice.id, None)] == ["hello"]


async def test_deleting_for_oneself(telethon, client, alice, bob, chat):
    await client.get_dialogs()
    message = await client.send_message(chat.id, "mine")
    await client.delete_messages(chat.id, message, revoke=False)
    other = await telethon(bob)
    await other.get_dialogs()
    assert [m.message for m in await other.get_messages(alice.id, None)] == ["mine", "hello"]


async def test_members_take_back_their_own_in_a_basic_group(sandbox, telethon, alice, bob, group):
    world = sandbox.world
    hers = world.post(alice, group, "Alice's")
    client = await telethon(bob)
    await client.get_dialogs()
    await client.delete_messages(types.PeerChat(group.id), [hers.ids[bob.id]])
    assert hers.ids.keys() == {alice.id}


async def test_deleting_in_a_supergroup(sandbox, client, talk, alice, bob):
    await client.get_dialogs()
    mine = await client.send_message(talk.peer, "mine")
    [affected] = await client.delete_messages(talk.peer, mine)
    assert (affected.pts, affected.pts_count) == (talk.box.pts, 1)
    his = sandbox.world.post(bob, talk, "Bob's")
    with pytest.raises(errors.MessageDeleteForbiddenError):
        await client(functions.channels.DeleteMessagesRequest(talk.peer, [his.channel_id]))
    sandbox.world.promote(talk, alice, ChatAdminRights(delete_messages=True))
    await client.delete_messages(talk.peer, his.channel_id)
    assert talk.history.get(his.channel_id) is None


async def test_deleting_a_whole_chat(client, chat):
    await client.get_dialogs()
    await client.delete_dialog(chat.id)
    assert await client.get_dialogs() == []


async def test_pinning(sandbox, client, talk, alice, bob):
    await client.get_dialogs()
    message = sandbox.world.post(bob, talk, "rules")
    sandbox.world.set_default_rights(talk, ChatBannedRights(None, pin_messages=True))
    with pytest.raises(errors.ChatAdminRequiredError):
        await client.pin_message(talk.peer, message.channel_id)
    sandbox.world.promote(talk, alice, ChatAdminRights(pin_messages=True))
    notice = await client.pin_message(talk.peer, message.channel_id)
    assert isinstance(notice.action, types.MessageActionPinMessage)
    full = await client(functions.channels.GetFullChannelRequest(talk.peer))
    assert full.full_chat.pinned_msg_id == message.channel_id
    with pytest.raises(errors.ChatNotModifiedError):
        await client.pin_message(talk.peer, message.channel_id)
    with pytest.raises(errors.MessageIdInvalidError):
        await client.pin_message(talk.peer, 999)
    await client.unpin_message(talk.peer)
    assert await client.get_messages(talk.peer, ids=types.InputMessagePinned()) is None


async def test_reactions(client, sandbox, talk, bob):
    await client.get_dialogs()
    post = sandbox.world.post(bob, talk, "like me")
    peer, message_id = await client.get_input_entity(talk.peer), post.channel_id

    async def react(*emoji):
        given = [types.ReactionEmoji(one) for one in emoji]
        return await client(
            functions.messages.SendReactionRequest(peer, message_id, reaction=given)
        )

    await react("👍")
    [message] = await client.get_messages(talk.peer)
    [count] = message.reactions.results
    assert (count.reaction.emoticon, count.count, count.chosen_order) == ("👍", 1, 1)
    listed = await client(functions.messages.GetMessageReactionsListRequest(peer, message_id, 10))
    assert listed.count == 1
    shown = await client(functions.messages.GetMessagesReactionsRequest(peer, [message_id]))
    assert shown.updates[0].reactions.results[0].count == 1
    with pytest.raises(errors.MessageNotModifiedError):
        await react("👍")
    with pytest.raises(errors.ReactionInvalidError):
        await react("no")
    with pytest.raises(errors.ReactionsTooManyError):
        await react("👍", "🔥")
    await react()
    assert (await client.get_messages(talk.peer))[0].reactions is None
    with pytest.raises(errors.MessageIdInvalidError):
        await client(functions.messages.SendReactionRequest(peer, 999, reaction=[]))


async def test_reactors_of_a_channel_stay_hidden(client, sandbox, news, bob):
    peer = await known(client, news.peer)
    post = sandbox.world.post(bob, news, "like me")
    with pytest.raises(errors.BroadcastForbiddenError):
        await client(functions.messages.GetMessageReactionsListRequest(peer, post.channel_id, 10))


async def test_a_poll(client, sandbox, talk, bob):
    peer = await known(client, talk.peer)
    post = sandbox.world.post(bob, talk, media=sandbox.world.add_poll("Tea?", "yes", "no"))

    def vote(*options):
        return client(functions.messages.SendVoteRequest(peer, post.channel_id, list(options)))

    result = await vote(b"0")
    [update] = [one for one in result.updates if isinstance(one, types.UpdateMessagePoll)]
    assert [(row.voters, row.chosen) for row in update.results.results] == [(1, True), (0, False)]
    with pytest.raises(errors.OptionInvalidError):
        await vote(b"7")
    with pytest.raises(errors.OptionsTooMuchError):
        await vote(b"0", b"1")
    sandbox.world.close_poll(post)
    with pytest.raises(errors.MessagePollClosedError):
        await vote(b"1")
