"""Updates over real connections: in order, none lost, none twice, whatever happens between."""

from collections.abc import Iterator

import pytest

from engine import methods
from engine.errors import BadGateway
from engine.tests.telegram import QUICK, Rig, texts
from sandbox import Sandbox
from sandbox.world import Limits, World


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def sandbox(limits: Limits) -> Iterator[Sandbox]:
    world = World(limits=limits)
    alice = world.add_user("Alice", phone="+15550000001")
    bob = world.add_user("Bob", phone="+15550000002")
    world.add_channel("News", bob, [alice])
    world.add_channel("Talk", bob, [alice], megagroup=True)
    world.add_group("Friends", bob, [alice])
    with Sandbox(world=world) as running:
        yield running
        assert running.server.crashes == []


@pytest.fixture
def rig(sandbox: Sandbox) -> Iterator[Rig]:
    rig = Rig(sandbox)
    yield rig
    rig.engine.stop(10)


@pytest.fixture
def alice(sandbox: Sandbox):
    return sandbox.world.by_phone("+15550000001")


@pytest.fixture
def bob(sandbox: Sandbox):
    return sandbox.world.by_phone("+15550000002")


@pytest.fixture
def chats(sandbox: Sandbox):
    return {chat.title: chat for chat in sandbox.world.chats.values()}


def post_many(sandbox, sender, chat, prefix, count):
    return [sandbox.world.post(sender, chat, f"{prefix} {n}") for n in range(count)]


def expected(prefix, count):
    return [f"{prefix} {n}" for n in range(count)]


def started(rig, alice):
    """Log Alice in and wait until the engine knows where her chats stand."""
    rig.log_in(alice)
    rig.wait_until(lambda: len(rig.boxes()) >= 3 and rig.boxes()[0].top_message_id)


def test_it_works(rig, sandbox, alice, bob):
    rig.log_in(alice)
    sandbox.world.post(bob, alice, "hello")
    assert rig.sink.wait_for_texts(1, "hello") == ["hello"]
    event = [e for e in rig.sink.events if e.kind == "message.new"][-1]
    assert event.chat_id == bob.id
    assert event.data["message"]["sender_id"] == bob.id


def test_a_batch_carries_the_state_and_the_entities_of_its_events(rig, sandbox, alice, bob, chats):
    started(rig, alice)
    message = sandbox.world.post(bob, chats["News"], "post")
    rig.sink.wait_for_texts(1, "post")
    batch = next(b for b in rig.sink.batches if "post" in texts(b.events))
    assert batch.account_id == alice.id
    [state] = batch.states
    assert state.chat_id == chats["News"].peer
    assert state.top_message_id == message.channel_id
    assert state.pts == chats["News"].box.pts


def test_every_kind_becomes_an_event(rig, sandbox, alice, bob, chats):
    started(rig, alice)
    world, news = sandbox.world, chats["News"]
    private = world.post(bob, alice, "one")
    post = world.post(bob, news, "two")
    world.edit(private, text="one!")
    world.react(bob, private, "👍")
    world.read(bob, alice)
    world.delete(post)
    world.kick(chats["Friends"], alice)
    kinds = {
        "message.new",
        "message.edited",
        "message.reactions",
        "message.deleted",
        "chat.member",
    }
    events = rig.sink.wait_for(lambda events: kinds <= {e.kind for e in events})
    deleted = next(e for e in events if e.kind == "message.deleted")
    assert deleted.chat_id == news.peer
    assert deleted.data == {"message_ids": [post.channel_id]}
    edited = next(e for e in events if e.kind == "message.edited")
    assert edited.data["message"]["message"] == "one!"


def test_it_catches_up_on_500_messages_missed_offline(rig, sandbox, alice, bob, chats):
    started(rig, alice)
    rig.restart()
    post_many(sandbox, bob, alice, "private", 250)
    post_many(sandbox, bob, chats["Talk"], "talk", 250)
    rig.connect()
    assert rig.sink.wait_for_texts(250, "private") == expected("private", 250)
    assert rig.sink.wait_for_texts(250, "talk") == expected("talk", 250)


def test_edits_and_deletions_missed_offline_arrive(rig, sandbox, alice, bob, chats):
    started(rig, alice)
    private = sandbox.world.post(bob, alice, "private")
    post = sandbox.world.post(bob, chats["News"], "post")
    rig.sink.wait_for_texts(1, "private")
    rig.sink.wait_for_texts(1, "post")
    rig.restart()
    sandbox.world.edit(private, text="edited")
    sandbox.world.delete(post)
    rig.connect()
    events = rig.sink.wait_for(
        lambda events: {"message.edited", "message.deleted"} <= {e.kind for e in events}
    )
    assert [e.data["message"]["message"] for e in events if e.kind == "message.edited"] == [
        "edited"
    ]


class TestTooLong:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(box_events=50)

    def test_151_messages_of_a_channel_are_read_from_history(self, rig, sandbox, alice, bob, chats):
        started(rig, alice)
        rig.restart()
        post_many(sandbox, bob, chats["Talk"], "talk", 151)
        rig.connect()
        assert rig.sink.wait_for_texts(151, "talk") == expected("talk", 151)
        rig.wait_until(lambda: rig.boxes()[chats["Talk"].peer].pts == chats["Talk"].box.pts)
        assert rig.facts()["holes"] == 1
        sandbox.world.post(bob, chats["Talk"], "after")
        rig.sink.wait_for_texts(1, "after")

    def test_151_messages_of_the_account_are_read_from_history(
        self, rig, sandbox, alice, bob, chats
    ):
        started(rig, alice)
        rig.restart()
        for n in range(151):
            sandbox.world.post(bob, alice if n % 2 else chats["Friends"], f"m {n}")
        rig.connect()
        assert rig.sink.wait_for_texts(151, "m") == expected("m", 151)
        rig.wait_until(lambda: rig.boxes()[0].pts == alice.box.pts)
        sandbox.world.post(bob, alice, "after")
        rig.sink.wait_for_texts(1, "after")

    def test_a_live_message_waits_for_the_hole_before_it(self, rig, sandbox, alice, bob, chats):
        started(rig, alice)
        rig.restart()
        post_many(sandbox, bob, chats["Talk"], "talk", 120)
        sandbox.faults.latency(0.2, method="messages.getHistory")
        rig.connect()
        sandbox.calls.wait("messages.getHistory")
        sandbox.world.post(bob, chats["Talk"], "talk 120")
        sandbox.world.post(bob, alice, "elsewhere")
        assert rig.sink.wait_for_texts(121, "talk") == expected("talk", 121)
        rig.sink.wait_for_texts(1, "elsewhere")

    def test_a_hole_is_taken_up_again_where_the_last_page_was_committed(
        self, rig, sandbox, alice, bob, chats
    ):
        started(rig, alice)
        rig.restart()
        post_many(sandbox, bob, chats["Talk"], "talk", 250)
        sandbox.faults.flood("messages.getHistory", 60, times=1)
        sandbox.faults.fail("messages.getHistory", 500, "INTERNAL", times=0)
        rig.connect()
        sandbox.calls.wait("messages.getHistory")
        rig.restart()
        rig.store.change(1, floods={})
        sandbox.faults.clear()
        rig.connect()
        assert rig.sink.wait_for_texts(250, "talk") == expected("talk", 250)


def test_a_pts_that_telegram_does_not_know_is_a_hole(rig, sandbox, alice, bob):
    started(rig, alice)
    rig.restart()
    post_many(sandbox, bob, alice, "m", 5)
    sandbox.faults.fail("updates.getDifference", 400, "PERSISTENT_TIMESTAMP_INVALID")
    rig.connect()
    assert rig.sink.wait_for_texts(5, "m") == expected("m", 5)


def test_a_difference_that_fails_is_asked_for_again(rig, sandbox, alice, bob, chats):
    started(rig, alice)
    rig.restart()
    post_many(sandbox, bob, chats["Talk"], "talk", 5)
    sandbox.faults.fail("updates.getChannelDifference", 400, "PERSISTENT_TIMESTAMP_OUTDATED")
    rig.connect()
    assert rig.sink.wait_for_texts(5, "talk") == expected("talk", 5)


def test_lost_doubled_and_swapped_pushes_lose_double_and_swap_nothing(
    rig, sandbox, alice, bob, chats
):
    started(rig, alice)
    sandbox.faults.updates(lost=0.05, duplicated=0.05, reordered=0.05, seed=7)
    for n in range(300):
        sandbox.world.post(bob, chats["Talk"], f"talk {n}")
    sandbox.faults.clear()
    sandbox.world.post(bob, chats["Talk"], "talk 300")
    assert rig.sink.wait_for_texts(301, "talk") == expected("talk", 301)


def test_a_slow_sink_and_a_graceful_stop_lose_nothing(rig, sandbox, alice, bob):
    started(rig, alice)
    rig.sink.open.clear()
    post_many(sandbox, bob, alice, "m", 100)
    rig.wait_until(lambda: rig.facts()["pts"] == alice.box.pts)
    rig.timing = QUICK
    rig.engine.stop(1)  # less than the sink needs
    rig.sink.open.set()
    rig.engine = rig.make_engine()
    rig.connect()
    seen = rig.sink.wait_for_texts(100, "m")
    assert sorted(set(seen)) == sorted(expected("m", 100))
    assert ids(rig, "m") == sorted(ids(rig, "m"))


def test_what_a_stop_has_time_for_is_stored(rig, sandbox, alice, bob):
    started(rig, alice)
    rig.sink.open.clear()
    post_many(sandbox, bob, alice, "m", 100)
    rig.wait_until(lambda: rig.facts()["pts"] == alice.box.pts)
    rig.sink.open.set()
    rig.engine.stop(10)
    assert [t for t in rig.sink.texts() if t.startswith("m ")] == expected("m", 100)
    assert rig.boxes()[0].pts == alice.box.pts


def test_a_commit_whose_answer_was_lost_doubles_nothing(rig, sandbox, alice, bob):
    started(rig, alice)
    rig.sink.lost_answers = 1
    post_many(sandbox, bob, alice, "m", 10)
    rig.sink.wait_for_texts(1, "m")
    rig.engine.stop(1)
    rig.engine = rig.make_engine()
    rig.connect()
    rig.sink.wait_for_texts(10, "m")
    assert [t for t in rig.sink.texts() if t.startswith("m ")] == expected("m", 10)


def test_a_sink_that_fails_is_tried_again(rig, sandbox, alice, bob):
    started(rig, alice)
    rig.sink.failures = 3
    post_many(sandbox, bob, alice, "m", 10)
    assert rig.sink.wait_for_texts(10, "m") == expected("m", 10)


def test_own_messages_are_events_once(rig, sandbox, alice, bob, chats):
    started(rig, alice)
    rig.connect()
    for n in range(3):
        rig.call(
            1,
            methods.messages.send_message,
            chat_id=f"+{bob.phone}",
            text=f"own {n}",
            random_id=n + 1,
        )
    rig.call(
        1, methods.messages.send_message, chat_id=chats["Talk"].peer, text="own 3", random_id=9
    )
    assert sorted(rig.sink.wait_for_texts(4, "own")) == expected("own", 4)
    sandbox.world.post(bob, alice, "last")
    rig.sink.wait_for_texts(1, "last")
    assert sorted(t for t in rig.sink.texts() if t.startswith("own")) == expected("own", 4)


def test_own_deletions_are_events(rig, sandbox, alice, bob, chats):
    started(rig, alice)
    sent = rig.call(
        1, methods.messages.send_message, chat_id=chats["Talk"].peer, text="oops", random_id=9
    )
    rig.call(
        1,
        methods.messages.delete_messages,
        chat_id=chats["Talk"].peer,
        message_ids=[sent["message_id"]],
    )
    events = rig.sink.wait_for(lambda events: any(e.kind == "message.deleted" for e in events))
    deleted = next(e for e in events if e.kind == "message.deleted")
    assert (deleted.chat_id, deleted.data["message_ids"]) == (
        chats["Talk"].peer,
        [sent["message_id"]],
    )
    rig.wait_until(lambda: rig.boxes()[chats["Talk"].peer].pts == chats["Talk"].box.pts)


def ids(rig, prefix):
    messages = [e.data["message"] for e in rig.sink.events if e.kind == "message.new"]
    return [m["message_id"] for m in messages if m["message"].startswith(prefix)]


def test_a_message_whose_sender_gave_up_waiting_is_an_event(rig, sandbox, alice, bob):
    started(rig, alice)
    sandbox.world.post(bob, alice, "who are you?")
    rig.sink.wait_for_texts(1, "who")
    sandbox.faults.latency(0.5, method="messages.sendMessage")
    with pytest.raises(BadGateway):
        rig.engine.using(timeout_seconds=0.3).call(
            1, methods.messages.send_message, chat_id=bob.id, text="own", random_id=5
        )
    assert rig.sink.wait_for_texts(1, "own") == ["own"]
    rig.wait_until(lambda: rig.boxes()[0].pts == alice.box.pts)
