"""Keys that are revoked close what they opened: one look at all of them every few seconds."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.errors import ApiError
from realtime.eventlog import Access, access_again
from realtime.threads import look_up

logger = logging.getLogger(__name__)

EVERY_SECONDS = 2.0


@dataclass(eq=False, slots=True)
class _Watched:
    access: Access
    changed: Callable[[Access], None]
    ended: Callable[[ApiError], None]


class Watch:
    """Looks again at who is connected, while anybody is."""

    def __init__(self) -> None:
        self._watched: set[_Watched] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, one: _Watched) -> None:
        self._watched.add(one)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def remove(self, one: _Watched) -> None:
        self._watched.discard(one)

    async def _run(self) -> None:
        while self._watched:
            await asyncio.sleep(EVERY_SECONDS)
            groups: dict[tuple[int, str | None], list[_Watched]] = {}
            for one in self._watched:
                caller = one.access.caller
                if caller.key is not None:
                    groups.setdefault((caller.key.pk, one.access.username), []).append(one)
            if not groups:
                continue
            try:
                answers = await look_up(_look, [group[0].access for group in groups.values()])
            except Exception as error:
                # Whoever cannot be checked stays until they can be.
                logger.warning("Keys cannot be checked: %s", type(error).__name__)
                continue
            for group, answer in zip(groups.values(), answers, strict=True):
                for one in group:
                    if isinstance(answer, ApiError):
                        one.ended(answer)
                    else:
                        one.access = answer
                        one.changed(answer)


def _look(accesses: list[Access]) -> list[Access | ApiError]:
    answers: list[Access | ApiError] = []
    for access in accesses:
        try:
            answers.append(access_again(access))
        except ApiError as error:
            answers.append(error)
    return answers


_watches: dict[asyncio.AbstractEventLoop, Watch] = {}


@asynccontextmanager
async def watched(
    access: Access,
    ended: Callable[[ApiError], None],
    changed: Callable[[Access], None] = lambda access: None,
) -> AsyncIterator[None]:
    """While the block runs, call `ended` once the caller may not go on, else `changed`."""
    loop = asyncio.get_running_loop()
    if loop not in _watches:
        _watches.clear()
        _watches[loop] = Watch()
    one = _Watched(access, changed, ended)
    watch = _watches[loop]
    watch.add(one)
    try:
        yield
    finally:
        watch.remove(one)
