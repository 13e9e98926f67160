"""Files at Telegram: what they are, their bytes, and new ones."""

from collections.abc import AsyncIterator

from engine.methods.answers import UploadedFileDict
from engine.methods.registry import method
from engine.methods.shapes import ChatRef, FileDict, MediaDict
from engine.wire import Upload


@method
async def file_info(*, chat_id: ChatRef, message_id: int) -> MediaDict:
    """Return a message's media with a fresh `file`.

    Raises NotFound: MESSAGE_ID_INVALID, or `media_not_found` when it has no file.
    """


@method
async def refresh_file(*, file: FileDict) -> FileDict:
    """Fetch a fresh file reference from the message that the file came with.

    Raises NotFound when the message, or the file in it, is gone.
    Source: https://core.telegram.org/api/file_reference
    """


@method
def read_file(
    *,
    file: FileDict,
    offset: int = 0,
    length: int | None = None,
    thumb: str | None = None,
    parallel: int = 8,
) -> AsyncIterator[bytes]:
    """Stream a file's bytes from `offset`, `length` of them (null: to the end), in order.

    Several 512 KB parts are in flight at once. An expired file reference is refreshed, another
    data centre followed. `thumb` picks one of `file.thumbs` instead of the file. What comes may
    be shorter or longer than `file.size` declares: whoever stores it enforces a cap.
    Raises NotFound, FloodWait, Unavailable.
    Source: https://core.telegram.org/method/upload.getFile
    """


@method
async def upload_file(
    *,
    upload: Upload,
    filename: str,
    size: int | None = None,
    max_bytes: int | None = None,
    mime_type: str | None = None,
    parallel: int = 4,
) -> UploadedFileDict:
    """Upload a file's parts while its bytes arrive, for `messages.send_uploaded`.

    Raises TooLarge as soon as more than `max_bytes` (or than Telegram takes) came; BadRequest:
    FILE_PARTS_INVALID, and `file_empty` when nothing came.
    Source: https://core.telegram.org/method/upload.saveBigFilePart
    """
