"""What sending has in common: text, answers, and finding what was sent already.

Source: https://core.telegram.org/api/updates, https://core.telegram.org/method/messages.sendMessage
"""

from dataclasses import dataclass
from typing import Any

from telethon import TelegramClient, types
from telethon.tl.functions import messages

from engine.errors import BadRequest
from engine.methods.answers import SentDict
from engine.methods.messages import derive_random_id
from engine.methods.shapes import MessageDict, ParseMode
from engine.telegram import convert, duplicates, peers
from engine.telegram.once import call_once
from engine.telegram.rpc import Refusal, refused_with

_NEW = (
    types.UpdateNewMessage,
    types.UpdateNewChannelMessage,
    types.UpdateNewScheduledMessage,
    types.UpdateEditMessage,
    types.UpdateEditChannelMessage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be sent, as far as its result, or its double, must be recognised by it.

    `text` is that of the first message, `forwarded` the source's marked id and message ids.
    """

    client: TelegramClient
    peer: Any
    random_ids: list[int]
    text: str = ""
    reply_to: int | None = None
    with_media: bool = False
    forwarded: tuple[int, list[int]] | None = None

    async def send(self, request: Any) -> list[SentDict]:
        """Send, and return the messages in the order of `random_ids`."""
        chat_id = await peers.peer_id(self.client, self.peer)
        scheduled = request.schedule_date is not None
        try:
            answer = await call_once(self.client, request)
        except Refusal as error:
            if not refused_with(error, "RANDOM_ID_DUPLICATE"):
                raise
            found = await duplicates.find_sent(
                self.client,
                self.peer,
                self.random_ids,
                text=self.text,
                reply_to=self.reply_to,
                with_media=self.with_media,
                forwarded=self.forwarded,
            )
            return [_sent(chat_id, message, duplicate=True) for message in found]
        if isinstance(answer, types.UpdateShortSentMessage):
            me = await peers.self_id(self.client)
            return [_short(answer, self, chat_id, me)]
        made = message_dicts(self.client, answer)
        by_random_id = {
            update.random_id: update.id
            for update in answer.updates
            if isinstance(update, types.UpdateMessageID)
        }
        sent = []
        for random_id in self.random_ids:
            message_id = by_random_id.get(random_id)
            if message_id is None:
                continue  # A forward leaves out what the account cannot see.
            message = made.get(message_id)
            sent.append(
                _sent(chat_id, message, scheduled=scheduled)
                if message is not None
                else _bare(chat_id, message_id, scheduled=scheduled)
            )
        if not sent:
            raise BadRequest("message_not_sent", "Telegram did not tell which message was sent.")
        return sent


async def edited(client: TelegramClient, peer: Any, message_id: int, answer: Any) -> SentDict:
    """Return an edited message from Telegram's answer."""
    chat_id = await peers.peer_id(client, peer)
    message = message_dicts(client, answer).get(message_id)
    return _bare(chat_id, message_id) if message is None else _sent(chat_id, message)


async def parse_text(
    client: TelegramClient, text: str, parse_mode: ParseMode | None
) -> tuple[str, list[Any]]:
    """Return text and entities; BadRequest when the markup leaves nothing of the text."""
    if parse_mode is None:
        return text, []
    try:
        plain, entities = await client._parse_message_text(text, parse_mode)
    except ValueError:
        raise BadRequest("markup_invalid", f"The text is no {parse_mode}.") from None
    return plain, entities


async def stored_media(client: TelegramClient, peer: Any, media: Any) -> Any:
    """Have Telegram turn uploaded parts into a photo or document, as albums want them."""
    stored = await client(messages.UploadMediaRequest(peer=peer, media=media))
    if isinstance(stored, types.MessageMediaPhoto):
        photo = stored.photo
        found = types.InputPhoto(photo.id, photo.access_hash, photo.file_reference)
        return types.InputMediaPhoto(found)
    document = stored.document
    return types.InputMediaDocument(
        types.InputDocument(document.id, document.access_hash, document.file_reference)
    )


def random_ids(first: int, count: int) -> list[int]:
    """Return the random ids of one order's messages."""
    return [derive_random_id(first, index) for index in range(count)]


def reply_header(reply_to: int | None, topic_id: int | None) -> Any | None:
    """Return what a message answers: another one, or (in a forum) its topic."""
    if reply_to is not None:
        return types.InputReplyToMessage(reply_to, top_msg_id=topic_id)
    return None if topic_id is None else types.InputReplyToMessage(topic_id)


def message_dicts(client: TelegramClient, answer: Any) -> dict[int, MessageDict]:
    """Return the messages that an answer of updates brings, by id."""
    entities = convert.index(getattr(answer, "users", ()), getattr(answer, "chats", ()))
    return {
        update.message.id: convert.message_dict(update.message, entities, self_id=client._self_id)
        for update in getattr(answer, "updates", ())
        if isinstance(update, _NEW) and not isinstance(update.message, types.MessageEmpty)
    }


def _sent(
    chat_id: int, message: MessageDict, *, duplicate: bool = False, scheduled: bool = False
) -> SentDict:
    return {
        "message_id": message["message_id"],
        "chat_id": chat_id,
        "date": iso(message["date"]),
        "message": message,
        "duplicate": duplicate,
        "scheduled": scheduled,
    }


def _bare(chat_id: int, message_id: int, *, scheduled: bool = False) -> SentDict:
    return {
        "message_id": message_id,
        "chat_id": chat_id,
        "date": None,
        "message": None,
        "duplicate": False,
        "scheduled": scheduled,
    }


def _short(answer: Any, order: Order, chat_id: int, self_id: int) -> SentDict:
    """Return a message from the answer that leaves out what the sender knows."""
    reply = None
    if order.reply_to is not None:
        reply = types.MessageReplyHeader(reply_to_msg_id=order.reply_to)
    message = types.Message(
        id=answer.id,
        peer_id=types.PeerUser(chat_id) if chat_id > 0 else types.PeerChat(-chat_id),
        from_id=types.PeerUser(self_id),
        date=answer.date,
        message=order.text,
        out=answer.out,
        media=answer.media,
        entities=answer.entities,
        reply_to=reply,
        ttl_period=answer.ttl_period,
    )
    return _sent(chat_id, convert.message_dict(message, {}, self_id=self_id))


def iso(date: str | None) -> str | None:
    """Return a message's date as ISO 8601 with offset."""
    return None if date is None else f"{date.replace(' ', 'T')}+00:00"
