"""The files of a job's range: fetched as the settings say, or noted with the reason why not."""

import asyncio
from typing import TYPE_CHECKING

from core.errors import ApiError, TooLarge
from engine.errors import EngineError, FloodWait, NotAuthorized
from scraper import download, loop, media, runtime_settings
from scraper.ends import Source
from scraper.models import FileState, Media
from sessions_app.models import TelegramSession

if TYPE_CHECKING:
    from scraper.job_runner import _Run

ROWS = 200


async def download_all(
    run: "_Run", session: TelegramSession, source: Source, low: int, high: int
) -> None:
    """Fetch the files that the messages `low` to `high` carry and that are not here yet."""
    settings = runtime_settings.current()
    wanted = settings.download_media if run.job.media is None else run.job.media
    if not wanted:
        return
    await run.forget_skipped_files()
    last = source.scope.key(low) - 1
    end = source.scope.key(high)
    while rows := await loop.read(_absent, source, last, end):
        for row in rows:
            last = row.message_id
            await _fetch(run, session, row, settings)
            await run.stop_if_unwanted()
            await asyncio.sleep(0)


def _absent(source: Source, last: int, end: int) -> list[Media]:
    return list(
        Media.objects.select_related("file", "message__chat")
        .filter(message_id__gt=last, message_id__lte=end, file__isnull=False)
        .filter(message__deleted=False, message__expires=False)
        .exclude(file__state=FileState.PRESENT)
        .order_by("message_id")[:ROWS]
    )


async def _fetch(
    run: "_Run",
    session: TelegramSession,
    row: Media,
    settings: runtime_settings.RuntimeSettings,
) -> None:
    file = row.file
    assert file is not None
    message_id = row.message.message_id
    if not settings.download_file_types.get(file.category, True):
        await run.skip(message_id, "type")
        return
    limit = settings.max_media_size_bytes
    if limit is not None and file.size > limit:
        await run.skip(message_id, "too_large")
        return
    try:
        origin = await media.source_of(session, row)
        if await download.fetch(file, origin, limit):
            await run.save(media_downloaded=run.job.media_downloaded + 1)
    except TooLarge:
        await run.skip(message_id, "too_large")
    except (FloodWait, NotAuthorized):
        raise
    except (ApiError, EngineError) as error:
        if error.status in (502, 503):
            raise
        await run.skip(message_id, error.code)
