"""Live updates keep the cache current: registered with the sink of `sessions_app`.

They run in the writer, in the transaction that appends the events and stores the update state.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from django.db import connection

from engine.methods.shapes import DialogDict
from engine.store import EngineEvent, UpdateBatch
from scraper import coverage, grants, store
from scraper.models import (
    MESSAGE_KEY_BITS,
    Chat,
    ChatAccess,
    Media,
    Message,
    MessagePrivate,
)
from scraper.rows import ChatScope, media_uuid
from sessions_app.purge import Purge, register_purge_handler
from sessions_app.sink import Account, accounts_of, register_update_handler

CHANNEL_BASE = -1_000_000_000_000
_MESSAGES = frozenset({"message.new", "message.edited"})
_SHARED_CHAT = "SELECT id FROM scraper_chat WHERE peer_id = %s AND account_id IS NULL"
_OWN_CHAT = "SELECT id FROM scraper_chat WHERE peer_id = %s AND account_id = %s"
_ADMITTED = "SELECT 1 FROM scraper_chataccess WHERE account_id = %s AND chat_id = %s"


def register() -> None:
    """Take part in the transactions of updates and of purges."""
    register_update_handler(handle_updates)
    register_purge_handler(handle_purge)


def handle_updates(batches: Sequence[UpdateBatch]) -> None:
    """Store what the batches say of messages, and who may not read any more."""
    _Updates(batches).store()


class _Updates:
    """The batches of one transaction; what is looked up is looked up once."""

    def __init__(self, batches: Sequence[UpdateBatch]) -> None:
        self.batches = batches
        self.accounts = accounts_of({batch.session_id for batch in batches})
        self.scopes: dict[tuple[int | None, int], ChatScope] = {}

    def store(self) -> None:
        kinds: dict[str, Callable[[UpdateBatch, Account, EngineEvent], None]] = {
            "message.deleted": self._deleted,
            "message.reactions": self._reactions,
            "chat.member": self._member,
        }
        for batch in self.batches:
            account = self.accounts.get(batch.session_id)
            if account is None or batch.account_id not in (None, account.user_id):
                continue
            # In order: what was said before a kick grants nothing after it, what is said after
            # the return does.
            for is_message, events in groupby(batch.events, lambda each: each.kind in _MESSAGES):
                if is_message:
                    self._messages(batch, account, events)
                    continue
                for event in events:
                    if (handle := kinds.get(event.kind)) is not None:
                        handle(batch, account, event)

    def _messages(self, batch: UpdateBatch, account: Account, told: Iterable[EngineEvent]) -> None:
        """Store new and edited messages; the new ones carry open coverage on."""
        by_chat: dict[int, list[EngineEvent]] = defaultdict(list)
        for event in told:
            if event.chat_id is not None:
                by_chat[event.chat_id].append(event)
        for chat_id, events in by_chat.items():
            scope = self._scope(batch, account, chat_id)
            messages = [event.data["message"] for event in events]
            store.store_pages([store.Page(scope, account.pk, messages)])
            for event in events:
                event.data["message"] = _named(scope, event.data["message"])
            new = [
                event.data["message"]["message_id"]
                for event in events
                if event.kind == "message.new"
            ]
            if new:
                coverage.extend(scope.pk, batch.session_id, max(new))
            self._admit(account, scope, min(message["message_id"] for message in messages))

    def _admit(self, account: Account, scope: ChatScope, message_id: int) -> None:
        """Note that the account may read this much of the chat: Telegram sent it."""
        with connection.cursor() as cursor:
            cursor.execute(_ADMITTED, [account.pk, scope.pk])
            if cursor.fetchone() is not None:
                return
        ChatAccess.objects.get_or_create(
            account_id=account.pk,
            chat_id=scope.pk,
            # What came before is not known to be granted: the next reader asks. A chat of two is
            # nobody else's to grant, and is never asked for.
            defaults={
                "min_id": 0 if scope.peer_id > 0 else message_id,
                "member": True,
                "checked_at": None,
            },
        )

    def _scope(self, batch: UpdateBatch, account: Account, chat_id: int) -> ChatScope:
        scope = self._known_scope(account, chat_id)
        if scope is None:
            chat = grants.save_chat(account.pk, self._dialog(batch, account, chat_id))
            scope = store.scope_of(chat, account.user_id)
            self.scopes[_scope_key(account, chat_id)] = scope
        return scope

    def _dialog(self, batch: UpdateBatch, account: Account, chat_id: int) -> DialogDict:
        """Return what an update tells of a chat that was never asked for."""
        entity = next((row for row in batch.entities if row.id == chat_id), None)
        kind = "channel" if chat_id <= CHANNEL_BASE else "user" if chat_id > 0 else "group"
        if chat_id == account.user_id:
            kind = "saved"
        dialog: Any = {
            "id": chat_id,
            "type": kind,
            "title": (entity.name if entity else None) or "",
            "username": entity.username if entity else None,
            "is_verified": False,
            "created_date": None,
        }
        return dialog  # type: ignore[no-any-return]

    def _known_scope(self, account: Account, chat_id: int) -> ChatScope | None:
        key = _scope_key(account, chat_id)
        if key not in self.scopes:
            owner_id = key[0]
            # The ORM takes longer to write these than the database to answer, at each update.
            with connection.cursor() as cursor:
                if owner_id is None:
                    cursor.execute(_SHARED_CHAT, [chat_id])
                else:
                    cursor.execute(_OWN_CHAT, [chat_id, owner_id])
                found = cursor.fetchone()
            if found is None:
                return None
            self.scopes[key] = store.scope_of(
                Chat(pk=found[0], peer_id=chat_id, account_id=owner_id), account.user_id
            )
        return self.scopes[key]

    def _deleted(self, batch: UpdateBatch, account: Account, event: EngineEvent) -> None:
        ids: list[int] = event.data["message_ids"]
        if event.chat_id is None:
            store.mark_deleted_of_account(account.pk, ids)
        elif (scope := self._known_scope(account, event.chat_id)) is not None:
            store.mark_deleted(scope, ids)

    def _reactions(self, batch: UpdateBatch, account: Account, event: EngineEvent) -> None:
        if event.chat_id is not None:
            scope = self._known_scope(account, event.chat_id)
            if scope is not None:
                store.set_reactions(scope, event.data["message_id"], event.data["reactions"])
                self._admit(account, scope, event.data["message_id"])

    def _member(self, batch: UpdateBatch, account: Account, event: EngineEvent) -> None:
        """Follow the account's own place in a chat; that of others grants nothing."""
        if event.chat_id is None or event.data["user_id"] != account.user_id:
            return
        if event.data["action"] == "removed":
            grants.withdraw_now(account.pk, event.chat_id)
        else:
            ChatAccess.objects.filter(account_id=account.pk, chat__peer_id=event.chat_id).update(
                checked_at=None
            )


def _scope_key(account: Account, chat_id: int) -> tuple[int | None, int]:
    """Return whose chat it is (None: everybody's) and its id."""
    return None if chat_id <= CHANNEL_BASE else account.pk, chat_id


def _named(scope: ChatScope, message: Any) -> Any:
    """Return the message with the names that its files go by here."""
    media = message.get("media")
    file = (media or {}).get("file")
    if file:
        uuid = str(media_uuid(scope, message["message_id"], file))
        message = {**message, "media": {**media, "uuid": uuid}}
    private = message.get("private") or {}
    bought = private.get("media")
    if bought and bought.get("file"):
        uuid = str(media_uuid(scope, message["message_id"], bought["file"]))
        message = {**message, "private": {**private, "media": {**bought, "uuid": uuid}}}
    return message


def handle_purge(purge: Purge) -> None:
    """Forget what a session's former account was granted, once nobody is left of it here."""
    coverage.close_session(purge.session_id)
    if purge.account_id is None or not purge.account_left:
        return
    shared = set(
        ChatAccess.objects.filter(
            account_id=purge.account_id, chat__account__isnull=True
        ).values_list("chat_id", flat=True)
    )
    ChatAccess.objects.filter(account_id=purge.account_id).delete()
    own = list(Chat.objects.filter(account_id=purge.account_id))
    # What no other account may read goes, too.
    read = set(ChatAccess.objects.filter(chat_id__in=shared).values_list("chat_id", flat=True))
    for chat in [*own, *Chat.objects.filter(pk__in=shared - read)]:
        delete_chat(chat)


def delete_chat(chat: Chat) -> None:
    """Delete a chat and every message that is cached of it. Runs in the writer.

    By ranges of keys: the ORM's own cascade would load a million messages first.
    """
    first, beyond = chat.key(0), chat.key(0) + (1 << MESSAGE_KEY_BITS)
    for rows in (
        MessagePrivate.objects.filter(message_id__gte=first, message_id__lt=beyond),
        Media.objects.filter(message_id__gte=first, message_id__lt=beyond),
        Message.objects.filter(id__gte=first, id__lt=beyond),
    ):
        rows._raw_delete(rows.db)
    chat.delete()
