"""Posting, editing, deleting, reading: what the world keeps and counts."""

import pytest
from telethon.extensions import BinaryReader
from telethon.tl import types

from sandbox.world import World, render
from sandbox.world.history import History
from sandbox.world.model import Authorization, Kind, is_channel
from sandbox.world.state import UnknownPeer


@pytest.fixture
def world():
    return World()


@pytest.fixture
def ann(world):
    return world.add_user("Ann", phone="+1 555 000 01 01", username="ann_a")


@pytest.fixture
def ben(world):
    return world.add_user("Ben", phone="+15550000102", username="ben_b")


@pytest.fixture
def cid(world):
    return world.add_user("Cid", phone="+15550000103", username="cid_c")


@pytest.fixture
def pushed(world):
    """(user id, TL updates) of everything pushed; log users in by `connect`."""
    out = []
    world.updates.sink = lambda user_id, updates, exclude=None: out.append((user_id, updates))
    return out


def connect(world, user, key=1):
    authorization = world.authorizations[key] = Authorization(key, 2)
    world.log_in(authorization, user)
    return authorization


def seen(world, message, viewer):
    """A message as the viewer's client parses it."""
    return BinaryReader(render.message_raw(world, message, viewer.id)._bytes()).tgread_object()


def test_a_private_message_has_an_id_for_each_side(world, ann, ben, cid):
    world.post(ann, cid, "elsewhere")
    message = world.post(ann, ben, "hi")
    assert message.ids == {ann.id: 2, ben.id: 1}
    assert world.history(ann.id, ben.id).top is message
    assert world.history(ben.id, ann.id).top is message
    mine, theirs = seen(world, message, ann), seen(world, message, ben)
    assert mine.out and mine.peer_id == types.PeerUser(ben.id) and mine.id == 2
    assert not theirs.out and theirs.peer_id == types.PeerUser(ann.id) and theirs.id == 1
    assert theirs.from_id is None and mine.from_id == types.PeerUser(ann.id)
    assert (ann.box.pts, ben.box.pts) == (3, 2)


def test_saved_messages_exist_once_and_are_not_out(world, ann):
    message = world.post(ann, ann, "note")
    assert message.ids == {ann.id: 1}
    assert not seen(world, message, ann).out
    assert world.unread_count(ann.id, ann.id) == 0


def test_a_channel_has_ids_and_pts_of_its_own(world, ann, ben):
    channel = world.add_channel("News", ann, [ben], signatures=True)
    before = ben.box.pts
    message = world.post(ann, channel, "x")
    assert message.channel_id == 2 and channel.box.pts == 3 and ben.box.pts == before
    post = seen(world, message, ben)
    assert post.post and post.from_id is None and post.views == 1 and post.post_author == "Ann"


def test_basic_groups_number_per_member(world, ann, ben, cid):
    group = world.add_group("Three", ann, [ben, cid])
    world.post(ann, ben, "aside")
    message = world.post(cid, group, "all")
    assert message.ids == {cid.id: 2, ann.id: 3, ben.id: 3}
    world.leave(ben, group)
    later = world.post(ann, group, "without Ben")
    assert ben.id not in later.ids
    assert isinstance(
        world.history(ben.id, group.peer).top.action, types.MessageActionChatDeleteUser
    )


def test_replies_are_numbered_for_the_viewer(world, ann, ben):
    world.post(ann, ann, "shift the numbers")
    first = world.post(ann, ben, "question")
    answer = world.post(ben, ann, "answer", reply_to=first)
    assert seen(world, answer, ann).reply_to.reply_to_msg_id == 2
    assert seen(world, answer, ben).reply_to.reply_to_msg_id == 1


def test_the_blocked_reach_nobody(world, ann, ben):
    world.block(ben, ann)
    message = world.post(ann, ben, "hello?")
    assert message.ids == {ann.id: 1}


def test_deleting_for_one_side_or_for_all(world, ann, ben):
    one, two = world.post(ann, ben, "1"), world.post(ann, ben, "2")
    world.delete(one, only_for=ann)
    assert one.ids == {ben.id: 1}
    world.delete(one, two)
    assert len(world.history(ben.id, ann.id)) == 0
    assert ben.box.events[-1].ids == (1, 2) and ben.box.events[-1].pts_count == 2
    assert ann.box.events[-1].ids == (2,)


def test_editing_changes_what_was_rendered(world, ann, ben):
    message = world.post(ann, ben, "draft")
    assert seen(world, message, ben).message == "draft"
    world.edit(message, "final")
    after = seen(world, message, ben)
    assert after.message == "final" and after.edit_date is not None


def test_the_cache_shares_bytes_between_readers_of_a_channel(world, ann, ben, cid):
    channel = world.add_channel("News", ann, [ben, cid])
    message = world.post(channel, channel, "x")
    assert (
        render.message_raw(world, message, ben.id).ready
        is render.message_raw(world, message, cid.id).ready
    )
    world.react(ben, message, "👍")
    own, other = seen(world, message, ben), seen(world, message, cid)
    assert own.reactions.results[0].chosen_order == 1
    assert other.reactions.results[0].chosen_order is None


def test_contacts_are_shown_under_the_viewers_label(world, ann, ben, cid):
    world.make_contact(ann, ben, first_name="Mum", last_name="❤")
    assert render.user(world, ann.id, ben.id).first_name == "Mum"
    assert render.user(world, cid.id, ben.id).first_name == "Ben"
    assert render.user(world, ann.id, ben.id).phone == "15550000102"
    assert render.user(world, cid.id, ben.id).phone is None


def test_access_hashes_differ_by_account_and_min(world, ann, ben, cid):
    hashes = {
        world.access_hash(ann.id, cid.id),
        world.access_hash(ben.id, cid.id),
        world.access_hash(ann.id, cid.id, minimal=True),
    }
    assert len(hashes) == 3
    assert render.user(world, ann.id, cid.id, minimal=True).min


def test_mentions_and_replies_are_noticed(world, ann, ben, cid):
    group = world.add_channel("Talk", ann, [ben, cid], megagroup=True)
    first = world.post(ben, group, "hello")
    message = world.post(ann, group, "@cid_c look", reply_to=first)
    assert message.mentions == {ben.id, cid.id}
    assert world.dialog(cid.id, group.peer).unread_mentions == {message.channel_id}
    assert seen(world, message, cid).mentioned and not seen(world, message, ann).mentioned
    world.read_contents(cid, message)
    assert not world.dialog(cid.id, group.peer).unread_mentions


def test_the_server_finds_entities(world, ann, ben):
    text = "🎉 see https://x.org/a?b=1. and @ben_b #tag /start me@x.org"
    message = world.post(ann, ben, text)
    encoded = text.encode("utf-16-le")
    found = [
        (
            type(one).__name__,
            encoded[2 * one.offset : 2 * (one.offset + one.length)].decode("utf-16-le"),
        )
        for one in message.entities
    ]
    assert found == [
        ("MessageEntityUrl", "https://x.org/a?b=1"),
        ("MessageEntityMention", "@ben_b"),
        ("MessageEntityHashtag", "#tag"),
        ("MessageEntityBotCommand", "/start"),
        ("MessageEntityEmail", "me@x.org"),
    ]


def test_forwarding_keeps_the_origin(world, ann, ben, cid):
    channel = world.add_channel("News", ann, [ben])
    post = world.post(channel, channel, "scoop")
    [copy] = world.forward(ben, [post], cid)
    assert copy.forward.from_peer == channel.peer and copy.forward.channel_post == 2
    [again] = world.forward(cid, [copy], ann)
    assert again.forward.from_peer == channel.peer
    ann.hides_forwards = True
    [hidden] = world.forward(cid, [world.post(ann, cid, "secret")], ben)
    assert hidden.forward.from_peer is None and hidden.forward.from_name == "Ann"
    [saved] = world.forward(ben, [post], ben)
    assert saved.forward.saved_from_peer == channel.peer and saved.forward.saved_from_id == 2


def test_reading_counts_only_others(world, ann, ben):
    for number in range(3):
        world.post(ann, ben, str(number))
    world.post(ben, ann, "own")
    assert world.unread_count(ben.id, ann.id) == 3
    world.read(ben, ann, max_id=2)
    assert world.unread_count(ben.id, ann.id) == 1
    assert world.dialog(ann.id, ben.id).read_outbox_max_id == 2


def test_pinning_leaves_a_service_message(world, ann, ben):
    message = world.post(ann, ben, "important")
    world.pin(message, by=ann)
    top = world.history(ben.id, ann.id).top
    assert isinstance(top.action, types.MessageActionPinMessage) and top.reply_to is message
    assert seen(world, message, ben).pinned


def test_polls_open_after_the_vote(world, ann, ben):
    message = world.post(ann, ben, media=world.add_poll("Tea?", "yes", "no"))
    assert not seen(world, message, ben).media.results.results
    world.vote(ben, message, 0)
    results = seen(world, message, ben).media.results
    assert [one.voters for one in results.results] == [1, 0] and results.results[0].chosen


def test_a_comment_thread(world, ann, ben):
    channel = world.add_channel("Posts", ann, [ben])
    talk = world.add_channel("Comments", ann, [ben], megagroup=True)
    world.link_discussion(channel, talk)
    post = world.post(channel, channel, "discuss")
    copy = talk.history.top
    assert copy.forward.saved_from_id == post.channel_id and copy.sender == channel.peer


def test_only_the_logged_in_are_told(world, ann, ben, pushed):
    connect(world, ben)
    world.post(ann, ben, "hi")
    assert [user_id for user_id, _ in pushed] == [ben.id]
    world.log_out(world.authorizations[1])
    world.post(ann, ben, "gone")
    assert len(pushed) == 1


def test_acting_collects_what_belongs_into_the_result(world, ann, ben, pushed):
    connect(world, ann)
    connect(world, ben, 2)
    with world.acting(ann.id) as act:
        world.post(ann, ben, "1")
        world.post(ann, ben, "2")
    result = act.result()
    assert [type(one) for one in result.updates] == [types.UpdateNewMessage] * 2
    assert act.pts() == (3, 2) and result.seq == 0
    assert {user.id for user in result.users} == {ann.id, ben.id}
    assert [user_id for user_id, _ in pushed].count(ben.id) == 2


def test_posting_never_goes_back_in_time(world, ann, ben):
    world.post(ann, ben, "now")
    message = world.post(ann, ben, "old", date=1000)
    dates = [one.date for one in world.history(ann.id, ben.id)]
    assert dates == sorted(dates) and message.date > 1000


def test_history_is_searched_by_id_and_date(world, ann, ben):
    history = History()
    for number in range(1, 101):
        message = world.post(ann, ben, str(number), date=1_700_000_000 + 10 * number)
        history.append(3 * number, message)
    assert history.get(30).text == "10" and history.get(31) is None
    assert history.index_of_id(31) == 10 and history.index_after_id(30) == 10
    assert history.index_of_date(1_700_000_505) == 50
    history.remove(30)
    assert history.get(30) is None and history.deleted == {30}
    with pytest.raises(ValueError, match="grow"):
        history.append(5, message)


def test_a_lazy_channel_is_filled_once(world, ann):
    filled = []

    def fill(chat, history):
        filled.append(chat.title)
        history.append(1, world.post(ann, ann, "stand-in"))

    channel = world.add_channel("Lazy", ann, backlog=1, fill=fill)
    assert filled == [] and channel.box.pts == 2
    assert len(channel.history) == 1 and len(channel.history) == 1
    assert filled == ["Lazy"]


def test_names_of_people_and_chats_resolve(world, ann):
    group = world.add_group("G", ann)
    assert world.resolve("@ANN_A") == world.resolve("+1 (555) 000-0101") == ann.id
    assert world.resolve(str(group.peer)) == group.peer
    for unknown in ("@nobody", "+1999", 7):
        with pytest.raises(UnknownPeer):
            world.resolve(unknown)


def test_migration_makes_two_chats(world, ann, ben):
    group = world.add_group("Club", ann, [ben])
    world.post(ben, group, "old")
    new = world.migrate_group(group)
    assert new.kind is Kind.SUPERGROUP and is_channel(new.peer)
    assert group.migrated_to == new.peer and new.migrated_from == group.peer
    assert isinstance(new.history.top.action, types.MessageActionChannelMigrateFrom)
    assert world.history(ben.id, group.peer).top.action.channel_id == new.id
    assert render.chat(world, ben.id, group.peer).migrated_to.channel_id == new.id


def test_who_may_read(world, ann, ben, cid):
    private = world.add_channel("Private", ann, [ben], megagroup=True)
    public = world.add_channel("Public", ann, username="public_one")
    assert world.may_read(ben.id, private.peer) and not world.may_read(cid.id, private.peer)
    assert world.may_read(cid.id, public.peer)
    world.ban(public, cid)
    assert not world.may_read(cid.id, public.peer)
    world.kick(private, ben)
    assert not world.may_read(ben.id, private.peer)
    assert isinstance(render.chat(world, ben.id, private.peer), types.ChannelForbidden)


def test_hidden_prehistory_begins_at_the_entry(world, ann, ben):
    group = world.add_channel("Secret", ann, megagroup=True, hidden_prehistory=True)
    world.post(ann, group, "before")
    world.join(ben, group)
    assert world.min_id(ben.id, group.peer) == 2 and world.min_id(ann.id, group.peer) == 0


def test_file_references_expire(world, ann):
    photo = world.add_photo()
    reference = world.file_reference(photo.id)
    assert world.file_reference_state(photo.id, reference) == "valid"
    world.expire_file_references()
    assert world.file_reference_state(photo.id, reference) == "expired"
    assert world.file_reference_state(photo.id, b"nonsense") == "invalid"


def test_the_archive_lets_go_of_unmuted_chats(world, ann, ben):
    world.post(ben, ann, "hi")
    world.archive(ann, ben)
    assert world.dialog(ann.id, ben.id).folder_id == 1
    world.post(ben, ann, "again")
    assert world.dialog(ann.id, ben.id).folder_id == 0
    world.archive(ann, ben)
    world.mute(ann, ben)
    world.post(ben, ann, "unheard")
    assert world.dialog(ann.id, ben.id).folder_id == 1


def test_clearing_a_history(world, ann, ben):
    for number in range(4):
        world.post(ben, ann, str(number))
    assert world.clear_history(ann, ben) == 4
    assert len(world.history(ann.id, ben.id)) == 0 and len(world.history(ben.id, ann.id)) == 4
    assert world.dialog(ann.id, ben.id).hidden


def test_messages_are_named_by_uid_or_place(world, ann, ben):
    channel = world.add_channel("News", ann, [ben], username="the_news")
    post, message = world.post(channel, channel, "x"), world.post(ann, ben, "y")
    world.edit(["@the_news", post.channel_id], "x2")
    world.react("@ben_b", ["@ben_b", "@ann_a", message.ids[ben.id]], "👍")
    world.delete(post.uid)
    assert message.reactions == {ben.id: ["👍"]}
    assert post.text == "x2" and channel.history.get(post.channel_id) is None
    for unknown in (10**9, ["@the_news", 99]):
        with pytest.raises(UnknownPeer):
            world.edit(unknown, "z")
