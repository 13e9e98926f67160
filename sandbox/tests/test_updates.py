"""Updates with unmodified Telethon: pushed, missed, dropped, too long ago."""

import asyncio
from dataclasses import replace

import pytest
from telethon import errors, events, functions, types

from sandbox.world import World
from sandbox.world.peers import tl_peer

GENEROUS = 30


class Heard:
    """What a client's handlers were told, and a way to wait for it."""

    def __init__(self, client):
        self.texts, self.edits, self.deleted, self.raw = [], [], [], []
        self._changed = asyncio.Event()
        client.add_event_handler(self._new, events.NewMessage())
        client.add_event_handler(self._edited, events.MessageEdited())
        client.add_event_handler(self._gone, events.MessageDeleted())
        client.add_event_handler(self._any, events.Raw())

    async def _new(self, event):
        self.texts.append(event.message.message)
        self._changed.set()

    async def _edited(self, event):
        self.edits.append(event.message.message)
        self._changed.set()

    async def _gone(self, event):
        self.deleted += event.deleted_ids
        self._changed.set()

    async def _any(self, update):
        self.raw.append(update)
        self._changed.set()

    async def until(self, condition):
        async with asyncio.timeout(GENEROUS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def kinds(self):
        return [type(update).__name__ for update in self.raw]


@pytest.fixture
def world(sandbox):
    return sandbox.world


@pytest.fixture
def channel(world, alice, bob):
    return world.add_channel("News", bob, [alice])


async def listening(telethon, user, **options):
    """A client that knows the state of its boxes; Telethon asks for it when it connects."""
    client = await telethon(user, sequential_updates=True, **options)
    await client.disconnect()
    await client.connect()
    heard = Heard(client)
    await client.get_dialogs()
    return client, heard


async def test_it_pushes_new_messages_edits_and_deletions(telethon, world, alice, bob):
    client, heard = await listening(telethon, alice)
    message = world.post(bob, alice, "hello")
    second = world.post(bob, alice, "again")
    await heard.until(lambda: len(heard.texts) == 2)
    assert heard.texts == ["hello", "again"]
    world.edit(message, "hello!")
    ids = [message.ids[alice.id], second.ids[alice.id]]
    world.delete(message, second)
    await heard.until(lambda: len(heard.deleted) == 2)
    assert heard.edits == ["hello!"] and heard.deleted == ids


async def test_a_first_message_brings_its_sender(telethon, world, alice, bob):
    client, heard = await listening(telethon, alice)
    world.post(bob, alice, "one")
    world.post(bob, alice, "two")
    await heard.until(lambda: len(heard.texts) == 2)
    first, second = (update for update in heard.raw if "Message" in type(update).__name__)
    assert isinstance(first, types.UpdateNewMessage)
    assert isinstance(second, types.UpdateNewMessage | types.UpdateShortMessage)
    assert (await client.get_entity(bob.id)).first_name == "Bob"


async def test_deleting_n_messages_is_n_pts(world, alice, bob):
    messages = [world.post(bob, alice, str(number)) for number in range(5)]
    before = alice.box.pts
    world.delete(*messages)
    assert alice.box.pts == before + 5
    assert alice.box.events[-1].pts_count == 5


async def test_own_actions_reach_the_other_sessions_only(telethon, world, alice, bob):
    _, here = await listening(telethon, alice)
    client, there = await listening(telethon, alice)
    world.make_contact(alice, bob)
    await client.send_message(bob.id, "from there")
    await here.until(lambda: here.texts)
    assert here.texts == ["from there"]
    world.post(bob, alice, "answer")
    await there.until(lambda: there.texts)
    assert there.texts == ["answer"]
    assert alice.box.pts == client._message_box.session_state()[0]["pts"]


async def test_channel_posts_have_the_channels_pts(telethon, world, alice, channel):
    client, heard = await listening(telethon, alice)
    before = alice.box.pts
    world.post(channel, channel, "breaking")
    await heard.until(lambda: heard.texts)
    assert alice.box.pts == before
    states = client._message_box.session_state()[1]
    assert states[channel.id] == channel.box.pts


def lose_updates(sandbox, act):
    """Do something whose updates all get lost; on the server's loop, so that they go at once."""
    sandbox.faults.updates(lost=1.0)
    sandbox.server.run(act)
    sandbox.faults.updates()


async def test_lost_updates_are_fetched_as_a_difference(sandbox, telethon, world, alice, bob):
    _, heard = await listening(telethon, alice)
    lose_updates(sandbox, lambda: [world.post(bob, alice, f"lost {n}") for n in range(5)])
    world.post(bob, alice, "seen")
    await heard.until(lambda: len(heard.texts) == 6)
    assert sorted(heard.texts) == [*(f"lost {number}" for number in range(5)), "seen"]
    assert sandbox.calls.count("updates.getDifference") >= 1


async def test_lost_channel_updates_are_fetched(sandbox, telethon, world, alice, channel):
    _, heard = await listening(telethon, alice)
    lose_updates(sandbox, lambda: [world.post(channel, channel, str(n)) for n in range(150)])
    world.post(channel, channel, "seen")
    await heard.until(lambda: len(heard.texts) == 151)
    assert sandbox.calls.count("updates.getChannelDifference") >= 2


async def test_catching_up_after_being_away(sandbox, telethon, world, alice, bob, channel):
    client, _ = await listening(telethon, alice)
    await client.disconnect()
    for number in range(30):
        world.post(bob, alice, f"private {number}")
        world.post(channel, channel, f"post {number}")
    heard = []
    await telethon(
        session=client.session,
        catch_up=True,
        sequential_updates=True,
        prepare=lambda client: heard.append(Heard(client)),
    )
    heard = heard[0]
    await heard.until(lambda: len(heard.texts) == 60)
    assert len(set(heard.texts)) == 60


async def test_without_catch_up_nothing_missed_arrives(telethon, world, alice, bob):
    client, _ = await listening(telethon, alice)
    await client.disconnect()
    world.post(bob, alice, "missed")
    again = await telethon(session=client.session, sequential_updates=True)
    heard = Heard(again)
    await again.get_me()
    assert heard.texts == []


async def difference(client, pts, date=None, **limits):
    state = await client(functions.updates.GetStateRequest())
    request = functions.updates.GetDifferenceRequest(pts, date or state.date, 0, **limits)
    return await client(request)


async def test_the_forms_of_a_difference(telethon, world, alice, bob):
    client = await telethon(alice)
    start = alice.box.pts
    assert isinstance(await difference(client, start), types.updates.DifferenceEmpty)
    messages = [world.post(bob, alice, str(number)) for number in range(7)]
    world.edit(messages[0], "edited")
    world.delete(messages[6])
    whole = await difference(client, start)
    assert isinstance(whole, types.updates.Difference)
    texts = [message.message for message in whole.new_messages]
    assert texts == ["edited", "1", "2", "3", "4", "5"]
    assert [type(one) for one in whole.other_updates] == [
        types.UpdateEditMessage,
        types.UpdateDeleteMessages,
    ]
    assert whole.state.pts == alice.box.pts
    part = await difference(client, start, pts_limit=3)
    assert isinstance(part, types.updates.DifferenceSlice)
    assert len(part.new_messages) == 3 and part.intermediate_state.pts == start + 3
    rest = await difference(client, part.intermediate_state.pts)
    assert len(part.new_messages) + len(rest.new_messages) == 6
    late = await difference(client, start, pts_total_limit=2)
    assert isinstance(late, types.updates.DifferenceTooLong) and late.pts == alice.box.pts


async def test_a_difference_names_the_channels_that_moved(telethon, world, alice, channel):
    client = await telethon(alice)
    world.post(channel, channel, "x")
    found = await difference(client, alice.box.pts)
    assert [type(one) for one in found.other_updates] == [types.UpdateChannelTooLong]
    assert found.other_updates[0].pts == channel.box.pts


async def test_events_that_are_no_longer_kept(sandbox, telethon, world, alice, bob, channel):
    client = await telethon(alice)
    account, news = alice.box.pts, channel.box.pts
    world.limits = replace(world.limits, box_events=10)
    for number in range(20):
        world.post(bob, alice, str(number))
        world.post(channel, channel, str(number))
    assert isinstance(await difference(client, account), types.updates.DifferenceTooLong)
    found = await channel_difference(client, world, alice, channel, news)
    assert isinstance(found, types.updates.ChannelDifferenceTooLong)
    assert found.final and found.dialog.pts == channel.box.pts
    assert found.messages[0].message == "19"
    recent = await channel_difference(client, world, alice, channel, channel.box.pts - 5)
    assert [message.message for message in recent.new_messages] == ["15", "16", "17", "18", "19"]


async def channel_difference(client, world, user, channel, pts, limit=100):
    peer = types.InputChannel(channel.id, world.access_hash(user.id, channel.peer))
    everything = types.ChannelMessagesFilterEmpty()
    request = functions.updates.GetChannelDifferenceRequest(peer, everything, pts, limit)
    return await client(request)


async def test_the_forms_of_a_channel_difference(telethon, world, alice, channel):
    client = await telethon(alice)
    start = channel.box.pts
    empty = await channel_difference(client, world, alice, channel, start)
    assert isinstance(empty, types.updates.ChannelDifferenceEmpty) and empty.final
    for number in range(130):
        world.post(channel, channel, str(number))
    first = await channel_difference(client, world, alice, channel, start, limit=1000)
    assert len(first.new_messages) == 100 and not first.final
    rest = await channel_difference(client, world, alice, channel, first.pts)
    assert len(rest.new_messages) == 30 and rest.final
    for pts, refusal in (
        (0, errors.PersistentTimestampEmptyError),
        (channel.box.pts + 1, errors.PersistentTimestampInvalidError),
    ):
        with pytest.raises(refusal):
            await channel_difference(client, world, alice, channel, pts)


async def test_who_was_kicked_hears_it_and_no_more(telethon, world, alice, bob, channel):
    client, heard = await listening(telethon, alice)
    world.kick(channel, alice)
    await heard.until(lambda: "UpdateChannel" in heard.kinds())
    world.post(channel, channel, "for members")
    world.post(bob, alice, "sorry")
    await heard.until(lambda: heard.texts)
    assert heard.texts == ["sorry"]
    with pytest.raises(errors.ChannelPrivateError):
        await channel_difference(client, world, alice, channel, channel.box.pts)


async def test_hidden_history_is_in_no_difference(telethon, world, alice, bob):
    group = world.add_channel("Secret", bob, megagroup=True, hidden_prehistory=True)
    start = group.box.pts
    world.post(bob, group, "before")
    world.join(alice, group)
    world.post(bob, group, "after")
    client = await telethon(alice)
    found = await channel_difference(client, world, alice, group, start)
    assert [message.message for message in found.new_messages if message.message] == ["after"]


async def test_reading_is_told_on_both_sides(telethon, world, alice, bob):
    _, heard = await listening(telethon, alice)
    _, sender = await listening(telethon, bob)
    message = world.post(bob, alice, "read me")
    world.read(alice, bob)
    await heard.until(lambda: "UpdateReadHistoryInbox" in heard.kinds())
    await sender.until(lambda: "UpdateReadHistoryOutbox" in sender.kinds())
    told = next(one for one in sender.raw if isinstance(one, types.UpdateReadHistoryOutbox))
    assert told.max_id == message.ids[bob.id] and told.peer == tl_peer(alice.id)


async def test_reactions_and_votes_have_no_pts(telethon, world, alice, bob):
    _, heard = await listening(telethon, alice)
    message = world.post(bob, alice, "nice?")
    before = alice.box.pts
    world.react(bob, message, "👍")
    await heard.until(lambda: "UpdateMessageReactions" in heard.kinds())
    told = next(one for one in heard.raw if isinstance(one, types.UpdateMessageReactions))
    assert told.reactions.results[0].count == 1
    assert alice.box.pts == before


async def test_contacts_come_online(telethon, world, alice, bob):
    world.make_contact(alice, bob)
    _, heard = await listening(telethon, alice)
    world.set_online(bob)
    await heard.until(lambda: "UpdateUserStatus" in heard.kinds())
    world.typing(bob, alice)
    await heard.until(lambda: "UpdateUserTyping" in heard.kinds())


def test_every_event_of_a_generated_world_follows_the_last():
    world = World.generate(3)
    boxes = [user.box for user in world.users.values()]
    boxes += [chat.box for chat in world.chats.values()]
    for box in boxes:
        pts = box.trimmed_pts or 1
        for event in box.events:
            assert event.pts == pts + event.pts_count
            pts = event.pts
        assert pts == box.pts
