"""Bodies of `engine.methods.messages`."""

from collections.abc import AsyncIterator
from typing import Any

from telethon import TelegramClient, types
from telethon.tl.functions import channels, messages

from engine.errors import BadRequest
from engine.methods.answers import DeletedDict, SentDict, UploadedFileDict
from engine.methods.messages import TypingAction
from engine.methods.shapes import ChatRef, ParseMode
from engine.telegram import convert, peers, sending, uploads
from engine.telegram.history import check_limit

MAX_ALBUM = 10

_ACTIONS = {
    "typing": types.SendMessageTypingAction,
    "cancel": types.SendMessageCancelAction,
    "record_voice": types.SendMessageRecordAudioAction,
    "upload_photo": types.SendMessageUploadPhotoAction,
    "upload_video": types.SendMessageUploadVideoAction,
    "upload_document": types.SendMessageUploadDocumentAction,
}


async def send_message(
    client: TelegramClient,
    *,
    chat_id: ChatRef,
    text: str,
    random_id: int,
    reply_to: int | None = None,
    topic_id: int | None = None,
    parse_mode: ParseMode | None = None,
    silent: bool = False,
    schedule_date: int | None = None,
    link_preview: bool = True,
) -> SentDict:
    peer = await peers.find(client, chat_id)
    message, entities = await sending.parse_text(client, text, parse_mode)
    order = sending.Order(
        client=client, peer=peer, random_ids=[random_id], text=message, reply_to=reply_to
    )
    request = messages.SendMessageRequest(
        peer=peer,
        message=message,
        entities=entities or None,
        random_id=random_id,
        reply_to=sending.reply_header(reply_to, topic_id),
        silent=silent or None,
        no_webpage=None if link_preview else True,
        schedule_date=convert.to_datetime(schedule_date),
    )
    return (await order.send(request))[0]


async def send_file(
    client: TelegramClient,
    *,
    upload: AsyncIterator[bytes],
    chat_id: ChatRef,
    filename: str,
    random_id: int,
    size: int | None = None,
    max_bytes: int | None = None,
    mime_type: str | None = None,
    text: str = "",
    as_document: bool = False,
    reply_to: int | None = None,
    topic_id: int | None = None,
    parse_mode: ParseMode | None = None,
    silent: bool = False,
    schedule_date: int | None = None,
) -> SentDict:
    # A chat that does not exist is told before the bytes are sent in vain.
    await peers.find(client, chat_id)
    file = await uploads.send_parts(
        client,
        upload,
        filename=filename,
        size=size,
        max_bytes=max_bytes,
        mime_type=mime_type,
        parallel=uploads.PARALLEL,
    )
    sent = await send_uploaded(
        client,
        chat_id=chat_id,
        files=[file],
        random_id=random_id,
        captions=[text],
        as_document=as_document,
        reply_to=reply_to,
        topic_id=topic_id,
        parse_mode=parse_mode,
        silent=silent,
        schedule_date=schedule_date,
    )
    return sent[0]


async def send_uploaded(
    client: TelegramClient,
    *,
    chat_id: ChatRef,
    files: list[UploadedFileDict],
    random_id: int,
    captions: list[str] | None = None,
    as_document: bool = False,
    reply_to: int | None = None,
    topic_id: int | None = None,
    parse_mode: ParseMode | None = None,
    silent: bool = False,
    schedule_date: int | None = None,
) -> list[SentDict]:
    if not 1 <= len(files) <= MAX_ALBUM:
        raise BadRequest("album_size_invalid", f"An album holds 2 to {MAX_ALBUM} files.")
    peer = await peers.find(client, chat_id)
    texts = [*(captions or []), *[""] * len(files)][: len(files)]
    parsed = [await sending.parse_text(client, text, parse_mode) for text in texts]
    order = sending.Order(
        client=client,
        peer=peer,
        random_ids=sending.random_ids(random_id, len(files)),
        text=parsed[0][0],
        reply_to=reply_to,
        with_media=True,
    )
    common: dict[str, Any] = {
        "peer": peer,
        "reply_to": sending.reply_header(reply_to, topic_id),
        "silent": silent or None,
        "schedule_date": convert.to_datetime(schedule_date),
    }
    media = [uploads.input_media(file, as_document=as_document) for file in files]
    if len(files) == 1:
        message, entities = parsed[0]
        request = messages.SendMediaRequest(
            media=media[0],
            message=message,
            entities=entities or None,
            random_id=random_id,
            **common,
        )
        return await order.send(request)
    multi = [
        types.InputSingleMedia(
            media=await sending.stored_media(client, peer, each),
            random_id=number,
            message=message,
            entities=entities or None,
        )
        for each, number, (message, entities) in zip(media, order.random_ids, parsed, strict=True)
    ]
    return await order.send(messages.SendMultiMediaRequest(multi_media=multi, **common))


async def edit_message(
    client: TelegramClient,
    *,
    chat_id: ChatRef,
    message_id: int,
    text: str,
    parse_mode: ParseMode | None = None,
    link_preview: bool = True,
) -> SentDict:
    peer = await peers.find(client, chat_id)
    message, entities = await sending.parse_text(client, text, parse_mode)
    answer = await client(
        messages.EditMessageRequest(
            peer=peer,
            id=message_id,
            message=message,
            entities=entities or None,
            no_webpage=None if link_preview else True,
        )
    )
    return await sending.edited(client, peer, message_id, answer)


async def delete_messages(
    client: TelegramClient, *, chat_id: ChatRef, message_ids: list[int], for_all: bool = True
) -> DeletedDict:
    check_limit(len(message_ids))
    peer = await peers.find(client, chat_id)
    channel = peers.input_channel(peer)
    request: Any
    if channel is not None:
        request = channels.DeleteMessagesRequest(channel, message_ids)
    else:
        request = messages.DeleteMessagesRequest(message_ids, revoke=for_all or None)
    answer = await client(request)
    return {"message_ids": message_ids, "count": answer.pts_count}


async def forward_messages(
    client: TelegramClient,
    *,
    from_chat_id: ChatRef,
    to_chat_id: ChatRef,
    message_ids: list[int],
    random_id: int,
    topic_id: int | None = None,
    drop_author: bool = False,
    drop_captions: bool = False,
    silent: bool = False,
    schedule_date: int | None = None,
) -> list[SentDict]:
    check_limit(len(message_ids))
    source = await peers.find(client, from_chat_id)
    peer = await peers.find(client, to_chat_id)
    order = sending.Order(
        client=client,
        peer=peer,
        random_ids=sending.random_ids(random_id, len(message_ids)),
        forwarded=(await peers.peer_id(client, source), message_ids),
    )
    request = messages.ForwardMessagesRequest(
        from_peer=source,
        id=message_ids,
        to_peer=peer,
        random_id=order.random_ids,
        top_msg_id=topic_id,
        drop_author=drop_author or None,
        drop_media_captions=drop_captions or None,
        silent=silent or None,
        schedule_date=convert.to_datetime(schedule_date),
    )
    return await order.send(request)


async def send_reaction(
    client: TelegramClient,
    *,
    chat_id: ChatRef,
    message_id: int,
    emoji: list[str] | None = None,
    custom_emoji_ids: list[str] | None = None,
    big: bool = False,
) -> bool:
    reactions: list[Any] = [types.ReactionEmoji(each) for each in emoji or ()]
    for each in custom_emoji_ids or ():
        if not (each.isascii() and each.isdigit()):
            raise BadRequest("reaction_invalid", "A custom emoji id is a number.")
        reactions.append(types.ReactionCustomEmoji(int(each)))
    await client(
        messages.SendReactionRequest(
            peer=await peers.find(client, chat_id),
            msg_id=message_id,
            big=big or None,
            reaction=reactions,
        )
    )
    return True


async def pin_message(
    client: TelegramClient,
    *,
    chat_id: ChatRef,
    message_id: int,
    silent: bool = True,
    for_all: bool = True,
) -> bool:
    await client(
        messages.UpdatePinnedMessageRequest(
            peer=await peers.find(client, chat_id),
            id=message_id,
            silent=silent or None,
            pm_oneside=None if for_all else True,
        )
    )
    return True


async def unpin_message(
    client: TelegramClient, *, chat_id: ChatRef, message_id: int | None = None
) -> bool:
    peer = await peers.find(client, chat_id)
    if message_id is not None:
        await client(messages.UpdatePinnedMessageRequest(peer=peer, id=message_id, unpin=True))
        return True
    # One call unpins a part of many: `offset` above 0 asks for another.
    while (await client(messages.UnpinAllMessagesRequest(peer))).offset > 0:
        pass
    return True


async def read_history(client: TelegramClient, *, chat_id: ChatRef, max_id: int = 0) -> bool:
    peer = await peers.find(client, chat_id)
    channel = peers.input_channel(peer)
    if channel is not None:
        await client(channels.ReadHistoryRequest(channel, max_id))
    else:
        await client(messages.ReadHistoryRequest(peer, max_id))
    return True


async def set_typing(
    client: TelegramClient,
    *,
    chat_id: ChatRef,
    action: TypingAction = "typing",
    topic_id: int | None = None,
) -> bool:
    shown = _ACTIONS[action]
    doing = shown(progress=0) if action.startswith("upload_") else shown()
    await client(
        messages.SetTypingRequest(
            peer=await peers.find(client, chat_id), action=doing, top_msg_id=topic_id
        )
    )
    return True
