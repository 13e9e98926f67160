"""Members, users, joining, leaving and invite links."""

import pytest

from engine.errors import BadRequest, NotFound
from engine.telegram import groups, users
from engine.telegram.rpc import Refusal, refused_with

USER_FIELDS = ["id", "first_name", "last_name", "username", "phone", "status", "bot", "verified"]


async def refusal(awaitable):
    with pytest.raises(Refusal) as caught:
        await awaitable
    return caught.value


@pytest.fixture
def crowd(telegram):
    world = telegram.world
    members = [world.add_user(f"Member {n:03}", username=f"member_{n:03}") for n in range(250)]
    return world.add_channel(
        "Crowd", telegram.bob, [telegram.alice, *members], megagroup=True, username="crowd"
    )


async def test_it_works(telegram, client, crowd):
    page = await users.get_participants_page(client, chat_id=crowd.peer, limit=100)
    assert len(page["users"]) == 100
    assert page["total"] == 252
    assert list(page["users"][0])[:8] == USER_FIELDS


async def test_pages_hold_each_member_once(telegram, client, crowd):
    found, offset = [], 0
    while offset is not None:
        page = await users.get_participants_page(client, chat_id="@crowd", offset=offset)
        found += [user["id"] for user in page["users"]]
        offset = page["next_offset"]
    assert len(set(found)) == len(found) == 252


async def test_searching_members(telegram, client, crowd):
    page = await users.get_participants_page(client, chat_id="@crowd", query="Member 00")
    assert {user["username"] for user in page["users"]} == {f"member_00{n}" for n in range(10)}
    admins = await users.get_participants_page(client, chat_id="@crowd", filter="admins")
    assert [user["id"] for user in admins["users"]] == [telegram.bob.id]


async def test_basic_groups(telegram, client):
    group = telegram.world.add_group("Family", telegram.bob, [telegram.alice, telegram.carol])
    page = await users.get_participants_page(client, chat_id=group.peer)
    assert {user["first_name"] for user in page["users"]} == {"Alice", "Bob", "Carol"}
    assert page["next_offset"] is None
    page = await users.get_participants_page(client, chat_id=group.peer, query="car")
    assert [user["first_name"] for user in page["users"]] == ["Carol"]


async def test_what_has_no_members(telegram, client):
    telegram.world.add_channel("News", telegram.bob, [telegram.alice], username="news")
    with pytest.raises(BadRequest) as caught:
        await users.get_participants_page(client, chat_id="@news")
    assert caught.value.code == "chat_is_channel"
    with pytest.raises(BadRequest) as caught:
        await users.get_participants_page(client, chat_id="@bob_the_builder")
    assert caught.value.code == "chat_has_no_members"
    with pytest.raises(BadRequest):
        await users.get_participants_page(client, chat_id="@news", limit=201)


async def test_users(telegram, client):
    telegram.world.make_contact(telegram.alice, telegram.bob, first_name="Boss")
    found = await users.get_users(client, user_ids=["@bob_the_builder", "me"])
    assert [user["id"] for user in found] == [telegram.bob.id, telegram.alice.id]
    assert (found[0]["first_name"], found[0]["contact"]) == ("Boss", True)
    assert found[1]["phone"] == "+15550000001"
    assert found[1]["is_self"] is True


async def test_joining_a_public_chat(telegram, client):
    telegram.world.add_channel("Public", telegram.bob, username="a_public_place", about="Hello")
    joined = await groups.join(client, group="https://t.me/a_public_place")
    assert joined["state"] == "joined"
    assert (joined["chat"]["title"], joined["chat"]["username"]) == ("Public", "a_public_place")
    assert joined["description"] == "Hello"
    assert joined["chat"]["participants_count"] == 2
    again = await groups.join(client, group="@a_public_place")
    assert again["state"] == "already_member"


@pytest.mark.parametrize("kind", ["group", "supergroup", "channel"])
async def test_joining_by_invite(telegram, client, kind):
    world = telegram.world
    if kind == "group":
        chat = world.add_group("Private", telegram.bob, [telegram.carol])
    else:
        chat = world.add_channel("Private", telegram.bob, megagroup=kind == "supergroup")
    link = f"https://t.me/+{world.add_invite(chat).hash}"
    seen = await groups.check_invite(client, link=link)
    assert (seen["title"], seen["type"], seen["chat"]) == ("Private", kind, None)
    joined = await groups.join(client, group=link)
    assert joined["state"] == "joined"
    assert joined["chat"]["id"] == chat.peer
    error = await refusal(groups.join(client, group=link))
    assert refused_with(error, "USER_ALREADY_PARTICIPANT")
    assert (await groups.check_invite(client, link=link))["chat"]["id"] == chat.peer
    assert await groups.leave(client, chat_id=chat.peer) is True
    assert telegram.alice.id not in {one.user_id for one in chat.participants}


async def test_asking_to_join(telegram, client):
    chat = telegram.world.add_channel("Club", telegram.bob, megagroup=True)
    invite = telegram.world.add_invite(chat, request_needed=True)
    assert (await groups.check_invite(client, link=f"+{invite.hash}"))["request_needed"] is True
    joined = await groups.join(client, group=f"+{invite.hash}")
    assert joined["state"] == "requested"


async def test_invites_that_lead_nowhere(telegram, client):
    error = await refusal(groups.join(client, group="+" + "x" * 16))
    assert refused_with(error, "INVITE_HASH_EXPIRED", "INVITE_HASH_INVALID")
    error = await refusal(groups.check_invite(client, link="x" * 16))
    assert refused_with(error, "INVITE_HASH_EXPIRED", "INVITE_HASH_INVALID")
    with pytest.raises(BadRequest):
        await groups.check_invite(client, link="https://t.me/durov")
    with pytest.raises(BadRequest):
        await groups.join(client, group="@bob_the_builder")
    with pytest.raises(NotFound):
        await groups.join(client, group=-1009999999999)


async def test_leaving(telegram, client):
    chat = telegram.world.add_channel("Public", telegram.bob, username="a_public_place")
    await groups.join(client, group="@a_public_place")
    assert await groups.leave(client, chat_id=chat.peer) is True
    error = await refusal(groups.leave(client, chat_id=chat.peer))
    assert refused_with(error, "USER_NOT_PARTICIPANT")
    with pytest.raises(BadRequest):
        await groups.leave(client, chat_id="@bob_the_builder")


async def test_invite_links(telegram, client):
    chat = telegram.world.add_channel("Mine", telegram.alice, megagroup=True)
    link = await groups.create_invite_link(
        client, chat_id=chat.peer, title="for friends", usage_limit=5
    )
    assert link["link"].startswith("https://t.me/+")
    assert (link["title"], link["usage_limit"], link["usage"]) == ("for friends", 5, 0)
    found = await groups.list_invite_links(client, chat_id=chat.peer)
    assert link["link"] in {each["link"] for each in found}
    gone = await groups.revoke_invite_link(client, chat_id=chat.peer, link=link["link"])
    assert gone["is_revoked"] is True
    found = await groups.list_invite_links(client, chat_id=chat.peer, revoked=True)
    assert [each["link"] for each in found] == [link["link"]]


async def test_links_are_for_administrators(telegram, client):
    chat = telegram.world.add_channel("Not mine", telegram.bob, [telegram.alice])
    for awaitable in (
        groups.create_invite_link(client, chat_id=chat.peer),
        groups.list_invite_links(client, chat_id=chat.peer),
    ):
        assert refused_with(await refusal(awaitable), "CHAT_ADMIN_REQUIRED")
