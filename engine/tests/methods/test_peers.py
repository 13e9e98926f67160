"""One resolver: what is known costs nothing, what is not is asked once."""

import pytest
from telethon import types

from engine.errors import BadRequest, NotFound
from engine.telegram import dialogs, history, messages, peers, users


@pytest.fixture
def places(telegram):
    """A dialog of each kind that Alice has."""
    world = telegram.world
    world.post(telegram.bob, telegram.alice, "hi")
    group = world.add_group("Family", telegram.bob, [telegram.alice])
    channel = world.add_channel("News", telegram.bob, [telegram.alice], username="news")
    return {"user": telegram.bob.id, "group": group.peer, "channel": channel.peer}


@pytest.mark.parametrize("kind", ["user", "group", "channel"])
async def test_marked_and_bare_ids(telegram, client, places, kind):
    marked = places[kind]
    bare = abs(marked) if kind != "channel" else -marked - 10**12
    for reference in (marked, str(marked), bare):
        peer = await peers.find(client, reference)
        assert await peers.peer_id(client, peer) == marked
    assert telegram.calls.count("messages.getDialogs") == 1


async def test_what_is_known_costs_no_call(telegram, client, places):
    await dialogs.list_page(client)
    telegram.calls.clear()
    for reference in (*places.values(), "@bob_the_builder", "news", "t.me/news", "me"):
        await peers.find(client, reference)
    assert telegram.calls.counts() == {}


async def test_an_unknown_id_is_looked_up_once(telegram, client):
    for _ in range(3):
        with pytest.raises(NotFound):
            await peers.find(client, -1009999999999)
    assert telegram.calls.count("messages.getDialogs") == 1


async def test_dialogs_behind_the_first_page_are_found(telegram, connect):
    made = [
        telegram.world.add_channel(f"Channel {number}", telegram.alice, date=1_700_000_000 + number)
        for number in range(150)
    ]
    peer = await peers.find(await connect(telegram.alice), made[0].peer)
    assert isinstance(peer, types.InputPeerChannel)
    assert telegram.calls.count("messages.getDialogs") == 2


async def test_a_username_is_resolved_once(telegram, client):
    for _ in range(3):
        peer = await peers.find(client, "@bob_the_builder")
    assert isinstance(peer, types.InputPeerUser)
    assert telegram.calls.count("contacts.resolveUsername") == 1


async def test_phones_and_me(telegram, client):
    telegram.world.make_contact(telegram.alice, telegram.carol)
    peer = await peers.find(client, "+15550000003")
    assert await peers.peer_id(client, peer) == telegram.carol.id
    assert isinstance(await peers.find(client, telegram.alice.id), types.InputPeerSelf)
    assert await peers.peer_id(client, await peers.find(client, "me")) == telegram.alice.id


async def test_invites_of_own_chats(telegram, client):
    world = telegram.world
    inside = world.add_channel("Inside", telegram.bob, [telegram.alice])
    outside = world.add_channel("Outside", telegram.bob)
    link = f"https://t.me/+{world.add_invite(inside).hash}"
    assert await peers.peer_id(client, await peers.find(client, link)) == inside.peer
    with pytest.raises(NotFound) as caught:
        await peers.find(client, f"+{world.add_invite(outside).hash}")
    assert caught.value.code == "invite_not_joined"


async def test_strangers_of_a_group_are_named_by_their_message(telegram, client):
    """A *min* user has no access hash of its own."""
    world = telegram.world
    group = world.add_channel("Club", telegram.carol, [telegram.alice], megagroup=True)
    world.join(telegram.bob, group)
    world.post(telegram.bob, group, "a stranger writes")
    await history.read_page(client, chat_id=group.peer)
    peer = await peers.find(client, telegram.bob.id)
    (found,) = await users.get_users(client, user_ids=[telegram.bob.id])
    assert found["username"] == "bob_the_builder"
    sent = await messages.send_message(client, chat_id=telegram.bob.id, text="hi", random_id=1)
    assert sent["chat_id"] == telegram.bob.id
    assert await peers.peer_id(client, peer) == telegram.bob.id


async def test_it_refuses_what_is_no_reference(client):
    with pytest.raises(BadRequest):
        await peers.find(client, "no such thing!")


async def test_a_chat_is_no_user(telegram, client, places):
    with pytest.raises(BadRequest) as caught:
        await peers.find_user(client, places["channel"])
    assert caught.value.code == "user_id_invalid"
