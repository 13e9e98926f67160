"""The list of chats with unmodified Telethon: order, pages, archive, folders, pins."""

from datetime import UTC, datetime

import pytest
from telethon import errors, functions, types

START = 1_700_000_000


@pytest.fixture
async def client(telethon, alice):
    return await telethon(alice)


@pytest.fixture
def people(sandbox, alice):
    """120 people who wrote to Alice, one a minute; the last one wrote last."""
    world = sandbox.world
    users = [world.add_user(f"User {number}") for number in range(120)]
    for number, user in enumerate(users):
        world.post(user, alice, f"hello from {number}", date=START + 60 * number)
    return users


async def names(client, **options):
    return [dialog.name async for dialog in client.iter_dialogs(**options)]


async def test_it_works(client, people):
    dialogs = await client.get_dialogs()
    assert [dialog.id for dialog in dialogs] == [user.id for user in reversed(people)]
    assert dialogs.total == 120
    assert dialogs[0].message.message == "hello from 119"
    assert dialogs[0].unread_count == 1


async def test_pages_end_where_the_next_begins(client, people):
    request = functions.messages.GetDialogsRequest(None, 0, types.InputPeerEmpty(), 50, 0)
    first = await client(request)
    assert isinstance(first, types.messages.DialogsSlice)
    assert (first.count, len(first.dialogs), len(first.messages)) == (120, 50, 50)
    last = first.messages[-1]
    request.offset_date, request.offset_id = last.date, last.id
    request.offset_peer = await client.get_input_entity(last.peer_id)
    second = await client(request)
    assert second.dialogs[0].peer.user_id == people[-51].id
    request.offset_date, request.offset_id = None, 0
    assert (await client(request)).dialogs == second.dialogs


async def test_a_small_list_comes_whole(sandbox, client, alice, bob):
    sandbox.world.post(bob, alice, "hello")
    request = functions.messages.GetDialogsRequest(None, 0, types.InputPeerEmpty(), 100, 0)
    assert isinstance(await client(request), types.messages.Dialogs)


async def test_dialogs_from_a_date_back(client, people):
    date = datetime.fromtimestamp(START + 60 * 60, UTC)
    found = await client.get_dialogs(offset_date=date)
    assert found[0].id == people[59].id


async def test_the_total_alone(client, people):
    assert (await client.get_dialogs(0)).total == 120


async def test_every_kind(sandbox, client, alice, bob):
    world = sandbox.world
    world.add_group("Group", alice, [bob])
    world.add_channel("Supergroup", alice, megagroup=True)
    news = world.add_channel("Channel", bob, [alice])
    world.post(alice, alice, "note")
    dialogs = {dialog.name: dialog for dialog in await client.get_dialogs()}
    assert set(dialogs) == {"Group", "Supergroup", "Channel", "Alice"}
    assert dialogs["Group"].is_group and not dialogs["Group"].is_channel
    assert dialogs["Supergroup"].is_group and dialogs["Supergroup"].is_channel
    assert dialogs["Channel"].is_channel and not dialogs["Channel"].is_group
    assert dialogs["Channel"].dialog.pts == news.box.pts
    assert dialogs["Alice"].entity.is_self


async def test_pins_come_first(sandbox, client, alice, people):
    sandbox.world.pin_dialog(alice, people[5])
    sandbox.world.pin_dialog(alice, people[7])
    found = await client.get_dialogs()
    assert [dialog.id for dialog in found[:2]] == [people[7].id, people[5].id]
    assert len({dialog.id for dialog in found}) == len(found) == 120
    assert found[0].pinned
    unpinned = await client.get_dialogs(ignore_pinned=True)
    assert unpinned.total == 118
    pinned = await client(functions.messages.GetPinnedDialogsRequest(0))
    assert [dialog.peer.user_id for dialog in pinned.dialogs] == [people[7].id, people[5].id]
    assert pinned.state.pts == alice.box.pts


async def test_too_many_pins_are_refused(client, people):
    await client.get_dialogs()

    async def pin(user, pinned=True):
        peer = types.InputDialogPeer(await client.get_input_entity(user.id))
        return await client(functions.messages.ToggleDialogPinRequest(peer, pinned=pinned))

    for user in people[:5]:
        assert await pin(user)
    with pytest.raises(errors.PinnedDialogsTooMuchError):
        await pin(people[6])
    await pin(people[0], pinned=False)
    assert await pin(people[6])


async def test_the_archive(sandbox, client, alice, people):
    await client.get_dialogs()
    await client.edit_folder(people[3].id, 1)
    archived = await client.get_dialogs(archived=True)
    assert [dialog.id for dialog in archived] == [people[3].id]
    assert archived[0].archived
    assert people[3].id not in [dialog.id for dialog in await client.get_dialogs(archived=False)]
    assert people[3].id in [dialog.id for dialog in await client.get_dialogs()]
    pinned = await client(functions.messages.GetPinnedDialogsRequest(0))
    [row] = pinned.dialogs
    assert (row.folder.id, row.unread_unmuted_messages_count) == (1, 1)
    await client.edit_folder(people[3].id, 0)
    assert await client.get_dialogs(archived=True) == []


async def test_a_new_message_brings_a_chat_back(sandbox, client, alice, people):
    await client.get_dialogs()
    await client.edit_folder(people[3].id, 1)
    sandbox.world.post(people[3], alice, "again")
    assert (await client.get_dialogs(archived=False))[0].id == people[3].id


async def test_folders_that_are_none(client, people):
    await client.get_dialogs()
    with pytest.raises(errors.FolderIdInvalidError):
        await client.get_dialogs(folder=7)
    with pytest.raises(errors.FolderIdInvalidError):
        await client.edit_folder(people[3].id, 7)
    with pytest.raises(errors.FolderIdInvalidError):
        await client(functions.messages.GetPinnedDialogsRequest(5))


async def test_a_foreign_offset_peer_is_refused(client, people):
    request = functions.messages.GetDialogsRequest(None, 0, types.InputPeerUser(1, 1), 10, 0)
    with pytest.raises(errors.OffsetPeerIdInvalidError):
        await client(request)


async def test_filters(sandbox, client, alice, people):
    sandbox.world.add_folder(alice, "Work", people[:2], exclude=people[3:4], groups=True)
    result = await client(functions.messages.GetDialogFiltersRequest())
    assert isinstance(result.filters[0], types.DialogFilterDefault)
    work = result.filters[1]
    assert (work.id, work.title.text, work.groups) == (2, "Work", True)
    assert [peer.user_id for peer in work.include_peers] == [user.id for user in people[:2]]
    assert await client.get_messages(work.include_peers[0])


async def test_single_dialogs(client, people, bob, sandbox, alice):
    await client.get_dialogs()
    peers = [types.InputDialogPeer(await client.get_input_entity(people[n].id)) for n in (4, 2)]
    result = await client(functions.messages.GetPeerDialogsRequest(peers))
    assert [dialog.peer.user_id for dialog in result.dialogs] == [people[4].id, people[2].id]
    assert result.state.unread_count == 120


async def test_the_unread_mark(client, people):
    await client.get_dialogs()
    peer = types.InputDialogPeer(await client.get_input_entity(people[0].id))
    await client(functions.messages.MarkDialogUnreadRequest(peer, unread=True))
    [dialog] = [one for one in await client.get_dialogs() if one.id == people[0].id]
    assert dialog.dialog.unread_mark


async def test_a_left_channel_disappears(sandbox, client, alice, bob):
    news = sandbox.world.add_channel("News", bob, [alice])
    assert await names(client) == ["News"]
    sandbox.world.leave(alice, news)
    assert await names(client) == []


async def test_a_group_that_became_a_supergroup(sandbox, client, alice, bob):
    group = sandbox.world.add_group("Group", alice, [bob])
    new = sandbox.world.migrate_group(group)
    await client.get_dialogs()
    full = await client(functions.channels.GetFullChannelRequest(new.peer))
    assert full.full_chat.migrated_from_chat_id == group.id
    assert full.full_chat.migrated_from_max_id == sandbox.world.history(alice.id, group.peer).top_id
    old = (await client(functions.messages.GetChatsRequest([group.id]))).chats[0]
    assert old.deactivated
    assert old.migrated_to.channel_id == new.id
    with pytest.raises(errors.PeerIdInvalidError):
        await client.send_message(types.PeerChat(group.id), "hi")


async def test_settings_of_a_stranger(client, people):
    await client.get_dialogs()
    peer = await client.get_input_entity(people[0].id)
    result = await client(functions.messages.GetPeerSettingsRequest(peer))
    assert result.settings.report_spam
    own = await client(functions.messages.GetPeerSettingsRequest("me"))
    assert not own.settings.report_spam
