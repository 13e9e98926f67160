"""A world as a JSON file: what it looks like, and how to write one from a world.

    {"seed": 1,
     "users": [{"id", "first_name", "last_name", "phone", "username", "password", "bot", "dc", …}],
     "chats": [{"key", "kind": "group" | "supergroup" | "channel", "title", "creator",
                "members": [..], "username", "about", "hidden_prehistory", …}],
     "contacts": [{"owner", "user", "first_name", "last_name"}],
     "messages": [{"key", "chat", "sender", "text", "date", "reply_to", "media", "reactions"}]}

People are named by id, "@username" or "+phone"; chats by their `key` or "@username"; a private chat
by the other person. Messages stand in the order of their dates; `reply_to` is another's `key`.
`media` is {"photo": {"width", "height"}}, {"document": {"name", "mime_type", "size", "seed" or
"base64"}} or {"poll": {"question", "answers"}}, `reactions` {"👍": ["@bob"]}. Saving keeps people,
chats, contacts and plain messages; not the events that led there: a loaded world's pts are new.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.world.blobs import Blob
from sandbox.world.model import Chat, Document, Kind, Message, PeerId, Photo, Poll, User

if TYPE_CHECKING:
    from sandbox.world import World

USER_FIELDS = ("about", "language", "dc", "premium", "verified", "last_seen")
CHAT_FIELDS = (
    "about",
    "hidden_prehistory",
    "signatures",
    "noforwards",
    "forum",
    "join_request",
    "verified",
    "extra_members",
)


def load(path: Path) -> World:
    """Read a world from a file; raises ValueError or KeyError on a wrong one."""
    return from_dict(json.loads(path.read_text("utf-8")))


def save(world: World, path: Path) -> None:
    """Write a world to a file."""
    path.write_text(json.dumps(to_dict(world), ensure_ascii=False, indent=1), "utf-8")


def from_dict(data: dict[str, Any]) -> World:
    """Build the world that `data` describes."""
    from sandbox.world import World

    world = World(seed=data.get("seed", 1))
    with world.lock:
        for row in data.get("users", ()):
            _add_user(world, row)
        chats: dict[str, Chat] = {}
        for row in data.get("chats", ()):
            chat = _add_chat(world, row)
            chats[str(row.get("key", chat.peer))] = chat
        for row in data.get("contacts", ()):
            names = {key: row[key] for key in ("first_name", "last_name") if key in row}
            world.make_contact(row["owner"], row["user"], **names)
        told: dict[str, Message] = {}
        for row in data.get("messages", ()):
            message = _post(world, row, chats, told)
            if "key" in row:
                told[str(row["key"])] = message
    return world


def _add_user(world: World, row: dict[str, Any]) -> User:
    if row.get("bot"):
        return world.add_bot(row["first_name"], row["username"], user_id=row.get("id", 0))
    fields = {key: row[key] for key in USER_FIELDS if key in row}
    return world.add_user(
        row["first_name"],
        row.get("last_name", ""),
        phone=row.get("phone", ""),
        username=row.get("username", ""),
        user_id=row.get("id", 0),
        password=row.get("password", ""),
        hint=row.get("hint", ""),
        **fields,
    )


def _add_chat(world: World, row: dict[str, Any]) -> Chat:
    members, date = row.get("members", ()), row.get("date")
    kind = Kind(row["kind"])
    if kind is Kind.GROUP:
        return world.add_group(
            row["title"], row["creator"], members, date=date, about=row.get("about", "")
        )
    fields = {key: row[key] for key in CHAT_FIELDS if key in row}
    return world.add_channel(
        row["title"],
        row["creator"],
        members,
        megagroup=kind is Kind.SUPERGROUP,
        username=row.get("username", ""),
        date=date,
        **fields,
    )


def _post(
    world: World, row: dict[str, Any], chats: dict[str, Chat], told: dict[str, Message]
) -> Message:
    chat = chats.get(str(row["chat"]), row["chat"])
    sender = chats.get(str(row.get("sender", "")), row.get("sender", chat))
    reply = row.get("reply_to")
    message = world.post(
        sender,
        chat,
        row.get("text", ""),
        media=_media(world, row["media"]) if "media" in row else None,
        reply_to=told[str(reply)] if reply is not None else None,
        views=row.get("views"),
        date=row.get("date"),
    )
    for reaction, users in row.get("reactions", {}).items():
        for user in users:
            message.reactions.setdefault(world.resolve(user), []).append(reaction)
    message.pinned = bool(row.get("pinned"))
    return message


def _media(world: World, row: dict[str, Any]) -> Any:
    if "photo" in row:
        return world.add_photo(**row["photo"])
    if "poll" in row:
        return world.add_poll(row["poll"]["question"], *row["poll"]["answers"])
    file = row["document"]
    if "base64" in file:
        blob = Blob.of(base64.b64decode(file["base64"]))
    else:
        blob = Blob(file["size"], file.get("seed", 0))
    return world.add_document(
        blob, file.get("name", ""), file.get("mime_type", "application/octet-stream")
    )


def to_dict(world: World) -> dict[str, Any]:
    """Describe a world; service messages and passwords are left out."""
    with world.lock:
        return {
            "seed": world.seed,
            "users": [_user_row(user) for user in world.users.values() if user.id != 777000],
            "chats": [_chat_row(chat) for chat in world.chats.values() if not chat.deactivated],
            "contacts": [
                {
                    "owner": user.id,
                    "user": contact.user_id,
                    "first_name": contact.first_name,
                    "last_name": contact.last_name,
                }
                for user in world.users.values()
                for contact in user.contacts.values()
            ],
            "messages": _message_rows(world),
        }


def _user_row(user: User) -> dict[str, Any]:
    row: dict[str, Any] = {"id": user.id, "first_name": user.first_name}
    for key in ("last_name", "phone", "username", "bot", *USER_FIELDS):
        if value := getattr(user, key):
            row[key] = value
    return row


def _chat_row(chat: Chat) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": str(chat.peer),
        "kind": chat.kind.value,
        "title": chat.title,
        "creator": chat.creator_id,
        "members": [one.user_id for one in chat.participants if one.user_id != chat.creator_id],
        "date": chat.date,
    }
    for key in ("username", *CHAT_FIELDS):
        if value := getattr(chat, key):
            row[key] = value
    return row


def _message_rows(world: World) -> list[dict[str, Any]]:
    messages: dict[int, Message] = {}
    for chat in world.chats.values():
        if not chat.deactivated and chat.is_channel:
            messages.update((one.uid, one) for one in chat.history)
    for user in world.users.values():
        messages.update((one.uid, one) for one in user.messages.values())
    known = {chat.peer for chat in world.chats.values() if not chat.deactivated}
    rows = [
        _message_row(one)
        for one in sorted(messages.values(), key=lambda one: (one.date, one.uid))
        if one.action is None and (one.peer > 0 or one.peer in known)
    ]
    kept = {row["key"] for row in rows}
    for row in rows:
        if row.get("reply_to") not in kept:
            row.pop("reply_to", None)
    return rows


def _message_row(message: Message) -> dict[str, Any]:
    chat: PeerId = message.peer
    row: dict[str, Any] = {
        "key": str(message.uid),
        "chat": chat,
        "sender": message.sender,
        "date": message.date,
    }
    if message.text:
        row["text"] = message.text
    if message.reply_to is not None:
        row["reply_to"] = str(message.reply_to.uid)
    if message.views:
        row["views"] = message.views
    if message.pinned:
        row["pinned"] = True
    if (media := _media_row(message.media)) is not None:
        row["media"] = media
    if message.reactions:
        table: dict[str, list[int]] = {}
        for user_id, chosen in message.reactions.items():
            for reaction in chosen:
                table.setdefault(str(reaction), []).append(user_id)
        row["reactions"] = table
    return row


def _media_row(media: Any) -> dict[str, Any] | None:
    if isinstance(media, Photo):
        return {"photo": {"width": media.width, "height": media.height}}
    if isinstance(media, Poll):
        return {"poll": {"question": media.question, "answers": media.answers}}
    if not isinstance(media, Document):
        return None
    file: dict[str, Any] = {"mime_type": media.mime_type}
    for attribute in media.attributes:
        if name := getattr(attribute, "file_name", ""):
            file["name"] = name
    if media.blob.data is not None:
        file["base64"] = base64.b64encode(media.blob.data).decode()
    else:
        file |= {"size": media.blob.size, "seed": media.blob.seed}
    return {"document": file}
