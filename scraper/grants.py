"""Asking Telegram whether an account may read a chat, and writing the answer down.

A grant is written only when Telegram gives it and goes when Telegram refuses, so that
`scraper.access` can answer from the rows alone.
"""

import asyncio
import re
import time
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from core import json
from core.errors import BadRequest, NotFound
from core.writer import writer
from engine import methods, telegram
from engine.errors import EngineError, FloodWait
from engine.methods.shapes import DialogDict, FullChatDict
from scraper import access, loop
from scraper.models import Chat, ChatAccess
from scraper.rows import plain
from sessions_app.models import Account, TelegramSession

SHARED_TYPES = ("channel", "supergroup")
CHANNEL_BASE = -1_000_000_000_000
BARE_LIMIT = 1 << 52

_withdrawn: dict[tuple[int, int], float] = {}
"""(account, chat) → monotonic time: a grant that was asked for before that does not count."""


def no_such_chat() -> NotFound:
    return NotFound("There is no such chat, or this session may not read it.", code="not_found")


async def open_chat(
    session: TelegramSession, dialog: str, *, ask_again: bool = False
) -> tuple[Chat, ChatAccess]:
    """Return a chat that the session may read, and as far as it may.

    Telegram is asked only when the grant is not confirmed (`access.confirmed`). Raises NotFound,
    BadRequest for what is no chat reference, EngineError.
    """
    candidates = ids_meant_by(dialog)
    if candidates and not ask_again:
        found = await loop.read(confirmed_among, session, candidates)
        if found is not None:
            return found
    try:
        told = await telegram.acall(session.pk, methods.dialogs.resolve, chat_id=dialog)
        if not ask_again:
            found = await loop.read(confirmed_among, session, [told["id"]])
            if found is not None:
                return found
        return await confirm(session, told["id"])
    except EngineError as error:
        if error.status not in (403, 404):
            raise
        for peer_id in candidates:
            await withdraw(session, peer_id)
        raise no_such_chat() from None


async def confirm(session: TelegramSession, peer_id: int) -> tuple[Chat, ChatAccess]:
    """Ask Telegram whether the session's account may read a chat; keep the answer.

    Raises NotFound when it may not, EngineError when Telegram did not say.
    """
    asked_at, asked = timezone.now(), time.monotonic()
    try:
        full = await telegram.acall(session.pk, methods.dialogs.get_full, chat_id=peer_id)
    except EngineError as error:
        if not is_refusal(error):
            raise
        await withdraw(session, peer_id)
        raise no_such_chat() from None
    told = full["dialog"]
    extra = told.get("extra", {})
    if extra.get("is_forbidden") or (told["type"] == "group" and not extra.get("is_member")):
        await withdraw(session, told["id"])
        raise no_such_chat()
    job = writer.submit(lambda: grant(session, full, asked_at, asked))
    found = await asyncio.wrap_future(job)
    if found is None:
        raise no_such_chat()
    return found


def is_refusal(error: EngineError) -> bool:
    """Tell whether Telegram says that the account may not read, and not that something failed."""
    return error.status in (403, 404) and not isinstance(error, FloodWait)


def grant(
    session: TelegramSession, full: FullChatDict, asked_at: datetime, asked: float
) -> tuple[Chat, ChatAccess] | None:
    """Write down what Telegram granted; None when it was withdrawn since it was asked.

    Runs in the writer. `asked` is of the monotonic clock.
    """
    account_id = session.account_id
    current = TelegramSession.objects.filter(pk=session.pk).values_list("account_id", flat=True)
    if account_id is None or current.first() != account_id:
        return None
    chat = save_chat(account_id, full["dialog"])
    if _withdrawn.get((account_id, chat.peer_id), 0.0) > asked:
        return None
    changes = {
        "migrated_from": full["migrated_from"],
        "migrated_from_max_id": full["migrated_from_max_id"],
    }
    if any(getattr(chat, name) != value for name, value in changes.items()):
        Chat.objects.filter(pk=chat.pk).update(**changes)
    extra = full["dialog"].get("extra", {})
    row, _ = ChatAccess.objects.update_or_create(
        account_id=account_id,
        chat=chat,
        defaults={
            # Up to and with `available_min_id` nothing is shown.
            "min_id": full["available_min_id"] + 1 if full["available_min_id"] else 0,
            "member": bool(extra.get("is_member")),
            "checked_at": asked_at,
        },
    )
    return chat, row


def save_chat(account_id: int, dialog: DialogDict) -> Chat:
    """Return the chat's row, made or renewed from a dialog. Runs in the writer."""
    extra: Any = dialog.get("extra") or {}
    shared = dialog["type"] in SHARED_TYPES
    created = dialog["created_date"]
    facts: dict[str, Any] = {
        "type": dialog["type"],
        "title": plain(dialog["title"])[:256],
        "username": plain(dialog["username"] or "")[:64],
        "created_date": parse_datetime(created) if created else None,
        "migrated_to": extra.get("migrated_to"),
        "document": json.dumps(
            {name: dialog[name] for name in ("id", "type", "title", "username", "is_verified")}
            | {"created_date": created, "protected": bool(extra.get("protected"))}
        ).decode(),
    }
    chat, made = Chat.objects.get_or_create(
        account=None if shared else Account.objects.get(pk=account_id),
        peer_id=dialog["id"],
        defaults=facts,
    )
    if not made:
        # A page of messages, an update and a full request know of different things.
        changed = {
            name: value
            for name, value in facts.items()
            if value not in (None, "") and getattr(chat, name) != value
        }
        for name, value in changed.items():
            setattr(chat, name, value)
        if changed:
            chat.save(update_fields=[*changed, "updated_at"])
    return chat


async def withdraw(session: TelegramSession, peer_id: int) -> None:
    """Forget that the session's account may read a chat: Telegram refused."""
    account_id = session.account_id
    if account_id is not None:
        await asyncio.wrap_future(writer.submit(lambda: withdraw_now(account_id, peer_id)))


def withdraw_now(account_id: int, peer_id: int) -> None:
    """Do as `withdraw`, inside the writer's transaction."""
    _withdrawn[account_id, peer_id] = time.monotonic()
    while len(_withdrawn) > 10_000:
        del _withdrawn[next(iter(_withdrawn))]
    ChatAccess.objects.filter(account_id=account_id, chat__peer_id=peer_id).delete()


def ids_meant_by(dialog: str) -> list[int]:
    """Return the marked ids that a reference may mean when it is a number; [] for others."""
    text = dialog.strip()
    if not re.fullmatch(r"-?\d{1,19}", text):
        return []
    number = int(text)
    if number == 0:
        raise BadRequest("This is no chat id.", code="chat_reference_invalid")
    if number < 0 or number > BARE_LIMIT:
        return [number]
    return [number, -number, CHANNEL_BASE - number]


def confirmed_among(
    session: TelegramSession, candidates: list[int]
) -> tuple[Chat, ChatAccess] | None:
    """Return the first of these chats that the session may read without asking Telegram."""
    found = {
        row.chat.peer_id: row
        for row in access.confirmed(session)
        .select_related("chat")
        .filter(chat__peer_id__in=candidates)
    }
    for peer_id in candidates:
        if peer_id in found:
            return found[peer_id].chat, found[peer_id]
    return None
