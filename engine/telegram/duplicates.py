"""Finding the message that an earlier, interrupted call sent.

Telegram refuses a `random_id` that it has seen and does not say which message it became. Its
updates do (`updateMessageID`), as long as they are not older than what this session has stored;
otherwise the newest own message that looks the same is taken.
Source: https://core.telegram.org/constructor/updateMessageID
"""

from typing import Any

from telethon import TelegramClient, types
from telethon.tl.functions import messages, updates

from engine.errors import Conflict
from engine.methods.shapes import MessageDict
from engine.telegram.history import fetch
from engine.telegram.pages import message_dicts
from engine.telegram.rpc import Refusal

HISTORY = 100
SLICES = 10


async def find_sent(
    client: TelegramClient,
    peer: Any,
    random_ids: list[int],
    *,
    text: str,
    reply_to: int | None,
    with_media: bool,
    forwarded: tuple[int, list[int]] | None,
) -> list[MessageDict]:
    """Return the messages that were sent with `random_ids`; Conflict when none is found."""
    by_random_id = await _from_updates(client)
    if all(random_id in by_random_id for random_id in random_ids):
        ids = [by_random_id[random_id] for random_id in random_ids]
        found = message_dicts(client, peer, await fetch(client, peer, ids))
        if found:
            return found
    page = await client(
        messages.GetHistoryRequest(
            peer=peer,
            offset_id=0,
            offset_date=None,
            add_offset=0,
            limit=HISTORY,
            max_id=0,
            min_id=0,
            hash=0,
        )
    )
    own = [message for message in message_dicts(client, peer, page) if _may_be_own(message, client)]
    if forwarded is not None:
        found = _forwards(own, page, forwarded)
    else:
        found = _like(own, len(random_ids), text, reply_to, with_media)
    if not found:
        raise Conflict("random_id_duplicate", "This was sent before, and is not there any more.")
    return found


async def _from_updates(client: TelegramClient) -> dict[int, int]:
    """Return random id → message id from what happened since the session's stored state."""
    stored = {key: state for key, state in client.session.get_update_states()}
    state = stored.get(0)
    known: dict[int, int] = {}
    if state is None:
        return known
    pts, date, qts = state.pts, state.date, state.qts
    for _ in range(SLICES):
        try:
            answer = await client(updates.GetDifferenceRequest(pts=pts, date=date, qts=qts))
        except Refusal:
            break
        for update in getattr(answer, "other_updates", ()):
            if isinstance(update, types.UpdateMessageID):
                known[update.random_id] = update.id
        if not isinstance(answer, types.updates.DifferenceSlice):
            break
        following = answer.intermediate_state
        pts, date, qts = following.pts, following.date, following.qts
    return known


def _may_be_own(message: MessageDict, client: TelegramClient) -> bool:
    """Nothing is marked as outgoing in Saved Messages, nor what is posted as the chat itself."""
    extra = message.get("extra", {})
    chat_id, sender_id = extra.get("chat_id", 0), message["sender_id"]
    if extra.get("is_outgoing"):
        return True
    return chat_id == sender_id and (chat_id < 0 or chat_id == client._self_id)


def _like(
    own: list[MessageDict], count: int, text: str, reply_to: int | None, with_media: bool
) -> list[MessageDict]:
    for position, message in enumerate(own):
        if message["message"] != text or "action" in message:
            continue
        if message["reply_to"] != reply_to or (message["media"] is not None) < with_media:
            continue
        if count == 1:
            return [message]
        album = [
            each
            for each in own[: position + 1]
            if each.get("grouped_id") is not None
            and each.get("grouped_id") == message.get("grouped_id")
        ]
        if len(album) == count:
            return album[::-1]
    return []


def _forwards(
    own: list[MessageDict], page: Any, forwarded: tuple[int, list[int]]
) -> list[MessageDict]:
    """Return the newest forwards of these messages, in their order.

    A header names the original where the source is a channel, or Saved Messages hold it;
    elsewhere only the number and the order of forwards can tell.
    """
    source, wanted = forwarded
    headers = {message.id: message.fwd_from for message in page.messages if _header(message)}
    named: dict[int, MessageDict] = {}
    unnamed: list[MessageDict] = []
    for message in own:
        header = headers.get(message["message_id"])
        if header is None:
            continue
        origin = header.channel_post or header.saved_from_msg_id
        if origin in wanted and message.get("extra", {}).get("forward_from_id") in (source, None):
            named.setdefault(origin, message)
        elif origin is None:
            unnamed.append(message)
    if named:
        return [named[message_id] for message_id in wanted if message_id in named]
    return unnamed[: len(wanted)][::-1] if len(unnamed) >= len(wanted) else []


def _header(message: Any) -> bool:
    return getattr(message, "fwd_from", None) is not None
