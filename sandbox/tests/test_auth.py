"""Logging in with unmodified Telethon: codes, 2FA, QR, data centres, logging out."""

import asyncio
import os

import pytest
from telethon import errors, functions, types
from telethon.password import compute_check, compute_digest

from sandbox.tests.conftest import key_id
from sandbox.world.model import Limits

PHONE = "+15550000001"
WRONG = "00000x"


@pytest.fixture
def limits(sandbox):
    """Change limits of the running world: `limits(code_seconds=1)`."""
    from dataclasses import replace

    def change(**values: int) -> Limits:
        sandbox.world.limits = replace(sandbox.world.limits, **values)
        return sandbox.world.limits

    return change


@pytest.fixture
def carol(sandbox):
    """Lives on DC 1."""
    return sandbox.world.add_user("Carol", phone="+15550000003", dc=1)


@pytest.fixture
def dora(sandbox):
    """Has a cloud password."""
    return sandbox.world.add_user("Dora", phone="+15550000004", password="geheim", hint="usual")


async def send_code(client, phone, api_id=1):
    """Ask for a new code; Telethon's own method would send the old one again."""
    return await client(functions.auth.SendCodeRequest(phone, api_id, "hash", types.CodeSettings()))


async def test_it_logs_in_by_code(sandbox, telethon, alice):
    client = await telethon()
    sent = await client.send_code_request(PHONE)
    assert isinstance(sent.type, types.auth.SentCodeTypeSms)
    assert isinstance(sent.next_type, types.auth.CodeTypeCall)
    assert sent.timeout == 60
    me = await client.sign_in(PHONE, sandbox.login_code(PHONE))
    assert me.id == alice.id and me.is_self and me.phone == "15550000001"
    assert await client.is_user_authorized()


async def test_a_wrong_code_leaves_the_login_open(sandbox, telethon):
    client = await telethon()
    await client.send_code_request(PHONE)
    with pytest.raises(errors.PhoneCodeInvalidError):
        await client.sign_in(PHONE, WRONG)
    for code, code_hash, refusal in (
        ("", "x", errors.PhoneCodeEmptyError),
        (WRONG, "", errors.PhoneCodeHashEmptyError),
        (WRONG, "x", errors.PhoneCodeExpiredError),
    ):
        with pytest.raises(refusal):
            await client(functions.auth.SignInRequest(PHONE, code_hash, code))
    assert (await client.sign_in(PHONE, sandbox.login_code(PHONE))).first_name == "Alice"


async def test_too_many_wrong_codes_kill_the_code(sandbox, telethon, limits):
    limits(code_attempts=2)
    client = await telethon()
    await client.send_code_request(PHONE)
    for _ in range(2):
        with pytest.raises(errors.PhoneCodeInvalidError):
            await client.sign_in(PHONE, WRONG)
    with pytest.raises(errors.PhoneCodeExpiredError):
        await client.sign_in(PHONE, sandbox.login_code(PHONE))


async def test_an_expired_code(sandbox, telethon, limits):
    client = await telethon()
    await client.send_code_request(PHONE)
    code = sandbox.login_code(PHONE)
    sandbox.world.expire_code(PHONE)
    with pytest.raises(errors.PhoneCodeExpiredError):
        await client.sign_in(PHONE, code)


async def test_a_new_code_retires_the_old_hash(sandbox, telethon):
    client = await telethon()
    old = await client.send_code_request(PHONE)
    await send_code(client, PHONE)
    with pytest.raises(errors.PhoneCodeExpiredError):
        await client.sign_in(PHONE, sandbox.login_code(PHONE), phone_code_hash=old.phone_code_hash)


async def test_the_code_travels_through_the_app_then_sms_then_a_call(sandbox, telethon, alice):
    first = await telethon(alice)
    client = await telethon()
    sent = await client.send_code_request(PHONE)
    assert isinstance(sent.type, types.auth.SentCodeTypeApp)
    told = sandbox.world.history(alice.id, 777000).top
    assert sandbox.login_code(PHONE) in told.text
    assert [dialog.message.message for dialog in await first.get_dialogs()] == [told.text]
    kinds = []
    for _ in range(2):
        sent = await client(functions.auth.ResendCodeRequest(PHONE, sent.phone_code_hash))
        kinds.append(type(sent.type))
    assert kinds == [types.auth.SentCodeTypeSms, types.auth.SentCodeTypeCall]
    assert sent.next_type is None
    with pytest.raises(errors.SendCodeUnavailableError):
        await client(functions.auth.ResendCodeRequest(PHONE, sent.phone_code_hash))


async def test_a_cancelled_code_is_expired(sandbox, telethon):
    client = await telethon()
    sent = await client.send_code_request(PHONE)
    assert await client(functions.auth.CancelCodeRequest(PHONE, sent.phone_code_hash))
    with pytest.raises(errors.PhoneCodeExpiredError):
        await client.sign_in(PHONE, sandbox.login_code(PHONE))


async def test_refused_numbers(sandbox, telethon, limits):
    client = await telethon()
    for phone in ("123", "+1555000000112345678"):
        with pytest.raises(errors.PhoneNumberInvalidError):
            await client.send_code_request(phone)
    sandbox.world.ban_phone("+15550000009")
    with pytest.raises(errors.PhoneNumberBannedError):
        await client.send_code_request("+15550000009")
    limits(codes_a_day=1)
    await client.send_code_request(PHONE)
    with pytest.raises(errors.PhoneNumberFloodError):
        await send_code(client, PHONE)
    with pytest.raises(errors.ApiIdInvalidError):
        await send_code(client, PHONE, api_id=0)


async def test_a_number_without_an_account(sandbox, telethon):
    client = await telethon()
    phone = "+15550000098"
    sent = await client.send_code_request(phone)
    with pytest.raises(errors.PhoneNumberUnoccupiedError):
        await client.sign_in(phone, sandbox.login_code(phone))
    with pytest.raises(errors.PhoneNumberAppSignupForbiddenError):
        await client(functions.auth.SignUpRequest(phone, sent.phone_code_hash, "New", ""))


async def test_another_data_centre(sandbox, telethon, carol):
    client = await telethon()
    await client.send_code_request("+15550000003")
    assert client.session.dc_id == 1
    me = await client.sign_in("+15550000003", sandbox.login_code("+15550000003"))
    assert me.id == carol.id
    errored = [entry.error for entry in sandbox.calls.entries() if entry.error]
    assert "PHONE_MIGRATE_1" in errored


async def test_two_factor_wrong_then_right(sandbox, telethon, dora):
    client = await telethon()
    await client.send_code_request("+15550000004")
    with pytest.raises(errors.SessionPasswordNeededError):
        await client.sign_in("+15550000004", sandbox.login_code("+15550000004"))
    assert not await client.is_user_authorized()
    for _ in range(2):
        with pytest.raises(errors.PasswordHashInvalidError):
            await client.sign_in(password="wrong")
    asked = await client(functions.account.GetPasswordRequest())
    assert asked.has_password and asked.hint == "usual" and len(asked.srp_B) == 256
    assert (await client.sign_in(password="geheim")).id == dora.id


async def test_a_challenge_is_good_for_one_attempt(sandbox, telethon, dora):
    client = await telethon(dora)
    asked = await client(functions.account.GetPasswordRequest())
    wrong = compute_check(asked, "wrong")
    with pytest.raises(errors.PasswordHashInvalidError):
        await client(functions.account.GetPasswordSettingsRequest(wrong))
    right = compute_check(asked, "geheim")
    with pytest.raises(errors.SrpIdInvalidError):
        await client(functions.account.GetPasswordSettingsRequest(right))


async def test_too_many_wrong_passwords_are_a_flood(sandbox, telethon, dora, limits):
    limits(password_attempts=2)
    client = await telethon(dora)
    for _ in range(2):
        asked = await client(functions.account.GetPasswordRequest())
        with pytest.raises(errors.PasswordHashInvalidError):
            check = compute_check(asked, "wrong")
            await client(functions.account.GetPasswordSettingsRequest(check))
    asked = await client(functions.account.GetPasswordRequest())
    with pytest.raises(errors.FloodWaitError):
        check = compute_check(asked, "geheim")
        await client(functions.account.GetPasswordSettingsRequest(check))


async def test_setting_changing_and_removing_the_password(sandbox, telethon, alice):
    client = await telethon(alice)
    assert await client.edit_2fa(new_password="eins", hint="one")
    assert alice.password.hint == "one"
    with pytest.raises(errors.PasswordHashInvalidError):
        await client.edit_2fa(current_password="zwei", new_password="drei")
    assert await client.edit_2fa(current_password="eins", new_password="zwei")
    other = await telethon()
    await other.send_code_request(PHONE)
    with pytest.raises(errors.SessionPasswordNeededError):
        await other.sign_in(PHONE, sandbox.login_code(PHONE))
    assert (await other.sign_in(password="zwei")).id == alice.id
    assert await client.edit_2fa(current_password="zwei")
    assert alice.password is None


async def test_a_new_password_needs_the_offered_salt(sandbox, telethon, alice):
    client = await telethon(alice)
    asked = await client(functions.account.GetPasswordRequest())
    settings = types.account.PasswordInputSettings(
        new_algo=asked.new_algo, new_password_hash=compute_digest(asked.new_algo, "x"), hint=""
    )
    nothing = types.InputCheckPasswordEmpty()
    with pytest.raises(errors.NewSaltInvalidError):
        await client(functions.account.UpdatePasswordSettingsRequest(nothing, settings))
    asked = await client(functions.account.GetPasswordRequest())
    asked.new_algo.salt1 = os.urandom(40)
    settings.new_algo = asked.new_algo
    with pytest.raises(errors.NewSaltInvalidError):
        await client(functions.account.UpdatePasswordSettingsRequest(nothing, settings))


async def test_the_recovery_address_is_confirmed_first(sandbox, telethon, alice):
    client = await telethon(alice)
    await client.edit_2fa(
        new_password="eins",
        email="ann@example.org",
        email_code_callback=lambda length: sandbox.world.email_code(alice),
    )
    assert alice.password.email == "ann@example.org"
    recovery = await client(functions.auth.RequestPasswordRecoveryRequest())
    assert recovery.email_pattern == "a***n@example.org"
    with pytest.raises(errors.CodeInvalidError):
        await client(functions.auth.RecoverPasswordRequest("123"))
    await client(functions.auth.RecoverPasswordRequest(sandbox.world.email_code(alice)))
    assert alice.password is None


async def shown_qr(client):
    """A QR code that a client shows, and the task in which it waits for the scan."""
    shown = await client.qr_login()
    login = asyncio.create_task(shown.wait(20))
    await asyncio.sleep(0)  # it listens for updateLoginToken from its first step on
    assert client.list_event_handlers()
    return shown, login


async def scan(sandbox, shown, user):
    await asyncio.to_thread(sandbox.accept_login_token, shown.url, user)


async def test_it_logs_in_by_qr(sandbox, telethon, alice):
    client = await telethon()
    shown, login = await shown_qr(client)
    await scan(sandbox, shown, alice)
    assert (await login).id == alice.id
    assert await client.is_user_authorized()


async def test_a_qr_login_moves_to_the_accounts_data_centre(sandbox, telethon, carol):
    client = await telethon()
    shown, login = await shown_qr(client)
    await scan(sandbox, shown, carol)
    assert (await login).id == carol.id
    assert client.session.dc_id == 1


async def test_a_qr_login_asks_for_the_password(sandbox, telethon, dora):
    client = await telethon()
    shown, login = await shown_qr(client)
    await scan(sandbox, shown, dora)
    with pytest.raises(errors.SessionPasswordNeededError):
        await login
    assert (await client.sign_in(password="geheim")).id == dora.id


async def test_a_logged_in_client_scans(sandbox, telethon, alice):
    client, phone = await telethon(), await telethon(alice)
    shown, login = await shown_qr(client)
    accepted = await phone(functions.auth.AcceptLoginTokenRequest(shown.token))
    assert isinstance(accepted, types.Authorization)
    assert (await login).id == alice.id
    with pytest.raises(errors.AuthTokenAlreadyAcceptedError):
        await phone(functions.auth.AcceptLoginTokenRequest(shown.token))
    with pytest.raises(errors.AuthTokenInvalidxError):
        await phone(functions.auth.AcceptLoginTokenRequest(b"nothing"))


async def test_a_token_expires(sandbox, telethon, alice, limits):
    limits(login_token_seconds=0)
    client, phone = await telethon(), await telethon(alice)
    shown = await client.qr_login()
    with pytest.raises(errors.AuthTokenExpiredError):
        await phone(functions.auth.AcceptLoginTokenRequest(shown.token))
    excluded = await telethon()
    limits(login_token_seconds=30)
    shown = await excluded.qr_login(ignored_ids=[alice.id])
    with pytest.raises(errors.AuthTokenExceptionError):
        await phone(functions.auth.AcceptLoginTokenRequest(shown.token))


async def test_logging_out_ends_the_key(sandbox, telethon, alice):
    client = await telethon(alice)
    key = key_id(client)
    await client(functions.auth.LogOutRequest())
    assert sandbox.world.authorizations[key].user_id is None
    with pytest.raises(errors.AuthKeyUnregisteredError):
        await client(functions.users.GetUsersRequest([types.InputUserSelf()]))


async def test_sessions_are_listed_and_ended(sandbox, telethon, alice, limits):
    here, there = await telethon(alice), await telethon(alice)
    listed = (await here(functions.account.GetAuthorizationsRequest())).authorizations
    assert [one.current for one in listed] == [True, False]
    assert listed[0].hash == 0 and listed[1].hash
    with pytest.raises(errors.FreshResetAuthorisationForbiddenError):
        await here(functions.account.ResetAuthorizationRequest(listed[1].hash))
    with pytest.raises(errors.HashInvalidError):
        await here(functions.account.ResetAuthorizationRequest(1))
    limits(fresh_session_seconds=0)
    assert await here(functions.account.ResetAuthorizationRequest(listed[1].hash))
    with pytest.raises(errors.SessionRevokedError):
        await there(functions.users.GetUsersRequest([types.InputUserSelf()]))
    assert (await here.get_me()).id == alice.id


async def test_a_deleted_account_deactivates_its_sessions(sandbox, telethon, bob):
    client = await telethon(bob)
    sandbox.world.delete_account(bob)
    with pytest.raises(errors.UserDeactivatedError):
        await client(functions.users.GetUsersRequest([types.InputUserSelf()]))


async def test_a_login_is_exported_to_another_data_centre(sandbox, telethon, alice):
    client = await telethon(alice)
    with pytest.raises(errors.DcIdInvalidError):
        await client(functions.auth.ExportAuthorizationRequest(2))
    exported = await client(functions.auth.ExportAuthorizationRequest(1))
    other = await telethon(dc=1)
    with pytest.raises(errors.AuthBytesInvalidError):
        await other(functions.auth.ImportAuthorizationRequest(exported.id, b"x"))
    await other(functions.auth.ImportAuthorizationRequest(exported.id, exported.bytes))
    me = await other(functions.users.GetUsersRequest([types.InputUserSelf()]))
    assert me[0].id == alice.id
    sessions = await client(functions.account.GetAuthorizationsRequest())
    assert len(sessions.authorizations) == 1
    await client(functions.auth.LogOutRequest())
    with pytest.raises(errors.AuthKeyUnregisteredError):
        await other(functions.users.GetUsersRequest([types.InputUserSelf()]))


async def test_nothing_is_served_before_login(sandbox, telethon):
    client = await telethon()
    for request in (
        functions.updates.GetStateRequest(),
        functions.account.GetPasswordRequest(),
        functions.contacts.GetContactsRequest(0),
    ):
        with pytest.raises(errors.AuthKeyUnregisteredError):
            await client(request)
    config = await client(functions.help.GetConfigRequest())
    assert config.this_dc == 2 and [one.id for one in config.dc_options] == [1, 2]
    assert (await client(functions.help.GetNearestDcRequest())).nearest_dc == 2


def test_secrets_are_not_in_the_repr(sandbox, dora):
    sent = sandbox.world.send_code(PHONE)
    assert sent.code not in repr(sent) and sent.hash not in repr(sent)
    assert str(dora.password.verifier) not in repr(dora)
