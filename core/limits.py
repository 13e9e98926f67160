"""Rate limits that hold exactly, also between threads, and with Redis between machines.

A moving window: never more than n in any stretch of the period.
"""

import hashlib
import logging
import threading
import time
from collections import deque
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MovingWindowSupport, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from core.errors import TooManyRequests
from core.network import client_address

logger = logging.getLogger(__name__)

# Overridden one by one by settings.TGHUB_RATES.
RATES = {
    # Calls per API key, or per address where there is none.
    "call": "1200/minute",
    # Wrong API keys per address.
    "failed_key": "30/minute",
    # Codes asked for, per phone, per session and per user.
    "send_code": "5/10 minutes",
    # Codes and passwords tried, per session and per phone.
    "try_code": "5/10 minutes",
    "try_password": "5/10 minutes",
}


@lru_cache
def rate(name: str) -> RateLimitItem:
    """Return the limit called `name`; raises KeyError when there is none."""
    return parse({**RATES, **getattr(settings, "TGHUB_RATES", {})}[name])


class ProcessStorage(Storage, MovingWindowSupport):
    """Moving windows of this process under one lock.

    The package's own memory storage starts a timer thread every 10 ms under load, which
    walks all keys and forgets none, and may drop a lock that somebody waits for.
    """

    STORAGE_SCHEME = ["tghub-process"]
    base_exceptions = ValueError
    SWEEP_SECONDS = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        # Per key: the period in seconds, and when each act that still counts took place.
        self._windows: dict[str, tuple[int, deque[float]]] = {}
        self._next_sweep = 0.0

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = time.time()
        with self._lock:
            self._sweep(now)
            acts = self._windows.setdefault(key, (expiry, deque()))[1]
            while acts and acts[0] <= now - expiry:
                acts.popleft()
            if len(acts) + amount > limit:
                return False
            acts.extend([now] * amount)
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        now = time.time()
        with self._lock:
            acts = [at for at in self._windows.get(key, (0, ()))[1] if at > now - expiry]
        return (acts[0] if acts else now), len(acts)

    def clear(self, key: str) -> None:
        with self._lock:
            self._windows.pop(key, None)

    def reset(self) -> int:
        with self._lock:
            count = len(self._windows)
            self._windows.clear()
        return count

    def check(self) -> bool:
        return True

    def _sweep(self, now: float) -> None:
        if now < self._next_sweep:
            return
        self._next_sweep = now + self.SWEEP_SECONDS
        for key, (expiry, acts) in list(self._windows.items()):
            if not acts or acts[-1] <= now - expiry:
                del self._windows[key]

    # Of the fixed windows, which nobody uses here.
    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError

    def get(self, key: str) -> int:
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        raise NotImplementedError


# Made once, even if many threads come first: two storages would each allow the whole limit.
_making = threading.RLock()
_made: dict[str, MovingWindowRateLimiter] = {}


def _limiter() -> MovingWindowRateLimiter:
    """Return what counts for all processes, or for this one where there is no Redis."""
    return _made.get("shared") or _make("shared", settings.REDIS_URL)


def _local_limiter() -> MovingWindowRateLimiter:
    return _made.get("local") or _make("local", "")


def _make(name: str, redis_url: str) -> MovingWindowRateLimiter:
    with _making:
        if name not in _made:
            if redis_url:
                # A Redis that hangs must not hold up every request; redis-py refuses the
                # 101st connection unless told otherwise.
                options: Any = {
                    "socket_timeout": 2,
                    "socket_connect_timeout": 2,
                    "max_connections": 2000,
                }
                storage = storage_from_string(redis_url, wrap_exceptions=True, **options)
                _made[name] = MovingWindowRateLimiter(storage)
            elif name == "local":
                _made[name] = MovingWindowRateLimiter(ProcessStorage())
            else:
                _made[name] = _local_limiter()
        return _made[name]


def hit(name: str, *who: object) -> None:
    """Count one act of `who` against the limit `name`; raises TooManyRequests.

    `who` says what is counted, for example `"phone", "+49…"`; it is hashed, so that no
    phone number stands in Redis. When Redis is away, each process counts for itself.
    """
    item, key = rate(name), _key(who)
    for limiter in (_limiter, _local_limiter):
        try:
            if limiter().hit(item, name, key):
                return
            reset_at = limiter().get_window_stats(item, name, key).reset_time
        except StorageError:
            logger.warning("Redis does not answer: limits hold per process")
            continue
        raise TooManyRequests("Too many requests.", retry_after=max(1, reset_at - time.time()))


def forget(name: str, *who: object) -> None:
    """Start the count of `who` anew, as after a login that went well."""
    try:
        _limiter().clear(rate(name), name, _key(who))
    except StorageError:
        _local_limiter().clear(rate(name), name, _key(who))


def _key(who: tuple[object, ...]) -> str:
    return hashlib.sha256("\0".join(map(str, who)).encode()).hexdigest()[:32]


def reset(**kwargs: Any) -> None:
    """Forget every count of this process and read the settings anew."""
    if kwargs.get("setting") in (None, "TGHUB_RATES", "REDIS_URL"):
        rate.cache_clear()
        _made.clear()


setting_changed.connect(reset)


class CallerThrottle(BaseThrottle):
    """Counts each call of a DRF view against the limit that `view.rate` names ("call").

    What is counted: the API key, else the user, else the address.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        hit(getattr(view, "rate", "call"), *caller_identity(request))
        return True


def caller_identity(request: Any) -> tuple[str, object]:
    """Return what limits count for a DRF request."""
    key = getattr(getattr(request, "auth", None), "key", None)
    if key is not None:
        return "key", key.pk
    user = getattr(request, "user", None)
    if user is not None and user.pk is not None:
        return "user", user.pk
    meta = request.META
    return "ip", client_address(meta.get("REMOTE_ADDR"), meta.get("HTTP_X_FORWARDED_FOR"))
