"""Acting for a session that travels with the request."""

import hashlib
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from core.errors import BadRequest
from engine import telegram
from engine.methods.messages import derive_random_id
from engine.wire import Carried
from sessions_app.idempotency import MAX_KEY_LENGTH, Answer, RandomIds
from sessions_app.messages.messenger import Messenger

P = ParamSpec("P")
R = TypeVar("R")


class CarriedMessenger(Messenger):
    """`carried` is the session as it is after the last call."""

    def __init__(self, carried: Carried, idempotency_key: str | None = None) -> None:
        self.carried = carried
        self.idempotency_key = idempotency_key

    def call(
        self,
        method: Callable[P, Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        result, self.carried = telegram.carry(self.carried, method, *args, **kwargs)
        return result

    def send_once(
        self, order: dict[str, Any], send: Callable[[RandomIds], Answer], *, count: int = 1
    ) -> Answer:
        """Send with the random ids that the key gives: Telegram takes each of them once."""
        first = first_random_id(self.carried, self.idempotency_key)
        return send(lambda index: derive_random_id(first, index))


def first_random_id(carried: Carried, key: str | None) -> int:
    """Return a `random_id`: for the same session and key the same on every node."""
    if key is None:
        return secrets.randbits(63) or 1
    if not key.isprintable() or not 0 < len(key) <= MAX_KEY_LENGTH:
        raise BadRequest(
            f"Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable characters.",
            code="bad_idempotency_key",
        )
    secret = hashlib.sha256(b"tghub random_id\0" + (carried.auth_key or b"")).digest()
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), key=secret, digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1 or 1
