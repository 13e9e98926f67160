"""The message layer, message by message, as a client of our own sees it."""

import random
import struct

import pytest
from telethon.tl import functions, types
from telethon.tl.core import RpcResult

from sandbox import envelope
from sandbox.envelope import FROM_CLIENT
from sandbox.tests.rawclient import Closed, RawClient, gzipped, initial

GET_CONFIG = functions.help.GetConfigRequest()
PING = functions.PingRequest(77)


@pytest.fixture
async def client(sandbox, port):
    """A client with a key and the right salt."""
    async with RawClient(port) as client:
        await client.make_key(sandbox.server.server_key)
        yield await client.settle()


async def again(client, *, session_id=None):
    """Connect once more with the same key."""
    other = await RawClient(client.port, client.key, session_id).connect()
    other.salt, other.last_id, other.sequence = client.salt, client.last_id, client.sequence
    return other


async def test_a_ping_is_answered(client):
    msg_id = client.send(PING)
    pong = await client.until(types.Pong)
    assert (pong.msg_id, pong.ping_id) == (msg_id, 77)


async def test_a_query_is_answered(client, port):
    config = await client.call(GET_CONFIG, layer=True)
    assert config.this_dc == 2
    assert {(option.id, option.port) for option in config.dc_options} >= {(2, port)}


async def test_salt_zero_is_corrected_on_each_new_connection(client):
    for _ in range(2):
        other = await again(client)
        other.salt = 0
        msg_id = other.send(PING)
        notice = await other.until(types.BadServerSalt)
        assert (notice.bad_msg_id, notice.error_code) == (msg_id, 48)
        other.salt = notice.new_server_salt
        other.send(PING)
        assert await other.until(types.Pong)
        await other.close()


async def test_a_container_with_a_wrong_salt_is_rejected_by_its_own_id(client):
    client.salt += 1
    inner = [client.message(PING), client.message(PING)]
    container = client.send_container(inner)
    notice = await client.until(types.BadServerSalt)
    assert notice.bad_msg_id == container


async def test_rotated_salts_are_rejected(sandbox, client):
    sandbox.faults.rotate_salts()
    client.send(PING)
    assert (await client.until(types.BadServerSalt)).error_code == 48
    client.send(PING)
    assert await client.until(types.Pong)


async def test_future_salts_begin_with_the_present_one(client):
    msg_id = client.send(functions.GetFutureSaltsRequest(3))
    answer = await client.until(types.FutureSalts)
    assert answer.req_msg_id == msg_id
    assert [salt.salt for salt in answer.salts][0] == client.salt
    assert len(answer.salts) == 3
    assert answer.salts[1].valid_until.timestamp() > answer.salts[0].valid_until.timestamp()


async def test_a_future_salt_is_accepted_when_its_time_has_come(sandbox, client):
    key = sandbox.server.keys[client.key.key_id]
    (_, until, salt), (_, _, following) = key.future_salts(2, 1_000_000_000)
    assert key.accepts_salt(salt, until - 1)
    assert not key.accepts_salt(salt, until)
    assert key.accepts_salt(following, until - 1)


async def test_a_new_session_is_announced_once(client):
    other = await again(client)
    first = other.send(PING)
    created = await other.until(types.NewSessionCreated)
    assert created.first_msg_id == first
    assert created.server_salt == other.salt
    other.send(PING)
    names = []
    while names.count("Pong") < 2:
        names.append(type((await other.next())[1]).__name__)
    assert "NewSessionCreated" not in names
    await other.close()


async def test_a_container_is_taken_apart_and_acknowledged(client):
    messages = [
        client.message(initial(GET_CONFIG)),
        client.message(PING),
        client.message(GET_CONFIG),
    ]
    client.send_container(messages)
    found = {}
    while len(found) < 3:
        _, value = await client.next()
        if isinstance(value, RpcResult):
            found[value.req_msg_id] = value
        elif isinstance(value, types.Pong):
            found[value.msg_id] = value
    assert set(found) == {message.msg_id for message in messages}


async def test_gzip_is_taken_off_at_any_depth(client):
    config = await client.result(client.send(gzipped(initial(GET_CONFIG))))
    assert config.this_dc == 2

    class Packed:
        def _bytes(self):
            return gzipped(GET_CONFIG)

    wrapped = functions.InvokeWithLayerRequest(229, Packed())
    assert (await client.result(client.send(bytes(wrapped)))).this_dc == 2


async def test_broken_gzip_is_an_error(client):
    packed = bytearray(gzipped(GET_CONFIG))
    packed[-9] ^= 255  # the checksum
    answer = await client.result(client.send(bytes(packed)))
    assert answer.error_message == "INPUT_FETCH_ERROR"


async def test_large_answers_are_gzipped(sandbox, client):
    msg_id = client.send(initial(GET_CONFIG))
    while True:
        message, value = await client.next()
        if isinstance(value, RpcResult):
            break
    assert value.req_msg_id == msg_id
    packed = struct.unpack_from("<I", message.body, 12)[0] == 0x3072CFA1
    assert packed == (len(value.body) >= 1024)


async def test_wrong_low_bits_of_a_message_id(client):
    client.send(PING, msg_id=client.fresh_id() + 1)
    assert (await client.until(types.BadMsgNotification)).error_code == 18


@pytest.mark.parametrize(("offset", "code"), [(-400, 16), (60, 17)])
async def test_a_message_id_off_the_clock(client, offset, code):
    msg_id = client.last_id + offset * 2**32 & ~3
    client.send(PING, msg_id=msg_id)
    notice = await client.until(types.BadMsgNotification)
    assert (notice.bad_msg_id, notice.error_code) == (msg_id, code)


async def test_a_sequence_number_that_goes_back(client):
    client.sequence = 20
    client.send(PING)
    client.send(PING, seq_no=3)
    assert (await client.until(types.BadMsgNotification)).error_code == 32


async def test_a_sequence_number_that_is_too_high_for_its_id(client):
    late = client.fresh_id()
    client.send(PING)
    await client.until(types.Pong)
    client.send(PING, msg_id=late, seq_no=client.sequence * 2 + 9)
    assert (await client.until(types.BadMsgNotification)).error_code == 33


async def test_a_query_needs_an_odd_sequence_number(client):
    client.send(GET_CONFIG, content=False)
    assert (await client.until(types.BadMsgNotification)).error_code == 35


async def test_an_acknowledgement_needs_an_even_sequence_number(client):
    client.send(types.MsgsAck([1]))
    assert (await client.until(types.BadMsgNotification)).error_code == 34


async def test_a_container_id_that_came_before(client):
    container = client.send_container([client.message(PING)])
    await client.until(types.Pong)
    client.send_container([client.message(PING)], msg_id=container)
    assert (await client.until(types.BadMsgNotification)).error_code == 19


@pytest.mark.parametrize("defect", ["nested", "later", "count", "empty"])
async def test_an_invalid_container(client, defect):
    body = envelope.pack([client.message(PING)])
    if defect == "nested":
        body = envelope.pack([client.message(body)])
    if defect == "later":
        body = envelope.pack([client.message(PING, msg_id=client.last_id + 2**20)])
    if defect == "count":
        body = body[:4] + struct.pack("<i", 2) + body[8:]
    if defect == "empty":
        body = envelope.pack([])
    client.send(body, content=False)
    assert (await client.until(types.BadMsgNotification)).error_code == 64


async def test_a_repeated_query_is_answered_again_but_done_once(sandbox, client):
    message = client.message(initial(GET_CONFIG))
    client.send_message(message)
    first = await client.result(message.msg_id)
    client.send_message(message)
    second = await client.result(message.msg_id)
    assert bytes(first) == bytes(second)
    assert sandbox.calls.count("help.getConfig") == 1


async def test_unacknowledged_answers_come_again_after_a_reconnect(sandbox, client):
    msg_id = client.send(initial(GET_CONFIG))
    await client.result(msg_id)
    await client.close()
    other = await again(client, session_id=client.session_id)
    other.send(PING)
    assert (await other.result(msg_id)).this_dc == 2
    await other.close()


async def test_acknowledged_answers_do_not_come_again(client):
    msg_id = client.send(initial(GET_CONFIG))
    while True:
        message, value = await client.next()
        client.send(types.MsgsAck([message.msg_id]), content=False)
        if isinstance(value, RpcResult):
            break
    client.send(PING)
    await client.until(types.Pong)
    await client.close()
    other = await again(client, session_id=client.session_id)
    other.send(PING)
    seen = []
    while not (seen and isinstance(seen[-1], types.Pong) and seen[-1].msg_id == other.last_id):
        seen.append((await other.next())[1])
    assert not [v for v in seen if isinstance(v, RpcResult) and v.req_msg_id == msg_id]
    await other.close()


async def test_the_state_of_messages(client):
    done = client.send(initial(GET_CONFIG))
    await client.result(done)
    ack = client.send(types.MsgsAck([1]), content=False)
    asked = [done, ack, done - 4, done + 4, client.last_id + 2**34]
    msg_id = client.send(types.MsgsStateReq(asked))
    while True:
        message, value = await client.next()
        if isinstance(value, types.MsgsStateInfo):
            break
    assert value.req_msg_id == msg_id
    assert list(message.body[13:18]) == [4 | 8 | 64, 4 | 16, 1, 2, 3]


async def test_a_message_is_sent_again_when_asked(client):
    msg_id = client.send(initial(GET_CONFIG))
    while True:
        message, value = await client.next()
        if isinstance(value, RpcResult):
            break
    client.send(types.MsgResendReq([message.msg_id]))
    assert (await client.result(msg_id)).this_dc == 2


async def test_a_dropped_answer_does_not_come(sandbox, client):
    await client.call(GET_CONFIG, layer=True)
    sandbox.faults.latency(0.2, method="help.getConfig")
    slow = client.send(GET_CONFIG)
    msg_id = client.send(functions.RpcDropAnswerRequest(slow))
    assert isinstance(await client.result(msg_id), types.RpcAnswerDroppedRunning)
    sandbox.calls.wait("help.getConfig", 2)
    client.send(PING)
    seen = []
    while not seen or not isinstance(seen[-1], types.Pong):
        seen.append((await client.next())[1])
    assert not [v for v in seen if isinstance(v, RpcResult) and v.req_msg_id == slow]


async def test_drop_answer_of_what_is_answered_or_unknown(client):
    done = client.send(initial(GET_CONFIG))
    await client.result(done)
    dropped = await client.result(client.send(functions.RpcDropAnswerRequest(done)))
    assert isinstance(dropped, types.RpcAnswerDropped)
    unknown = await client.result(client.send(functions.RpcDropAnswerRequest(12344)))
    assert isinstance(unknown, types.RpcAnswerUnknown)


async def test_a_session_is_destroyed(sandbox, client):
    other = await again(client)
    other.send(PING)
    await other.until(types.Pong)
    gone = await client.ask(
        functions.DestroySessionRequest(other.session_id), types.DestroySessionOk
    )
    assert gone.session_id == other.session_id
    none = await client.ask(functions.DestroySessionRequest(5), types.DestroySessionNone)
    assert none.session_id == 5
    other.send(PING)
    assert await other.until(types.NewSessionCreated)
    await other.close()


async def test_a_key_is_destroyed(sandbox, client):
    assert await client.ask(functions.DestroyAuthKeyRequest(), types.DestroyAuthKeyOk)
    with pytest.raises(Closed):
        while True:
            await client.next()
    other = await again(client)
    other.send(PING)
    with pytest.raises(Closed) as closed:
        await other.next()
    assert closed.value.code == 404
    await other.close()


async def test_ping_delay_disconnect_closes(client):
    client.send(functions.PingDelayDisconnectRequest(1, 0))
    with pytest.raises(Closed):
        while True:
            await client.next()


async def test_a_quick_ack_names_the_packet(client):
    message = client.message(PING)
    packet = envelope.encrypt(client.key, client.salt, client.session_id, message, FROM_CLIENT)
    plain = envelope.decrypt(client.key, packet)
    client.write(packet, quick_ack=True)
    message, token = await client.next()
    assert message is None
    value = struct.unpack("<I", token)[0]
    assert value == struct.unpack("<I", plain.token)[0] | 0x80000000


async def test_a_key_of_another_dc_is_unknown(sandbox, client):
    other = RawClient(int(sandbox.dc_address(1).rpartition(":")[2]), client.key)
    await other.connect()
    other.send(PING)
    with pytest.raises(Closed) as closed:
        await other.next()
    assert closed.value.code == 404
    await other.close()


async def test_an_altered_packet_closes_the_connection(client):
    packet = bytearray(
        envelope.encrypt(
            client.key, client.salt, client.session_id, client.message(PING), FROM_CLIENT
        )
    )
    packet[-1] ^= 1
    client.write(bytes(packet))
    with pytest.raises(Closed):
        while True:
            await client.next()


async def test_a_temporary_key_opens_nothing_and_expires(sandbox, port):
    async with RawClient(port) as client:
        await client.make_key(sandbox.server.server_key, padding="rsa_pad", expires_in=1000)
        await client.settle()
        answer = await client.call(functions.users.GetUsersRequest([]), layer=True)
        assert answer.error_message == "AUTH_KEY_PERM_EMPTY"
        sandbox.server.keys[client.key.key_id].expires_at = 1
        client.send(PING)
        with pytest.raises(Closed) as closed:
            while True:
                await client.next()
        assert closed.value.code == 404


async def test_a_query_before_init_connection(client):
    answer = await client.call(GET_CONFIG)
    assert answer.error_message == "CONNECTION_NOT_INITED"


async def test_layer_and_client_belong_to_the_key(sandbox, client):
    await client.call(GET_CONFIG, layer=True)
    other = await again(client)
    assert (await other.call(GET_CONFIG)).this_dc == 2
    key = sandbox.server.keys[client.key.key_id]
    assert (key.layer, key.client.device_model, key.client.ip) == (229, "Tester", "127.0.0.1")
    await other.close()


async def test_an_unknown_method(sandbox, client):
    await client.call(GET_CONFIG, layer=True)
    answer = await client.result(client.send(struct.pack("<I", 0x12345678)))
    assert (answer.error_code, answer.error_message) == (400, "INPUT_METHOD_INVALID")
    assert sandbox.calls.entries("unknown *")[0].method == "unknown 0x12345678"


async def test_a_method_that_is_not_served(sandbox, client):
    await client.call(GET_CONFIG, layer=True)
    answer = await client.call(functions.payments.GetStarsTopupOptionsRequest())
    assert (answer.error_code, answer.error_message) == (400, "INPUT_METHOD_INVALID")


async def test_an_unknown_argument(client):
    await client.call(GET_CONFIG, layer=True)
    body = struct.pack("<Ii", 0x0D91A548, 1) + struct.pack("<I", 0x11111111)
    whole = struct.pack("<III", functions.users.GetUsersRequest.CONSTRUCTOR_ID, 0x1CB5C415, 1)
    answer = await client.result(client.send(whole + body[8:]))
    assert answer.error_message == "INPUT_CONSTRUCTOR_INVALID"


async def test_a_query_that_is_cut_off(client):
    await client.call(GET_CONFIG, layer=True)
    answer = await client.result(client.send(bytes(functions.users.GetUsersRequest([]))[:8]))
    assert answer.error_message == "INPUT_FETCH_ERROR"


async def test_a_method_before_login(client):
    answer = await client.call(functions.users.GetUsersRequest([]), layer=True)
    assert (answer.error_code, answer.error_message) == (401, "AUTH_KEY_UNREGISTERED")


async def test_invoke_after_a_failed_query(client):
    await client.call(GET_CONFIG, layer=True)
    bad = client.message(functions.users.GetUsersRequest([]))
    after = client.message(functions.InvokeAfterMsgRequest(bad.msg_id, GET_CONFIG))
    good = client.message(GET_CONFIG)
    later = client.message(functions.InvokeAfterMsgsRequest([good.msg_id], GET_CONFIG))
    client.send_container([bad, after, good, later])
    assert (await client.result(after.msg_id)).error_message == "MSG_WAIT_FAILED"
    assert (await client.result(later.msg_id)).this_dc == 2


async def test_envelopes_are_symmetric(sandbox, client):
    for size in (4, 12, 1024, 65536):
        message = client.message(random.randbytes(size))
        packet = envelope.encrypt(client.key, 1, 2, message, FROM_CLIENT)
        sealed = envelope.decrypt(client.key, packet)
        assert (sealed.salt, sealed.session_id, sealed.message) == (1, 2, message)
        assert len(sealed.token) == 4
