"""Groups and channels with unmodified Telethon: members, joining, links, rights."""

from datetime import UTC, datetime, timedelta

import pytest
from telethon import errors, functions, types
from telethon.tl.types import ChatAdminRights


@pytest.fixture
async def client(telethon, alice):
    return await telethon(alice)


@pytest.fixture
def talk(sandbox, alice, bob):
    """A supergroup of Bob's with Alice in it."""
    return sandbox.world.add_channel("Talk", bob, [alice], megagroup=True, about="About talk")


@pytest.fixture
def crowd(sandbox, bob, talk):
    """450 more members."""
    users = [sandbox.world.add_user(f"Member {number}") for number in range(450)]
    for user in users:
        sandbox.world.join(user, talk)
    return users


@pytest.fixture
def news(sandbox, alice, bob):
    return sandbox.world.add_channel("News", bob, username="newsroom")


async def known(client, chat):
    await client.get_dialogs()
    return await client.get_input_entity(chat.peer)


def link(invite):
    return f"https://t.me/+{invite.hash}"


def import_invite(invite):
    return functions.messages.ImportChatInviteRequest(invite.hash)


async def test_members(client, talk, crowd, alice, bob):
    peer = await known(client, talk)
    members = await client.get_participants(peer)
    assert members.total == 452
    assert {member.id for member in members} == {alice.id, bob.id, *(one.id for one in crowd)}
    roles = {member.id: type(member.participant) for member in members}
    assert roles[alice.id] is types.ChannelParticipantSelf
    assert roles[bob.id] is types.ChannelParticipantCreator
    assert roles[crowd[0].id] is types.ChannelParticipant


async def test_a_page_of_members_has_200(client, talk, crowd):
    peer = await known(client, talk)
    request = functions.channels.GetParticipantsRequest(
        peer, types.ChannelParticipantsRecent(), 0, 1000, 0
    )
    page = await client(request)
    assert (page.count, len(page.participants)) == (452, 200)


async def test_members_by_name(client, talk, crowd):
    peer = await known(client, talk)
    found = await client.get_participants(peer, search="member 44")
    assert {member.first_name for member in found} == {
        "Member 44",
        *map("Member 44{}".format, range(10)),
    }


async def test_admins_and_the_banned(sandbox, client, talk, crowd, alice, bob):
    peer = await known(client, talk)
    sandbox.world.ban(talk, crowd[0])
    admins = await client.get_participants(peer, filter=types.ChannelParticipantsAdmins)
    assert [admin.id for admin in admins] == [bob.id]
    with pytest.raises(errors.ChatAdminRequiredError):
        await client.get_participants(peer, filter=types.ChannelParticipantsKicked)
    sandbox.world.promote(talk, alice)
    banned = await client.get_participants(peer, filter=types.ChannelParticipantsKicked)
    assert [user.id for user in banned] == [crowd[0].id]
    assert banned[0].participant.kicked_by == bob.id


async def test_hidden_members_are_for_admins(sandbox, client, talk, alice):
    peer = await known(client, talk)
    talk.participants_hidden = True
    with pytest.raises(errors.ChatAdminRequiredError):
        await client.get_participants(peer)
    full = (await client(functions.channels.GetFullChannelRequest(peer))).full_chat
    assert full.participants_hidden
    assert not full.can_view_participants
    sandbox.world.promote(talk, alice)
    assert await client.get_participants(peer)


async def test_a_channels_subscribers_are_for_admins(sandbox, client, news, alice):
    with pytest.raises(errors.ChatAdminRequiredError):
        await client.get_participants("newsroom")
    sandbox.world.promote(news, alice)
    assert (await client.get_participants("newsroom")).total == 2


async def test_the_number_of_members_alone(client, talk, crowd):
    peer = await known(client, talk)
    assert (await client.get_participants(peer, limit=0)).total == 452


async def test_members_of_a_basic_group(sandbox, client, alice, bob):
    group = sandbox.world.add_group("Three", bob, [alice])
    members = await client.get_participants(types.PeerChat(group.id))
    assert {member.id for member in members} == {alice.id, bob.id}
    sandbox.world.leave(alice, group)
    assert len(await client.get_participants(types.PeerChat(group.id))) == 0


async def test_one_members_standing(sandbox, client, talk, alice, bob):
    peer = await known(client, talk)
    mine = await client.get_permissions(peer, "me")
    assert not mine.is_admin and not mine.is_creator
    await client.get_participants(peer)
    assert (await client.get_permissions(peer, bob.id)).is_creator
    stranger = sandbox.world.add_user("Stranger", username="stranger")
    with pytest.raises(errors.UserNotParticipantError):
        await client.get_permissions(peer, "stranger")
    with pytest.raises(errors.ParticipantIdInvalidError):
        await client(
            functions.channels.GetParticipantRequest(peer, types.InputPeerUser(stranger.id, 1))
        )


async def test_everything_about_a_supergroup(sandbox, client, talk, alice, bob):
    peer = await known(client, talk)
    result = await client(functions.channels.GetFullChannelRequest(peer))
    full = result.full_chat
    assert (full.about, full.participants_count, full.pts) == ("About talk", 2, talk.box.pts)
    assert full.can_view_participants
    assert full.admins_count is None
    assert [chat.id for chat in result.chats] == [talk.id]


async def test_everything_about_a_basic_group(sandbox, client, alice, bob):
    group = sandbox.world.add_group("Three", bob, [alice], about="We three")
    result = await client(functions.messages.GetFullChatRequest(group.id))
    assert result.full_chat.about == "We three"
    assert len(result.full_chat.participants.participants) == 2
    with pytest.raises(errors.ChatIdInvalidError):
        await client(functions.messages.GetFullChatRequest(1))


async def test_entities_by_id(sandbox, client, talk, alice, bob):
    group = sandbox.world.add_group("Three", bob, [alice])
    peer = await known(client, talk)
    assert (await client.get_entity(peer)).title == "Talk"
    assert (await client.get_entity(types.PeerChat(group.id))).title == "Three"
    chats = (await client(functions.messages.GetChatsRequest([group.id, 5]))).chats
    assert isinstance(chats[1], types.ChatEmpty)
    with pytest.raises(errors.ChatIdInvalidError):
        await client(functions.messages.GetChatsRequest([5]))
    with pytest.raises(errors.ChannelInvalidError):
        await client(functions.channels.GetChannelsRequest([types.InputChannel(talk.id, 0)]))


async def test_a_channel_after_a_ban(sandbox, client, talk, alice):
    peer = await known(client, talk)
    sandbox.world.ban(talk, alice)
    [chat] = (await client(functions.channels.GetChannelsRequest([peer]))).chats
    assert isinstance(chat, types.ChannelForbidden)
    with pytest.raises(errors.ChannelPrivateError):
        await client(functions.channels.GetFullChannelRequest(peer))


async def test_joining_a_public_channel(sandbox, client, news, alice):
    result = await client(functions.channels.JoinChannelRequest("newsroom"))
    assert not result.chats[0].left
    assert news.member(alice.id)
    assert [dialog.name for dialog in await client.get_dialogs()] == ["News"]
    assert await client(functions.channels.JoinChannelRequest("newsroom"))


async def test_joining_a_public_group_leaves_a_message(sandbox, client, bob):
    sandbox.world.add_channel("Open", bob, megagroup=True, username="opentalk")
    await client(functions.channels.JoinChannelRequest("opentalk"))
    [message] = await client.get_messages("opentalk")
    assert isinstance(message.action, types.MessageActionChatAddUser)


async def test_joining_where_admins_decide(sandbox, client, bob, alice):
    chat = sandbox.world.add_channel("Door", bob, username="thedoor", join_request=True)
    with pytest.raises(errors.InviteRequestSentError):
        await client(functions.channels.JoinChannelRequest("thedoor"))
    assert chat.member(alice.id) is None


async def test_joining_after_a_ban(sandbox, client, news, alice):
    peer = await client.get_input_entity("newsroom")
    sandbox.world.ban(news, alice)
    with pytest.raises(errors.ChannelPrivateError):
        await client(functions.channels.JoinChannelRequest(peer))


async def test_five_hundred_channels_are_the_most(sandbox, client, news, alice, bob):
    for number in range(500):
        sandbox.world.add_channel(f"Channel {number}", bob, [alice])
    with pytest.raises(errors.ChannelsTooMuchError):
        await client(functions.channels.JoinChannelRequest("newsroom"))


async def test_leaving(sandbox, client, talk, alice, bob):
    peer = await known(client, talk)
    await client.delete_dialog(peer)
    assert talk.member(alice.id) is None
    with pytest.raises(errors.ChannelPrivateError):
        await client.get_messages(peer)


async def test_leaving_twice(client, sandbox, news, alice):
    sandbox.world.join(alice, news)
    await client.delete_dialog("newsroom")
    with pytest.raises(errors.UserNotParticipantError):
        await client(functions.channels.LeaveChannelRequest("newsroom"))


async def test_looking_at_a_link(sandbox, client, bob, alice):
    closed = sandbox.world.add_channel("Closed", bob, megagroup=True, about="Hush")
    invite = sandbox.world.add_invite(closed)
    seen = await client(functions.messages.CheckChatInviteRequest(invite.hash))
    assert isinstance(seen, types.ChatInvite)
    assert (seen.title, seen.about, seen.participants_count) == ("Closed", "Hush", 1)
    assert seen.megagroup
    sandbox.world.join(alice, closed)
    inside = await client(functions.messages.CheckChatInviteRequest(invite.hash))
    assert isinstance(inside, types.ChatInviteAlready)
    assert (await client.get_entity(link(invite))).id == closed.id


async def test_joining_over_a_link(sandbox, client, bob, alice):
    closed = sandbox.world.add_channel("Closed", bob, megagroup=True)
    invite = sandbox.world.add_invite(closed)
    result = await client(import_invite(invite))
    assert [chat.title for chat in result.chats] == ["Closed"]
    [message] = await client.get_messages(closed.peer)
    assert isinstance(message.action, types.MessageActionChatJoinedByLink)
    assert invite.usage == 1
    with pytest.raises(errors.UserAlreadyParticipantError):
        await client(import_invite(invite))


async def test_links_that_no_longer_work(sandbox, client, bob):
    world = sandbox.world
    closed = world.add_channel("Closed", bob, megagroup=True)
    revoked = world.add_invite(closed)
    revoked.revoked = True
    late = world.add_invite(closed, expire_date=1_700_000_000)
    spent = world.add_invite(closed, usage_limit=1)
    spent.usage = 1
    for invite in (revoked, late, spent):
        with pytest.raises(errors.InviteHashExpiredError):
            await client(import_invite(invite))
        with pytest.raises(errors.InviteHashExpiredError):
            await client(functions.messages.CheckChatInviteRequest(invite.hash))
    with pytest.raises(errors.InviteHashInvalidError):
        await client(functions.messages.ImportChatInviteRequest("short"))
    with pytest.raises(errors.InviteHashEmptyError):
        await client(functions.messages.ImportChatInviteRequest(""))


async def test_the_banned_cannot_use_a_link(sandbox, client, talk, alice):
    sandbox.world.ban(talk, alice)
    with pytest.raises(errors.InviteHashExpiredError):
        await client(import_invite(sandbox.world.add_invite(talk)))


async def test_a_link_that_asks_the_admins(sandbox, telethon, client, bob, alice):
    closed = sandbox.world.add_channel("Closed", bob, megagroup=True)
    invite = sandbox.world.add_invite(closed, request_needed=True)
    with pytest.raises(errors.InviteRequestSentError):
        await client(import_invite(invite))
    assert closed.member(alice.id) is None
    admin = await telethon(bob)
    sandbox.world.post(alice, bob, "please")
    peer = await known(admin, closed)
    full = (await admin(functions.channels.GetFullChannelRequest(peer))).full_chat
    assert full.requests_pending == 1
    await admin(
        functions.messages.HideChatJoinRequestRequest(
            peer, await admin.get_input_entity(alice.id), approved=True
        )
    )
    assert closed.member(alice.id)


async def test_making_links(sandbox, client, telethon, talk, bob):
    peer = await known(client, talk)
    with pytest.raises(errors.ChatAdminRequiredError):
        await client(functions.messages.ExportChatInviteRequest(peer))
    admin = await telethon(bob)
    peer = await known(admin, talk)
    first = await admin(functions.messages.ExportChatInviteRequest(peer))
    assert first.permanent
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    second = await admin(
        functions.messages.ExportChatInviteRequest(peer, expire_date=tomorrow, usage_limit=3)
    )
    assert second.usage_limit == 3
    assert not second.permanent
    listed = await admin(functions.messages.GetExportedChatInvitesRequest(peer, "me", 10))
    assert [invite.link for invite in listed.invites] == [second.link, first.link]
    await admin(functions.messages.EditExportedChatInviteRequest(peer, second.link, revoked=True))
    listed = await admin(functions.messages.GetExportedChatInvitesRequest(peer, "me", 10))
    assert [invite.link for invite in listed.invites] == [first.link]
    with pytest.raises(errors.ExpireDateInvalidError):
        yesterday = datetime.now(UTC) - timedelta(days=1)
        await admin(functions.messages.ExportChatInviteRequest(peer, expire_date=yesterday))


async def test_founding(sandbox, client, alice, bob):
    sandbox.world.post(bob, alice, "hello")
    await client.get_dialogs()
    friend = await client.get_input_entity(bob.id)
    made = await client(functions.messages.CreateChatRequest([friend], "We two"))
    assert [chat.title for chat in made.updates.chats] == ["We two"]
    channel = await client(functions.channels.CreateChannelRequest("Mine", "About", broadcast=True))
    [chat] = channel.chats
    assert chat.broadcast and chat.creator
    sent = await client.send_message(chat, "first post")
    assert sent.post
    with pytest.raises(errors.ChatTitleEmptyError):
        await client(functions.channels.CreateChannelRequest(" ", ""))


async def test_adding_people(sandbox, client, telethon, alice, bob, talk):
    world = sandbox.world
    eve = world.add_user("Eve", username="eve_there")
    shy = world.add_user("Shy", username="shy_there")
    world.block(shy, alice)
    peer = await known(client, talk)
    users = [await client.get_input_entity(name) for name in ("eve_there", "shy_there")]
    result = await client(functions.channels.InviteToChannelRequest(peer, users))
    assert talk.member(eve.id)
    assert [one.user_id for one in result.missing_invitees] == [shy.id]
    group = world.add_group("Three", alice)
    add = functions.messages.AddChatUserRequest(group.id, users[0], 10)
    await client(add)
    assert group.member(eve.id)
    with pytest.raises(errors.UserAlreadyParticipantError):
        await client(add)
    with pytest.raises(errors.UserPrivacyRestrictedError):
        await client(functions.messages.AddChatUserRequest(group.id, users[1], 10))


async def test_throwing_out(sandbox, telethon, client, alice, bob, talk):
    peer = await known(client, talk)
    await client.get_participants(peer)
    with pytest.raises(errors.ChatAdminRequiredError):
        await client.kick_participant(peer, bob.id)
    admin = await telethon(bob)
    his = await known(admin, talk)
    await admin.get_participants(his)
    notice = await admin.kick_participant(his, alice.id)
    assert isinstance(notice.action, types.MessageActionChatDeleteUser)
    with pytest.raises(errors.ChannelPrivateError):
        await client.get_messages(peer)
    assert not talk.members[alice.id].banned


async def test_promoting(sandbox, telethon, client, alice, bob, talk):
    peer = await known(client, talk)
    await client.get_participants(peer)
    with pytest.raises(errors.ChatAdminRequiredError):
        await client.edit_admin(peer, bob.id, post_messages=True)
    admin = await telethon(bob)
    his = await known(admin, talk)
    await admin.get_participants(his)
    await admin.edit_admin(his, alice.id, delete_messages=True, add_admins=True, title="Boss")
    mine = (await client.get_permissions(peer, "me")).participant
    assert isinstance(mine, types.ChannelParticipantAdmin)
    assert (mine.rank, mine.promoted_by) == ("Boss", bob.id)
    with pytest.raises(errors.UserCreatorError):
        await client.edit_admin(peer, bob.id, delete_messages=False)
    eve = sandbox.world.add_user("Eve", username="eve_there")
    sandbox.world.join(eve, talk)
    with pytest.raises(errors.RightForbiddenError):
        await client.edit_admin(peer, "eve_there", ban_users=True)
    await admin.edit_admin(his, alice.id, is_admin=False)
    assert talk.members[alice.id].admin_rights is None


async def test_restricting(sandbox, telethon, client, alice, bob, talk):
    peer = await known(client, talk)
    admin = await telethon(bob)
    his = await known(admin, talk)
    await admin.get_participants(his)
    await admin.edit_permissions(his, alice.id, send_messages=False)
    with pytest.raises(errors.UserBannedInChannelError):
        await client.send_message(peer, "hi")
    await admin.edit_permissions(his, alice.id)
    assert await client.send_message(peer, "hi")
    await admin.edit_permissions(his, alice.id, view_messages=False)
    assert talk.members[alice.id].banned


async def test_a_basic_group_loses_members(sandbox, telethon, client, alice, bob):
    group = sandbox.world.add_group("Three", bob, [alice])
    await client.get_participants(types.PeerChat(group.id))
    with pytest.raises(errors.ChatAdminRequiredError):
        await client.kick_participant(types.PeerChat(group.id), bob.id)
    await client.kick_participant(types.PeerChat(group.id), "me")
    assert group.member(alice.id) is None
    admin = await telethon(bob)
    await admin.get_dialogs()
    with pytest.raises(errors.UserNotParticipantError):
        user = types.InputUser(alice.id, sandbox.world.access_hash(bob.id, alice.id))
        await admin(functions.messages.DeleteChatUserRequest(group.id, user))


async def test_titles_and_slow_mode(sandbox, client, alice, talk):
    peer = await known(client, talk)
    sandbox.world.promote(talk, alice, ChatAdminRights(change_info=True, ban_users=True))
    await client(functions.channels.EditTitleRequest(peer, "New"))
    assert talk.title == "New"
    with pytest.raises(errors.ChatNotModifiedError):
        await client(functions.channels.EditTitleRequest(peer, "New"))
    await client(functions.channels.ToggleSlowModeRequest(peer, 30))
    assert talk.slowmode_seconds == 30
    with pytest.raises(errors.SecondsInvalidError):
        await client(functions.channels.ToggleSlowModeRequest(peer, 31))
