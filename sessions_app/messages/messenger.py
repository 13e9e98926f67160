"""For whom messages are sent, and what sending comes to: one set of functions for both worlds."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from django.core.files.uploadedfile import UploadedFile

from core.errors import BadRequest
from engine.methods import groups, media, messages, users
from engine.methods.answers import InviteLinkDict, SentDict
from engine.methods.shapes import ChatRef
from sessions_app.idempotency import Answer, RandomIds
from sessions_app.messages.multipart import chunks

P = ParamSpec("P")
R = TypeVar("R")


class Messenger(ABC):
    """A session to act for: a stored one, or one that travels with the request."""

    @abstractmethod
    def call(
        self,
        method: Callable[P, Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call Telegram; raises EngineError."""

    @abstractmethod
    def send_once(
        self, order: dict[str, Any], send: Callable[[RandomIds], Answer], *, count: int = 1
    ) -> Answer:
        """Do `send`, which sends `count` messages, once for the caller's Idempotency-Key.

        `order` is what is sent, as JSON. Raises Conflict for a key that had another order.
        """


def send_text(messenger: Messenger, *, text: str, link_preview: bool, **how: Any) -> Answer:
    """Send a text; `how` are the fields of SendingInput."""
    placed = placed_as(how)

    def send(random_id: RandomIds) -> Answer:
        sent = messenger.call(
            messages.send_message,
            text=text,
            link_preview=link_preview,
            random_id=random_id(0),
            **placed,
        )
        return sent_answer(sent)

    order = {"send": text, "link_preview": link_preview, **placed}
    return messenger.send_once(order, send)


def send_files(
    messenger: Messenger,
    *,
    file: Sequence["UploadedFile[Any]"],
    text: str,
    as_document: bool,
    **how: Any,
) -> Answer:
    """Send one file, or an album of up to ten; the caption stands at the first one."""
    placed = placed_as(how)
    names = [each.name or "file" for each in file]
    sizes = [each.size or 0 for each in file]
    if not all(sizes):
        raise BadRequest("The file is empty.", code="file_empty")

    def send_one(random_id: RandomIds) -> Answer:
        sent = messenger.call(
            messages.send_file,
            upload=chunks(file[0]),
            filename=names[0],
            size=sizes[0],
            mime_type=file[0].content_type or None,
            text=text,
            as_document=as_document,
            random_id=random_id(0),
            **placed,
        )
        return sent_answer(sent)

    def send_album(random_id: RandomIds) -> Answer:
        uploaded = [
            messenger.call(
                media.upload_file,
                upload=chunks(each),
                filename=name,
                size=size,
                mime_type=each.content_type or None,
            )
            for each, name, size in zip(file, names, sizes, strict=True)
        ]
        sent = messenger.call(
            messages.send_uploaded,
            files=uploaded,
            captions=[text],
            as_document=as_document,
            random_id=random_id(0),
            **placed,
        )
        return {**sent_answer(sent[0]), "message_ids": [each["message_id"] for each in sent]}

    order = {"files": list(zip(names, sizes, strict=True)), "text": text, **placed}
    send = send_one if len(file) == 1 else send_album
    return messenger.send_once({**order, "as_document": as_document}, send, count=len(file))


def edit(messenger: Messenger, *, new_text: str, **which: Any) -> Answer:
    return sent_answer(messenger.call(messages.edit_message, text=new_text, **which))


def forward(
    messenger: Messenger,
    *,
    message_id: Sequence[int],
    schedule_date: datetime | None,
    **how: Any,
) -> Answer:
    """Forward one message or several; what the account cannot see is left out by Telegram."""
    order = {"forward": list(message_id), "schedule_date": _unix(schedule_date), **how}

    def send(random_id: RandomIds) -> Answer:
        sent = messenger.call(
            messages.forward_messages,
            message_ids=list(message_id),
            schedule_date=_unix(schedule_date),
            random_id=random_id(0),
            **how,
        )
        answer = sent_answer(sent[0])
        if len(message_id) > 1:
            answer["message_ids"] = [each["message_id"] for each in sent]
        return answer

    return messenger.send_once(order, send, count=len(message_id))


def delete(
    messenger: Messenger, *, chat_id: ChatRef, message_ids: list[int], for_all: bool
) -> Answer:
    done = messenger.call(
        messages.delete_messages, chat_id=chat_id, message_ids=message_ids, for_all=for_all
    )
    return {"success": True, "deleted_messages": done["count"]}


def join(messenger: Messenger, group: ChatRef) -> Answer:
    """Join a chat; `id` and what follows are null while an administrator has to let it in."""
    joined = messenger.call(groups.join, group=group)
    chat = joined["chat"]
    return {
        "success": True,
        "message": _JOINED[joined["state"]],
        "id": chat["id"] if chat else None,
        "title": chat["title"] if chat else None,
        "username": chat["username"] if chat else None,
        "description": joined["description"],
        # Telegram's pictures have no address on the web.
        "photo_url": None,
    }


_JOINED = {
    "joined": "Joined the group.",
    "already_member": "Already a member of the group.",
    "requested": "Asked to join; an administrator has to agree.",
}


def members(
    messenger: Messenger, *, chat_id: ChatRef, limit: int, offset: int, query: str, filter: Any
) -> Answer:
    page = messenger.call(
        users.get_participants_page,
        chat_id=chat_id,
        limit=limit,
        offset=offset,
        query=query,
        filter=filter,
    )
    fields = ("id", "first_name", "last_name", "username", "phone", "bot")
    # A basic group comes as one page, however few were asked for.
    shown = page["users"][:limit]
    return {
        "members": [{name: user.get(name) for name in fields} for user in shown],
        "total_count": page["total"],
        "next_offset": page["next_offset"],
    }


def create_invite_link(
    messenger: Messenger, *, expire_date: datetime | None, **fields: Any
) -> InviteLinkDict:
    return messenger.call(groups.create_invite_link, expire_date=_unix(expire_date), **fields)


def placed_as(how: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of SendingInput as the engine names them."""
    return {
        "chat_id": how["chat_id"],
        "reply_to": how["reply_to_message_id"],
        "topic_id": how["topic_id"],
        "parse_mode": how["parse_mode"],
        "silent": how["silent"],
        "schedule_date": _unix(how["schedule_date"]),
    }


def _unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def sent_answer(sent: SentDict) -> Answer:
    return {"success": True, "message_id": sent["message_id"], "date": sent["date"]}
