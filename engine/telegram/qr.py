"""Logging in by QR code.

Telegram tells the client that shows the code when it was scanned, by `updateLoginToken`. So the
waiting starts with the first token and lasts until the login is done, whoever asks meanwhile.
Source: https://core.telegram.org/api/qr-login
"""

import asyncio
import base64
import binascii
import contextlib
import contextvars
import logging
import time
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from telethon import TelegramClient, events, types
from telethon.tl.functions import account, auth

from engine.errors import NotFound, from_rpc
from engine.methods.answers import QrDict
from engine.methods.shapes import UserDict
from engine.telegram import convert
from engine.telegram.rpc import Refusal, refusal_name, refused_with

logger = logging.getLogger(__name__)

WAITING: Literal["wait_other_device_confirmation"] = "wait_other_device_confirmation"
RENEW_BEFORE_SECONDS = 5.0
RETRY_SECONDS = 2.0
RETRIES = 5
MAX_WAIT_SECONDS = 60.0


@dataclass(slots=True)
class _Login:
    """One QR login. `changed` is set, and replaced, whenever anything below changes."""

    client: TelegramClient
    except_ids: list[int]
    gives_up_at: float
    state: Any = WAITING
    token: bytes = field(default=b"", repr=False)
    expires: Any = None
    user: UserDict | None = None
    hint: str | None = None
    error: str | None = None
    scanned: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def announce(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self, name, value)
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"tg://login?token={base64.urlsafe_b64encode(self.token).decode().rstrip('=')}"

    def reply(self) -> QrDict:
        waiting = self.state == WAITING
        return {
            "state": self.state,
            "url": self.url if waiting else None,
            "expires_at": convert.iso_date(self.expires) if waiting else None,
            "user": self.user,
            "hint": self.hint,
            "error": self.error,
        }


_logins: WeakKeyDictionary[TelegramClient, _Login] = WeakKeyDictionary()


async def start(client: TelegramClient, except_ids: list[int], lifetime_seconds: int) -> QrDict:
    """Begin a login and return its first code; the waiting for the scan runs already."""
    await cancel(client)
    login = _Login(client, except_ids, time.monotonic() + lifetime_seconds)
    handler = _watch(login)
    try:
        await _export(login)
    except BaseException:
        client.remove_event_handler(handler)
        raise
    # Another caller may have begun one meanwhile: two would fetch one login twice.
    await cancel(client)
    _logins[client] = login
    # A clean context: the login outlives the call that began it, and its deadline.
    login.task = asyncio.create_task(_run(login, handler), context=contextvars.Context())
    return login.reply()


async def status(client: TelegramClient, wait_seconds: float, known_url: str | None) -> QrDict:
    """Return where the login stands, waiting for a change as long as it shows `known_url`."""
    login = _logins.get(client)
    if login is None:
        raise NotFound("qr_not_started", "No QR login is under way.")
    until = time.monotonic() + min(wait_seconds, MAX_WAIT_SECONDS)
    if known_url is None:
        known_url = login.url
    while login.state == WAITING and login.url == known_url:
        left = until - time.monotonic()
        if left <= 0:
            break
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(login.changed.wait(), left)
    return login.reply()


def finish(client: TelegramClient, user: UserDict) -> None:
    """Note that the password ended the login that a scan had begun."""
    login = _logins.get(client)
    if login is not None:
        login.announce(state="ready", user=user)


async def cancel(client: TelegramClient) -> bool:
    """End the login under way, if there is one."""
    login = _logins.pop(client, None)
    if login is None or login.task is None or login.task.done():
        return False
    login.task.cancel()
    await asyncio.gather(login.task, return_exceptions=True)
    login.announce(state="cancelled")
    return True


def token_of(url: str) -> bytes:
    """Return the token that a QR code's link holds; AUTH_TOKEN_INVALID when there is none."""
    text = "".join(parse_qs(urlsplit(url).query).get("token", [])) if ":" in url else url
    try:
        token = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        token = b""
    if not token:
        raise from_rpc(400, "AUTH_TOKEN_INVALID", "auth.acceptLoginToken")
    return token


def _watch(login: _Login) -> Any:
    async def scanned(_: Any) -> None:
        login.scanned.set()

    login.client.add_event_handler(scanned, events.Raw(types.UpdateLoginToken))
    return scanned


async def _run(login: _Login, handler: Any) -> None:
    failures = 0
    try:
        while login.state == WAITING:
            now = time.monotonic()
            if now >= login.gives_up_at:
                login.announce(state="failed", error="expired")
                return
            left = convert.unix_date(login.expires) - time.time() - RENEW_BEFORE_SECONDS
            pause = RETRY_SECONDS if failures else max(1.0, min(left, login.gives_up_at - now))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(login.scanned.wait(), pause)
            login.scanned.clear()
            # Whether it was scanned or only ran out, the next token is the answer: one that was
            # scanned while an update got lost ends the login just the same.
            try:
                await _export(login)
                failures = 0
            except (OSError, TimeoutError):
                failures += 1
                if failures > RETRIES:
                    login.announce(state="failed", error="telegram_unreachable")
    except Refusal as error:
        logger.info("A QR login was refused: %s", refusal_name(error))
        login.announce(state="failed", error=refusal_name(error).lower())
    except Exception as error:
        logger.exception("A QR login failed")
        login.announce(state="failed", error=type(error).__name__)
    finally:
        login.client.remove_event_handler(handler)


async def _export(login: _Login) -> None:
    """Ask for a token; the answer is one to show, or the login itself when it was scanned."""
    client = login.client
    try:
        answer = await client(
            auth.ExportLoginTokenRequest(client.api_id, client.api_hash, login.except_ids)
        )
        if isinstance(answer, types.auth.LoginTokenMigrateTo):
            await client._switch_dc(answer.dc_id)
            answer = await client(auth.ImportLoginTokenRequest(answer.token))
    except Refusal as error:
        if not refused_with(error, "SESSION_PASSWORD_NEEDED"):
            raise
        challenge = await client(account.GetPasswordRequest())
        login.announce(state="wait_password", hint=challenge.hint or None)
        return
    if isinstance(answer, types.auth.LoginTokenSuccess):
        user = answer.authorization.user
        await client._on_login(user)
        login.announce(state="ready", user=convert.user_dict(user))
    else:
        login.announce(token=answer.token, expires=answer.expires)
