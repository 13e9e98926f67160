"""From a received query to its answer: wrappers, login, faults, the handler, the log."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sandbox import tl
from sandbox.calls import Entry, arguments
from sandbox.faults import Verdict
from sandbox.rpc import METHODS, Call, RpcError, method_name
from sandbox.tl import Query

if TYPE_CHECKING:
    from sandbox.connection import Connection
    from sandbox.session import Session

logger = logging.getLogger(__name__)
GZIP_BYTES = 1024
"""Results from this size on are packed, except files."""


def receive(connection: Connection, session: Session, msg_id: int, body: bytes) -> None:
    """Begin to answer a query; the answer goes to the session when it is there."""
    try:
        query = tl.read_query(body)
    except RpcError as error:
        name = f"unknown {tl.constructor(body):#010x}"
        logger.warning("%s: %s", name, error.message)
        _record(connection, session, Entry(name, error=error.message))
        _answer(session, msg_id, tl.write_error(error.code, error.message), failed=True)
        return
    if query.layer is not None:
        session.key.layer = query.layer
    if query.client is not None:
        query.client.ip = connection.ip
        session.key.client = query.client
        connection.server.authorization(session.key).client = query.client
    if not query.without_updates:
        session.updates = True
    task = asyncio.get_running_loop().create_task(_serve(connection, session, msg_id, query))
    session.running[msg_id] = task
    task.add_done_callback(lambda _: session.running.pop(msg_id, None))


async def _serve(connection: Connection, session: Session, msg_id: int, query: Query) -> None:
    entry = Entry(method_name(type(query.request)), arguments=arguments(query.request))
    entry.request = query.request
    verdict = Verdict()
    body, failed = b"", True
    try:
        await _wait_for(session, query.after)
        server = connection.server
        user_id = server.authorization(session.key).user_id
        verdict = server.faults.verdict(entry.method, user_id, connection.dc)
        if verdict.delay_seconds:
            await asyncio.sleep(verdict.delay_seconds)
        if verdict.drop == "before":
            entry.error = "dropped"
            connection.close()
            return
        if verdict.error is not None:
            raise verdict.error
        body = tl.write(await _handle(connection, session, query, entry))
        failed = False
    except RpcError as error:
        entry.error = error.message
        body = tl.write_error(error.code, error.message)
    except Exception as error:
        # What Telegram says when a worker of its own fails.
        logger.exception("%s failed", entry.method)
        entry.error = "RPC_CALL_FAIL"
        connection.server.crashes.append(error)
        body = tl.write_error(500, "RPC_CALL_FAIL")
    finally:
        bound = connection.server.bind(session)
        entry.user_id = entry.user_id or bound
        _record(connection, session, entry)
    if msg_id in session.dropped:
        session.dropped.discard(msg_id)
        return
    if verdict.drop == "answer":
        return
    if verdict.drop == "after":
        connection.close()
    _answer(session, msg_id, body, failed=failed)


async def _handle(connection: Connection, session: Session, query: Query, entry: Entry) -> object:
    server, key = connection.server, session.key
    authorization = server.authorization(key)
    if authorization.refusal == "AUTH_KEY_DUPLICATED":
        raise RpcError(406, authorization.refusal)
    if not key.layer:
        raise RpcError(400, "CONNECTION_NOT_INITED")
    method = METHODS.get(query.request.CONSTRUCTOR_ID)
    if method is None:
        logger.warning("%s is not served", entry.method)
        raise RpcError(400, "INPUT_METHOD_INVALID")
    user = server.world.users.get(authorization.user_id) if authorization.user_id else None
    entry.user_id = user.id if user else None
    if key.expires_at and not method.anonymous:
        raise RpcError(401, "AUTH_KEY_PERM_EMPTY")  # temporary, and bound to no other
    if user is None and not method.anonymous:
        raise RpcError(401, authorization.refusal or "AUTH_KEY_UNREGISTERED")
    authorization.date_active = server.world.now()
    server.bind(session)
    call = Call(
        world=server.world,
        server=server,
        auth=authorization,
        user=user,
        dc=connection.dc,
        session_id=session.session_id,
        method=method.name,
        layer=key.layer,
        client=key.client,
        connection=connection,
    )
    return await method.run(call, query.request)


async def _wait_for(session: Session, msg_ids: list[int]) -> None:
    """Wait until earlier requests of the session are answered (`invokeAfterMsg`)."""
    tasks = [session.running[msg_id] for msg_id in msg_ids if msg_id in session.running]
    if tasks:
        await asyncio.wait(tasks)
    if any(msg_id in session.failed for msg_id in msg_ids):
        raise RpcError(400, "MSG_WAIT_FAILED")


def _answer(session: Session, msg_id: int, body: bytes, *, failed: bool) -> None:
    if len(body) >= GZIP_BYTES and body[:4] not in tl.FILE_RESULTS:
        body = tl.gzip(body)
    session.answer(msg_id, tl.rpc_result(msg_id, body), failed=failed)


def _record(connection: Connection, session: Session, entry: Entry) -> None:
    entry.auth_key_id = session.key.key_id
    entry.session_id = session.session_id
    entry.dc = connection.dc
    connection.server.calls.add(entry)
