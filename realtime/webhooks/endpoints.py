"""Make, change and test endpoints, and say which sessions one may hear of."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.callers import Caller, check_usable, owner_for
from accounts.models import ALL_SCOPES, ApiKey, Scope, User
from core import events
from core.errors import ApiError, Conflict, Gone, NotFound
from core.models import Event
from core.validation import fail
from realtime.webhooks import payload, sender, signing
from realtime.webhooks.models import Delivery, DeliveryState, PauseReason, WebhookEndpoint
from realtime.webhooks.safety import UnsafeUrl, parse_url
from sessions_app.lookup import find_session, is_limited, visible_sessions

logger = logging.getLogger(__name__)

MAX_ENDPOINTS = 100
# Both secrets sign so long after a rotation.
ROTATION = timedelta(hours=24)
# A delivery is tried so long from the moment when it was due first.
KEEP_TRYING = timedelta(hours=24)

_listeners: list[Callable[[int, bool], None]] = []


class AccessLost(Exception):
    """Who made the endpoint may not read any more: the key is gone, or its user inactive."""


def on_change(listener: Callable[[int, bool], None]) -> Callable[[], None]:
    """Call `listener(endpoint's number, afresh)` after each change; return how to stop it.

    `afresh` says that the endpoint itself was changed, not only that something is due.
    """
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def _changed(endpoint_id: int, *, afresh: bool = True) -> None:
    def tell() -> None:
        for listener in list(_listeners):
            listener(endpoint_id, afresh)

    transaction.on_commit(tell, robust=True)


# Who may see what


def visible_endpoints(caller: Caller, username: str | None = None) -> QuerySet[WebhookEndpoint]:
    """Return the user's endpoints; a key that is limited to sessions sees those it made."""
    endpoints = WebhookEndpoint.objects.select_related("owner")
    endpoints = endpoints.filter(owner=owner_for(caller, username))
    if caller.key is not None and is_limited(caller):
        endpoints = endpoints.filter(key_prefix=caller.key.prefix)
    return endpoints


def find_endpoint(caller: Caller, number: int, username: str | None = None) -> WebhookEndpoint:
    """Return the endpoint; raises NotFound."""
    endpoint = visible_endpoints(caller, username).filter(pk=number).first()
    if endpoint is None:
        raise NotFound("There is no such webhook.", code="webhook_not_found")
    return endpoint


def readable_sessions(endpoint: WebhookEndpoint) -> dict[int, str]:
    """Return the sessions (number → name) whose events the endpoint may get now.

    Raises AccessLost.
    """
    try:
        caller = _caller_behind(endpoint)
        sessions = visible_sessions(caller, endpoint.owner.get_username())
    except ApiError as exc:
        raise AccessLost(exc.detail) from None
    if endpoint.sessions:
        sessions = sessions.filter(name__in=endpoint.sessions)
    return dict(sessions.values_list("pk", "name"))


def _has_access(endpoint: WebhookEndpoint) -> bool:
    try:
        readable_sessions(endpoint)
    except AccessLost:
        return False
    return True


def _caller_behind(endpoint: WebhookEndpoint) -> Caller:
    """Return who the endpoint acts for: its key as of now, else its user."""
    if not endpoint.owner.is_active:
        raise AccessLost("The user is inactive.")
    if not endpoint.key_prefix:
        return Caller(endpoint.owner, None, ALL_SCOPES)
    key = ApiKey.objects.select_related("user").filter(prefix=endpoint.key_prefix).first()
    if key is None:
        raise AccessLost("The API key is gone.")
    check_usable(key)
    caller = Caller(key.user, key, frozenset(key.scopes) & ALL_SCOPES)
    caller.require(Scope.READ.value)
    return caller


# Change


def check_url(url: str) -> str:
    """Return a URL that may be posted to; raises ValidationFailed."""
    try:
        parse_url(url)
    except UnsafeUrl as exc:
        raise fail(str(exc), "url") from None
    return url


def create_endpoint(
    owner: User,
    *,
    url: str,
    caller: Caller | None = None,
    sessions: Sequence[str] = (),
    chats: Sequence[int] = (),
    kinds: Sequence[str] = (),
    description: str = "",
) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint that gets what happens from now on; return it with its secret.

    The secret can be read nowhere afterwards. Without a `caller` (the admin pages) the
    endpoint is bound to its user alone. Raises ValidationFailed, NotFound for a session
    that the caller cannot use, Conflict.
    """
    check_url(url)
    _check_sessions(caller, owner, sessions)
    secret = signing.new_secret()
    with transaction.atomic():
        if WebhookEndpoint.objects.filter(owner=owner).count() >= MAX_ENDPOINTS:
            raise Conflict(
                f"A user has at most {MAX_ENDPOINTS} webhooks.", code="too_many_webhooks"
            )
        endpoint = WebhookEndpoint.objects.create(
            owner=owner,
            key_prefix=_prefix(caller),
            url=url,
            sessions=list(dict.fromkeys(sessions)),
            chats=list(dict.fromkeys(chats)),
            kinds=list(dict.fromkeys(kinds)),
            description=description,
            secret=secret,
            cursor=events.bounds().last,
        )
        _changed(endpoint.pk)
    return endpoint, secret


def update_endpoint(
    endpoint: WebhookEndpoint, caller: Caller | None, fields: dict[str, Any]
) -> None:
    """Change url, sessions, chats, kinds, description or `enabled`.

    An endpoint that is enabled again goes on where it stopped; when its key is not valid
    any more, under the caller's key. With another URL, or enabled (again), what
    waits is tried at once. Raises ValidationFailed, NotFound.
    """
    if "url" in fields:
        check_url(fields["url"])
    if "sessions" in fields:
        _check_sessions(caller, endpoint.owner, fields["sessions"])
    fields = dict(fields)
    enabled = fields.get("enabled")
    if enabled is False and endpoint.enabled:
        fields["paused_reason"] = PauseReason.USER
    elif enabled is True:
        if caller is not None and not _has_access(endpoint):
            fields["key_prefix"] = _prefix(caller)
        fields["paused_reason"] = ""
    retry = enabled is True or fields.get("url", endpoint.url) != endpoint.url
    if retry:
        fields |= {"gone_since": None, "resume_at": None}
    for name, value in fields.items():
        setattr(endpoint, name, value)
    with transaction.atomic():
        endpoint.save(update_fields=[*fields, "updated_at"])
        if retry:
            waiting = endpoint.deliveries.filter(state=DeliveryState.PENDING)
            waiting.update(next_attempt_at=timezone.now())
        _changed(endpoint.pk)


def _check_sessions(caller: Caller | None, owner: User, names: Sequence[str]) -> None:
    caller = caller or Caller(owner, None, ALL_SCOPES)
    for name in names:
        find_session(caller, name, owner.get_username())


def _prefix(caller: Caller | None) -> str:
    return caller.key.prefix if caller is not None and caller.key is not None else ""


def delete_endpoint(endpoint: WebhookEndpoint) -> None:
    number = endpoint.pk
    with transaction.atomic():
        endpoint.delete()
        _changed(number)


def rotate_secret(endpoint: WebhookEndpoint) -> str:
    """Give the endpoint a new secret and return it; the old one signs beside it for a day."""
    secret = signing.new_secret()
    with transaction.atomic():
        endpoint.previous_secret = endpoint.secret
        endpoint.previous_until = timezone.now() + ROTATION
        endpoint.secret = secret
        endpoint.save(update_fields=["secret", "previous_secret", "previous_until", "updated_at"])
    return secret


def pause(endpoint_id: int, reason: PauseReason) -> None:
    """Post nothing more until somebody enables the endpoint again."""
    WebhookEndpoint.objects.filter(pk=endpoint_id, enabled=True).update(
        enabled=False, paused_reason=reason
    )
    logger.warning("Webhook %s is paused: %s", endpoint_id, reason.label)


# Deliveries


def signed_headers(endpoint: WebhookEndpoint, delivery: Delivery, body: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks for an attempt that is made now."""
    in_use = [endpoint.secret]
    until = endpoint.previous_until
    if endpoint.previous_secret is not None and until is not None and until > timezone.now():
        in_use.append(endpoint.previous_secret)
    return signing.signed_headers(
        in_use, message_id=delivery.message_id, timestamp=int(time.time()), body=body
    )


def new_delivery(endpoint_id: int, now: datetime, **fields: Any) -> Delivery:
    """Return an unsaved delivery that is due at once."""
    return Delivery(
        endpoint_id=endpoint_id,
        created_at=now,
        next_attempt_at=now,
        expires_at=now + KEEP_TRYING,
        **fields,
    )


def send_test(endpoint: WebhookEndpoint) -> Delivery:
    """Post a `webhook.test` now, once, also to a paused endpoint; return how it went."""
    now = timezone.now()
    data = {"message": "A test of this webhook."}
    delivery = new_delivery(endpoint.pk, now, kind=payload.TEST, own_data=data)
    body = payload.own_body(delivery.kind, now, data)
    headers = signed_headers(endpoint, delivery, body)
    outcome = asyncio.run(sender.post(endpoint.url, body, headers))
    delivery.state = DeliveryState.DELIVERED if outcome.delivered else DeliveryState.DEAD
    delivery.attempts = 1
    delivery.status_code = outcome.status or None
    delivery.error = outcome.error
    delivery.duration_ms = outcome.duration_ms
    delivery.finished_at = timezone.now()
    delivery.save()
    return delivery


def find_delivery(endpoint: WebhookEndpoint, number: int) -> Delivery:
    """Return a delivery of the endpoint; raises NotFound."""
    delivery = endpoint.deliveries.filter(pk=number).first()
    if delivery is None:
        raise NotFound("There is no such delivery.", code="delivery_not_found")
    return delivery


def redeliver(delivery: Delivery) -> None:
    """Have a finished delivery posted again, outside of the order, for another day.

    Raises Conflict while it is under way, Gone when its event is not kept any more.
    """
    event = Event.objects.filter(pk=delivery.event_id or 0)
    if delivery.own_data is None and not event.exists():
        raise Gone("The event is not kept any more.", code="event_expired")
    now = timezone.now()
    with transaction.atomic():
        again = Delivery.objects.filter(pk=delivery.pk).exclude(state=DeliveryState.PENDING)
        rows = again.update(
            state=DeliveryState.PENDING,
            is_redelivery=True,
            next_attempt_at=now,
            expires_at=now + KEEP_TRYING,
            finished_at=None,
        )
        if not rows:
            raise Conflict("This delivery is still under way.", code="delivery_pending")
        _changed(delivery.endpoint_id, afresh=False)
    delivery.refresh_from_db()
