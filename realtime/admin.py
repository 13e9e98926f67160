"""Admin pages of this room."""

from realtime.webhooks import admin as webhooks

__all__ = ["webhooks"]
