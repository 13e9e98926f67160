"""Put messages into a hub's cache as if they had been read: `python -m tests.cached PEER N`.

The environment is the hub's. Its first session becomes the one whose updates keep them.
"""

import os
import random
import sys
from typing import Any

BATCH = 1000
TEXT = "the quick brown fox jumps over a lazy dog съешь ещё этих мягких французских булок"
WORDS = TEXT.split()


def message(peer: int, number: int, chance: random.Random) -> Any:
    """Return a message of about 400 bytes as JSON."""
    seconds = number % 86_400
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return {
        "message_id": number,
        "date": f"2025-06-{1 + number // 86_400:02} {clock}",
        "sender_id": peer,
        "first_name": None,
        "last_name": None,
        "username": None,
        "message": f"{number} {' '.join(chance.choices(WORDS, k=chance.randint(5, 30)))}",
        "media": None,
        "reply_to": None,
        "post_author": None,
        "is_forwarded": 0,
        "forwarded_from_channel_id": None,
        "views": number,
    }


def fill(peer: int, count: int) -> None:
    from django.utils import timezone

    from core.writer import writer
    from scraper import fulltext, store
    from scraper.coverage import Opening
    from scraper.models import Chat, ChatAccess
    from sessions_app.models import TelegramSession

    session = TelegramSession.objects.get()
    now = timezone.now()
    chat = Chat.objects.create(peer_id=peer, type="channel", title="Bench")
    ChatAccess.objects.create(account_id=session.account_id, chat=chat, member=True, checked_at=now)
    scope, chance = store.scope_of(chat), random.Random(1)
    for low in range(1, count + 1, BATCH):
        high = min(low + BATCH - 1, count)
        page = store.Page(
            scope,
            session.account_id,
            [message(peer, number, chance) for number in range(low, high + 1)],
            covered=(low, high),
            opening=Opening(session.pk, now) if high == count else None,
        )
        store.submit(page).result()
    # Or the hub would index them while it is measured.
    fulltext.catch_up(600)
    writer.stop()


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tghub.settings")
    django.setup()
    fill(int(sys.argv[1]), int(sys.argv[2]))
