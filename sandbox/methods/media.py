"""Media on their way into a message: uploads, files that Telegram has, places, contacts, polls.

Source: https://core.telegram.org/type/InputMedia
"""

from __future__ import annotations

import struct
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.peers import input_peer
from sandbox.methods.permissions import check_write
from sandbox.methods.uploads import take_upload
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.blobs import Blob
from sandbox.world.media import tl_media
from sandbox.world.model import Document, Media, Photo, Poll

PHOTO_LIMIT_BYTES = 10 * 1024 * 1024
_JPEG_NO_SIZE = {0xC4, 0xC8, 0xCC}


def check_reference(call: Call, file_id: int, reference: bytes) -> None:
    """Refuse a file reference that opens nothing (any more).

    Source: https://core.telegram.org/api/file-references
    """
    if not reference:
        raise RpcError(400, "FILE_REFERENCE_EMPTY")
    state = call.world.file_reference_state(file_id, reference)
    if state == "expired":
        raise RpcError(400, "FILE_REFERENCE_EXPIRED")
    if state != "valid":
        raise RpcError(400, "FILE_REFERENCE_INVALID")


def input_media(call: Call, media: Any) -> Media:
    """Return what a message will carry.

    Raises `MEDIA_EMPTY`, `MEDIA_INVALID`, the refusals of uploads and file references,
    `IMAGE_PROCESS_FAILED`, `WEBPAGE_CURL_FAILED` (there is no web here).
    """
    match media:
        case types.InputMediaPhoto():
            return _known_file(call, media.id, call.world.photos)
        case types.InputMediaDocument():
            return _known_file(call, media.id, call.world.documents)
        case types.InputMediaUploadedPhoto():
            return _uploaded_photo(call, media)
        case types.InputMediaUploadedDocument():
            return _uploaded_document(call, media)
        case types.InputMediaGeoPoint():
            return types.MessageMediaGeo(geo=_point(media.geo_point))
        case types.InputMediaVenue():
            return types.MessageMediaVenue(
                geo=_point(media.geo_point),
                title=media.title,
                address=media.address,
                provider=media.provider,
                venue_id=media.venue_id,
                venue_type=media.venue_type,
            )
        case types.InputMediaContact():
            known = call.world.by_phone(media.phone_number)
            return types.MessageMediaContact(
                phone_number=media.phone_number,
                first_name=media.first_name,
                last_name=media.last_name,
                vcard=media.vcard,
                user_id=known.id if known is not None else 0,
            )
        case types.InputMediaDice():
            emoticon = media.emoticon or "🎲"
            sides = {"🎰": 64, "🏀": 5, "⚽": 5}.get(emoticon, 6)
            value = call.world.random.randint(1, sides)
            return types.MessageMediaDice(value=value, emoticon=emoticon)
        case types.InputMediaPoll():
            return _poll(call, media)
        case types.InputMediaPhotoExternal() | types.InputMediaDocumentExternal():
            raise RpcError(400, "WEBPAGE_CURL_FAILED")
        case types.InputMediaEmpty():
            raise RpcError(400, "MEDIA_EMPTY")
        case _:
            raise RpcError(400, "MEDIA_INVALID")


def _point(point: Any) -> Any:
    if not isinstance(point, types.InputGeoPoint):
        raise RpcError(400, "MEDIA_INVALID")
    return types.GeoPoint(long=point.long, lat=point.lat, access_hash=0)


def _known_file(call: Call, named: Any, files: dict[int, Any]) -> Any:
    """Return a photo or document that is sent again, without its bytes."""
    file = files.get(getattr(named, "id", 0))
    if file is None or file.access_hash != named.access_hash:
        raise RpcError(400, "MEDIA_EMPTY")
    check_reference(call, file.id, named.file_reference)
    return file


def _uploaded_photo(call: Call, media: Any) -> Photo:
    data, name = take_upload(call, media.file)
    if len(data) > PHOTO_LIMIT_BYTES:
        raise RpcError(400, "PHOTO_SAVE_FILE_INVALID")
    if "." in name and name.rpartition(".")[2].lower() not in _PHOTO_EXTENSIONS:
        raise RpcError(400, "PHOTO_EXT_INVALID")
    size = image_size(data)
    if size is None:
        raise RpcError(400, "IMAGE_PROCESS_FAILED")
    width, height = size
    if not width or not height or width + height > 10_000 or max(size) > 20 * min(size):
        raise RpcError(400, "PHOTO_INVALID_DIMENSIONS")
    return call.world.add_photo(data, width=width, height=height, dc=call.me.dc)


_PHOTO_EXTENSIONS = {"jpg", "jpeg", "png", "gif", "webp", "bmp"}


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, GIF, WebP or JPEG; None for anything else."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return int(width), int(height)
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return int(width), int(height)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    if data[:2] == b"\xff\xd8":
        return _jpeg_size(data)
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] == b"VP8X" and len(data) >= 30:
        return (
            int.from_bytes(data[24:27], "little") + 1,
            int.from_bytes(data[27:30], "little") + 1,
        )
    if data[12:16] == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if data[12:16] == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _JPEG_NO_SIZE:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return int(width), int(height)
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _uploaded_document(call: Call, media: Any) -> Document:
    data, name = take_upload(call, media.file)
    attributes = list(media.attributes)
    named = any(isinstance(one, types.DocumentAttributeFilename) for one in attributes)
    spoken = any(
        getattr(one, "voice", False) or getattr(one, "round_message", False) for one in attributes
    )
    if name and not named and not spoken:
        attributes.append(types.DocumentAttributeFilename(name))
    document = call.world.add_document(
        data,
        mime_type=media.mime_type or "application/octet-stream",
        attributes=attributes,
        dc=call.me.dc,
    )
    if media.thumb is not None:
        thumb, _name = take_upload(call, media.thumb)
        if image_size(thumb) is not None:
            document.thumbs["m"] = Blob.of(thumb)
    return document


def _plain(text: Any) -> str:
    return str(getattr(text, "text", text) or "")


def _poll(call: Call, media: Any) -> Poll:
    """Return a new poll. Source: https://core.telegram.org/api/poll"""
    asked = media.poll
    answers = [_plain(answer.text) for answer in asked.answers]
    if not 1 <= len(_plain(asked.question)) <= 255:
        raise RpcError(400, "POLL_QUESTION_INVALID")
    if not 2 <= len(answers) <= 12:
        raise RpcError(400, "POLL_ANSWERS_INVALID")
    if any(not 1 <= len(answer) <= 100 for answer in answers):
        raise RpcError(400, "POLL_ANSWER_INVALID")
    correct = None
    if asked.quiz:
        if not media.correct_answers:
            raise RpcError(400, "QUIZ_CORRECT_ANSWERS_EMPTY")
        correct = _option(media.correct_answers[0], asked.answers)
    return Poll(
        id=call.world.random_long(),
        question=_plain(asked.question),
        answers=answers,
        multiple_choice=bool(asked.multiple_choice),
        public_voters=bool(asked.public_voters),
        quiz=bool(asked.quiz),
        correct=correct,
        closed=bool(asked.closed),
    )


def _option(chosen: Any, answers: list[Any]) -> int:
    """Return an answer's number, given as itself or as the bytes that the client chose for it."""
    if isinstance(chosen, int):
        return chosen
    for number, answer in enumerate(answers):
        if getattr(answer, "option", None) == chosen:
            return number
    raise RpcError(400, "QUIZ_CORRECT_ANSWER_INVALID")


@handles(functions.messages.UploadMediaRequest)
async def upload_media(call: Call, request: Any) -> Any:
    """Turn an upload into a photo or document that can be sent later, in an album say.

    Source: https://core.telegram.org/method/messages.uploadMedia
    """
    with call.world.lock:
        peer = input_peer(call, request.peer)
        media = input_media(call, request.media)
        check_write(call, peer, media)
        return tl_media(call.world, media, call.me.id)
