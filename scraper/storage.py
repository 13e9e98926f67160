"""Where finished files lie: Django's `STORAGES["media"]`, the data directory unless configured.

Names are made from Telegram's ids alone, never from what a sender wrote.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File as DjangoFile
from django.core.files.storage import FileSystemStorage, Storage, storages

_KINDS = ("document", "photo", "chat_photo", "imported")


class MediaStorage(FileSystemStorage):
    """`DATA_DIR/media`, readable by the hub's user alone."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("file_permissions_mode", 0o600)
        options.setdefault("directory_permissions_mode", 0o700)
        super().__init__(**options)

    @property
    def base_location(self) -> str:
        return str(media_dir())

    @property
    def location(self) -> str:
        return os.path.abspath(self.base_location)


def media_dir() -> Path:
    return Path(settings.DATA_DIR) / "media"


def part_path(kind: str, telegram_id: int) -> Path:
    """Return where a file is put together; parts are local, whatever the storage is."""
    return media_dir() / "parts" / f"{_stem(kind, telegram_id)}.part"


def name_of(kind: str, telegram_id: int) -> str:
    """Return the name of a finished file in the storage."""
    return f"{kind}s/{telegram_id & 0xFF:02x}/{_stem(kind, telegram_id)}"


def thumb_name(kind: str, telegram_id: int, letter: str) -> str:
    """Return the name of a preview; `letter` is Telegram's name of its size."""
    safe = letter if letter.isascii() and letter.isalnum() else letter.encode().hex()
    return f"thumbs/{telegram_id & 0xFF:02x}/{_stem(kind, telegram_id)}-{safe}"


def _stem(kind: str, telegram_id: int) -> str:
    if kind not in _KINDS:
        raise ValueError(f"no kind of file: {kind!r}")
    return f"{kind}-{telegram_id & (1 << 64) - 1:016x}"


def storage() -> Storage:
    found: Storage = storages["media"]
    return found


def local_path(name: str) -> Path | None:
    """Return the path of a stored file, None when the storage is not on this disk."""
    try:
        return Path(storage().path(name))
    except NotImplementedError:
        return None


def move_in(part: Path, name: str) -> None:
    """Put a finished part under its name: at once on the same disk, else by copying."""
    target = local_path(name)
    if target is None:
        with part.open("rb") as content:
            storage().save(name, DjangoFile(content))
        part.unlink()
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part.replace(target)


@dataclass(slots=True)
class Stored:
    """A finished file, open for reading by offset. Close it."""

    size: int
    _fd: int | None
    _file: Any = None

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes from `offset`; blocking."""
        if self._fd is not None:
            return os.pread(self._fd, length, offset)
        self._file.seek(offset)
        content: bytes = self._file.read(length)
        return content

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        elif self._file is not None:
            self._file.close()


def open_stored(name: str) -> Stored | None:
    """Open a stored file; None when it is not there. Links are not followed."""
    path = local_path(name)
    if path is None:
        if not storage().exists(name):
            return None
        return Stored(storage().size(name), None, storage().open(name, "rb"))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    return Stored(os.fstat(fd).st_size, fd)
