"""Service messages: pings, acknowledgements, states, resending, salts, sessions, keys.

Source: https://core.telegram.org/mtproto/service_messages,
https://core.telegram.org/mtproto/service_messages_about_messages
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from telethon.tl import TLObject, functions, types

from sandbox import tl

if TYPE_CHECKING:
    from sandbox.connection import Connection
    from sandbox.session import Session

MAX_FUTURE_SALTS = 64
_NEW_SESSION = struct.Struct("<Iqqq")
_BAD_MSG = struct.Struct("<Iqii")
_PONG = struct.Struct("<Iqq")

Handler = Callable[["Connection", "Session", int, Any], None]


def new_session_created(session: Session, first_msg_id: int) -> bytes:
    salt = session.key.salt(time.time())
    return _NEW_SESSION.pack(0x9EC20908, first_msg_id, session.unique_id, salt)


def bad_msg_notification(msg_id: int, seq_no: int, code: int) -> bytes:
    return _BAD_MSG.pack(0xA7EFF811, msg_id, seq_no, code)


def bad_server_salt(msg_id: int, seq_no: int, salt: int) -> bytes:
    return _BAD_MSG.pack(0xEDAB447B, msg_id, seq_no, 48) + struct.pack("<q", salt)


def _ping(connection: Connection, session: Session, msg_id: int, request: Any) -> None:
    body = _PONG.pack(0x347773C5, msg_id, request.ping_id)
    session.send(body, content=False, reply=True)


def _ping_delay_disconnect(
    connection: Connection, session: Session, msg_id: int, request: Any
) -> None:
    _ping(connection, session, msg_id, request)
    connection.disconnect_after(request.disconnect_delay)


def _msgs_ack(connection: Connection, session: Session, msg_id: int, ack: Any) -> None:
    session.acknowledged(ack.msg_ids)


def _msgs_state_req(connection: Connection, session: Session, msg_id: int, request: Any) -> None:
    info = bytes(_state(session, wanted) for wanted in request.msg_ids)
    body = struct.pack("<Iq", 0x04DEB57D, msg_id) + TLObject.serialize_bytes(info)
    session.send(body, content=False, reply=True)


def _state(session: Session, msg_id: int) -> int:
    """Return the status byte of a message that the client says it has sent."""
    received = session.received
    if msg_id not in received:
        if not received or msg_id > max(received):
            return 3
        return 1 if msg_id < min(received) else 2
    state = 4
    if not received[msg_id] & 1:
        state |= 16
    if msg_id in session.running:
        state |= 32
    if msg_id in session.answers:
        state |= 8 | 64
    return state


def _msg_resend_req(connection: Connection, session: Session, msg_id: int, request: Any) -> None:
    found = [session.unconfirmed.get(wanted) for wanted in request.msg_ids]
    for message in found:
        if message is not None:
            session.queue(message)
    if None in found:
        _msgs_state_req(connection, session, msg_id, request)


def _rpc_drop_answer(connection: Connection, session: Session, msg_id: int, request: Any) -> None:
    wanted = request.req_msg_id
    answer: TLObject = types.RpcAnswerUnknown()
    if wanted in session.running:
        session.dropped.add(wanted)
        answer = types.RpcAnswerDroppedRunning()
    elif (sent := session.confirm(session.answers.get(wanted, 0))) is not None:
        answer = types.RpcAnswerDropped(sent.msg_id, sent.seq_no, len(sent.body))
    session.answer(msg_id, tl.rpc_result(msg_id, bytes(answer)))


def _get_future_salts(connection: Connection, session: Session, msg_id: int, request: Any) -> None:
    now = time.time()
    count = min(max(request.num, 1), MAX_FUTURE_SALTS)
    salts = [types.FutureSalt(*salt) for salt in session.key.future_salts(count, now)]
    session.send(
        b"".join(
            (
                struct.pack("<Iqii", 0xAE500895, msg_id, int(now), len(salts)),
                *(bytes(salt)[4:] for salt in salts),
            )
        ),
        content=False,
        reply=True,
    )


def _destroy_session(connection: Connection, session: Session, msg_id: int, request: Any) -> None:
    other = session.key.sessions.get(request.session_id)
    if other is None or other is session:
        answer: TLObject = types.DestroySessionNone(request.session_id)
    else:
        connection.server.forget_session(other)
        answer = types.DestroySessionOk(request.session_id)
    session.send(bytes(answer), reply=True)


def _destroy_auth_key(connection: Connection, session: Session, msg_id: int, request: Any) -> None:
    session.send(bytes(types.DestroyAuthKeyOk()), reply=True)
    connection.server.destroy_key(session.key.key_id)


def _nothing(connection: Connection, session: Session, msg_id: int, message: Any) -> None:
    """Take note of a message that asks for no answer."""


HANDLERS: dict[int, Handler] = {
    functions.PingRequest.CONSTRUCTOR_ID: _ping,
    functions.PingDelayDisconnectRequest.CONSTRUCTOR_ID: _ping_delay_disconnect,
    types.MsgsAck.CONSTRUCTOR_ID: _msgs_ack,
    types.MsgsStateReq.CONSTRUCTOR_ID: _msgs_state_req,
    types.MsgResendReq.CONSTRUCTOR_ID: _msg_resend_req,
    functions.RpcDropAnswerRequest.CONSTRUCTOR_ID: _rpc_drop_answer,
    functions.GetFutureSaltsRequest.CONSTRUCTOR_ID: _get_future_salts,
    functions.DestroySessionRequest.CONSTRUCTOR_ID: _destroy_session,
    functions.DestroyAuthKeyRequest.CONSTRUCTOR_ID: _destroy_auth_key,
    types.MsgsStateInfo.CONSTRUCTOR_ID: _nothing,
    types.MsgsAllInfo.CONSTRUCTOR_ID: _nothing,
    types.MsgDetailedInfo.CONSTRUCTOR_ID: _nothing,
    types.MsgNewDetailedInfo.CONSTRUCTOR_ID: _nothing,
    types.HttpWait.CONSTRUCTOR_ID: _nothing,
}
NEVER_CONTENT = {types.MsgsAck.CONSTRUCTOR_ID, types.HttpWait.CONSTRUCTOR_ID}
