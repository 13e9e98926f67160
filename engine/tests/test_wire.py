"""Only JSON crosses, and nothing secret shows."""

import datetime
import enum
import uuid

import pytest

from engine import wire
from engine.conf import EngineSettings
from engine.errors import FloodWait
from engine.store import Proxy, SessionRecord
from engine.wire import Carried, Reply, Request

CARRIED = Carried(5, "the-api-hash", 2, "host", 443, b"the-auth-key" * 20)


def test_it_works():
    request = Request("id", 7, "messages.send_message", {"text": "hi"}, 1.5, epoch=3, flood="wait")
    assert Request.from_dict(wire.normalise(request.to_dict())) == request


def test_a_carried_session_crosses():
    request = Request("id", CARRIED, "auth.send_code", {}, 1.5)
    assert Request.from_dict(wire.normalise(request.to_dict())) == request
    reply = Reply("id", {"a": 1}, carried=CARRIED)
    assert Reply.from_dict(wire.normalise(reply.to_dict())) == reply
    assert Carried.from_dict(Carried(1, "h").to_dict()) == Carried(1, "h")


def test_an_error_crosses():
    reply = Reply.from_dict(wire.normalise(Reply("id", error=FloodWait(seconds=3)).to_dict()))
    assert isinstance(reply.error, FloodWait)
    assert reply.error.seconds == 3


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        2**64 - 1,
        1.5,
        "",
        "\0",
        "\ud800 lone",
        "é😀",
        [],
        {},
        [[{"a": []}]],
    ],
)
def test_json_survives(value):
    assert wire.normalise(value) == value


def test_what_is_almost_json_becomes_json():
    class Kind(enum.StrEnum):
        A = "a"

    assert wire.normalise({"t": (1, 2), "k": Kind.A}) == {"t": [1, 2], "k": "a"}


def test_it_shares_nothing():
    value = {"list": [1]}
    wire.normalise(value)["list"].append(2)
    assert value == {"list": [1]}


@pytest.mark.parametrize(
    "value",
    [b"x", bytearray(b"x"), {1: "a"}, {1, 2}, object(), datetime.datetime.now(datetime.UTC), 2**64]
    + [FloodWait(), CARRIED, iter([])],
)
def test_what_is_no_json_is_refused(value):
    with pytest.raises(TypeError):
        wire.check_json({"value": [value]})
    with pytest.raises(TypeError):
        wire.check_json({"value": [value], "text": "\ud800"})


def test_a_uuid_becomes_text():
    number = uuid.uuid4()
    assert wire.normalise(number) == str(number)


def test_no_secret_shows():
    record = SessionRecord(
        1,
        5,
        "the-api-hash",
        auth_key=b"the-auth-key",
        proxy=Proxy("socks5", "h", 1, "user", "the-password", "the-secret"),
    )
    request = Request("id", CARRIED, "auth.check_password", {"password": "the-password"}, 1.5)
    reply = Reply("id", {"token": "the-token"}, carried=CARRIED)
    settings = EngineSettings(api_hash="the-api-hash")
    shown = " ".join(f"{x!r} {x}" for x in (record, request, reply, settings, CARRIED))
    assert "the-" not in shown


def test_a_fingerprint_tells_nothing():
    assert CARRIED.fingerprint() == CARRIED.fingerprint() != ""
    assert Carried(1, "h").fingerprint() == ""
    assert CARRIED.auth_key.hex()[:16] not in CARRIED.fingerprint()
