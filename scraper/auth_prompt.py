"""Log a session in at the terminal: by QR code or by phone, with prompts to follow."""

import getpass
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import qrcode

from accounts.callers import Caller
from core.errors import ApiError
from core.validation import normalize_phone
from engine.errors import EngineError
from scraper import qr
from scraper.qr_models import QrLogin, QrStatus
from sessions_app import lifecycle, login
from sessions_app.lookup import check_name, session_for_login, visible_sessions
from sessions_app.models import LoginStep, TelegramSession

T = TypeVar("T")

LOOK_SECONDS = 20
TRIES = 5


class GivenUp(Exception):
    """The login did not come to its end; the text says why."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """How to talk to the person in front of it."""

    say: Callable[[str], None]
    ask: Callable[[str], str]
    ask_secret: Callable[[str], str]


def real_terminal() -> Terminal:
    """Return the terminal of this process; piped input answers the prompts, too."""

    def say(text: str) -> None:
        print(text, flush=True)

    def ask(text: str) -> str:
        try:
            return input(text).strip()
        except EOFError:
            raise GivenUp("No answer.") from None

    def ask_secret(text: str) -> str:
        return getpass.getpass(text) if sys.stdin.isatty() else ask(text)

    return Terminal(say, ask, ask_secret)


def authenticate(caller: Caller, name: str, terminal: Terminal) -> TelegramSession:
    """Log the session `name` of the caller in; returns it as it is then.

    Raises GivenUp, ApiError, EngineError; KeyboardInterrupt when the person leaves.
    """
    check_name(name)
    session = visible_sessions(caller).select_related("account").filter(name=name).first()
    force = session is not None and session.is_ready
    if session is not None and force:
        terminal.say(f"{name} is logged in already, as {session.account}.")
        if not yes(terminal.ask("Log in again? [y/N] ")):
            return session
    terminal.say("How do you want to log in?\n  1  Scan a QR code (default)\n  2  Phone number")
    if terminal.ask("Your choice [1]: ").startswith("2"):
        if session is not None and force:
            lifecycle.log_out(session)
        by_phone(session_for_login(caller, name), terminal)
    else:
        by_qr(caller, name, force, terminal)
    session = visible_sessions(caller).select_related("account").get(name=name)
    account = session.account
    user = f" (@{account.username})" if account is not None and account.username else ""
    terminal.say(f"\nLogged in as {account}{user}.\nUse it with:  X-Telegram-Username: {name}")
    return session


def by_qr(caller: Caller, name: str, force: bool, terminal: Terminal) -> None:
    """Show the code, a fresh one whenever Telegram renews it, until it was scanned."""
    token, view = qr.start(caller, name=name, force=force)
    login = qr.find(caller, token)
    terminal.say(
        "\nOn your phone: Telegram → Settings → Devices → Link Desktop Device, and scan this.\n"
        "The code is renewed every 25 seconds. Ctrl-C cancels."
    )
    shown: str | None = None
    try:
        while view.status == QrStatus.PENDING:
            if view.url is not None and view.url != shown:
                shown = view.url
                terminal.say(drawn(shown))
            view = qr.look(login, wait_seconds=LOOK_SECONDS, known_url=shown)
        if view.status == QrStatus.PASSWORD_REQUIRED:
            terminal.say("Scanned. This account has a two-factor password.")
            if view.login.hint:
                terminal.say(f"Hint: {view.login.hint}")
            view = _password(login, terminal)
    except BaseException:
        _give_up(login)
        raise
    if view.status == QrStatus.EXPIRED:
        raise GivenUp("The time for this login is over; start again.")
    if view.status != QrStatus.SUCCESS:
        raise GivenUp(f"The login failed: {view.login.error}")


def by_phone(session: TelegramSession, terminal: Terminal) -> None:
    """Ask for the number, the code that Telegram sends, and the password where there is one."""
    answer = login.start_login(session, phone=_phone(terminal))
    try:
        if answer.login is not None and answer.login.step == LoginStep.WAIT_CODE:
            terminal.say(f"Telegram sends a code: {HOW.get(answer.login.type, answer.login.type)}.")
            answer = _retried(
                terminal,
                lambda: login.submit_code(answer.session, code=terminal.ask("Code: ")),
            )
        if answer.login is not None:
            terminal.say("This account has a two-factor password.")
            if answer.login.hint:
                terminal.say(f"Hint: {answer.login.hint}")
            _retried(
                terminal,
                lambda: login.submit_password(
                    answer.session, password=terminal.ask_secret("Password: ")
                ),
            )
    except (GivenUp, KeyboardInterrupt):
        login.cancel_login(answer.session)
        raise


HOW = {
    "app": "look into your Telegram app on another device",
    "sms": "by SMS",
    "call": "by a phone call",
    "flash_call": "by a missed call",
    "missed_call": "the last digits of the number that calls you",
    "email": "by e-mail",
    "fragment": "on fragment.com",
}


def drawn(url: str) -> str:
    """Return a QR code for a dark terminal, and the link itself below."""
    code = qrcode.QRCode(border=2)
    code.add_data(url)
    out = io.StringIO()
    code.print_ascii(out=out, invert=True)
    text = out.getvalue()
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = ""  # this terminal has no blocks to draw with
    return f"{text}\n{url}"


def yes(answer: str) -> bool:
    return answer.lower() in ("y", "yes")


def _phone(terminal: Terminal) -> str:
    for _ in range(TRIES):
        phone = normalize_phone(terminal.ask("Phone number, with country code (+49151…): "))
        if phone is not None:
            return phone
        terminal.say("This is no phone number in international form.")
    raise GivenUp("No phone number.")


def _password(qr_login: QrLogin, terminal: Terminal) -> qr.QrView:
    return _retried(
        terminal,
        lambda: qr.submit_password(qr_login, password=terminal.ask_secret("Password: ")),
    )


def _retried(terminal: Terminal, step: Callable[[], T]) -> T:
    """Do what asks the person for something, again when Telegram says that it was wrong."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return step()
        except EngineError as exc:
            if exc.status != 400 or not left or exc.code.lower() == "phone_code_expired":
                raise
            terminal.say(f"{exc.detail} Try again.")
    raise AssertionError("unreachable")


def _give_up(qr_login: QrLogin) -> None:
    try:
        qr.cancel(qr_login)
    except (ApiError, EngineError):
        return  # it had ended by itself
