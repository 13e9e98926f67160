"""Log in by QR code: shown here, scanned with a Telegram app, sealed by the cloud password.

The code belongs to a session of its own; when the login is done its auth key moves to the
session that was asked for, whose old key dies then. A login survives a restart of the hub: the
key that the code stands for is stored, and the next look shows a fresh code for it.
Source: https://core.telegram.org/api/qr-login
"""

import hashlib
import logging
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.callers import Caller, owner_for
from accounts.models import User
from core import limits
from core.errors import Conflict, Forbidden, NotFound, TooManyRequests
from engine import telegram
from engine.errors import EngineError
from engine.methods import auth
from engine.methods import sessions as session_methods
from engine.methods.answers import QrDict
from engine.methods.shapes import UserDict
from engine.store import Device
from scraper.qr_models import QrLogin, QrStatus
from sessions_app.authorization import finish_login
from sessions_app.lookup import check_name, get_or_create_session, is_limited, visible_sessions
from sessions_app.models import LiveState, SessionState, TelegramSession
from sessions_app.process import is_alive, process_token
from sessions_app.purge import let_go
from sessions_app.store import key_fingerprint, save_key
from sessions_app.text import clean

logger = logging.getLogger(__name__)

LIFETIME = timedelta(minutes=5)
PASSWORD_LIFETIME = timedelta(minutes=2)
READABLE = timedelta(minutes=10)
"""For how long it can be read what became of a login."""
MAX_PENDING = 10
PATIENCE_SECONDS = 20.0
CALL_SECONDS = 30.0
HOUSEKEEPING_SECONDS = 3.0
"""How long the housekeeping waits for Telegram: others wait for it."""
FOREIGN_STEP = timedelta(seconds=90)
"""After how long a step of a process that cannot be seen from here is taken over."""

OPEN = (QrStatus.PENDING, QrStatus.PASSWORD_REQUIRED)
COPIED = (
    "api_id",
    "api_hash",
    "proxy",
    "device_model",
    "system_version",
    "app_version",
    "lang_code",
    "system_lang_code",
)


@dataclass(frozen=True, slots=True)
class QrView:
    """Where a login stands; `url` is what the code holds while it is to be scanned."""

    login: QrLogin
    url: str | None = None

    @property
    def status(self) -> str:
        return self.login.status


def start(
    caller: Caller, *, name: str, username: str | None = None, force: bool = False
) -> tuple[str, QrView]:
    """Begin a login of the session `name` and return its token and the first code.

    A login that the caller had begun for this name is given up. Raises Conflict when the
    session is logged in, unless `force`; Forbidden when the key is limited to other sessions;
    TooManyRequests with `MAX_PENDING` logins under way; EngineError.
    """
    owner = owner_for(caller, username)
    check_name(name)
    if is_limited(caller) and not visible_sessions(caller, username).filter(name=name).exists():
        raise Forbidden("The key is limited to other sessions.", code="session_not_allowed")
    for former in _of_caller(caller).filter(owner=owner, name=name, status__in=OPEN):
        _end(former, QrStatus.ERROR, "superseded")
    for pending in _of_caller(caller).filter(status__in=OPEN, expires_at__lte=timezone.now()):
        _end(pending, QrStatus.EXPIRED)
    token = secrets.token_urlsafe(32)
    login = _open(caller, owner, name, force, token)
    try:
        answer = _show(login)
    except BaseException:
        _drop(login)
        raise
    logger.info("Session %s shows a QR code", login.session_id)
    return token, QrView(login, answer["url"])


def find(caller: Caller, token: str) -> QrLogin:
    """Return the caller's own login with this token; raises NotFound."""
    login = (
        _of_caller(caller)
        .filter(token_sha256=_hash(token))
        .select_related("owner", "session")
        .first()
    )
    if login is None or _is_forgotten(login):
        raise _not_found()
    return login


def look(
    login: QrLogin,
    *,
    wait_seconds: float = 0,
    known_url: str | None = None,
    timeout_seconds: float = CALL_SECONDS,
) -> QrView:
    """Return where the login stands now, going on with it where that is due.

    With `wait_seconds`, wait for a change from `known_url`. Raises NotFound when it was
    cancelled, EngineError when Telegram is not there: the login stays as it was.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while True:
        login = _reload(login)
        if login.status == QrStatus.FINISHING:
            if _is_abandoned(login):
                _take_over(login)
            elif time.monotonic() > deadline:
                raise Conflict("The login is being finished; ask again.", code="login_in_progress")
            else:
                if not connection.in_atomic_block:
                    connection.close()
                pause.wait(0.1)
        elif login.status not in OPEN:
            return QrView(login)
        elif login.expires_at <= timezone.now():
            _end(login, QrStatus.EXPIRED)
        elif login.status == QrStatus.PASSWORD_REQUIRED:
            return QrView(login)
        else:
            answer = _ask(login, wait_seconds, known_url, timeout_seconds)
            if answer["state"] == "wait_other_device_confirmation":
                return QrView(login, answer["url"])
            _go_on(login, answer)


def submit_password(login: QrLogin, *, password: str) -> QrView:
    """Finish the login with the cloud password.

    Raises Conflict when no password is wanted, BadRequest for a wrong one (the login stays
    open), NotFound, TooManyRequests.
    """
    login = look(login).login
    if login.status != QrStatus.PASSWORD_REQUIRED:
        raise Conflict(
            f"The login does not wait for a password: {login.status}.", code="password_not_needed"
        )
    limits.hit("try_password", "qr", login.pk)
    try:
        answer = telegram.call(_session_of(login), auth.check_password, password=password)
    except EngineError as exc:
        if exc.status != 401:
            raise
        _end(login, QrStatus.ERROR, exc.code)
        return QrView(_reload(login))
    assert answer["user"] is not None
    _finish(login, answer["user"])
    return look(login)


def cancel(login: QrLogin) -> None:
    """End a login that is under way, and forget it; raises Conflict when it succeeded."""
    login = _reload(login)
    over = login.status in (QrStatus.ERROR, QrStatus.EXPIRED)
    if not over and not (login.status in OPEN and _end(login, QrStatus.ERROR, "cancelled")):
        raise Conflict("The login is done; log the session out instead.", code="login_done")
    _drop(login)


def settle_all() -> None:
    """Go on with every login that nobody looks at, end what has lapsed, forget what is over.

    The hub's housekeeping does this every few seconds.
    """
    for login in QrLogin.objects.filter(status__in=[*OPEN, QrStatus.FINISHING]).select_related(
        "owner", "session"
    ):
        if login.status == QrStatus.FINISHING and not _is_abandoned(login):
            continue
        try:
            look(login, timeout_seconds=HOUSEKEEPING_SECONDS)
        except (EngineError, NotFound, Conflict) as exc:
            logger.info("QR login %s goes on later: %s", login.pk, exc.code)
    QrLogin.objects.exclude(status__in=[*OPEN, QrStatus.FINISHING]).filter(
        expires_at__lte=timezone.now()
    ).delete()
    TelegramSession.objects.filter(
        state=SessionState.WAIT_OTHER_DEVICE,
        qr_login=None,
        created_at__lt=timezone.now() - LIFETIME,
    ).delete()


# The row


def _of_caller(caller: Caller) -> QuerySet[QrLogin]:
    if caller.is_admin and caller.key is not None:
        return QrLogin.objects.all()
    return QrLogin.objects.filter(user=caller.user, key=caller.key)


def _open(caller: Caller, owner: User, name: str, force: bool, token: str) -> QrLogin:
    with transaction.atomic():
        # Two that come at once are counted one after the other.
        User.objects.select_for_update().get(pk=caller.user.pk)
        target = TelegramSession.objects.filter(owner=owner, name=name).first()
        if target is not None and target.is_ready and not force:
            raise Conflict(
                "The session is logged in already; use force to log in again.",
                code="session_exists",
            )
        pending = QrLogin.objects.filter(user=caller.user, key=caller.key, status__in=OPEN)
        if pending.count() >= MAX_PENDING:
            oldest: datetime = pending.order_by("expires_at")[0].expires_at
            raise TooManyRequests(
                f"{MAX_PENDING} QR logins are under way; finish or cancel one.",
                code="too_many_qr_logins",
                retry_after=(oldest - timezone.now()).total_seconds(),
            )
        device = Device()
        shown = TelegramSession(
            owner=owner,
            name=f"qr/{secrets.token_hex(16)}",
            state=SessionState.WAIT_OTHER_DEVICE,
            device_model=device.device_model,
            system_version=device.system_version,
            app_version=device.app_version,
            lang_code=device.lang_code,
            system_lang_code=device.system_lang_code,
        )
        if target is not None:
            for field in COPIED:
                setattr(shown, field, getattr(target, field))
        shown.save()
        return QrLogin.objects.create(
            token_sha256=_hash(token),
            user=caller.user,
            key=caller.key,
            owner=owner,
            name=name,
            force=force,
            session=shown,
            expires_at=timezone.now() + LIFETIME,
        )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _reload(login: QrLogin) -> QrLogin:
    found = QrLogin.objects.select_related("owner", "session").filter(pk=login.pk).first()
    if found is None:
        raise _not_found()
    return found


def _not_found() -> NotFound:
    return NotFound("There is no such QR login.", code="qr_login_not_found")


def _is_forgotten(login: QrLogin) -> bool:
    terminal = login.status not in (*OPEN, QrStatus.FINISHING)
    return terminal and login.expires_at <= timezone.now()


def _session_of(login: QrLogin) -> int:
    if login.session_id is None:
        raise _not_found()
    return int(login.session_id)


def _is_abandoned(login: QrLogin) -> bool:
    alive = is_alive(login.process)
    if alive is None:
        return login.step_at < timezone.now() - FOREIGN_STEP
    return not alive


def _move(login: QrLogin, **changes: object) -> bool:
    """Change the row if it still stands where `login` saw it: of two callers one wins."""
    seen = QrLogin.objects.filter(pk=login.pk, status=login.status, process=login.process)
    return bool(seen.update(**changes, step_at=timezone.now()))


# The steps


def _show(login: QrLogin, timeout_seconds: float = CALL_SECONDS) -> QrDict:
    """Have the engine show a code for as long as the login has left."""
    left = max(1, int((login.expires_at - timezone.now()).total_seconds()))
    verbs = telegram.using(timeout_seconds=timeout_seconds)
    return verbs.call(_session_of(login), auth.start_qr, lifetime_seconds=left)


def _ask(
    login: QrLogin, wait_seconds: float, known_url: str | None, timeout_seconds: float
) -> QrDict:
    session_id = _session_of(login)
    verbs = telegram.using(timeout_seconds=wait_seconds + timeout_seconds)
    try:
        return verbs.call(
            session_id, auth.qr_status, wait_seconds=wait_seconds, known_url=known_url
        )
    except EngineError as exc:
        if exc.code.lower() != "qr_not_started":
            raise
    # The hub was restarted. Its key is the same, so that a scan that it slept through counts.
    return _show(login, timeout_seconds)


def _go_on(login: QrLogin, answer: QrDict) -> None:
    state = answer["state"]
    if state == "wait_password":
        _move(
            login,
            status=QrStatus.PASSWORD_REQUIRED,
            hint=clean(answer["hint"], 256),
            expires_at=timezone.now() + PASSWORD_LIFETIME,
        )
    elif state == "ready":
        assert answer["user"] is not None
        _finish(login, answer["user"])
    elif state == "failed":
        error = answer["error"] or "failed"
        _end(login, QrStatus.EXPIRED if error == "expired" else QrStatus.ERROR, error)


def _finish(login: QrLogin, user: UserDict) -> None:
    """Move the key of the login to its session; nothing is done when somebody else does it."""
    if not _move(login, status=QrStatus.FINISHING, process=process_token()):
        return
    login.status, login.process = QrStatus.FINISHING, process_token()
    try:
        _hand_over(login, user)
    except BaseException:
        # As if this process had died: whoever looks next begins again.
        _move(login, process="")
        raise


def _take_over(login: QrLogin) -> None:
    """Finish what another process has begun and left."""
    if not _move(login, process=process_token()):
        return
    login.process = process_token()
    try:
        _hand_over(login, telegram.call(_session_of(login), session_methods.get_me))
    except EngineError as exc:
        if exc.status == 401:
            _end(login, QrStatus.ERROR, exc.code)
            return
        _move(login, process="")
        raise
    except BaseException:
        _move(login, process="")
        raise


def _hand_over(login: QrLogin, user: UserDict) -> None:
    target = get_or_create_session(login.owner, login.name)
    shown = _session_of(login)
    if target.is_ready and not login.force:
        # It was logged in by other means meanwhile.
        telegram.call(shown, auth.log_out)
        _end(login, QrStatus.ERROR, "session_exists")
        return
    telegram.call(shown, session_methods.disconnect)
    if target.is_ready:
        try:
            telegram.call(target.pk, auth.log_out)
        except EngineError as exc:
            logger.warning("Session %s: its old key was not ended: %s", target.pk, exc.code)
    telegram.call(target.pk, session_methods.disconnect)
    with transaction.atomic():
        row = TelegramSession.objects.get(pk=shown)
        key: bytes | None = row.auth_key
        if key is None:
            raise NotFound("The login has lost its key.", code="qr_login_not_found")
        place = (row.dc_id or 0, row.server_address, row.port or 0)
        let_go(row, "destroyed")
        row.delete()
        save_key(target.pk, *place, key, key_fingerprint(key))
        finish_login(target.pk, user)
        TelegramSession.objects.filter(pk=target.pk).update(live_state=LiveState.DISCONNECTED)
        QrLogin.objects.filter(pk=login.pk).update(
            status=QrStatus.SUCCESS, process="", expires_at=timezone.now() + READABLE
        )
    try:
        # Whoever opened it meanwhile did so with the old key.
        telegram.call(target.pk, session_methods.disconnect)
        telegram.call(target.pk, session_methods.connect)
    except EngineError as exc:
        logger.info("Session %s connects later: %s", target.pk, exc.code)


def _end(login: QrLogin, status: QrStatus, error: str = "") -> bool:
    """Note what became of the login and forget its key; False when it has moved on."""
    if not _move(
        login,
        status=status,
        process="",
        error=clean(error, 200),
        expires_at=timezone.now() + READABLE,
    ):
        return False
    logger.info("Session %s: the QR login ended: %s %s", login.session_id, status.value, error)
    _forget_session(login)
    return True


def _forget_session(login: QrLogin) -> None:
    if login.session_id is None:
        return
    try:
        if telegram.call(login.session_id, session_methods.status)["connected"]:
            telegram.call(login.session_id, auth.cancel_qr)
        telegram.call(login.session_id, session_methods.disconnect)
    except EngineError as exc:
        logger.info("Session %s: its client stays: %s", login.session_id, exc.code)
    with transaction.atomic():
        row = TelegramSession.objects.filter(
            pk=login.session_id, state=SessionState.WAIT_OTHER_DEVICE
        ).first()
        if row is not None:
            let_go(row, "destroyed")
            row.delete()
    login.session = None


def _drop(login: QrLogin) -> None:
    _forget_session(login)
    QrLogin.objects.filter(pk=login.pk).delete()
