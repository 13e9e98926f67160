"""The outbox in the database: what is due for whom, and what came of it.

Functions for the outbox's database thread; those that write stand at the process's one
writer. A cursor and the deliveries that it stands for move in one transaction, so that
each event becomes due exactly once, whatever process is killed when.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from core import events
from core.models import Event
from core.writer import writer
from realtime.eventlog import place_of, withdrawn
from realtime.webhooks import payload
from realtime.webhooks.endpoints import (
    AccessLost,
    new_delivery,
    pause,
    readable_sessions,
    signed_headers,
)
from realtime.webhooks.models import Delivery, DeliveryState, PauseReason, WebhookEndpoint
from sessions_app.lease import DRIFT_SECONDS
from sessions_app.models import Node, TelegramSession
from sessions_app.purge import Purge

logger = logging.getLogger(__name__)

PAGE_EVENTS = 200
# So many may wait for one endpoint before the log is read no further for it. Far more than
# a page: an event that its receiver never takes must hold up its own session alone.
WINDOW = 10_000
REDELIVERIES = 50
# An endpoint that answered nothing but 410 for so long is paused.
GONE_AFTER = timedelta(hours=23)
PRUNE_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Owner:
    """The node that posts, under an epoch of its lease."""

    node: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """An endpoint that this node posts for."""

    id: int
    user_id: int
    cursor: int
    resume_at: datetime | None


@dataclass(slots=True, eq=False)
class Due:
    """A delivery that waits. `lane` is whose order it keeps."""

    id: int
    lane: tuple[str, int | None]
    attempts: int
    at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Prepared:
    """An attempt that may be made now."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of an attempt; `next_at` is None when there will be no other."""

    endpoint_id: int
    delivery_id: int
    state: DeliveryState
    at: datetime
    next_at: datetime | None = None
    status: int = 0
    error: str = ""
    duration_ms: int = 0
    # For the endpoint as a whole: Retry-After.
    resume_at: datetime | None = None


class NotOurs(Exception):
    """The endpoint is paused, deleted, or another node's."""


def claim_endpoints(owner: Owner) -> list[Claimed]:
    """Take the endpoints that no living node has, and return those that are ours."""
    enabled = WebhookEndpoint.objects.filter(enabled=True)
    living = Node.objects.filter(
        name=OuterRef("owner_node"),
        epoch=OuterRef("owner_epoch"),
        expires_at__gte=Now() - timedelta(seconds=DRIFT_SECONDS),
    )
    mine = Q(owner_node=owner.node, owner_epoch=owner.epoch)
    free = enabled.exclude(mine).filter(
        Q(owner_node="") | Q(owner_node=owner.node) | ~Exists(living)
    )
    if free.exists():
        writer.submit(lambda: free.update(owner_node=owner.node, owner_epoch=owner.epoch)).result()
    rows = enabled.filter(mine).values_list("pk", "owner_id", "cursor", "resume_at")
    return [Claimed(*row) for row in rows]


def owners_of_news(since: int) -> tuple[set[int], int]:
    """Return the users whose sessions have events after `since`, and the newest event's id."""
    last = events.bounds().last
    sessions = Event.objects.filter(id__gt=since, id__lte=last).values("session_id")
    users = TelegramSession.objects.filter(pk__in=sessions).values_list("owner_id", flat=True)
    return set(users.distinct()), last


def pending(endpoint_id: int, *, redeliveries: bool) -> list[Due]:
    """Return what waits, oldest first, up to a limit: in the order, or asked for by hand."""
    rows = Delivery.objects.filter(endpoint_id=endpoint_id, state=DeliveryState.PENDING)
    limit = REDELIVERIES if redeliveries else WINDOW
    return _due(rows.filter(is_redelivery=redeliveries), limit)


def _due(rows: QuerySet[Delivery], limit: int) -> list[Due]:
    columns = ("pk", "session_id", "is_redelivery", "attempts", "next_attempt_at", "expires_at")
    found = []
    for pk, session_id, again, *facts in rows.order_by("pk").values_list(*columns)[:limit]:
        # Redeliveries have lanes of their own.
        found.append(Due(pk, ("again", pk) if again else ("session", session_id), *facts))
    return found


def advance(endpoint_id: int, owner: Owner, cursor: int, room: int) -> tuple[int, list[Due]]:
    """Read the log after `cursor` and store what is due for the endpoint.

    Returns the new cursor and what became due. Raises NotOurs.
    """
    endpoint = _own_endpoint(endpoint_id, owner)
    sessions = _readable(endpoint)
    page = events.read(
        cursor,
        session_ids=sessions,
        chat_ids=endpoint.chats or None,
        kinds=endpoint.kinds or None,
        limit=min(PAGE_EVENTS, room),
    )
    if page.reset:
        # Go on with the oldest that is kept; beyond the end (a restored database) there is none.
        reached = page.oldest - 1 if cursor < page.oldest else page.next
    elif page.events:
        reached = page.next
    else:
        return page.next, []
    now = timezone.now()
    rows = [
        new_delivery(endpoint_id, now, event_id=e.id, kind=e.kind, session_id=e.session_id)
        for e in page.events
    ]
    if page.reset:
        reset = {"id": page.oldest - 1, "oldest": page.oldest}
        rows.append(new_delivery(endpoint_id, now, kind=payload.RESET, own_data=reset))
    writer.submit(lambda: _store_due(endpoint_id, owner, reached, rows)).result()
    stored = Delivery.objects.filter(uid__in=[row.uid for row in rows])
    return reached, _due(stored, len(rows))


def _store_due(endpoint_id: int, owner: Owner, cursor: int, rows: Sequence[Delivery]) -> None:
    save_cursor(endpoint_id, owner, cursor)
    Delivery.objects.bulk_create(rows, ignore_conflicts=True, batch_size=50)


def save_cursor(endpoint_id: int, owner: Owner, cursor: int) -> None:
    """Note how far the log was looked at; raises NotOurs."""
    rows = WebhookEndpoint.objects.filter(
        pk=endpoint_id, owner_node=owner.node, owner_epoch=owner.epoch
    )
    if not rows.update(cursor=cursor):
        raise NotOurs


def prepare(delivery_id: int, owner: Owner) -> Prepared | Attempt | None:
    """Return what to post now; an Attempt when it is not to be posted, None when it is done.

    Whether the endpoint may see the session, and the session the chat, is asked anew each time.
    Raises NotOurs.
    """
    row = Delivery.objects.select_related("endpoint__owner").filter(pk=delivery_id).first()
    if row is None or row.state != DeliveryState.PENDING:
        return None
    endpoint = row.endpoint
    if not endpoint.enabled or (endpoint.owner_node, endpoint.owner_epoch) != (
        owner.node,
        owner.epoch,
    ):
        raise NotOurs
    if row.own_data is not None:
        body = payload.own_body(row.kind, row.created_at, row.own_data)
    else:
        name = _readable(endpoint).get(row.session_id or 0)
        if name is None:
            return _dropped(row, "The webhook may not hear of this session any more.")
        columns = ("id", "kind", "session_id", "chat_id", "document", "date")
        event = Event.objects.filter(pk=row.event_id or 0).values_list(*columns).first()
        if event is None:
            return _dropped(row, "The event is not kept any more.")
        stored = events.StoredEvent(*event)
        place = place_of(stored)
        if place is not None and withdrawn({place}):
            return _dropped(row, "The session may not read this chat any more.")
        body = payload.event_body(stored, name)
    return Prepared(endpoint.url, body, signed_headers(endpoint, row, body))


def _dropped(row: Delivery, why: str) -> Attempt:
    return Attempt(row.endpoint_id, row.pk, DeliveryState.DROPPED, timezone.now(), error=why)


def _own_endpoint(endpoint_id: int, owner: Owner) -> WebhookEndpoint:
    rows = WebhookEndpoint.objects.select_related("owner").filter(
        pk=endpoint_id, enabled=True, owner_node=owner.node, owner_epoch=owner.epoch
    )
    endpoint = rows.first()
    if endpoint is None:
        raise NotOurs
    return endpoint


def _readable(endpoint: WebhookEndpoint) -> dict[int, str]:
    """Return the sessions that the endpoint may hear of; pauses it when it may hear nothing."""
    try:
        return readable_sessions(endpoint)
    except AccessLost as exc:
        logger.info("Webhook %s: %s", endpoint.pk, exc)
        writer.submit(lambda: pause(endpoint.pk, PauseReason.KEY)).result()
        raise NotOurs from None


def store_attempts(attempts: Sequence[Attempt]) -> None:
    """Store what came of attempts (a writer's job, many at once)."""
    for attempt in attempts:
        rows = Delivery.objects.filter(pk=attempt.delivery_id, state=DeliveryState.PENDING)
        tried = attempt.state != DeliveryState.DROPPED
        rows.update(
            state=attempt.state,
            attempts=F("attempts") + int(tried),
            status_code=attempt.status or None,
            error=attempt.error[:200],
            duration_ms=attempt.duration_ms if tried else None,
            next_attempt_at=attempt.next_at or attempt.at,
            finished_at=None if attempt.next_at else attempt.at,
        )
        if tried:
            _note_health(attempt)
        if attempt.state == DeliveryState.DEAD:
            _give_up_the_rest(attempt)


def _note_health(attempt: Attempt) -> None:
    """Note since when the endpoint fails; pause one whose receiver is gone for good."""
    endpoint = WebhookEndpoint.objects.filter(pk=attempt.endpoint_id)
    if attempt.state == DeliveryState.DELIVERED:
        endpoint.exclude(failing_since=None, gone_since=None, resume_at=None).update(
            failing_since=None, gone_since=None, resume_at=None
        )
        return
    gone = attempt.status == 410
    endpoint.update(
        failing_since=Coalesce("failing_since", attempt.at),
        gone_since=Coalesce("gone_since", attempt.at) if gone else None,
        resume_at=attempt.resume_at,
    )
    if gone and endpoint.filter(gone_since__lte=attempt.at - GONE_AFTER).exists():
        pause(attempt.endpoint_id, PauseReason.GONE)


def _give_up_the_rest(attempt: Attempt) -> None:
    """Behind a delivery that was given up, those whose time is over too go with it."""
    row = Delivery.objects.filter(pk=attempt.delivery_id).first()
    if row is None or row.is_redelivery:
        return
    Delivery.objects.filter(
        endpoint_id=row.endpoint_id,
        session_id=row.session_id,
        state=DeliveryState.PENDING,
        is_redelivery=False,
        expires_at__lte=attempt.at,
    ).update(
        state=DeliveryState.DEAD,
        finished_at=attempt.at,
        error="Given up behind one that could not be delivered.",
    )


def prune() -> int:
    """Remove finished deliveries as old as events get; return how many."""
    before = timezone.now() - timedelta(days=settings.EVENT_RETENTION_DAYS)
    removed = 0
    while True:
        old = Delivery.objects.filter(finished_at__lt=before).order_by("finished_at")
        found = list(old.values_list("pk", flat=True)[:PRUNE_BATCH])
        if not found:
            return removed
        removed += writer.submit(partial(_remove, found)).result()


def _remove(pks: list[int]) -> int:
    return Delivery.objects.filter(pk__in=pks).delete()[0]


def forget_session(purge: Purge) -> None:
    """Deliveries of a session that is destroyed, or becomes another account's, go with it."""
    Delivery.objects.filter(session_id=purge.session_id).delete()
