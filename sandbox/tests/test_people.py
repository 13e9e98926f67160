"""users.*, contacts.*, account.*, help.* with unmodified Telethon."""

import pytest
from telethon import errors, functions, types


@pytest.fixture
def world(sandbox):
    return sandbox.world


@pytest.fixture
def cleo(world):
    """A stranger to the others, with a public name."""
    return world.add_user("Cleo", "Park", phone="+15550000007", username="cleo_park", about="Hi.")


async def test_users_are_named_by_their_hash(telethon, world, alice, cleo):
    client = await telethon(alice)
    right = types.InputUser(cleo.id, world.access_hash(alice.id, cleo.id))
    [found] = await client(functions.users.GetUsersRequest([right]))
    assert found.first_name == "Cleo" and found.phone is None
    for wrong_hash in (0, world.access_hash(cleo.id, cleo.id)):
        wrong = types.InputUser(cleo.id, wrong_hash)
        [missing] = await client(functions.users.GetUsersRequest([wrong]))
        assert isinstance(missing, types.UserEmpty)
    world.make_contact(alice, cleo)
    assert (await client.get_entity(cleo.id)).contact


async def test_a_full_user(telethon, world, alice, bob, cleo):
    world.add_group("Both", alice, [cleo])
    world.block(alice, cleo)
    client = await telethon(alice)
    full = await client(functions.users.GetFullUserRequest("cleo_park"))
    assert full.full_user.about == "Hi." and full.full_user.common_chats_count == 1
    assert full.full_user.blocked and full.users[0].username == "cleo_park"
    shared = await client(functions.messages.GetCommonChatsRequest("cleo_park", 0, 10))
    assert [chat.title for chat in shared.chats] == ["Both"]
    with pytest.raises(errors.UserIdInvalidError):
        await client(functions.users.GetFullUserRequest(types.InputUser(bob.id, 1)))


async def test_a_bot_tells_its_commands(telethon, world, alice):
    world.add_bot("Helper", "helper_bot", description="Helps.", commands={"help": "What I can"})
    client = await telethon(alice)
    full = await client(functions.users.GetFullUserRequest("helper_bot"))
    assert full.users[0].bot and full.full_user.bot_info.commands[0].command == "help"


async def test_usernames_and_phones_are_resolved(telethon, world, alice, cleo):
    channel = world.add_channel("Public", cleo, username="public_channel")
    client = await telethon(alice)
    assert (await client.get_entity("@Cleo_Park")).id == cleo.id
    assert (await client.get_entity("https://t.me/public_channel")).id == channel.id
    found = await client(functions.contacts.ResolvePhoneRequest("15550000007"))
    assert found.users[0].id == cleo.id
    for request, refusal in (
        (functions.contacts.ResolveUsernameRequest("nobody_here"), errors.UsernameNotOccupiedError),
        (functions.contacts.ResolveUsernameRequest("1x"), errors.UsernameInvalidError),
        (functions.contacts.ResolvePhoneRequest("19990000000"), errors.PhoneNotOccupiedError),
    ):
        with pytest.raises(refusal):
            await client(request)


async def test_contacts_are_imported_listed_and_deleted(telethon, world, alice, bob, cleo):
    client = await telethon(alice)
    rows = [
        types.InputPhoneContact(7, "+15550000002", "Bobby", "Tables"),
        types.InputPhoneContact(8, "+19990000000", "No", "Body"),
    ]
    imported = await client(functions.contacts.ImportContactsRequest(rows))
    assert [(one.user_id, one.client_id) for one in imported.imported] == [(bob.id, 7)]
    await client(functions.contacts.AddContactRequest("cleo_park", "C.", "", ""))
    listed = await client(functions.contacts.GetContactsRequest(0))
    assert {user.first_name for user in listed.users} == {"Bobby", "C."}
    assert {user.first_name for user in listed.users if user.phone} == {"Bobby", "C."}
    await client(functions.contacts.DeleteContactsRequest(["cleo_park"]))
    assert set(alice.contacts) == {bob.id}
    with pytest.raises(errors.ContactNameEmptyError):
        await client(functions.contacts.AddContactRequest("cleo_park", "", "", ""))
    with pytest.raises(errors.ContactIdInvalidError):
        await client(functions.contacts.AddContactRequest("me", "Me", "", ""))


async def test_searching_people_and_chats(telethon, world, alice, bob, cleo):
    world.make_contact(alice, bob, first_name="Robert")
    world.add_channel("Cleopatra's posts", cleo, username="cleopatra")
    world.add_channel("Cleo's diary", cleo)
    client = await telethon(alice)
    found = await client(functions.contacts.SearchRequest("cleo", 10))
    assert {chat.title for chat in found.chats} == {"Cleopatra's posts"}
    assert {user.id for user in found.users} == {cleo.id}
    mine = await client(functions.contacts.SearchRequest("robe", 10))
    assert [peer.user_id for peer in mine.my_results] == [bob.id]
    for query, refusal in (
        ("", errors.SearchQueryEmptyError),
        ("cl", errors.QueryTooShortError),
    ):
        with pytest.raises(refusal):
            await client(functions.contacts.SearchRequest(query, 10))


async def test_blocking(telethon, world, alice, bob):
    world.make_contact(alice, bob)
    client = await telethon(alice)
    await client(functions.contacts.BlockRequest(bob.id))
    blocked = await client(functions.contacts.GetBlockedRequest(0, 10))
    assert [user.id for user in blocked.users] == [bob.id]
    assert world.post(bob, alice, "let me in").ids.keys() == {bob.id}
    await client(functions.contacts.UnblockRequest(bob.id))
    assert not alice.blocked


async def test_the_profile_and_username_change(telethon, world, alice, cleo):
    client = await telethon(alice)
    me = await client(functions.account.UpdateProfileRequest(first_name="Al", about="New"))
    assert me.first_name == "Al" and alice.about == "New"
    assert not await client(functions.account.CheckUsernameRequest("cleo_park"))
    me = await client(functions.account.UpdateUsernameRequest("al_ice"))
    assert me.username == "al_ice" and world.by_username("AL_ICE") == alice.id
    for request, refusal in (
        (functions.account.UpdateUsernameRequest("cleo_park"), errors.UsernameOccupiedError),
        (functions.account.UpdateUsernameRequest("a b"), errors.UsernameInvalidError),
        (functions.account.UpdateUsernameRequest("al_ice"), errors.UsernameNotModifiedError),
        (functions.account.UpdateProfileRequest(first_name=" "), errors.FirstNameInvalidError),
        (functions.account.UpdateProfileRequest(about="x" * 71), errors.AboutTooLongError),
    ):
        with pytest.raises(refusal):
            await client(request)


async def test_status_is_exact_for_contacts_only(telethon, world, alice, bob, cleo):
    world.make_contact(alice, bob)
    client = await telethon(alice)
    other = await telethon(bob)
    await other(functions.account.UpdateStatusRequest(False))
    world.set_online(cleo, False)
    status = (await client.get_entity(bob.id)).status
    assert isinstance(status, types.UserStatusOnline)
    await other(functions.account.UpdateStatusRequest(True))
    [told] = await client(functions.contacts.GetStatusesRequest())
    assert isinstance(told.status, types.UserStatusOffline)
    assert isinstance((await client.get_entity("cleo_park")).status, types.UserStatusRecently)


async def test_account_settings(telethon, alice):
    client = await telethon(alice)
    await client(functions.account.SetAccountTTLRequest(types.AccountDaysTTL(60)))
    assert (await client(functions.account.GetAccountTTLRequest())).days == 60
    with pytest.raises(errors.TtlDaysInvalidError):
        await client(functions.account.SetAccountTTLRequest(types.AccountDaysTTL(1)))
    privacy = functions.account.GetPrivacyRequest(types.InputPrivacyKeyPhoneNumber())
    assert isinstance((await client(privacy)).rules[0], types.PrivacyValueAllowContacts)


async def test_the_app_config_is_hashed(telethon):
    client = await telethon()
    config = await client(functions.help.GetAppConfigRequest(0))
    again = await client(functions.help.GetAppConfigRequest(config.hash))
    assert isinstance(again, types.help.AppConfigNotModified)
    assert (await client(functions.help.GetCdnConfigRequest())).public_keys == []
