"""The steps of a login, and what happens between them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from core.errors import Conflict, NotFound, TooManyRequests
from core.models import Event
from engine.errors import BadGateway, FloodWait, NotAuthorized, from_rpc
from engine.methods import auth, sessions
from engine.testing import FakeTransport
from sessions_app import login_row, purge
from sessions_app.authorization import finish_login
from sessions_app.login import (
    cancel_login,
    resend_code,
    start_login,
    submit_code,
    submit_password,
)
from sessions_app.login_row import drop_lapsed_logins
from sessions_app.lookup import get_or_create_session
from sessions_app.models import (
    Account,
    BoxState,
    Entity,
    KeyGrant,
    LoginState,
    LoginStep,
    SessionState,
    TelegramSession,
)
from sessions_app.tests.helpers import (
    PHONE,
    make_session,
    make_user,
    ready,
    sent_code,
    telegram_user,
    wait_password,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]

OTHER = "+15550000002"
DEAD = "00000000.1.2.3"


@pytest.fixture
def purges(monkeypatch) -> Iterator[list[purge.Purge]]:
    found: list[purge.Purge] = []
    monkeypatch.setattr(purge, "_handlers", [found.append])
    yield found


def new(name: str = "user123") -> TelegramSession:
    return get_or_create_session(make_user(), name)


def begun(name: str = "user123") -> TelegramSession:
    return start_login(new(name), phone=PHONE).session


def expect(error_code: str, call, /, *args: object, **kwargs: object) -> Exception:
    with pytest.raises(Exception) as caught:
        call(*args, **kwargs)
    assert caught.value.code == error_code, caught.value
    return caught.value


def test_it_works(fake: FakeTransport) -> None:
    answer = start_login(new(), phone=PHONE)
    assert answer.login.phone_code_hash == "hash" and answer.session.state == "wait_code"
    answer = submit_code(answer.session, code="12345", phone_code_hash="hash")
    assert answer.login is None and answer.session.is_ready
    assert answer.session.account.phone == PHONE
    assert not LoginState.objects.exists()
    assert Event.objects.get().data == {"state": "ready"}


def test_the_hash_is_remembered(fake: FakeTransport) -> None:
    submit_code(begun(), code="12345")
    assert fake.called(auth.sign_in)[0].kwargs["phone_code_hash"] == "hash"


def test_a_foreign_hash_is_refused(fake: FakeTransport) -> None:
    session = begun()
    expect("phone_code_hash_invalid", submit_code, session, code="1", phone_code_hash="foreign")
    assert not fake.called(auth.sign_in)
    submit_code(session, code="12345")


def test_a_wrong_code_leaves_the_login_open(fake: FakeTransport) -> None:
    session = begun()
    fake.answer(auth.sign_in, from_rpc(400, "PHONE_CODE_INVALID"))
    expect("phone_code_invalid", submit_code, session, code="1")
    fake.answer(auth.sign_in, ready())
    assert submit_code(session, code="2").login is None


def test_an_expired_code_ends_the_login(fake: FakeTransport) -> None:
    session = begun()
    fake.answer(auth.sign_in, from_rpc(400, "PHONE_CODE_EXPIRED"))
    error = expect("phone_code_expired", submit_code, session, code="1")
    assert "expired" in error.detail.lower()
    assert not TelegramSession.objects.exists()
    fake.answer(auth.sign_in, ready())
    submit_code(begun(), code="1")


def test_the_password_wrong_then_right(fake: FakeTransport) -> None:
    session = begun()
    fake.answer(auth.sign_in, wait_password("pet"))
    answer = submit_code(session, code="1")
    assert answer.login.hint == "pet" and answer.session.state == "wait_password"
    expect("login_wait_password", submit_code, session, code="1")
    fake.answer(auth.check_password, from_rpc(400, "PASSWORD_HASH_INVALID"))
    expect("password_hash_invalid", submit_password, session, password="no")
    assert start_login(session, phone=PHONE).login.step == LoginStep.WAIT_PASSWORD
    fake.answer(auth.check_password, ready())
    assert submit_password(session, password="yes").session.is_ready


def test_a_password_before_the_code_is_a_conflict(fake: FakeTransport) -> None:
    expect("login_wait_code", submit_password, begun(), password="x")


def test_telegram_away_leaves_the_login_open(fake: FakeTransport) -> None:
    session = begun()
    fake.answer(auth.sign_in, BadGateway())
    with pytest.raises(BadGateway):
        submit_code(session, code="1")
    fake.answer(auth.sign_in, ready())
    submit_code(session, code="1")


def test_no_code_was_sent(fake: FakeTransport) -> None:
    fake.answer(auth.send_code, from_rpc(400, "PHONE_NUMBER_BANNED"))
    expect("phone_number_banned", start_login, new(), phone=PHONE)
    assert not TelegramSession.objects.exists()


def test_a_flood_wait_keeps_the_row_and_its_deadline(fake: FakeTransport) -> None:
    fake.answer(auth.send_code, FloodWait("flood_wait", seconds=30))
    session = new()
    with pytest.raises(FloodWait):
        start_login(session, phone=PHONE)
    assert TelegramSession.objects.get() == session
    expect("no_login", submit_code, session, code="1")


def test_a_second_start_resumes(fake: FakeTransport) -> None:
    session = begun()
    assert start_login(session, phone=PHONE).login.phone_code_hash == "hash"
    assert len(fake.called(auth.send_code)) == 1
    again = start_login(session, phone=PHONE, resend=True)
    assert again.login.phone_code_hash == "hash2" and again.login.type == "sms"


def test_another_phone_is_a_conflict(fake: FakeTransport) -> None:
    expect("login_in_progress", start_login, begun(), phone=OTHER)


def test_resending_too_early(fake: FakeTransport) -> None:
    fake.answer(auth.send_code, sent_code(timeout_seconds=60))
    with pytest.raises(TooManyRequests) as refused:
        resend_code(begun())
    assert 58 <= refused.value.retry_after <= 60
    assert not fake.called(auth.resend_code)


def test_cancel(fake: FakeTransport) -> None:
    session = begun()
    cancel_login(session)
    assert fake.called(auth.cancel_code) and fake.called(sessions.disconnect)
    assert not TelegramSession.objects.exists()
    with pytest.raises(NotFound):
        cancel_login(session)


def test_cancel_keeps_what_somebody_prepared(fake: FakeTransport) -> None:
    from accounts.models import create_key

    session = begun()
    key, _ = create_key(user=session.owner, scopes=["read"])
    KeyGrant.objects.create(api_key=key, session=session)
    cancel_login(session)
    assert TelegramSession.objects.get().state == SessionState.WAIT_PHONE_NUMBER


def test_it_lapses(fake: FakeTransport) -> None:
    session = begun()
    LoginState.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    expect("no_login", submit_code, session, code="1")
    assert not TelegramSession.objects.exists()
    begun()
    LoginState.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert drop_lapsed_logins() == 1
    assert not LoginState.objects.exists()


def test_six_tries_are_too_many(fake: FakeTransport) -> None:
    session = begun()
    fake.answer(auth.sign_in, from_rpc(400, "PHONE_CODE_INVALID"))
    for _ in range(5):
        expect("phone_code_invalid", submit_code, session, code="1")
    with pytest.raises(TooManyRequests):
        submit_code(session, code="1")
    assert len(fake.called(auth.sign_in)) == 5


# A process that died at work


def busy(session: TelegramSession, step: str, before: str, process: str = DEAD) -> None:
    LoginState.objects.filter(session=session).update(
        step=step, step_before=before, process=process
    )


@pytest.fixture
def one_dead(monkeypatch) -> None:
    monkeypatch.setattr(login_row, "is_alive", lambda token: token != DEAD)


def test_killed_while_asking_for_a_code(fake: FakeTransport, one_dead: None) -> None:
    session = begun()
    busy(session, "sending", "sending")
    assert start_login(session, phone=OTHER).login.phone == OTHER


def test_killed_before_telegram_let_it_in(fake: FakeTransport, one_dead: None) -> None:
    session = begun()
    busy(session, "checking", "wait_code")
    fake.answer(sessions.get_me, NotAuthorized("auth_key_unregistered"))
    assert submit_code(session, code="1").session.is_ready


def test_killed_after_telegram_let_it_in(fake: FakeTransport, one_dead: None) -> None:
    session = begun()
    busy(session, "checking", "wait_password")
    fake.answer(sessions.get_me, telegram_user())
    assert start_login(session, phone=PHONE).login is None
    session.refresh_from_db()
    assert session.is_ready


def test_a_step_of_a_living_process_is_waited_for(fake: FakeTransport, monkeypatch) -> None:
    session = begun()
    monkeypatch.setattr(login_row, "is_alive", lambda token: True)
    monkeypatch.setattr(login_row, "PATIENCE_SECONDS", 0.0)
    busy(session, "checking", "wait_code", "somebody")
    expect("login_in_progress", submit_code, session, code="1")


def test_a_step_of_an_unseen_process_is_given_up(fake: FakeTransport, monkeypatch) -> None:
    session = begun()
    monkeypatch.setattr(login_row, "is_alive", lambda token: None)
    busy(session, "sending", "sending", "far away")
    LoginState.objects.update(step_at=timezone.now() - timedelta(minutes=5))
    assert start_login(session, phone=PHONE).login.step == LoginStep.WAIT_CODE


# Two at once


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("phones", [(PHONE, OTHER), (PHONE, PHONE)])
def test_of_two_logins_on_one_name_one_wins(fake: FakeTransport, phones: tuple[str, str]) -> None:
    session, both = new(), threading.Barrier(2)

    def send(phone: str) -> dict[str, object]:
        return sent_code(f"hash of {phone}")

    fake.answer(auth.send_code, send)

    def begin(phone: str) -> str:
        both.wait(30)
        try:
            return start_login(session, phone=phone).login.phone_code_hash
        except Conflict as exc:
            return exc.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(begin, phones))
    assert len(fake.called(auth.send_code)) == 1
    if phones[0] == phones[1]:
        assert answers == [f"hash of {PHONE}"] * 2
    else:
        assert sorted(answers)[1] == "login_in_progress"


# Another account under a used name


def test_another_account_finds_nothing_of_the_old_one(
    fake: FakeTransport, purges: list[purge.Purge]
) -> None:
    session = submit_code(begun(), code="1").session
    former = session.account
    Entity.objects.create(session=session, peer_id=7, access_hash=70)
    BoxState.objects.create(session=session, pts=5)
    TelegramSession.objects.update(state=SessionState.LOGGED_OUT)
    start_login(session, phone=OTHER)
    assert not Entity.objects.exists() and not BoxState.objects.exists()
    fake.answer(auth.sign_in, ready(user_id=2002, phone=OTHER))
    answer = submit_code(session, code="1")
    assert answer.session.account.user_id == 2002
    assert purges == [purge.Purge(session.pk, former.pk, "account_changed", True)]
    assert not Account.objects.filter(user_id=1001).exists()
    assert Event.objects.count() == 1


def test_the_same_account_finds_everything_again(
    fake: FakeTransport, purges: list[purge.Purge]
) -> None:
    session = submit_code(begun(), code="1").session
    Entity.objects.create(session=session, peer_id=7, access_hash=70)
    TelegramSession.objects.update(state=SessionState.LOGGED_OUT)
    start_login(session, phone=PHONE)
    submit_code(session, code="1")
    assert Entity.objects.exists() and not purges


def test_an_account_with_another_session_stays(
    fake: FakeTransport, purges: list[purge.Purge]
) -> None:
    make_session("elsewhere", make_user("bob"))
    session = submit_code(begun(), code="1").session
    finish_login(session.pk, telegram_user(2002, OTHER))
    assert [purge.account_left for purge in purges] == [False]
    assert Account.objects.filter(user_id=1001).exists()


def test_one_account_on_two_names(fake: FakeTransport) -> None:
    submit_code(begun("a"), code="1")
    submit_code(begun("b"), code="1")
    assert Account.objects.get().sessions.count() == 2


def test_hostile_names_are_stored(fake: FakeTransport) -> None:
    session = new()
    finish_login(session.pk, telegram_user(first_name="J\0ohn", last_name=None))
    account = Account.objects.get()
    assert (account.first_name, account.last_name) == ("John", "")


def test_a_destroyed_session_cannot_begin(fake: FakeTransport) -> None:
    session = new()
    stale = TelegramSession.objects.get(pk=session.pk)
    session.delete()
    # It is made anew under its name, as for anybody who logs in.
    assert start_login(stale, phone=PHONE).session.name == "user123"
