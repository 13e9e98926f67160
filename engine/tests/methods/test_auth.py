"""Logging in by code, password and QR, and out again."""

import asyncio

import pytest
from telethon import errors

from engine.errors import BadRequest, Conflict, NotFound
from engine.telegram import auth, sessions
from engine.telegram.rpc import Refusal, refused_with
from engine.tests.methods.conftest import ALICE, BOB


async def begin(telegram, connect, phone=ALICE):
    client = await connect()
    sent = await auth.send_code(client, phone=phone)
    return client, sent["phone_code_hash"], telegram.sandbox.login_code(phone)


async def refusal(awaitable):
    with pytest.raises(Refusal) as caught:
        await awaitable
    return caught.value


async def test_it_works(telegram, connect):
    client = await connect()
    sent = await auth.send_code(client, phone=ALICE)
    assert sent["type"] in ("app", "sms")
    assert sent["length"] == 5
    login = await auth.sign_in(
        client,
        phone=ALICE,
        code=telegram.sandbox.login_code(ALICE),
        phone_code_hash=sent["phone_code_hash"],
    )
    assert login["state"] == "ready"
    assert login["user"]["id"] == telegram.alice.id
    assert login["user"]["phone"] == ALICE
    me = await sessions.get_me(client)
    assert me == login["user"]


async def test_a_wrong_code_leaves_the_login_open(telegram, connect):
    client, code_hash, code = await begin(telegram, connect)
    wrong = "00000" if code != "00000" else "11111"
    error = await refusal(auth.sign_in(client, phone=ALICE, code=wrong, phone_code_hash=code_hash))
    assert refused_with(error, "PHONE_CODE_INVALID")
    login = await auth.sign_in(client, phone=ALICE, code=code, phone_code_hash=code_hash)
    assert login["state"] == "ready"


async def test_an_expired_code(telegram, connect):
    client, code_hash, code = await begin(telegram, connect)
    telegram.world.expire_code(ALICE)
    error = await refusal(auth.sign_in(client, phone=ALICE, code=code, phone_code_hash=code_hash))
    assert refused_with(error, "PHONE_CODE_EXPIRED")


async def test_a_number_without_an_account(telegram, connect):
    phone = "+15559999999"
    client = await connect()
    try:
        sent = await auth.send_code(client, phone=phone)
        code = telegram.sandbox.login_code(phone)
        awaitable = auth.sign_in(
            client, phone=phone, code=code, phone_code_hash=sent["phone_code_hash"]
        )
        error = await refusal(awaitable)
    except errors.RPCError as caught:
        error = caught
    assert refused_with(error, "PHONE_NUMBER_UNOCCUPIED")


@pytest.mark.parametrize("phone", ["", "+", "hello", "+1", "+1²3456789", "+12345678901234567890"])
async def test_what_is_no_number_is_refused_here(telegram, connect, phone):
    client = await connect()
    error = await refusal(auth.send_code(client, phone=phone))
    assert refused_with(error, "PHONE_NUMBER_INVALID")
    assert telegram.calls.count("auth.sendCode") == 0


async def test_a_banned_number(telegram, connect):
    telegram.world.ban_phone("+15550000009")
    error = await refusal(auth.send_code(await connect(), phone="+15550000009"))
    assert refused_with(error, "PHONE_NUMBER_BANNED")


async def test_sending_again_and_cancelling(telegram, connect):
    client, code_hash, _ = await begin(telegram, connect)
    again = await auth.resend_code(client, phone=ALICE, phone_code_hash=code_hash)
    assert again["phone_code_hash"]
    code_hash = again["phone_code_hash"]
    assert await auth.cancel_code(client, phone=ALICE, phone_code_hash=code_hash) is True
    assert await auth.cancel_code(client, phone=ALICE, phone_code_hash=code_hash) is False


async def test_a_password_is_a_step(telegram, connect):
    telegram.world.set_password(telegram.bob, "correct horse", hint="battery")
    client, code_hash, code = await begin(telegram, connect, BOB)
    login = await auth.sign_in(client, phone=BOB, code=code, phone_code_hash=code_hash)
    assert login == {"state": "wait_password", "user": None, "hint": "battery"}
    for wrong in ("wrong", ""):
        error = await refusal(auth.check_password(client, password=wrong))
        assert refused_with(error, "PASSWORD_HASH_INVALID")
    login = await auth.check_password(client, password="correct horse")
    assert login["state"] == "ready"
    assert login["user"]["id"] == telegram.bob.id


async def test_a_number_of_another_data_centre(telegram, connect):
    far = telegram.world.add_user("Dave", phone="+15550000004", dc=1)
    client, code_hash, code = await begin(telegram, connect, "+15550000004")
    login = await auth.sign_in(client, phone="+15550000004", code=code, phone_code_hash=code_hash)
    assert login["user"]["id"] == far.id
    assert client.session.dc_id == 1


async def test_logging_out(telegram, client):
    assert await auth.log_out(client) is True
    error = await refusal(sessions.get_me(client))
    assert refused_with(error, "AUTH_KEY_UNREGISTERED")
    assert await auth.log_out(client) is False


async def test_the_password_is_set_changed_and_removed(telegram, client):
    assert (await auth.get_password(client))["state"] == "none"
    state = await auth.edit_2fa(client, new_password="one", hint="first")
    assert (state["state"], state["hint"]) == ("set", "first")
    for current in (None, "wrong"):
        error = await refusal(auth.edit_2fa(client, current_password=current, new_password="two"))
        assert refused_with(error, "PASSWORD_HASH_INVALID")
    state = await auth.edit_2fa(client, current_password="one", new_password="two", hint="2")
    assert state["hint"] == "2"
    state = await auth.edit_2fa(client, current_password="two")
    assert state["state"] == "none"
    with pytest.raises(Conflict):
        await auth.edit_2fa(client, current_password="two")


async def test_an_address_must_be_confirmed(telegram, client):
    state = await auth.edit_2fa(client, new_password="one", email="alice@example.org")
    assert state["state"] == "wait_email_code"
    assert state["code_length"] == 6
    code = telegram.world.email_code(telegram.alice)
    wrong = "000000" if code != "000000" else "111111"
    error = await refusal(auth.confirm_2fa_email(client, code=wrong))
    assert refused_with(error, "CODE_INVALID")
    state = await auth.confirm_2fa_email(client, code=code)
    assert state["state"] == "set"
    assert state["has_recovery_email"] is True


async def test_qr(telegram, connect):
    client = await connect()
    shown = await auth.start_qr(client)
    assert shown["state"] == "wait_other_device_confirmation"
    assert shown["url"].startswith("tg://login?token=")
    assert shown["expires_at"]
    waiting = asyncio.create_task(auth.qr_status(client, wait_seconds=20))
    telegram.sandbox.accept_login_token(shown["url"], telegram.alice)
    done = await waiting
    assert done["state"] == "ready"
    assert done["user"]["id"] == telegram.alice.id
    assert done["url"] is None
    assert (await sessions.get_me(client))["id"] == telegram.alice.id


async def test_qr_scanned_while_nobody_asks(telegram, connect):
    client = await connect()
    shown = await auth.start_qr(client)
    telegram.sandbox.accept_login_token(shown["url"], telegram.alice)
    done = await auth.qr_status(client, wait_seconds=20, known_url=shown["url"])
    assert done["state"] == "ready"


async def test_qr_with_a_password(telegram, connect):
    telegram.world.set_password(telegram.bob, "secret", hint="usual")
    client = await connect()
    shown = await auth.start_qr(client)
    telegram.sandbox.accept_login_token(shown["url"], telegram.bob)
    asked = await auth.qr_status(client, wait_seconds=20)
    assert (asked["state"], asked["hint"]) == ("wait_password", "usual")
    login = await auth.check_password(client, password="secret")
    assert login["state"] == "ready"
    assert (await auth.qr_status(client))["state"] == "ready"


async def test_qr_of_another_data_centre(telegram, connect):
    far = telegram.world.add_user("Dave", phone="+15550000004", dc=1)
    client = await connect()
    shown = await auth.start_qr(client)
    telegram.sandbox.accept_login_token(shown["url"], far)
    done = await auth.qr_status(client, wait_seconds=20)
    assert done["user"]["id"] == far.id
    assert client.session.dc_id == 1


async def test_qr_scanned_by_another_client(telegram, connect, client):
    other = await connect()
    shown = await auth.start_qr(other)
    assert await auth.accept_login_token(client, url=shown["url"]) is True
    done = await auth.qr_status(other, wait_seconds=20)
    assert done["user"]["id"] == telegram.alice.id


async def test_qr_cancelled(telegram, connect):
    client = await connect()
    with pytest.raises(NotFound):
        await auth.qr_status(client)
    assert await auth.cancel_qr(client) is False
    await auth.start_qr(client)
    assert await auth.cancel_qr(client) is True
    with pytest.raises(NotFound):
        await auth.qr_status(client)


async def test_qr_lapses(telegram, connect):
    client = await connect()
    await auth.start_qr(client, lifetime_seconds=0)
    done = await auth.qr_status(client, wait_seconds=20)
    assert (done["state"], done["error"]) == ("failed", "expired")


@pytest.mark.parametrize("url", ["tg://login", "tg://login?token=", "%%%", "tg://login?token=²"])
async def test_no_token_is_refused(client, url):
    error = await refusal(auth.accept_login_token(client, url=url))
    assert refused_with(error, "AUTH_TOKEN_INVALID")


async def test_a_session_that_is_not_logged_in(connect):
    client = await connect()
    error = await refusal(sessions.get_me(client))
    assert refused_with(error, "AUTH_KEY_UNREGISTERED")
    with pytest.raises((BadRequest, Conflict, *Refusal)):
        await auth.check_password(client, password="x")
