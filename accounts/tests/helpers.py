"""Objects for tests: Alice owns, Bob is another customer, Charlie may administer."""

from collections.abc import Iterable
from datetime import datetime

from accounts.models import ALL_SCOPES, ApiKey, User, create_key


def make_user(username: str = "alice", **fields: object) -> User:
    user, _ = User.objects.get_or_create(username=username, defaults=fields)
    return user


def make_key(
    user: User | None = None,
    scopes: Iterable[str] = ALL_SCOPES,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    return create_key(user=user or make_user(), name="test", scopes=scopes, expires_at=expires_at)
