"""The world behind the sandbox: who exists, what they wrote, and who is told about it.

`World` has a verb for everything that happens at Telegram; each takes the lock, changes the state,
records the events with their pts and hands them to `world.updates`. The parts:

    model     the dataclasses            state     indices and look-ups
    posting   messages                   people    users, contacts, logins
    groups    chats and members          folders   one account's order of dialogs
    logins    codes, QR, passwords
    updates   boxes and pushing          render    TL objects for one viewer
    generate  a lively world from a seed load      a world from a JSON file, and back
"""

from __future__ import annotations

from typing import Any

from sandbox.world.logins import Logins
from sandbox.world.model import Limits


class World(Logins):
    """Everything that a Telegram data centre knows."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_service_notifications()

    @classmethod
    def generate(cls, seed: int = 1, **options: Any) -> World:
        """A lively, realistic world; the same seed gives the same one."""
        from sandbox.world.generate import generate

        world = cls(seed=seed, **options)
        generate(world)
        return world


__all__ = ["Limits", "World"]
