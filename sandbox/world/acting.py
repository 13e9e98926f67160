"""An account's own action: its updates go into the result, not to the acting session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telethon.tl import types

from sandbox.world.dates import utc

if TYPE_CHECKING:
    from sandbox.rpc import Origin
    from sandbox.world.model import PeerId
    from sandbox.world.state import State


class Act:
    """Collects the TL updates that concern the acting account, in the order they happened."""

    def __init__(self, world: State, user_id: int, origin: Origin | None) -> None:
        self.world = world
        self.user_id = user_id
        self.origin = origin
        self.updates: list[Any] = []
        self.peers: set[PeerId] = set()

    def add(self, updates: list[Any], peers: set[PeerId]) -> None:
        self.updates.extend(updates)
        self.peers |= peers

    def result(self, extra: list[Any] | None = None, peers: set[PeerId] | None = None) -> Any:
        """TL `Updates` for the RPC result: `extra` (updateMessageID) first, then the collected.

        `seq` is 0, as in everything that answers or is pushed.
        https://core.telegram.org/api/updates
        """
        users, chats = self.world.updates.describe(self.user_id, self.peers | (peers or set()))
        return types.Updates(
            updates=[*(extra or []), *self.updates],
            users=users,
            chats=chats,
            date=utc(self.world.now()),
            seq=0,
        )

    def affected(self) -> Any:
        """TL `messages.AffectedMessages` of the collected account events (pts, pts_count)."""
        pts, count = self.pts()
        return types.messages.AffectedMessages(pts=pts, pts_count=count)

    def pts(self) -> tuple[int, int]:
        """Newest pts and the number of events collected; (current pts, 0) when nothing changed."""
        numbered = [update for update in self.updates if getattr(update, "pts_count", None)]
        if not numbered:
            return self.world.user(self.user_id).box.pts, 0
        return numbered[-1].pts, sum(update.pts_count for update in numbered)
