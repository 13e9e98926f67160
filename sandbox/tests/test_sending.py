"""Sending, forwarding and scheduling with unmodified Telethon, and each refusal by name."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from telethon import errors, events, functions, types
from telethon.tl.types import ChatAdminRights, ChatBannedRights


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


def send_request(peer, text, random_id, **fields):
    return functions.messages.SendMessageRequest(peer, text, random_id=random_id, **fields)


def once(client, request):
    """Send a request past Telethon's own retries, of 500 errors say (5 times, 2 s apart)."""
    return client._sender.send(request)


async def test_a_text_to_a_user(sandbox, client, alice, chat):
    peer = await known(client, chat.id)
    result = await client(send_request(peer, "hi", 5))
    assert isinstance(result, types.UpdateShortSentMessage)
    assert result.out
    assert (result.pts, result.pts_count) == (alice.box.pts, 1)
    assert sandbox.world.message(alice.id, chat.id, result.id).text == "hi"
    message = await client.send_message(chat.id, "and **bold**")
    assert message.entities == [types.MessageEntityBold(4, 4)]


async def test_a_text_to_oneself_comes_as_full_updates(client):
    result = await client(send_request(types.InputPeerSelf(), "note", 5))
    assert isinstance(result, types.Updates)
    (message,) = [each.message for each in result.updates if hasattr(each, "message")]
    assert message.message == "note"
    assert not message.out
    assert (await client.send_message("me", "note 2")).message == "note 2"


@pytest.mark.parametrize("where", ["group", "talk"])
async def test_a_text_to_a_group(client, request, where):
    target = request.getfixturevalue(where)
    await client.get_dialogs()
    message = await client.send_message(target.peer, "hi all")
    assert message.message == "hi all"
    assert message.chat_id == target.peer
    [stored] = await client.get_messages(target.peer)
    assert (stored.id, stored.message) == (message.id, "hi all")


async def test_a_channels_answer_has_id_and_pts(client, talk):
    peer = await known(client, talk.peer)
    result = await client(send_request(peer, "hi", 77))
    named, new = result.updates
    assert named == types.UpdateMessageID(new.message.id, 77)
    assert (new.pts, new.pts_count) == (talk.box.pts, 1)


async def test_the_other_side_is_told_and_the_sending_session_is_not(telethon, alice, bob, chat):
    clients = [await telethon(user) for user in (alice, alice, bob)]
    seen = [asyncio.Queue() for _ in clients]
    for client, queue in zip(clients, seen, strict=True):
        client.add_event_handler(queue.put, events.NewMessage())
        await client.get_dialogs()
    await clients[0].send_message(bob.id, "one")
    for queue in seen[1:]:
        assert (await asyncio.wait_for(queue.get(), 20)).raw_text == "one"
    await clients[2].send_message(alice.id, "two")
    assert (await asyncio.wait_for(seen[0].get(), 20)).raw_text == "two"


async def test_a_reply(client, talk, sandbox, bob):
    await client.get_dialogs()
    first = sandbox.world.post(bob, talk, "first")
    message = await client.send_message(talk.peer, "second", reply_to=first.channel_id)
    assert message.reply_to.reply_to_msg_id == first.channel_id


async def test_a_reply_to_nothing_is_refused(client, talk):
    await client.get_dialogs()
    with pytest.raises(errors.BadRequestError, match="REPLY_MESSAGE_ID_INVALID"):
        await client.send_message(talk.peer, "second", reply_to=999)


async def test_a_random_id_works_once(sandbox, client, chat):
    peer = await known(client, chat.id)
    await client(send_request(peer, "hi", 42))
    with pytest.raises(errors.RandomIdDuplicateError) as caught:
        await once(client, send_request(peer, "hi", 42))
    assert caught.value.code == 500
    assert [m.message for m in await client.get_messages(chat.id, None)] == ["hi", "hello"]


async def test_a_random_id_works_once_in_a_race(client, chat):
    peer = await known(client, chat.id)
    results = await asyncio.gather(
        *(once(client, send_request(peer, "hi", 42)) for _ in range(20)), return_exceptions=True
    )
    refused = [one for one in results if isinstance(one, errors.RandomIdDuplicateError)]
    assert len(refused) == 19


async def test_random_id_0_is_refused(client, chat):
    with pytest.raises(errors.RandomIdEmptyError):
        await client(send_request(await known(client, chat.id), "hi", 0))


async def test_an_empty_text_is_refused(client, chat):
    with pytest.raises(errors.MessageEmptyError):
        await client(send_request(await known(client, chat.id), " \n", 5))


async def test_4096_characters_are_the_most(client, chat):
    peer = await known(client, chat.id)
    assert await client(send_request(peer, "x" * 4096, 5))
    with pytest.raises(errors.MessageTooLongError):
        await client(send_request(peer, "x" * 4097, 6))


async def test_entities_beyond_the_text_are_refused(client, chat):
    bold = types.MessageEntityBold(0, 3)
    with pytest.raises(errors.EntityBoundsInvalidError):
        await client(send_request(await known(client, chat.id), "hi", 5, entities=[bold]))
    assert await client.send_message(chat.id, "🙂!", formatting_entities=[bold])


async def test_a_mention_by_name(client, talk, bob):
    await client.get_dialogs()
    await client.get_participants(talk.peer)
    message = await client.send_message(talk.peer, f"[you](tg://user?id={bob.id})")
    assert message.entities == [types.MessageEntityMentionName(0, 3, bob.id)]


async def test_a_blocked_user_is_refused(sandbox, client, alice, chat):
    sandbox.world.block(alice, chat)
    await client.get_dialogs()
    with pytest.raises(errors.YouBlockedUserError):
        await client.send_message(chat.id, "hi")


async def test_who_blocked_one_gets_nothing_and_nobody_is_told(sandbox, client, alice, chat):
    sandbox.world.block(chat, alice)
    await client.get_dialogs()
    message = await client.send_message(chat.id, "hi")
    assert sandbox.world.message(alice.id, chat.id, message.id).ids.keys() == {alice.id}


async def test_a_deleted_account_is_refused(sandbox, client, chat):
    await client.get_dialogs()
    sandbox.world.delete_account(chat)
    with pytest.raises(errors.InputUserDeactivatedError):
        await client.send_message(chat.id, "hi")


async def test_a_wrong_access_hash_is_refused(client, chat):
    with pytest.raises(errors.PeerIdInvalidError):
        await client.send_message(types.InputPeerUser(chat.id, 1), "hi")


async def test_a_min_user_is_named_by_its_message_only(sandbox, client, alice, talk, bob):
    message = sandbox.world.post(bob, talk, "first")
    peer = await known(client, talk.peer)
    least = sandbox.world.access_hash(alice.id, bob.id, minimal=True)
    with pytest.raises(errors.PeerIdInvalidError):
        await client(send_request(types.InputPeerUser(bob.id, least), "hi", 5))
    named = types.InputPeerUserFromMessage(peer, message.channel_id, bob.id)
    assert await client(send_request(named, "hi", 6))


async def test_subscribers_do_not_post(client, news):
    await client.get_dialogs()
    with pytest.raises(errors.ChatAdminRequiredError):
        await client.send_message(news.peer, "hi")


async def test_admins_post(sandbox, client, news, alice):
    sandbox.world.promote(news, alice, ChatAdminRights(post_messages=True))
    await client.get_dialogs()
    message = await client.send_message(news.peer, "hi")
    assert message.post
    assert (message.views, message.from_id) == (1, None)


async def test_outsiders_do_not_write(sandbox, client, bob):
    sandbox.world.add_channel("Open", bob, megagroup=True, username="opentalk")
    with pytest.raises(errors.ChatWriteForbiddenError):
        await client.send_message("opentalk", "hi")


async def test_who_left_a_group_does_not_write(sandbox, client, group, alice):
    await client.get_dialogs()
    sandbox.world.leave(alice, group)
    with pytest.raises(errors.ChatWriteForbiddenError):
        await client.send_message(types.PeerChat(group.id), "hi")


async def test_the_banned_do_not_write(sandbox, client, talk, alice):
    await client.get_dialogs()
    sandbox.world.ban(talk, alice)
    with pytest.raises(errors.ChannelPrivateError):
        await client.send_message(talk.peer, "hi")


async def test_the_muted_do_not_write(sandbox, client, talk, alice):
    await client.get_dialogs()
    sandbox.world.restrict(talk, alice, ChatBannedRights(None, send_messages=True))
    with pytest.raises(errors.UserBannedInChannelError):
        await client.send_message(talk.peer, "hi")


async def test_a_restriction_ends(sandbox, client, talk, alice):
    await client.get_dialogs()
    past = datetime.now(UTC) - timedelta(minutes=1)
    sandbox.world.restrict(talk, alice, ChatBannedRights(past, send_messages=True))
    assert await client.send_message(talk.peer, "hi")


async def test_a_closed_group_takes_nothing(sandbox, client, talk):
    await client.get_dialogs()
    sandbox.world.set_default_rights(talk, ChatBannedRights(None, send_messages=True))
    with pytest.raises(errors.ChatWriteForbiddenError):
        await client.send_message(talk.peer, "hi")


async def test_a_group_without_text(sandbox, client, talk):
    await client.get_dialogs()
    sandbox.world.set_default_rights(talk, ChatBannedRights(None, send_plain=True))
    with pytest.raises(errors.ChatSendPlainForbiddenError):
        await client.send_message(talk.peer, "hi")


async def test_slow_mode(sandbox, client, talk):
    await client.get_dialogs()
    talk.slowmode_seconds = 60
    await client.send_message(talk.peer, "one")
    with pytest.raises(errors.SlowModeWaitError) as caught:
        await client.send_message(talk.peer, "two")
    assert 50 < caught.value.seconds <= 60
    full = await client(functions.channels.GetFullChannelRequest(talk.peer))
    assert full.full_chat.slowmode_seconds == 60
    assert full.full_chat.slowmode_next_send_date > datetime.now(UTC)


async def test_forwarding(sandbox, client, talk, bob, chat):
    await client.get_dialogs()
    post = sandbox.world.post(bob, talk, "words")
    message = await client.forward_messages(chat.id, post.channel_id, talk.peer)
    assert message.message == "words"
    assert message.fwd_from.from_id == types.PeerUser(bob.id)
    saved = await client.forward_messages("me", post.channel_id, talk.peer)
    assert saved.fwd_from.saved_from_msg_id == post.channel_id


async def test_forwarding_without_the_author(sandbox, client, talk, bob, chat):
    await client.get_dialogs()
    post = sandbox.world.post(bob, talk, "words")
    message = await client.forward_messages(chat.id, post.channel_id, talk.peer, drop_author=True)
    assert message.fwd_from is None


async def test_forwarding_passes_over_what_is_gone(sandbox, client, talk, bob, chat):
    await client.get_dialogs()
    post = sandbox.world.post(bob, talk, "words")
    sent = await client.forward_messages(chat.id, [post.channel_id, 900], talk.peer)
    assert [message and message.message for message in sent] == ["words", None]
    with pytest.raises(errors.MessageIdInvalidError):
        await client.forward_messages(chat.id, [900], talk.peer)


async def test_protected_content_is_not_forwarded(sandbox, client, talk, bob, chat):
    talk.noforwards = True
    post = sandbox.world.post(bob, talk, "words")
    await client.get_dialogs()
    with pytest.raises(errors.ChatForwardsRestrictedError):
        await client.forward_messages(chat.id, post.channel_id, talk.peer)


async def test_forwards_have_random_ids_too(sandbox, client, talk, bob, chat):
    source, target = await known(client, talk.peer), await known(client, chat.id)
    post = sandbox.world.post(bob, talk, "words")
    request = functions.messages.ForwardMessagesRequest(
        source, [post.channel_id], target, random_id=[9]
    )
    await client(request)
    with pytest.raises(errors.RandomIdDuplicateError):
        await once(client, request)
    with pytest.raises(errors.RandomIdInvalidError):
        await client(
            functions.messages.ForwardMessagesRequest(
                source, [post.channel_id], target, random_id=[10, 11]
            )
        )


async def test_scheduling(sandbox, client, chat):
    await client.get_dialogs()
    message = await client.send_message(chat.id, "later", schedule=timedelta(hours=1))
    assert message.from_scheduled
    [waiting] = await client.get_messages(chat.id, None, scheduled=True)
    assert (waiting.id, waiting.message) == (message.id, "later")
    assert [m.message for m in await client.get_messages(chat.id, None)] == ["hello"]
    peer = await client.get_input_entity(chat.id)
    await client(functions.messages.SendScheduledMessagesRequest(peer, [message.id]))
    assert [m.message for m in await client.get_messages(chat.id, None)] == ["later", "hello"]
    assert await client.get_messages(chat.id, None, scheduled=True) == []
    with pytest.raises(errors.MessageIdInvalidError):
        await client(functions.messages.DeleteScheduledMessagesRequest(peer, [message.id]))


async def test_scheduling_too_late_is_refused(client, chat):
    await client.get_dialogs()
    with pytest.raises(errors.ScheduleDateTooLateError):
        await client.send_message(chat.id, "later", schedule=timedelta(days=400))


async def test_scheduling_for_right_now_sends(client, chat):
    await client.get_dialogs()
    message = await client.send_message(chat.id, "now", schedule=timedelta(seconds=5))
    assert not message.from_scheduled
    assert (await client.get_messages(chat.id))[0].message == "now"


async def test_typing(telethon, client, alice, bob, chat):
    other = await telethon(bob)
    await other.get_dialogs()
    seen = asyncio.Queue()
    other.add_event_handler(seen.put, events.UserUpdate())
    await client.get_dialogs()
    async with client.action(chat.id, "typing"):
        event = await asyncio.wait_for(seen.get(), 20)
    assert (event.typing, event.user_id) == (True, alice.id)


async def test_a_draft(client, chat):
    await client.get_dialogs()
    dialog = (await client.get_dialogs())[0]
    await dialog.draft.set_message("half a thought")
    [draft] = await client.get_drafts()
    assert draft.text == "half a thought"
    await client.send_message(chat.id, "whole", clear_draft=True)
    assert await client.get_drafts() == []


async def test_what_is_scheduled_goes_out_when_it_is_due(telethon, client, bob, chat, monkeypatch):
    monkeypatch.setattr("sandbox.methods.sending.SEND_AT_ONCE_SECONDS", 0)
    other = await telethon(bob)
    await other.get_dialogs()
    seen = asyncio.Queue()
    other.add_event_handler(seen.put, events.NewMessage())
    await client.get_dialogs()
    await client.send_message(chat.id, "soon", schedule=timedelta(seconds=2))
    assert (await asyncio.wait_for(seen.get(), 20)).raw_text == "soon"
    assert await client.get_messages(chat.id, None, scheduled=True) == []


async def test_a_scheduled_message_is_changed(client, chat):
    await client.get_dialogs()
    message = await client.send_message(chat.id, "later", schedule=timedelta(hours=1))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await client.edit_message(chat.id, message.id, "much later", schedule=tomorrow)
    [waiting] = await client.get_messages(chat.id, None, scheduled=True)
    assert (waiting.message, waiting.date.date()) == ("much later", tomorrow.date())
    with pytest.raises(errors.ScheduleDateInvalidError):
        past = datetime.now(UTC) - timedelta(days=1)
        await client.edit_message(chat.id, message.id, "earlier", schedule=past)
