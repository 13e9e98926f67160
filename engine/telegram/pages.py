"""One answer of messages, read once: who wrote, how many there are, where it ends."""

from typing import Any

from telethon import TelegramClient, types

from engine.methods.shapes import MessageDict
from engine.telegram import convert, peers


def message_dicts(client: TelegramClient, peer: Any, answer: Any) -> list[MessageDict]:
    """Return an answer's messages in its order, senders taken from the answer itself."""
    entities = convert.index(answer.users, answer.chats)
    known = client._self_id
    found = [
        convert.message_dict(message, entities, self_id=known)
        for message in answer.messages
        if not isinstance(message, types.MessageEmpty)
    ]
    if peer is not None:
        note_senders(client, peer, found, entities)
    return found


def note_senders(
    client: TelegramClient, peer: Any, found: list[MessageDict], entities: dict[int, Any]
) -> None:
    """Remember where senders were met that can be addressed through a message only."""
    strangers = {key: each for key, each in entities.items() if getattr(each, "min", False)}
    if not strangers:
        return
    met = [
        (message["message_id"], strangers[sender])
        for message in found
        if (sender := message["sender_id"]) in strangers
    ]
    peers.note_min(client, peer, met)


def total_of(answer: Any) -> int:
    """Return how many messages there are in all, as far as Telegram told."""
    count = getattr(answer, "count", None)
    return len(answer.messages) if count is None else int(count)
