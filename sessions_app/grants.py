"""Which sessions an API key uses: by default, and at all."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts.models import ApiKey, User, create_key
from sessions_app.lookup import get_or_create_session
from sessions_app.models import KeyGrant


def create_key_for_sessions(
    *,
    username: str,
    name: str,
    scopes: Sequence[str],
    sessions: Sequence[str] = (),
    default_session: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key, its user and its sessions where there are none; return it with its plaintext.

    With `sessions` the key is limited to these; the default session is one of them then.
    Raises BadRequest for a bad session name, ValueError for an unknown scope.
    """
    with transaction.atomic():
        user, created = User.objects.get_or_create(username=username)
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        key, plaintext = create_key(user=user, name=name, scopes=scopes, expires_at=expires_at)
        names = list(dict.fromkeys([*sessions, *([default_session] if default_session else [])]))
        for session_name in names:
            KeyGrant.objects.create(
                api_key=key,
                session=get_or_create_session(user, session_name),
                limits=bool(sessions),
                is_default=session_name == default_session,
            )
    return key, plaintext
