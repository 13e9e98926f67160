"""Session strings of other programs, in each layout that was ever written."""

import base64
import struct

import pytest
from telethon.sessions import StringSession

from sessions_app.seeds import Unreadable
from sessions_app.strings import parse, pyrogram_string, telethon_string

KEY = bytes(range(1, 256)) + b"\x07"


@pytest.mark.parametrize("host", ["149.154.167.51", "2001:67c:4e8:f002::a"])
def test_telethon_reads_what_we_write_and_we_what_it_writes(host):
    text = telethon_string(dc_id=4, host=host, port=443, auth_key=KEY)
    theirs = StringSession(text)
    assert (theirs.dc_id, theirs.server_address, theirs.port) == (4, host, 443)
    assert theirs.auth_key.key == KEY
    assert theirs.save() == text
    assert parse(text)[:4] == (4, host, 443, KEY)


@pytest.mark.parametrize("layout", [">B?256sI?", ">B?256sQ?", ">BI?256sQ?"])
def test_every_layout_of_pyrogram(layout):
    fields = [2, False, KEY, 5000, False]
    if layout == ">BI?256sQ?":
        fields.insert(1, 12345)
    text = base64.urlsafe_b64encode(struct.pack(layout, *fields)).decode().rstrip("=")
    known = parse(text)
    assert (known.dc_id, known.auth_key, known.user_id) == (2, KEY, 5000)
    assert known.api_id == (12345 if len(fields) == 6 else None)
    assert (known.host, known.port) == ("149.154.167.51", 443)


def test_ours_is_pyrograms_current_layout():
    text = pyrogram_string(dc_id=2, api_id=7, user_id=5000, auth_key=KEY)
    assert len(text) == 362
    assert parse(text).auth_key == KEY


def test_pyrograms_test_servers():
    raw = struct.pack(">BI?256sQ?", 2, 7, True, KEY, 5000, False)
    assert parse(base64.urlsafe_b64encode(raw).decode()).host == "149.154.167.40"


@pytest.mark.parametrize(
    "text",
    ["", "1", "x", "1" + "A" * 352 + "é", "1" + "!" * 352, "2" + "A" * 352, "A" * 362, "\0"],
)
def test_what_is_none(text):
    with pytest.raises(Unreadable):
        parse(text)
