"""Write to Telegram in a stored session's name."""

import secrets
from typing import Any, TypedDict

from engine import telegram
from engine.methods import messages
from engine.methods.answers import SentDict
from engine.methods.shapes import ChatRef
from sessions_app.idempotency import RandomIds, send_once
from sessions_app.messages.pacing import reserve
from sessions_app.models import TelegramSession


class SentMessage(TypedDict):
    """`chat_id` is marked; `date` is as in the history."""

    message_id: int
    chat_id: int
    date: str | None


def send_message(
    session: TelegramSession,
    *,
    chat_id: ChatRef,
    text: str,
    user_id: int,
    idempotency_key: str | None = None,
) -> SentMessage:
    """Send a text; with a key, once for this user however often it is asked for.

    Raises FloodWait, Forbidden, NotFound, BadRequest, Conflict (another body), TooManyRequests
    (the session's own pace).
    """

    def send(random_id: RandomIds) -> dict[str, Any]:
        reserve(session.pk)
        sent = telegram.call(
            session.pk,
            messages.send_message,
            chat_id=chat_id,
            text=text,
            random_id=random_id(0),
        )
        return dict(_answer(sent))

    if idempotency_key is None:
        return _typed(send(lambda index: secrets.randbits(63) or 1))
    body = {"send_message": session.pk, "chat_id": chat_id, "text": text}
    return _typed(send_once(user_id=user_id, key=idempotency_key, body=body, send=send))


def _answer(sent: SentDict) -> SentMessage:
    return SentMessage(message_id=sent["message_id"], chat_id=sent["chat_id"], date=sent["date"])


def _typed(answer: dict[str, Any]) -> SentMessage:
    return SentMessage(
        message_id=answer["message_id"], chat_id=answer["chat_id"], date=answer["date"]
    )
