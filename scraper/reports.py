"""What is cached of a chat, told to people."""

from typing import Any

from django.db.models import Count, Max, Min

from scraper import coverage, intervals
from scraper.dialog_cache import top_message_id
from scraper.jobs import iso
from scraper.models import Chat, ChatAccess, Dialog, Message


def coverage_of(chat: Chat, access: ChatAccess) -> dict[str, Any]:
    """Return the intervals and holes of a chat, as far as the account may see it.

    The newest end is the one that is known without asking Telegram; where none is known,
    nothing is complete.
    """
    covered = coverage.load(chat.pk)
    live_end = coverage.live_end(chat)
    first = max(access.min_id, 1)
    newest = max(chat.top_message_id, live_end or 0) or _newest_listed(chat, access)
    last = max(covered[-1][1] if covered else 0, newest)
    found = [_interval(chat, low, high) for low, high in intervals.clip(covered, first, last)]
    missing = intervals.holes(covered, first, last)
    return {
        "dialog_id": chat.peer_id,
        "dialog_name": chat.title,
        "first_id": first,
        "last_id": last,
        "messages": sum(each["messages"] for each in found),
        "is_complete": bool(covered and newest) and not missing,
        "is_live": live_end is not None,
        "intervals": found,
        "holes": [{"first_id": low, "last_id": high} for low, high in missing],
    }


def _newest_listed(chat: Chat, access: ChatAccess) -> int:
    """Return the newest message that the account's list of dialogs tells of, 0 for none."""
    row = Dialog.objects.filter(account_id=access.account_id, peer_id=chat.peer_id).first()
    return 0 if row is None else top_message_id(row)


def _interval(chat: Chat, low: int, high: int) -> dict[str, Any]:
    facts = Message.objects.filter(
        id__gte=chat.key(low), id__lte=chat.key(high), deleted=False
    ).aggregate(messages=Count("id"), first=Min("date"), last=Max("date"))
    return {
        "first_id": low,
        "last_id": high,
        "messages": facts["messages"],
        "first_date": iso(facts["first"]),
        "last_date": iso(facts["last"]),
    }
