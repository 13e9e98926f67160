"""Users, and who is in a chat."""

from typing import Literal

from engine.methods.answers import ParticipantPageDict
from engine.methods.registry import method
from engine.methods.shapes import ChatRef, UserDict

ParticipantFilter = Literal["recent", "search", "admins", "bots", "contacts", "kicked", "banned"]


@method
async def get_participants_page(
    *,
    chat_id: ChatRef,
    offset: int = 0,
    limit: int = 200,
    query: str = "",
    filter: ParticipantFilter = "search",
) -> ParticipantPageDict:
    """Return one page of members (at most 200); Telegram lists about 10 000 of them at most.

    A basic group comes as one page. `recent` orders by when they were last seen.
    Raises BadRequest CHAT_IS_CHANNEL for a broadcast channel that this account does not
    administer, Forbidden CHAT_ADMIN_REQUIRED, NotFound.
    Source: https://core.telegram.org/method/channels.getParticipants
    """


@method
async def get_users(*, user_ids: list[ChatRef]) -> list[UserDict]:
    """Return these users, leaving out those that Telegram no longer has (one call per 200).

    Source: https://core.telegram.org/method/users.getUsers
    """
