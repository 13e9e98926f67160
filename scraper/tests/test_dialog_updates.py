"""The cached list of dialogs follows what happens at Telegram, and asks only for what is new."""

from typing import Any

import pytest


class Ann:
    """Ann, a friend, a channel that she reads, and her list of dialogs."""

    def __init__(self, rig: Any) -> None:
        from scraper.dialogs import DialogQuery
        from sessions_app.models import BoxState

        self.rig, self.world = rig, rig.world
        self.user, self.friend = rig.person("Ann"), rig.person("Bea")
        self.channel = self.world.add_channel("News", self.friend, [self.user], username="news_x")
        self.world.post(self.channel, self.channel, "first")
        self.hello = self.world.post(self.friend, self.user, "hello")
        self.session = rig.log_in(self.user)
        followed = BoxState.objects.filter(session=self.session, chat_id=self.channel.peer)
        rig.wait_until(followed.exists)
        self.query = DialogQuery

    def list(self, **query: Any) -> dict[int, dict[str, Any]]:
        from scraper.dialogs import search_dialogs

        found = search_dialogs(self.session, self.query(**query))
        return {dialog["id"]: dialog for dialog in found["results"]}

    def wait(self, condition: Any) -> None:
        self.rig.wait_until(lambda: condition(self.list()))

    def asked(self, method: str) -> int:
        return int(self.rig.sandbox.calls.count(method))

    def forget_calls(self) -> None:
        self.rig.sandbox.calls.clear()

    def nobody_asked(self) -> bool:
        return not self.asked("messages.getDialogs") + self.asked("messages.getPeerDialogs")


@pytest.fixture
def ann(rig: Any) -> Any:
    return Ann(rig)


def test_messages_move_a_dialog_on(ann: Any) -> None:
    before = ann.list()
    friend, channel = ann.friend.id, ann.channel.peer
    assert before[friend]["last_message_preview"] == "hello"
    ann.forget_calls()
    ann.world.post(ann.friend, ann.user, "are you there?")
    post = ann.world.post(ann.channel, ann.channel, "second")
    ann.wait(lambda now: now[friend]["last_message_preview"] == "are you there?")
    ann.wait(lambda now: now[channel]["last_message_preview"] == "second")
    now = ann.list()
    assert now[friend]["unread_count"] == before[friend]["unread_count"] + 1
    assert now[channel]["message_count"] == post.channel_id
    assert now[friend]["last_message_date"] >= before[friend]["last_message_date"]
    ann.world.edit(post, "second, corrected")
    ann.wait(lambda now: now[channel]["last_message_preview"] == "second, corrected")
    ann.world.read(ann.user, ann.friend)
    ann.wait(lambda now: now[friend]["unread_count"] == 0)
    assert ann.nobody_asked()


def test_the_newest_message_is_deleted(ann: Any) -> None:
    ann.list()
    ann.world.post(ann.friend, ann.user, "oops")
    ann.wait(lambda now: now[ann.friend.id]["last_message_preview"] == "oops")
    ann.forget_calls()
    newest = ann.world.history(ann.user.id, ann.friend.id).messages[-1]
    ann.world.delete(newest)
    ann.wait(lambda now: now[ann.friend.id]["last_message_preview"] == "hello")
    assert (ann.asked("messages.getDialogs"), ann.asked("messages.getPeerDialogs")) == (0, 1)


def test_a_chat_that_is_new_to_the_list(ann: Any) -> None:
    ann.list()
    stranger = ann.rig.person("Cyd")
    ann.forget_calls()
    ann.world.post(stranger, ann.user, "Is the bicycle still for sale?")
    ann.wait(lambda now: stranger.id in now)
    assert ann.list()[stranger.id]["title"] == "Cyd"
    assert ann.asked("messages.getDialogs") == 0


def test_a_channel_is_renamed_and_left(ann: Any) -> None:
    ann.list()
    ann.world.set_title(ann.channel, "Old News")
    ann.wait(lambda now: now[ann.channel.peer]["title"] == "Old News")
    ann.world.kick(ann.channel, ann.user)
    ann.wait(lambda now: ann.channel.peer not in now)


def test_a_dialog_is_archived(ann: Any) -> None:
    assert ann.list()[ann.friend.id]["is_archived"] is False
    ann.forget_calls()
    ann.world.archive(ann.user, ann.friend)
    ann.wait(lambda now: now[ann.friend.id]["is_archived"])
    assert ann.asked("messages.getDialogs") == 0
    ann.world.archive(ann.user, ann.friend, archived=False)
    ann.wait(lambda now: not now[ann.friend.id]["is_archived"])


def test_folders_follow(ann: Any) -> None:
    from scraper import folders

    assert [each["title"] for each in folders.show_folders(ann.session)] == ["All Chats"]
    ann.forget_calls()
    made = ann.world.add_folder(ann.user, "Friends", [ann.friend])
    ann.rig.wait_until(lambda: len(folders.show_folders(ann.session)) == 2)
    held = folders.show_folders(ann.session, include_dialogs=True)[1]["dialogs"]
    assert held == [{"id": ann.friend.id, "title": "Bea"}]
    assert ann.asked("messages.getDialogFilters") == 1
    ann.world.delete_folder(ann.user, made.id)
    ann.rig.wait_until(lambda: len(folders.show_folders(ann.session)) == 1)


def test_two_that_come_at_once_read_once(ann: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connections

    ann.rig.settle()
    ann.forget_calls()

    def ask() -> int:
        try:
            return len(ann.list())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        counts = {future.result() for future in [pool.submit(ask) for _ in range(8)]}
    assert len(counts) == 1
    assert ann.asked("messages.getDialogs") == 1


def test_accounts_whose_dialogs_were_never_read_have_no_rows(ann: Any) -> None:
    from scraper.models import Dialog

    ann.world.post(ann.friend, ann.user, "nobody looks")
    ann.rig.settle()
    assert not Dialog.objects.exists()
