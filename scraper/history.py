"""The history of a dialog as server-sent events, from the cache and from Telegram.

frames = await history.stream(session, "-1001234567890", HistoryQuery(chunk_size=250))
async with aclosing(frames):
    async for frame in frames:
        await send(frame)
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from sessions_app.models import TelegramSession

CHUNK_SIZE = 100
MAX_CHUNK_SIZE = 10_000
KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = b": keep-alive\n\n"


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """What a client asks for.

    `start` and `end` are Unix seconds, both included; None is the beginning, and now. `after_id`
    is the `Last-Event-ID`: the last message that the client has, in the order of the stream (0:
    none). `max_wait` is for how many seconds of a flood wait the client is kept waiting.
    """

    start: int | None = None
    end: int | None = None
    chunk_size: int = CHUNK_SIZE
    reverse: bool = True
    force_refresh: bool = False
    include_deleted: bool = False
    after_id: int = 0
    max_wait: float = 60.0


async def stream(
    session: TelegramSession, dialog: str, query: HistoryQuery
) -> AsyncGenerator[bytes, None]:
    """Return the frames of a dialog's history, ready to be sent; each is one SSE event.

    What goes wrong here, before the first byte, is raised: NotFound (unknown, or not to be
    read), FloodWait (longer than `max_wait`), other ApiErrors and EngineErrors. What goes wrong
    later is a last frame `event: error`. A whole stream ends with `event: end`; while Telegram
    is waited for, `KEEP_ALIVE` comes every 15 seconds. Close the generator (`aclosing`) or let
    its task be cancelled to stop the work.
    """
    raise NotImplementedError
