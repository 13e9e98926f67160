"""Who reads a file that is on its way: from any loop, each at a place of its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scraper import loop

if TYPE_CHECKING:
    from scraper.download import Download


@dataclass(slots=True, eq=False)
class Reader:
    """Reads a file from `position` to `end` (exclusive; None: to its end) as it arrives."""

    download: "Download"
    position: int = 0
    end: int | None = None
    waiting: bool = False

    async def next(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises EngineError, ApiError."""
        return await loop.here(self.download.read(self))

    async def total(self) -> int:
        """Wait until the file's true size is known."""
        return await loop.here(self.download.wait_for_total(self))

    @property
    def known_total(self) -> int | None:
        """The file's true size, None before it is known."""
        return self.download.total

    def close(self) -> None:
        """Take no more; safe from any thread, more than once."""
        loop.start().call_soon_threadsafe(self.download.leave, self)
