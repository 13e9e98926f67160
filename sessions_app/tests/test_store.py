"""The engine's store over the ORM."""

import time
from collections.abc import Iterator

import pytest

from core.models import Event
from core.writer import writer
from engine.errors import Conflict, EngineError, NotFound
from engine.store import BoxState, EntityRow, SessionReport
from sessions_app.lease import Lease
from sessions_app.models import BoxState as BoxRow
from sessions_app.models import Entity, SessionState, TelegramSession
from sessions_app.store import OrmStore, upsert_boxes, upsert_entities
from sessions_app.tests.helpers import make_session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

KEY = bytes(range(256))


@pytest.fixture
def store(transactional_db: None) -> Iterator[OrmStore]:
    lease = Lease(name="node", lock_id="lock")
    lease.acquire()
    yield OrmStore(lease)
    lease.release()


def flushed() -> None:
    """Wait until the writer has done what it was given before."""
    writer.submit(lambda: None).result(30)


def test_it_works(store: OrmStore) -> None:
    session = make_session(device_model="Phone", lang_code="ru")
    store.save_key(session.pk, dc_id=2, host="127.0.0.1", port=443, auth_key=KEY)
    upsert_entities([(session.pk, EntityRow(7, 70, "pat", "+49", "Pat"))])
    upsert_boxes([(session.pk, BoxState(0, 10, 2, 3, 4, 5))])
    store.save_flood(session.pk, "messages.search", time.time() + 60)
    store.save_flood(session.pk, "messages.old", time.time() - 60)
    record = store.load(session.pk)
    assert (record.dc_id, record.host, record.port) == (2, "127.0.0.1", 443)
    assert record.auth_key == KEY and "auth_key" not in repr(record)
    assert (record.api_id, record.account_id, record.state) == (12345, 1001, "ready")
    assert record.device.device_model == "Phone" and record.device.lang_code == "ru"
    assert list(record.entities) == [EntityRow(7, 70, "pat", "+49", "Pat")]
    assert list(record.boxes) == [BoxState(0, 10, 2, 3, 4, 5)]
    assert list(record.floods) == ["messages.search"]


def test_an_unknown_session(store: OrmStore) -> None:
    with pytest.raises(NotFound):
        store.load(999)
    with pytest.raises(NotFound):
        store.save_key(999, dc_id=2, host="h", port=1, auth_key=KEY)
    store.save_entities(999, [EntityRow(1, 1)])
    store.save_flood(999, "m", 1.0)
    store.report(999, SessionReport("connected"))
    flushed()


def test_a_key_belongs_to_one_session(store: OrmStore) -> None:
    first, second = make_session("a"), make_session("b")
    store.save_key(first.pk, dc_id=2, host="h", port=1, auth_key=KEY)
    store.save_key(first.pk, dc_id=1, host="h", port=1, auth_key=KEY)
    with pytest.raises(Conflict):
        store.save_key(second.pk, dc_id=2, host="h", port=1, auth_key=KEY)
    assert store.find_key(KEY) == first.pk
    store.save_key(first.pk, dc_id=2, host="h", port=1, auth_key=None)
    assert store.find_key(KEY) is None
    store.save_key(second.pk, dc_id=2, host="h", port=1, auth_key=KEY)


def test_own_credentials_and_proxy(store: OrmStore) -> None:
    proxy = {"kind": "socks5", "host": "p", "port": 1, "username": "u", "password": "secret"}
    session = make_session(api_id=7, api_hash="own", proxy=proxy)
    record = store.load(session.pk)
    assert (record.api_id, record.api_hash) == (7, "own")
    assert record.proxy.password == "secret" and "secret" not in repr(record)


def test_without_credentials_the_error_says_so(store: OrmStore, settings) -> None:
    settings.TELEGRAM = {**settings.TELEGRAM, "API_ID": None}
    with pytest.raises(EngineError) as refused:
        store.load(make_session().pk)
    assert refused.value.code == "api_id_missing" and "TELEGRAM_API_ID" in refused.value.detail


def test_a_session_between_two_logins_has_no_account(store: OrmStore) -> None:
    session = make_session(state=SessionState.WAIT_CODE)
    upsert_boxes([(session.pk, BoxState(0, 10))])
    record = store.load(session.pk)
    assert record.account_id is None and not record.boxes


def test_a_known_access_hash_is_not_lost(store: OrmStore) -> None:
    session = make_session()
    store.save_entities(session.pk, [EntityRow(7, 70, "old", None, "Old\0 \ud800")])
    store.save_entities(session.pk, [EntityRow(7, None, "new", None, "New")])
    row = Entity.objects.get()
    assert (row.access_hash, row.username, row.name) == (70, "new", "New")


def test_box_states_are_replaced(store: OrmStore) -> None:
    session = make_session()
    upsert_boxes([(session.pk, BoxState(-100, 1)), (session.pk, BoxState(-100, 2))])
    upsert_boxes([(session.pk, BoxState(-100, 3))])
    assert BoxRow.objects.get().pts == 3


def report(store: OrmStore, session: TelegramSession, *args: object, **kwargs: object) -> None:
    store.report(session.pk, SessionReport(*args, **kwargs))
    flushed()
    session.refresh_from_db()


def test_reports(store: OrmStore) -> None:
    session = make_session()
    store.claim(session.pk)
    report(store, session, "connected")
    assert session.live_state == "connected" and session.connected_at
    report(store, session, "retrying", error="timeout", retry_at=time.time() + 5)
    assert (session.live_state, session.last_error) == ("retrying", "timeout")
    assert session.retry_at is not None
    report(store, session, "degraded", error="updates_missing")
    report(store, session, "healed")
    assert (session.live_state, session.last_error, session.retry_at) == ("connected", "", None)
    states = [event.data["connection"] for event in Event.objects.order_by("id")]
    assert states == ["connected", "retrying", "degraded", "connected"]


def test_an_expired_session_loses_its_dead_key(store: OrmStore) -> None:
    session = make_session()
    store.claim(session.pk)
    store.save_key(session.pk, dc_id=2, host="h", port=1, auth_key=KEY)
    report(store, session, "expired", error="session_revoked")
    assert session.state == SessionState.EXPIRED and session.auth_key is None
    assert store.find_key(KEY) is None
    assert Event.objects.get().data == {
        "state": "expired",
        "connection": "disconnected",
        "error": "session_revoked",
    }


def test_a_login_under_way_does_not_expire(store: OrmStore) -> None:
    session = make_session(state=SessionState.WAIT_CODE)
    store.claim(session.pk)
    report(store, session, "expired", error="auth_key_unregistered")
    assert session.state == SessionState.WAIT_CODE


def test_what_a_former_owner_says_is_not_heard(store: OrmStore) -> None:
    session = make_session(owner_node="another", live_state="connected")
    report(store, session, "disconnected")
    assert session.live_state == "connected"
