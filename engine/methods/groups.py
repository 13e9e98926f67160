"""Joining and leaving chats, and their invite links."""

from engine.methods.answers import InviteDict, InviteLinkDict, JoinedDict
from engine.methods.registry import method
from engine.methods.shapes import ChatRef


@method
async def join(*, group: ChatRef) -> JoinedDict:
    """Join a public chat (`@name`, link) or, by an invite (`t.me/+…`, `+hash`), a private one.

    Being a member already is an answer for public chats (`already_member`); for an invite
    Telegram refuses it: Conflict USER_ALREADY_PARTICIPANT.
    Raises BadRequest: INVITE_HASH_EXPIRED, INVITE_HASH_INVALID, CHANNELS_TOO_MUCH; NotFound.
    Source: https://core.telegram.org/method/channels.joinChannel
    """


@method
async def leave(*, chat_id: ChatRef) -> bool:
    """Leave a group, supergroup or channel.

    Raises BadRequest: USER_NOT_PARTICIPANT, USER_CREATOR.
    Source: https://core.telegram.org/method/channels.leaveChannel
    """


@method
async def check_invite(*, link: str) -> InviteDict:
    """Tell where an invite link leads, without joining.

    Raises BadRequest: INVITE_HASH_EXPIRED, INVITE_HASH_INVALID.
    Source: https://core.telegram.org/method/messages.checkChatInvite
    """


@method
async def create_invite_link(
    *,
    chat_id: ChatRef,
    title: str | None = None,
    expire_date: int | None = None,
    usage_limit: int | None = None,
    request_needed: bool = False,
) -> InviteLinkDict:
    """Make another invite link; `expire_date` is Unix seconds.

    Raises Forbidden: CHAT_ADMIN_REQUIRED.
    Source: https://core.telegram.org/method/messages.exportChatInvite
    """


@method
async def list_invite_links(
    *, chat_id: ChatRef, revoked: bool = False, limit: int = 100
) -> list[InviteLinkDict]:
    """Return the invite links that this account made for the chat.

    Raises Forbidden: CHAT_ADMIN_REQUIRED.
    Source: https://core.telegram.org/method/messages.getExportedChatInvites
    """


@method
async def revoke_invite_link(*, chat_id: ChatRef, link: str) -> InviteLinkDict:
    """Revoke an invite link.

    Raises Forbidden: CHAT_ADMIN_REQUIRED; BadRequest: INVITE_HASH_EXPIRED.
    Source: https://core.telegram.org/method/messages.editExportedChatInvite
    """
