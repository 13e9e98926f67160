"""Which dialogs a folder holds."""

import pytest
from telethon import types

from engine.folders import folder_holds
from engine.telegram import convert

NOW = 1_000


def make_folder(**rules):
    return {**convert.folder_dict(types.DialogFilterDefault(), None), **NOTHING, **rules}


NOTHING = dict.fromkeys(("contacts", "non_contacts", "groups", "channels", "bots"), False)


def make_dialog(kind="group", chat_id=-5, *, unread=0, archived=False, **extra):
    return {
        "id": chat_id,
        "type": kind,
        "unread_count": unread,
        "is_archived": archived,
        "extra": extra,
    }


def test_the_default_folder_holds_everything():
    folder = convert.default_folder()
    for kind in ("user", "bot", "saved", "group", "supergroup", "channel"):
        assert folder_holds(folder, make_dialog(kind, archived=True), now=NOW)


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        ("groups", {"group", "supergroup"}),
        ("channels", {"channel"}),
        ("bots", {"bot"}),
        ("non_contacts", {"user", "saved"}),
    ],
)
def test_kinds(rule, kinds):
    folder = make_folder(**{rule: True})
    every = ("user", "bot", "saved", "group", "supergroup", "channel")
    assert {k for k in every if folder_holds(folder, make_dialog(k), now=NOW)} == kinds


def test_contacts():
    folder = make_folder(contacts=True)
    assert folder_holds(folder, make_dialog("user", is_contact=True), now=NOW)
    assert not folder_holds(folder, make_dialog("user"), now=NOW)


def test_named_chats_beat_the_rules():
    archived = make_dialog(archived=True)
    assert folder_holds(make_folder(included=[-5], exclude_archived=True), archived, now=NOW)
    assert folder_holds(make_folder(pinned=[-5]), make_dialog(), now=NOW)
    assert not folder_holds(make_folder(groups=True, excluded=[-5]), make_dialog(), now=NOW)


def test_exceptions():
    muted = make_dialog(muted_until=NOW + 1)
    assert not folder_holds(make_folder(groups=True, exclude_muted=True), muted, now=NOW)
    assert folder_holds(make_folder(groups=True, exclude_muted=True), muted, now=NOW + 2)
    quiet = make_folder(groups=True, exclude_read=True)
    assert not folder_holds(quiet, make_dialog(), now=NOW)
    assert folder_holds(quiet, make_dialog(unread=1), now=NOW)
    assert folder_holds(quiet, make_dialog(unread_mark=True), now=NOW)
    archived = make_dialog(archived=True)
    assert not folder_holds(make_folder(groups=True, exclude_archived=True), archived, now=NOW)
