"""Media and files: which ones there are in a message, and how each is fetched."""

import base64
import mimetypes
from typing import Any

from telethon import types

from engine.methods.shapes import FileCategory, FileDict, MediaDict, ThumbDict
from engine.telegram.convert.common import marked_entity

_EXTENSIONS = {
    "application/x-tgsticker": ".tgs",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
}
_NOUNS: dict[FileCategory, str] = {
    "photos": "photo",
    "videos": "video",
    "voice_messages": "voice",
    "video_messages": "video_message",
    "stickers": "sticker",
    "gifs": "animation",
    "files": "document",
}


def media_dict(media: Any, chat_id: int, message_id: int) -> MediaDict | None:
    """Return a message's media; `file` is null for what is no file.

    Self-destructing media have no file either: Telegram forbids to keep them
    (https://core.telegram.org/api/terms, 1.4). A page preview's picture is the page's.
    """
    kind = type(media)
    if media is None or kind is types.MessageMediaEmpty:
        return None
    file: FileDict | None = None
    name: str | None = None
    if kind is types.MessageMediaPhoto:
        if isinstance(media.photo, types.Photo) and not media.ttl_seconds:
            file = photo_file(media.photo, chat_id, message_id)
            name = f"photo_{message_id}.jpg" if file else None
    elif (
        kind is types.MessageMediaDocument
        and isinstance(media.document, types.Document)
        and not media.ttl_seconds
    ):
        file, name = document_file(media.document, chat_id, message_id)
    return {
        "type": kind.__name__,
        "uuid": None,
        "filename": name,
        "size": file["size"] if file else None,
        "file": file,
    }


def paid_media(media: Any, chat_id: int, message_id: int) -> MediaDict | None:
    """Return what an account sees of media that it paid for; null before it did."""
    for extended in media.extended_media:
        if isinstance(extended, types.MessageExtendedMedia):
            inner = media_dict(extended.media, chat_id, message_id)
            if inner is not None and inner.get("file"):
                return {**inner, "type": type(media).__name__}
    return None


def document_file(document: Any, chat_id: int, message_id: int) -> tuple[FileDict, str]:
    """Return a document and the name it goes by, as its sender gave it."""
    category: FileCategory = "files"
    name = ""
    width = height = None
    duration: float | None = None
    animated = False
    for attribute in document.attributes:
        kind = type(attribute)
        if kind is types.DocumentAttributeFilename:
            name = attribute.file_name
        elif kind in (types.DocumentAttributeSticker, types.DocumentAttributeCustomEmoji):
            category = "stickers"
        elif kind is types.DocumentAttributeAnimated:
            animated = True
        elif kind is types.DocumentAttributeVideo:
            width, height, duration = attribute.w, attribute.h, float(attribute.duration)
            if category != "stickers":
                category = "video_messages" if attribute.round_message else "videos"
        elif kind is types.DocumentAttributeAudio:
            duration = float(attribute.duration)
            if attribute.voice:
                category = "voice_messages"
        elif kind is types.DocumentAttributeImageSize:
            width, height = attribute.w, attribute.h
    if animated and category != "stickers":
        category = "gifs"
    file: FileDict = {
        "id": document.id,
        "kind": "document",
        "category": category,
        "dc_id": document.dc_id,
        "access_hash": document.access_hash,
        "file_reference": base64.b64encode(document.file_reference).decode(),
        "thumb": "",
        "size": document.size,
        "mime_type": document.mime_type or "application/octet-stream",
        "width": width,
        "height": height,
        "duration_seconds": duration,
        "thumbs": thumb_dicts(document.thumbs),
        "chat_id": chat_id,
        "message_id": message_id,
    }
    return file, name or f"{_NOUNS[category]}_{message_id}{extension(file['mime_type'])}"


def photo_file(photo: Any, chat_id: int, message_id: int) -> FileDict | None:
    """Return a photo in its largest size; null when none of its sizes can be fetched."""
    thumbs = thumb_dicts(photo.sizes)
    if not thumbs:
        return None
    largest = max(thumbs, key=lambda thumb: (thumb["width"] * thumb["height"], thumb["size"]))
    return {
        "id": photo.id,
        "kind": "photo",
        "category": "photos",
        "dc_id": photo.dc_id,
        "access_hash": photo.access_hash,
        "file_reference": base64.b64encode(photo.file_reference).decode(),
        "thumb": largest["type"],
        "size": largest["size"],
        "mime_type": "image/jpeg",
        "width": largest["width"],
        "height": largest["height"],
        "duration_seconds": None,
        "thumbs": thumbs,
        "chat_id": chat_id,
        "message_id": message_id,
    }


def chat_photo(entity: Any) -> FileDict | None:
    """Return the picture of a user or chat, null when there is none; its size is not told."""
    photo = getattr(entity, "photo", None)
    if not isinstance(photo, types.ChatPhoto | types.UserProfilePhoto):
        return None
    return {
        "id": photo.photo_id,
        "kind": "chat_photo",
        "category": "photos",
        "dc_id": photo.dc_id,
        "access_hash": 0,
        "file_reference": "",
        "thumb": "c",
        "size": 0,
        "mime_type": "image/jpeg",
        "width": None,
        "height": None,
        "duration_seconds": None,
        "thumbs": [],
        "chat_id": marked_entity(entity),
        "message_id": 0,
    }


def thumb_dicts(sizes: Any) -> list[ThumbDict]:
    """Return the sizes that can be fetched; stripped and outline previews cannot."""
    thumbs: list[ThumbDict] = []
    for size in sizes or ():
        kind = type(size)
        if kind is types.PhotoSize:
            amount = size.size
        elif kind is types.PhotoSizeProgressive:
            amount = max(size.sizes, default=0)
        elif kind is types.PhotoCachedSize:
            amount = len(size.bytes)
        else:
            continue
        thumbs.append({"type": size.type, "width": size.w, "height": size.h, "size": amount})
    return thumbs


def extension(mime_type: str) -> str:
    """Return the usual extension of a MIME type with its dot, `""` when there is none."""
    return _EXTENSIONS.get(mime_type) or mimetypes.guess_extension(mime_type) or ""
