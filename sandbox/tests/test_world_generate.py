"""The generated world: lively, the same for a seed, cheap; and worlds from files."""

import json

import pytest
from telethon.tl import types

from sandbox.world import World, render
from sandbox.world.generate import ALICE_PASSWORD, DEMO_PHONE, NEWS_POSTS
from sandbox.world.load import from_dict, load, save, to_dict
from sandbox.world.model import Document, Kind, Photo, Poll
from sandbox.world.pictures import jpeg, pdf, voice

CLOCK = 1_800_000_000.0


@pytest.fixture(scope="module")
def world():
    return World.generate(1, clock=lambda: CLOCK)


@pytest.fixture
def demo(world):
    return world.by_phone(DEMO_PHONE)


def titled(world, title):
    return next(c for c in world.chats.values() if c.title == title and not c.deactivated)


def test_the_fixed_points(world, demo):
    alice = world.by_phone("+15550000002")
    assert demo.name == "Demo User" and world.by_username("demo_user") == demo.id
    assert alice.password.hint == "xkcd" and ALICE_PASSWORD
    assert world.by_phone("+15550000004").dc == 1
    assert world.by_phone("+15550000098") is None
    assert "15550000099" in world.banned_phones


def test_the_same_seed_gives_the_same_world(world):
    again = World.generate(1, clock=lambda: CLOCK)
    other = World.generate(2, clock=lambda: CLOCK)
    assert to_dict(again) == to_dict(world)
    assert to_dict(other) != to_dict(world)


def test_it_has_everything_an_account_has(world, demo):
    kinds = {world.chats[peer].kind for peer in demo.dialogs if peer < 0}
    assert kinds == {Kind.GROUP, Kind.SUPERGROUP, Kind.CHANNEL}
    mine = list(demo.messages.values())
    for peer in demo.dialogs:
        if peer < 0:
            mine += world.history(demo.id, peer)
    media = {type(message.media) for message in mine}
    assert {Photo, Document, Poll, types.MessageMediaGeo} <= media
    assert any(message.reply_to for message in mine)
    assert any(message.forward for message in mine)
    assert any(message.reactions for message in mine)
    assert any(message.edit_date for message in mine)
    assert any(message.grouped_id for message in mine)
    assert any(message.pinned for message in mine)
    assert any(message.action for message in mine)
    assert any(dialog.folder_id == 1 for dialog in demo.dialogs.values())
    assert any(dialog.mute_until for dialog in demo.dialogs.values())
    assert len(demo.folders) == 3 and demo.id in demo.dialogs
    assert any(world.users[peer].bot for peer in demo.dialogs if peer > 0)


def test_dates_rise_and_end_near_now(world, demo):
    newest = 0
    for peer in demo.dialogs:
        history = world.history(demo.id, peer)
        dates = [message.date for message in history]
        assert dates == sorted(dates)
        newest = max(newest, dates[-1])
    assert CLOCK - 3600 < newest <= CLOCK
    ids = [message.date for _, message in sorted(demo.messages.items())]
    assert ids == sorted(ids)


def test_the_news_channel_is_large_and_has_gaps(world):
    news = world.chat(world.by_username("world_news_daily"))
    assert news.history.top_id == NEWS_POSTS and news.box.last_id == NEWS_POSTS
    assert 5000 < len(news.history) < NEWS_POSTS
    assert news.participants_count > 100_000


def test_the_private_project_hides_what_was_before_demo(world, demo):
    aurora = titled(world, "Project Aurora")
    charlie = world.by_phone("+15550000005")
    assert 0 < world.min_id(demo.id, aurora.peer) < aurora.history.top_id
    assert not world.may_read(charlie.id, aurora.peer)


def test_everything_renders_for_everybody_in_it(world, demo):
    for viewer in (demo, world.by_phone("+15550000003")):
        for peer in viewer.dialogs:
            for message in world.history(viewer.id, peer):
                assert render.message_raw(world, message, viewer.id).ready
            peers = {peer, viewer.id}
            users, chats = world.updates.describe(viewer.id, peers)
            assert all(one._bytes() for one in (*users, *chats))


def test_files_are_what_they_say():
    assert jpeg(1, 64, 48, 5).startswith(b"\xff\xd8") and jpeg(1, 64, 48).endswith(b"\xff\xd9")
    assert jpeg(1, 64, 48, 5) != jpeg(1, 64, 48, 6)
    assert voice(2).startswith(b"OggS") and pdf("x").startswith(b"%PDF")


def test_a_world_survives_a_file(tmp_path, world):
    path = tmp_path / "world.json"
    save(world, path)
    read = load(path)
    assert len(read.users) == len(world.users)
    again = json.loads(path.read_text())["messages"]
    assert len(to_dict(read)["messages"]) == len(again)
    python = read.chat(read.by_username("python_berlin"))
    assert python.title == "Python Berlin 🐍" and len(python.history) > 300


def test_a_world_written_by_hand():
    world = from_dict(
        {
            "users": [
                {"first_name": "Ann", "phone": "+15550000001", "password": "x"},
                {"first_name": "Ben", "username": "ben_b"},
            ],
            "chats": [
                {"key": "c", "kind": "channel", "title": "C", "creator": "@ben_b",
                 "members": ["+15550000001"], "username": "the_c"},
            ],
            "messages": [
                {"key": 1, "chat": "c", "text": "one", "reactions": {"👍": ["@ben_b"]}},
                {"chat": "+15550000001", "sender": "@ben_b", "text": "hi",
                 "media": {"document": {"name": "a.bin", "size": 10, "seed": 3}}},
            ],
        }
    )  # fmt: skip
    ann = world.by_phone("+15550000001")
    assert ann.password is not None
    assert world.chat(world.by_username("the_c")).history.top.text == "one"
    [message] = ann.messages.values()
    assert len(message.media.blob.read()) == 10
