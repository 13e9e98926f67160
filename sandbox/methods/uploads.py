"""Files on their way in: parts are kept until a method takes the whole file.

Source: https://core.telegram.org/api/files#uploading-files
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from telethon.tl import functions, types

from sandbox.rpc import Call, RpcError, handles
from sandbox.world import World

PART_LIMIT_BYTES = 512 * 1024
PARTS_LIMIT = 4000
PARTS_LIMIT_PREMIUM = 8000


@dataclass(slots=True)
class Upload:
    """Parts of one file by number; all as large as the first but the last, which may be smaller."""

    parts: dict[int, bytes] = field(default_factory=dict, repr=False)
    part_bytes: int = 0
    last: int = 0
    tail: int | None = None
    whole: bytes | None = field(default=None, repr=False)


Uploads = dict[tuple[int, int], Upload]
_uploads: WeakKeyDictionary[World, Uploads] = WeakKeyDictionary()


def uploads_of(world: World) -> Uploads:
    """Return the files under way in a world, by user id and the client's own file id."""
    return _uploads.setdefault(world, {})


@handles(functions.upload.SaveFilePartRequest)
async def save_file_part(call: Call, request: Any) -> bool:
    """Keep a part of a file of at most 10 MB.

    Source: https://core.telegram.org/method/upload.saveFilePart
    """
    return _save(call, request.file_id, request.file_part, request.bytes)


@handles(functions.upload.SaveBigFilePartRequest)
async def save_big_file_part(call: Call, request: Any) -> bool:
    """Keep a part of a larger file, whose number of parts is told with each (-1: not yet known).

    Source: https://core.telegram.org/method/upload.saveBigFilePart
    """
    total = request.file_total_parts
    if total != -1 and not 1 <= total <= _parts_limit(call):
        raise RpcError(400, "FILE_PARTS_INVALID")
    if total != -1 and request.file_part >= total:
        raise RpcError(400, "FILE_PART_INVALID")
    return _save(call, request.file_id, request.file_part, request.bytes)


def _parts_limit(call: Call) -> int:
    return PARTS_LIMIT_PREMIUM if call.me.premium else PARTS_LIMIT


def _save(call: Call, file_id: int, number: int, data: bytes) -> bool:
    if not 0 <= number < _parts_limit(call):
        raise RpcError(400, "FILE_PART_INVALID")
    if not data:
        raise RpcError(400, "FILE_PART_EMPTY")
    if len(data) > PART_LIMIT_BYTES:
        raise RpcError(400, "FILE_PART_TOO_BIG")
    upload = uploads_of(call.world).setdefault((call.me.id, file_id), Upload())
    _check_part_size(upload, number, len(data))
    upload.parts[number] = data
    upload.last = max(upload.last, number)
    upload.whole = None
    return True


def _check_part_size(upload: Upload, number: int, size: int) -> None:
    if number in upload.parts and len(upload.parts[number]) == size:
        return
    if not upload.parts:
        upload.part_bytes = size
    elif size < upload.part_bytes:
        if number < upload.last or upload.tail not in (None, number):
            raise RpcError(400, "FILE_PART_SIZE_CHANGED")
        upload.tail = number
    elif size > upload.part_bytes:
        # Only a smaller last part that came first can explain a larger one.
        if len(upload.parts) > 1 or number >= upload.last:
            raise RpcError(400, "FILE_PART_SIZE_CHANGED")
        upload.tail, upload.part_bytes = upload.last, size
    elif upload.tail is not None and number >= upload.tail:
        raise RpcError(400, "FILE_PART_SIZE_CHANGED")
    if len(upload.parts) and PART_LIMIT_BYTES % upload.part_bytes:
        raise RpcError(400, "FILE_PART_SIZE_INVALID")


def take_upload(call: Call, file: Any) -> tuple[bytes, str]:
    """Return contents and name of the file that `inputFile` or `inputFileBig` names.

    The same file may be taken again. Raises `FILE_PARTS_INVALID`, `FILE_PART_x_MISSING`,
    `MD5_CHECKSUM_INVALID`, `FILE_ID_INVALID`.
    Source: https://core.telegram.org/api/files#uploading-files
    """
    if not isinstance(file, types.InputFile | types.InputFileBig):
        raise RpcError(400, "FILE_ID_INVALID")
    if not 1 <= file.parts <= _parts_limit(call):
        raise RpcError(400, "FILE_PARTS_INVALID")
    upload = uploads_of(call.world).get((call.me.id, file.id), Upload())
    if upload.whole is None:
        for number in range(file.parts):
            if number not in upload.parts:
                raise RpcError(400, f"FILE_PART_{number}_MISSING")
        upload.whole = b"".join(upload.parts[number] for number in range(file.parts))
    if isinstance(file, types.InputFile) and file.md5_checksum:
        digest = hashlib.md5(upload.whole, usedforsecurity=False).hexdigest()
        if digest != file.md5_checksum:
            raise RpcError(400, "MD5_CHECKSUM_INVALID")
    return upload.whole, file.name
