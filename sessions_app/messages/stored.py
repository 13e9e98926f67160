"""Acting for a stored session."""

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from engine import telegram
from engine.methods.messages import derive_random_id
from sessions_app.idempotency import Answer, RandomIds, send_once
from sessions_app.messages.messenger import Messenger
from sessions_app.messages.pacing import reserve

P = ParamSpec("P")
R = TypeVar("R")


class StoredMessenger(Messenger):
    """Sends once for the user's Idempotency-Key, at the session's pace."""

    def __init__(
        self, session_id: int, *, user_id: int, idempotency_key: str | None = None
    ) -> None:
        self.session_id = session_id
        self.user_id = user_id
        self.idempotency_key = idempotency_key

    def call(
        self,
        method: Callable[P, Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        return telegram.call(self.session_id, method, *args, **kwargs)

    def send_once(
        self, order: dict[str, Any], send: Callable[[RandomIds], Answer], *, count: int = 1
    ) -> Answer:
        def paced(random_id: RandomIds) -> Answer:
            reserve(self.session_id, count)
            return send(random_id)

        if self.idempotency_key is None:
            first = secrets.randbits(63) or 1
            return paced(lambda index: derive_random_id(first, index))
        return send_once(
            user_id=self.user_id,
            key=self.idempotency_key,
            body={"session": self.session_id, **order},
            send=paced,
        )
