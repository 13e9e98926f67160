"""Finished files: putting them away, finding them again, making room.

Two ids at Telegram with the same content share one stored file. The content is moved first and
the row written after it: what a crash leaves in between is found again by its name.
"""

import contextlib
import hashlib
import logging
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path

from django.conf import settings
from django.db.models import Max, QuerySet
from django.utils import timezone

from core.writer import writer
from scraper import storage
from scraper.models import File, FileState
from scraper.storage import Stored

logger = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024


def open_file(file: File) -> Stored | None:
    """Open a finished file; None when it is not here (any more), or not whole."""
    if file.state != FileState.PRESENT or not file.path:
        return None
    stored = storage.open_stored(file.path)
    if stored is not None and stored.size != file.stored_bytes:
        stored.close()
        return None
    return stored


def put(file: File, part: Path, size: int, sha256: str, twin: str) -> None:
    """Put a finished part away and note it in the row; blocking, on no writer's thread.

    `twin` is what `find_twin` told.
    """
    if twin:
        part.unlink(missing_ok=True)
    else:
        storage.move_in(part, storage.name_of(file.kind, file.telegram_id))
    _note(file, twin or storage.name_of(file.kind, file.telegram_id), size, sha256)


def adopt(file: File) -> bool:
    """Take over what a crash left without its row; whether there was something."""
    name = storage.name_of(file.kind, file.telegram_id)
    stored = storage.open_stored(name)
    if stored is None:
        return False
    digest, position = hashlib.sha256(), 0
    try:
        while chunk := stored.read(position, MEGABYTE):
            digest.update(chunk)
            position += len(chunk)
    finally:
        stored.close()
    if file.sha256 and (file.sha256, file.stored_bytes) != (digest.hexdigest(), position):
        storage.storage().delete(name)  # it was whole once, and is not any more
        return False
    _note(file, name, position, digest.hexdigest())
    return True


def find_twin(file: File, sha256: str, size: int) -> str:
    """Return the path of the same content under another id, "" when there is none."""
    others = File.objects.filter(sha256=sha256, state=FileState.PRESENT).exclude(pk=file.pk)
    for other in others.exclude(sha256="")[:5]:
        stored = storage.open_stored(other.path)
        if stored is not None:
            stored.close()
            if stored.size == size:
                return other.path
    return ""


def _note(file: File, name: str, size: int, sha256: str) -> None:
    now = timezone.now()
    facts = {
        "state": FileState.PRESENT,
        "stored_bytes": size,
        "size": size,
        "sha256": sha256,
        "path": name,
        "error": "",
        "used_at": now,
        "stored_at": now,
    }
    writer.submit(lambda: File.objects.filter(pk=file.pk).update(**facts)).result(60)
    for key, value in facts.items():
        setattr(file, key, value)


def note_state(file_id: int, state: FileState, error: str = "") -> "Future[int]":
    """Note how far a file is, unless it is finished."""
    return writer.submit(
        lambda: (
            File.objects.filter(pk=file_id)
            .exclude(state=FileState.PRESENT)
            .update(state=state, error=error[:200])
        )
    )


def note_use(file_id: int) -> None:
    """Remember that somebody asked for the file: what was not used for longest goes first."""
    writer.submit(lambda: File.objects.filter(pk=file_id).update(used_at=timezone.now()))


# Room


def quota_bytes() -> int | None:
    """Return how much finished files may take; None for no limit."""
    megabytes = settings.TGHUB_MEDIA_QUOTA_MB
    return megabytes * MEGABYTE if megabytes else None


def used_bytes() -> int:
    """Return how much finished files take, each content counted once."""
    present = File.objects.filter(state=FileState.PRESENT).exclude(path="")
    contents = present.values("path").annotate(bytes=Max("stored_bytes"))
    return sum(content["bytes"] for content in contents)


def has_room(size: int) -> bool:
    """Tell whether the quota leaves room for a file of this size."""
    quota = quota_bytes()
    return quota is None or used_bytes() + size <= quota


def make_room(keep: int) -> int:
    """Drop what was not used for longest until the quota holds; return the bytes freed.

    `keep` is the file that the room is for; one that the quota has no room for goes itself, and
    nothing else: whoever reads it has it open.
    """
    quota = quota_bytes()
    if quota is None:
        return 0
    kept = File.objects.filter(pk=keep, state=FileState.PRESENT).first()
    if kept is not None and kept.stored_bytes > quota:
        return drop([keep])
    over, freed = used_bytes() - quota, 0
    if over <= 0:
        return 0
    oldest = File.objects.filter(state=FileState.PRESENT).exclude(pk=keep).order_by("used_at", "pk")
    for file in oldest.iterator(chunk_size=200):
        if freed >= over:
            break
        freed += drop([file.pk])
    if freed:
        logger.info("The media quota is full: %d bytes of unused files were dropped", freed)
    return freed


def drop(file_ids: Iterable[int]) -> int:
    """Delete the content of files, which can be fetched again; return the bytes freed.

    Content that another file shares stays.
    """
    ids = list(file_ids)
    rows = File.objects.filter(pk__in=ids).exclude(path="")
    found = {row.path: row.stored_bytes for row in rows}
    parts = [
        storage.part_path(row.kind, row.telegram_id) for row in File.objects.filter(pk__in=ids)
    ]
    writer.submit(lambda: _forget(File.objects.filter(pk__in=ids))).result(60)
    for part in parts:
        part.unlink(missing_ok=True)
        part.with_name(part.name + ".json").unlink(missing_ok=True)
    shared = set(File.objects.filter(path__in=found).values_list("path", flat=True))
    freed = 0
    for path, size in found.items():
        if path not in shared:
            with contextlib.suppress(OSError):
                storage.storage().delete(path)
                freed += size
    return freed


def _forget(files: "QuerySet[File]") -> None:
    files.update(state=FileState.ABSENT, path="", stored_bytes=0, sha256="", stored_at=None)
