"""Every error name that Telethon knows becomes an error of ours with a sane status."""

import pickle
import re

import pytest
from telethon.errors import rpcerrorlist

from engine import errors
from engine.errors import (
    TYPES,
    BadGateway,
    BadRequest,
    Conflict,
    EngineError,
    FloodWait,
    Forbidden,
    NotAuthorized,
    NotFound,
    PasswordNeeded,
    TooLarge,
    TooManyCalls,
    Unavailable,
    from_dict,
    from_rpc,
    split,
)

KNOWN = [(cls.code, name) for name, cls in rpcerrorlist.rpc_errors_dict.items()] + [
    (cls.code, pattern.replace(r"(\d+)", "31")) for pattern, cls in rpcerrorlist.rpc_errors_re
]

SANE = {400, 401, 403, 404, 409, 413, 429, 502}


def test_telethon_knows_hundreds_of_names():
    assert len(KNOWN) > 500


@pytest.mark.parametrize("method", ["messages.getHistory", "messages.sendMessage", ""])
@pytest.mark.parametrize("code", sorted({code for code, _ in KNOWN}, key=str))
def test_every_known_name_has_a_sane_status(code, method):
    for number, name in KNOWN:
        if number != code:
            continue
        error = from_rpc(number, name, method)
        assert type(error) is not EngineError, name
        assert error.status in SANE, name
        assert error.status == type(error).default_status, name
        assert re.fullmatch(r"[a-z0-9_]+", error.code), name
        assert not re.search(r"_\d+(_|$)", error.code), name
        assert error.detail, name
        assert (error.seconds is not None) == (error.status == 429 or "too_fresh" in error.code)
        if number == 401 and name != "SESSION_PASSWORD_NEEDED":
            assert error.status == 401, name
        if number >= 500 and name != "RANDOM_ID_DUPLICATE":
            assert error.status == 502, name
        assert from_dict(error.to_dict()).to_dict() == error.to_dict()


TABLE = [
    # what cannot be understood
    (400, "MESSAGE_EMPTY", "messages.sendMessage", BadRequest),
    (400, "PHONE_CODE_INVALID", "auth.signIn", BadRequest),
    (400, "PHONE_CODE_EXPIRED", "auth.signIn", BadRequest),
    (400, "PHONE_NUMBER_UNOCCUPIED", "auth.signIn", BadRequest),
    (406, "PHONE_NUMBER_INVALID", "auth.sendCode", BadRequest),
    (400, "PASSWORD_HASH_INVALID", "auth.checkPassword", BadRequest),
    (400, "SOMETHING_NEW", "messages.sendMessage", BadRequest),
    # who is not logged in
    (401, "AUTH_KEY_UNREGISTERED", "users.getUsers", NotAuthorized),
    (401, "SESSION_REVOKED", "users.getUsers", NotAuthorized),
    (401, "USER_DEACTIVATED_BAN", "users.getUsers", NotAuthorized),
    (406, "AUTH_KEY_DUPLICATED", "users.getUsers", NotAuthorized),
    (401, "AUTH_KEY_PERM_EMPTY", "users.getUsers", NotAuthorized),
    (401, "SESSION_PASSWORD_NEEDED", "auth.signIn", PasswordNeeded),
    # what is forbidden
    (400, "CHAT_ADMIN_REQUIRED", "channels.editBanned", Forbidden),
    (403, "CHAT_WRITE_FORBIDDEN", "messages.sendMessage", Forbidden),
    (403, "SOMETHING_NEW", "messages.sendMessage", Forbidden),
    (400, "CHANNEL_PRIVATE", "messages.sendMessage", Forbidden),
    (400, "CHANNEL_PRIVATE", "channels.joinChannel", Forbidden),
    (400, "USER_BANNED_IN_CHANNEL", "messages.sendMessage", Forbidden),
    (400, "PEER_FLOOD", "messages.sendMessage", Forbidden),
    (400, "PHONE_NUMBER_BANNED", "auth.sendCode", Forbidden),
    (420, "FROZEN_METHOD_INVALID", "messages.sendMessage", Forbidden),
    (406, "USER_RESTRICTED", "channels.createChannel", Forbidden),
    # what is not there
    (400, "CHANNEL_PRIVATE", "messages.getHistory", NotFound),
    (406, "CHANNEL_PRIVATE", "history.read_page", NotFound),
    (400, "USERNAME_NOT_OCCUPIED", "contacts.resolveUsername", NotFound),
    (400, "PEER_ID_INVALID", "messages.sendMessage", NotFound),
    (400, "INVITE_HASH_EXPIRED", "messages.importChatInvite", NotFound),
    (404, "SOMETHING_NEW", "", NotFound),
    # what is in another state
    (400, "USER_ALREADY_PARTICIPANT", "messages.importChatInvite", Conflict),
    (400, "SRP_PASSWORD_CHANGED", "account.updatePasswordSettings", Conflict),
    (500, "RANDOM_ID_DUPLICATE", "messages.sendMessage", Conflict),
    # what is too large
    (400, "FILE_PART_TOO_BIG", "upload.saveFilePart", TooLarge),
    # what has to wait
    (420, "FLOOD_WAIT_30", "messages.sendMessage", FloodWait),
    (420, "SLOWMODE_WAIT_30", "messages.sendMessage", FloodWait),
    (420, "FLOOD_PREMIUM_WAIT_30", "upload.getFile", FloodWait),
    (420, "SOMETHING_NEW_WAIT_30", "messages.sendMessage", FloodWait),
    (406, "PHONE_PASSWORD_FLOOD", "auth.signIn", FloodWait),
    # what fails at Telegram
    (500, "RPC_CALL_FAIL", "messages.getHistory", BadGateway),
    (-503, "Timeout", "messages.getHistory", BadGateway),
    (503, "Timedout", "messages.getHistory", BadGateway),
    (303, "PHONE_MIGRATE_4", "auth.sendCode", BadGateway),
    (500, "SOMETHING_NEW", "", BadGateway),
    (-404, "", "", BadGateway),
]


@pytest.mark.parametrize(("code", "message", "method", "kind"), TABLE)
def test_the_table(code, message, method, kind):
    assert type(from_rpc(code, message, method)) is kind


@pytest.mark.parametrize(
    "name",
    ["AUTH_KEY_UNREGISTERED", "SESSION_REVOKED", "USER_DEACTIVATED", "USER_DEACTIVATED_BAN"],
)
def test_a_lost_session_is_expired(name):
    assert from_rpc(401, name).expired


def test_of_the_406_errors_only_the_duplicated_key_loses_the_session():
    lost = [name for code, name in KNOWN if code == 406 and from_rpc(code, name).expired]
    assert lost == ["AUTH_KEY_DUPLICATED"]


def test_a_step_does_not_expire_the_session():
    for name in ("SESSION_PASSWORD_NEEDED", "AUTH_KEY_PERM_EMPTY", "ACTIVE_USER_REQUIRED"):
        assert not from_rpc(401, name).expired


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("FLOOD_WAIT_30", ("FLOOD_WAIT", 30)),
        ("PHONE_MIGRATE_2", ("PHONE_MIGRATE", 2)),
        ("FILE_PART_3_MISSING", ("FILE_PART_MISSING", 3)),
        ("2FA_CONFIRM_WAIT_60", ("2FA_CONFIRM_WAIT", 60)),
        ("PREVIOUS_CHAT_IMPORT_ACTIVE_WAIT_5MIN", ("PREVIOUS_CHAT_IMPORT_ACTIVE_WAIT", 300)),
        ("MD5_CHECKSUM_INVALID", ("MD5_CHECKSUM_INVALID", None)),
        ("Timeout", ("TIMEOUT", None)),
        ("", ("UNKNOWN", None)),
    ],
)
def test_it_splits_a_type_string(message, parts):
    assert split(message) == parts


def test_the_number_is_seconds_only_where_it_means_them():
    assert from_rpc(420, "FLOOD_WAIT_30").seconds == 30
    assert from_rpc(400, "PASSWORD_TOO_FRESH_60").seconds == 60
    migrate = from_rpc(303, "USER_MIGRATE_5")
    assert (migrate.seconds, migrate.argument) == (None, 5)


@pytest.mark.parametrize("kind", TYPES.values())
def test_every_error_crosses_the_wire(kind):
    error = kind("some_code", "Some detail.", seconds=7)
    again = from_dict(error.to_dict())
    assert type(again) is kind
    assert again.to_dict() == error.to_dict()
    assert pickle.loads(pickle.dumps(error)).to_dict() == error.to_dict()


def test_an_error_has_a_default_for_everything():
    for kind in TYPES.values():
        error = kind()
        assert error.status == kind.default_status
        assert error.code and str(error) == error.detail


def test_waiting_errors_always_name_the_seconds():
    assert FloodWait().seconds == 1
    assert Unavailable().seconds == 1
    assert TooManyCalls().seconds is not None


def test_an_unknown_kind_of_error_stays_an_engine_error():
    assert type(from_dict({**BadRequest().to_dict(), "type": "Newer"})) is EngineError
    assert errors.timed_out().status == 502
