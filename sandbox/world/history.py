"""Messages of one dialog in id order, found by id or date in O(log n)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.world.model import Message


class History:
    """`ids` and `messages` run in parallel, oldest first; dates never fall as ids rise.

    A history may be *lazy*: `fill(history)` is run once, before the first look at it, so that a
    world with large channels starts at once.
    """

    __slots__ = ("_fill", "_ids", "_messages", "deleted")

    def __init__(self, fill: Callable[[History], None] | None = None) -> None:
        self._ids: list[int] = []
        self._messages: list[Message] = []
        self._fill = fill
        self.deleted: set[int] = set()

    @property
    def ids(self) -> list[int]:
        if self._fill is not None:
            self._run_fill()
        return self._ids

    @property
    def messages(self) -> list[Message]:
        if self._fill is not None:
            self._run_fill()
        return self._messages

    def _run_fill(self) -> None:
        fill, self._fill = self._fill, None
        assert fill is not None
        fill(self)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    @property
    def top(self) -> Message | None:
        """The newest message."""
        return self.messages[-1] if self.messages else None

    @property
    def top_id(self) -> int:
        return self.ids[-1] if self.ids else 0

    def append(self, message_id: int, message: Message) -> None:
        """Add the newest message; ids only grow."""
        ids = self.ids
        if ids and message_id <= ids[-1]:
            raise ValueError("message ids must grow")
        ids.append(message_id)
        self._messages.append(message)

    def get(self, message_id: int) -> Message | None:
        index = bisect_left(self.ids, message_id)
        if index < len(self._ids) and self._ids[index] == message_id:
            return self._messages[index]
        return None

    def remove(self, message_id: int) -> Message | None:
        """Take a message out and remember that it was there."""
        index = bisect_left(self.ids, message_id)
        if index == len(self._ids) or self._ids[index] != message_id:
            return None
        self.deleted.add(message_id)
        del self._ids[index]
        return self._messages.pop(index)

    def index_of_id(self, message_id: int) -> int:
        """How many messages have a smaller id."""
        return bisect_left(self.ids, message_id)

    def index_after_id(self, message_id: int) -> int:
        """How many messages have this id or a smaller one."""
        return bisect_right(self.ids, message_id)

    def index_of_date(self, date: int) -> int:
        """How many messages are older than `date`."""
        return bisect_left(self.messages, date, key=lambda message: message.date)
