"""The bodies as everybody calls them: through the façade, on the engine's own client."""

import asyncio

import pytest

from engine import EngineError, FloodWait, NotFound, TooLarge, methods
from engine.store import SessionRecord
from engine.tests.telegram import Rig
from sandbox.world.blobs import Blob

BOB = "@bob_the_builder"


@pytest.fixture
def rig(telegram):
    made = Rig(telegram.sandbox)
    yield made
    made.engine.stop(10)


@pytest.fixture
def alice(rig, telegram):
    rig.log_in(telegram.alice)
    return 1


def test_it_works(rig, alice, telegram):
    telegram.world.post(telegram.bob, telegram.alice, "hi")
    page = rig.call(alice, methods.history.read_page, chat_id=BOB)
    assert [message["message"] for message in page["messages"]] == ["hi"]
    assert rig.call(alice, methods.sessions.get_me)["id"] == telegram.alice.id


def test_reconnecting_leaves_a_living_connection_alone(rig, alice, telegram):
    done = rig.call(alice, methods.sessions.reconnect)
    assert done["was_connected"] is True
    assert done["user"]["id"] == telegram.alice.id
    assert rig.call(alice, methods.sessions.status)["connected"] is True
    assert rig.call(alice, methods.sessions.disconnect) is True
    status = rig.call(alice, methods.sessions.status)
    assert status == {"connected": False, "authorized": None, "dc_id": 0, "user_id": None}
    assert rig.call(alice, methods.sessions.disconnect) is False
    done = rig.call(alice, methods.sessions.reconnect)
    assert done["was_connected"] is False
    status = rig.call(alice, methods.sessions.connect)
    assert (status["connected"], status["user_id"]) == (True, telegram.alice.id)


def test_a_session_before_its_login(rig):
    rig.store.add(SessionRecord(7, api_id=1, api_hash="hash"))
    assert rig.call(7, methods.sessions.reconnect) == {"was_connected": False, "user": None}
    with pytest.raises(EngineError) as caught:
        rig.call(7, methods.sessions.get_me)
    assert caught.value.status == 401


async def test_files_stream_both_ways(rig, alice, telegram):
    blob = Blob(3_000_000, 4)
    data = blob.read(0, blob.size)

    async def chunks():
        for start in range(0, len(data), 70_000):
            yield data[start : start + 70_000]

    sent = await rig.engine.acall(
        alice,
        methods.messages.send_file,
        upload=chunks(),
        chat_id=BOB,
        filename="data.bin",
        random_id=1,
    )
    file = sent["message"]["media"]["file"]
    stream = rig.engine.stream(alice, methods.media.read_file, file=file, offset=500_000)
    assert b"".join([chunk async for chunk in stream]) == data[500_000:]
    with pytest.raises(TooLarge):
        await rig.engine.acall(
            alice,
            methods.messages.send_file,
            upload=chunks(),
            chat_id=BOB,
            filename="data.bin",
            random_id=2,
            max_bytes=1_000_000,
        )


def test_refusals_have_our_codes(rig, alice, telegram):
    for method, kwargs, status, code in (
        (methods.history.read_page, {"chat_id": "@nobody_here"}, 404, "username_not_occupied"),
        (methods.history.read_page, {"chat_id": -1009999999999}, 404, "chat_not_found"),
        (methods.history.read_page, {"chat_id": "no chat!"}, 400, "chat_reference_invalid"),
        (
            methods.messages.send_message,
            {"chat_id": BOB, "text": "", "random_id": 1},
            400,
            "message_empty",
        ),
        (
            methods.messages.edit_message,
            {"chat_id": BOB, "message_id": 9_999, "text": "x"},
            404,
            "message_id_invalid",
        ),
    ):
        with pytest.raises(EngineError) as caught:
            rig.call(alice, method, **kwargs)
        assert (caught.value.status, caught.value.code) == (status, code)
    telegram.sandbox.faults.flood("messages.sendMessage", 30)
    with pytest.raises(FloodWait) as flood:
        rig.call(alice, methods.messages.send_message, chat_id=BOB, text="x", random_id=2)
    assert 29 <= flood.value.seconds <= 30


def test_a_number_without_an_account(rig, telegram):
    rig.store.add(SessionRecord(7, api_id=1, api_hash="hash"))
    phone = "+15559999999"
    with pytest.raises(EngineError) as caught:
        sent = rig.call(7, methods.auth.send_code, phone=phone)
        rig.call(
            7,
            methods.auth.sign_in,
            phone=phone,
            code=telegram.sandbox.login_code(phone),
            phone_code_hash=sent["phone_code_hash"],
        )
    assert (caught.value.status, caught.value.code) == (400, "phone_number_unoccupied")


async def test_qr(rig, telegram):
    far = telegram.world.add_user("Dave", phone="+15550000004", dc=1, password="pw", hint="h")
    rig.store.add(SessionRecord(7, api_id=1, api_hash="hash"))
    shown = await rig.engine.acall(7, methods.auth.start_qr)
    # The call that began it is long over when the code is scanned.
    waiting = asyncio.create_task(
        rig.engine.acall(7, methods.auth.qr_status, wait_seconds=20, known_url=shown["url"])
    )
    telegram.sandbox.accept_login_token(shown["url"], far)
    asked = await waiting
    assert (asked["state"], asked["hint"]) == ("wait_password", "h")
    login = await rig.engine.acall(7, methods.auth.check_password, password="pw")
    assert login["user"]["id"] == far.id
    record = rig.store.load(7)
    assert record.dc_id == 1
    assert record.auth_key


def test_a_message_is_sent_once(rig, alice, telegram):
    order = {"chat_id": BOB, "text": "once", "random_id": 42}
    first = rig.call(alice, methods.messages.send_message, **order)
    again = rig.call(alice, methods.messages.send_message, **order)
    assert again["duplicate"] is True
    assert again["message_id"] == first["message_id"]
    assert telegram.calls.count("messages.sendMessage") == 2


def test_logging_out_ends_the_session(rig, alice):
    assert rig.call(alice, methods.auth.log_out) is True
    with pytest.raises(EngineError):
        rig.call(alice, methods.sessions.get_me)


def test_a_chat_that_was_left_is_not_found(rig, alice, telegram):
    chat = telegram.world.add_channel("Club", telegram.bob, [telegram.alice], megagroup=True)
    rig.call(alice, methods.dialogs.get_full, chat_id=chat.peer)
    telegram.world.ban(chat, telegram.alice)
    for method in (methods.dialogs.get_full, methods.history.read_page):
        with pytest.raises(NotFound):
            rig.call(alice, method, chat_id=chat.peer)
