"""Who may read what of the cache: only as far as Telegram grants it to the session's account.

Every read of cached messages, media, hits and exports begins with one of these querysets.
"""

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from scraper.models import Chat, ChatAccess, Media, Message
from sessions_app.models import TelegramSession

RECHECK_VISITOR = timedelta(minutes=10)
"""How long a grant holds in a public channel that the account has not joined."""

PRIVATE_TYPES = ("user", "bot", "saved")

STANDS = """
scraper_chataccess access
JOIN sessions_app_telegramsession session ON session.account_id = access.account_id
WHERE session.id = %s AND session.state = 'ready' AND access.account_id = %s
"""
"""Grants that nobody has taken back, as SQL after FROM; takes the session and its account.

What was `confirmed` is asked for again with every page and every second of a file: a queryset
would take a hundred times as long.
"""


def confirmed(session: TelegramSession) -> QuerySet[ChatAccess]:
    """Return the grants of the session's account that hold without asking Telegram again.

    A private chat is the account's own; what can be taken away must have been confirmed since
    the session connected last, and where it is no member within `RECHECK_VISITOR`.
    """
    fresh = Q(member=True) | Q(checked_at__gt=timezone.now() - RECHECK_VISITOR)
    if session.connected_at is not None:
        fresh &= Q(checked_at__gte=session.connected_at)
    if session.account_id is None:
        return ChatAccess.objects.none()
    return ChatAccess.objects.filter(
        Q(chat__account__isnull=True) | Q(chat__account=session.account_id),
        Q(chat__type__in=PRIVATE_TYPES) | (Q(checked_at__isnull=False) & fresh),
        account_id=session.account_id,
    )


def readable_chats(session: TelegramSession) -> QuerySet[Chat]:
    """Return the chats of which the session may read something."""
    return Chat.objects.filter(Exists(confirmed(session).filter(chat=OuterRef("pk"))))


def readable_messages(session: TelegramSession, chat: Chat | None = None) -> QuerySet[Message]:
    """Return the cached messages that the session may see, in one chat or in all.

    Deleted ones are among them. Narrow it by `id` (`Chat.key`) to page through one chat.
    """
    if chat is not None:
        access = confirmed(session).filter(chat=chat).first()
        if access is None:
            return Message.objects.none()
        first, beyond = chat.key(access.min_id), chat.key(0) + (1 << 32)
        return Message.objects.filter(chat=chat, id__gte=first, id__lt=beyond)
    grants = confirmed(session).filter(chat=OuterRef("chat_id"), min_id__lte=OuterRef("message_id"))
    return Message.objects.filter(Exists(grants))


def readable_media(session: TelegramSession) -> QuerySet[Media]:
    """Return the media of the messages that the session may see, and what it alone paid for."""
    grants = confirmed(session).filter(
        chat=OuterRef("message__chat_id"), min_id__lte=OuterRef("message__message_id")
    )
    return Media.objects.filter(
        Exists(grants), Q(account__isnull=True) | Q(account=session.account_id)
    )
