"""The call log: counts, filters, waiting, and what it never keeps."""

import threading

import pytest
from telethon.tl import functions

from sandbox.calls import CallLog, Entry, arguments


@pytest.fixture
def log():
    log = CallLog()
    log.add(Entry("messages.getHistory", user_id=1, arguments={"offset_id": 0}))
    log.add(Entry("messages.getHistory", user_id=2, error="FLOOD_WAIT_3"))
    log.add(Entry("messages.search", user_id=1))
    return log


def test_it_counts(log):
    assert log.count("messages.getHistory") == 2
    assert log.count("messages.*") == 3
    assert log.count("messages.*", user_id=1) == 2
    assert log.count("auth.logOut") == 0
    assert log.counts() == {"messages.getHistory": 2, "messages.search": 1}


def test_it_lists_entries(log):
    assert [entry.user_id for entry in log.entries("messages.getHistory")] == [1, 2]
    assert [entry.method for entry in log.entries(user_id=1)] == [
        "messages.getHistory",
        "messages.search",
    ]


def test_it_can_be_cleared(log):
    log.clear()
    assert log.count("*") == 0
    assert log.entries() == []


def test_it_waits_for_calls(log):
    thread = threading.Thread(target=lambda: log.add(Entry("auth.logOut")))
    thread.start()
    assert log.wait("auth.logOut") == 1
    thread.join()


def test_it_waits_for_a_condition(log):
    log.wait_for(lambda log: log.count("messages.*") == 3)
    with pytest.raises(TimeoutError):
        log.wait("auth.logOut", timeout_seconds=0.01)


def test_arguments_hold_no_text():
    request = functions.auth.SignInRequest("+15550000001", "hash", "12345")
    assert arguments(request) == {}
    history = functions.messages.GetHistoryRequest("peer", 5, None, 0, 100, 0, 0, 7)
    assert arguments(history) == {
        "offset_id": 5,
        "add_offset": 0,
        "limit": 100,
        "max_id": 0,
        "min_id": 0,
        "hash": 7,
    }


def test_an_entry_shows_no_request():
    request = functions.auth.SignInRequest("+15550000001", "hash", "12345")
    entry = Entry("auth.signIn", request=request)
    assert "12345" not in repr(entry)
    assert "request" not in entry.to_dict()


def test_uploaded_parts_are_not_kept():
    log = CallLog()
    request = functions.upload.SaveFilePartRequest(1, 0, b"part")
    log.add(Entry("upload.saveFilePart", request=request))
    assert log.entries()[0].request is None


def test_every_call_is_logged(sandbox):
    assert sandbox.calls.count("*") == 0
