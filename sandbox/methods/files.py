"""Downloads: any part of a file, from the data centre that holds it.

Sources: https://core.telegram.org/api/files#downloading-files,
https://core.telegram.org/api/file-references
"""

from __future__ import annotations

import hashlib
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.media import check_reference
from sandbox.methods.peers import check_access, input_peer
from sandbox.rpc import Call, RpcError, handles
from sandbox.world.blobs import Blob
from sandbox.world.model import Photo, is_channel

MEGABYTE = 1024 * 1024
HASHED_BYTES = 128 * 1024

_FILE_TYPES: dict[str, type] = {
    "image/jpeg": types.storage.FileJpeg,
    "image/png": types.storage.FilePng,
    "image/gif": types.storage.FileGif,
    "image/webp": types.storage.FileWebp,
    "application/pdf": types.storage.FilePdf,
    "audio/mpeg": types.storage.FileMp3,
    "video/quicktime": types.storage.FileMov,
    "video/mp4": types.storage.FileMp4,
}


class Stored:
    """A file as `upload.getFile` finds it."""

    __slots__ = ("blob", "date", "dc", "mime_type")

    def __init__(self, blob: Blob, mime_type: str, dc: int, date: int) -> None:
        self.blob, self.mime_type, self.dc, self.date = blob, mime_type, dc, date


def check_range(offset: int, limit: int, *, precise: bool) -> None:
    """Refuse parts that do not lie on Telegram's grid, or that cross a megabyte's border.

    Offset and limit are multiples of 4 KB (`precise`: 1 KB, and no further demand), and the
    limit divides 1 MB. Raises `OFFSET_INVALID`, `LIMIT_INVALID`.
    Source: https://core.telegram.org/api/files#downloading-files
    """
    grid = 1024 if precise else 4096
    if offset < 0 or offset % grid:
        raise RpcError(400, "OFFSET_INVALID")
    if limit <= 0 or limit > MEGABYTE or limit % grid:
        raise RpcError(400, "LIMIT_INVALID")
    if not precise and MEGABYTE % limit:
        raise RpcError(400, "LIMIT_INVALID")
    if offset // MEGABYTE != (offset + limit - 1) // MEGABYTE:
        raise RpcError(400, "LIMIT_INVALID")


def locate(call: Call, location: Any) -> Stored:
    """Return the file that an `InputFileLocation` names.

    Raises `LOCATION_INVALID` (not that kind, no such size), `FILE_ID_INVALID` (unknown, wrong
    access hash), `FILE_MIGRATE_x` (held by data centre x), `FILE_REFERENCE_EMPTY`,
    `FILE_REFERENCE_INVALID`, `FILE_REFERENCE_EXPIRED`.
    """
    match location:
        case types.InputDocumentFileLocation():
            document = _by_id(call, call.world.documents, location)
            blob = document.blob
            mime_type = document.mime_type
            if location.thumb_size:
                blob, mime_type = _size(document.thumbs, location.thumb_size), "image/jpeg"
            return Stored(blob, mime_type, document.dc, document.date)
        case types.InputPhotoFileLocation():
            photo = _by_id(call, call.world.photos, location)
            blob = _size(photo.sizes, location.thumb_size)
            return Stored(blob, "image/jpeg", photo.dc, photo.date)
        case types.InputPeerPhotoFileLocation():
            return _profile_photo(call, location)
        case _:
            raise RpcError(400, "LOCATION_INVALID")


def _by_id(call: Call, files: dict[int, Any], location: Any) -> Any:
    file = files.get(location.id)
    if file is None or file.access_hash != location.access_hash:
        raise RpcError(400, "FILE_ID_INVALID")
    _check_dc(call, file.dc)
    check_reference(call, file.id, location.file_reference)
    return file


def _check_dc(call: Call, dc: int) -> None:
    if dc != call.dc:
        raise RpcError(303, f"FILE_MIGRATE_{dc}")


def _size(sizes: dict[str, Blob], name: str) -> Blob:
    try:
        return sizes[name]
    except KeyError:
        raise RpcError(400, "LOCATION_INVALID") from None


def _profile_photo(call: Call, location: Any) -> Stored:
    """Return a user's or chat's picture; it needs no file reference.

    Source: https://core.telegram.org/constructor/inputPeerPhotoFileLocation
    """
    peer = input_peer(call, location.peer)
    if is_channel(peer):
        check_access(call, call.world.chat(peer))
    photo: Photo | None = (call.world.user(peer) if peer > 0 else call.world.chat(peer)).photo
    if photo is None or photo.id != location.photo_id:
        raise RpcError(400, "LOCATION_INVALID")
    _check_dc(call, photo.dc)
    blobs = list(photo.sizes.values())
    return Stored(blobs[-1] if location.big else blobs[0], "image/jpeg", photo.dc, photo.date)


@handles(functions.upload.GetFileRequest)
async def get_file(call: Call, request: Any) -> Any:
    """Return a part of a file; less than `limit` at its end, nothing behind it.

    Source: https://core.telegram.org/method/upload.getFile
    """
    with call.world.lock:
        stored = locate(call, request.location)
    check_range(request.offset, request.limit, precise=bool(request.precise))
    kind = _FILE_TYPES.get(stored.mime_type, types.storage.FileUnknown)
    data = stored.blob.read(request.offset, request.limit)
    return types.upload.File(type=kind(), mtime=stored.date, bytes=data)


@handles(functions.upload.GetFileHashesRequest)
async def get_file_hashes(call: Call, request: Any) -> Any:
    """Return SHA-256 hashes of the file's next parts of 128 KB, at most ten.

    Source: https://core.telegram.org/method/upload.getFileHashes
    """
    with call.world.lock:
        blob = locate(call, request.location).blob
    start = request.offset - request.offset % HASHED_BYTES
    if request.offset < 0:
        raise RpcError(400, "OFFSET_INVALID")
    hashes = []
    for offset in range(start, min(blob.size, start + 10 * HASHED_BYTES), HASHED_BYTES):
        part = blob.read(offset, HASHED_BYTES)
        hashes.append(types.FileHash(offset, len(part), hashlib.sha256(part).digest()))
    return hashes


@handles(functions.upload.GetWebFileRequest)
async def get_web_file(call: Call, request: Any) -> Any:
    """Refuse: there is no web behind the sandbox for Telegram to fetch from.

    Source: https://core.telegram.org/method/upload.getWebFile
    """
    raise RpcError(400, "LOCATION_INVALID")
