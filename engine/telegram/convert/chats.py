"""Users, dialogs, folders and full chats."""

from typing import Any

from telethon import types, utils

from engine.methods.answers import InviteLinkDict
from engine.methods.shapes import (
    ChatType,
    DialogDict,
    DialogExtraDict,
    FolderDict,
    FullChatDict,
    StatusDict,
    UserDict,
)
from engine.telegram.convert.common import (
    CHANNEL_BASE,
    display_name,
    iso_date,
    marked_entity,
    unix_date,
    username_of,
)
from engine.telegram.convert.files import chat_photo

PREVIEW_LENGTH = 100
ARCHIVE = 1
"""The peer folder (not chat folder) of archived chats: https://core.telegram.org/api/folders"""

_STATUSES = {
    types.UserStatusOnline: "online",
    types.UserStatusOffline: "offline",
    types.UserStatusRecently: "recently",
    types.UserStatusLastWeek: "last_week",
    types.UserStatusLastMonth: "last_month",
}


def user_dict(user: Any) -> UserDict:
    """Return a user as the asking account sees it."""
    return {
        "id": user.id,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "username": username_of(user),
        "phone": f"+{user.phone.lstrip('+')}" if user.phone else None,
        "status": _status(user.status),
        "bot": bool(user.bot),
        "verified": bool(user.verified),
        "premium": bool(user.premium),
        "contact": bool(user.contact),
        "mutual_contact": bool(user.mutual_contact),
        "deleted": bool(user.deleted),
        "restricted": bool(user.restricted),
        "scam": bool(user.scam),
        "fake": bool(user.fake),
        "support": bool(user.support),
        "is_self": bool(user.is_self),
        "lang_code": user.lang_code,
        "usernames": [name.username for name in user.usernames or () if name.active],
    }


def _status(status: Any) -> StatusDict | None:
    kind = _STATUSES.get(type(status))
    if kind is None:
        return None
    return {
        "type": kind,
        "was_online": iso_date(getattr(status, "was_online", None)),
        "expires": iso_date(getattr(status, "expires", None)),
    }


def chat_type(entity: Any) -> ChatType:
    """Return what kind of chat a TL user or chat is."""
    if isinstance(entity, types.User | types.UserEmpty):
        if getattr(entity, "is_self", False):
            return "saved"
        return "bot" if getattr(entity, "bot", False) else "user"
    if isinstance(entity, types.Chat | types.ChatEmpty | types.ChatForbidden):
        return "group"
    group = getattr(entity, "megagroup", False) or getattr(entity, "gigagroup", False)
    return "supergroup" if group else "channel"


def entity_dialog(entity: Any) -> DialogDict:
    """Return a chat as a dialog of which nothing was read: counters are null or 0."""
    kind = chat_type(entity)
    return {
        "id": marked_entity(entity),
        "type": kind,
        "title": "Saved Messages" if kind == "saved" else display_name(entity),
        "username": username_of(entity),
        "is_creator": bool(getattr(entity, "creator", False)),
        "is_verified": bool(getattr(entity, "verified", False)),
        "is_archived": False,
        "message_count": None,
        "unread_count": 0,
        "participants_count": getattr(entity, "participants_count", None),
        "last_message_date": None,
        "last_message_preview": None,
        "created_date": (
            iso_date(entity.date) if isinstance(entity, types.Chat | types.Channel) else None
        ),
        "extra": _entity_extra(entity),
    }


def _entity_extra(entity: Any) -> DialogExtraDict:
    forbidden = isinstance(entity, types.ChatForbidden | types.ChannelForbidden)
    gone = getattr(entity, "left", False) or getattr(entity, "deactivated", False)
    extra: DialogExtraDict = {
        "is_member": not (forbidden or gone),
        "is_forbidden": forbidden,
        "is_contact": bool(getattr(entity, "contact", False)),
        "is_forum": bool(getattr(entity, "forum", False)),
        "is_deleted": bool(getattr(entity, "deleted", False)),
        "protected": bool(getattr(entity, "noforwards", False)),
        "photo": chat_photo(entity),
    }
    if target := getattr(entity, "migrated_to", None):
        extra["migrated_to"] = CHANNEL_BASE - target.channel_id
    return extra


def dialog_dict(dialog: Any, entity: Any, top_message: Any) -> DialogDict:
    """Return a dialog with its counters; `top_message` is null when its history is empty."""
    result = entity_dialog(entity)
    result["is_archived"] = dialog.folder_id == ARCHIVE
    result["unread_count"] = dialog.unread_count
    if result["type"] in ("supergroup", "channel"):
        result["message_count"] = dialog.top_message
    if top_message is not None:
        result["last_message_date"] = iso_date(getattr(top_message, "date", None))
        result["last_message_preview"] = preview(top_message)
    result["extra"].update(
        {
            "is_pinned": bool(dialog.pinned),
            "muted_until": unix_date(dialog.notify_settings.mute_until),
            "unread_mentions_count": dialog.unread_mentions_count,
            "unread_mark": bool(dialog.unread_mark),
            "top_message_id": dialog.top_message,
            "read_inbox_max_id": dialog.read_inbox_max_id,
            "read_outbox_max_id": dialog.read_outbox_max_id,
            "pts": dialog.pts,
        }
    )
    return result


def preview(message: Any) -> str | None:
    """Return the beginning of a message's text; its kind in brackets when it has none."""
    if text := getattr(message, "message", None):
        return text[:PREVIEW_LENGTH]
    for part in (getattr(message, "media", None), getattr(message, "action", None)):
        if part is not None:
            return f"[{type(part).__name__}]"
    return None


def default_folder() -> FolderDict:
    """Return the folder that holds every chat, the one that Telegram always has."""
    return _folder(0, "All Chats", is_default=True)


def folder_dict(folder: Any, self_id: int | None) -> FolderDict:
    """Return a chat folder; `self_id` stands for Saved Messages in its lists."""
    if isinstance(folder, types.DialogFilterDefault):
        return default_folder()
    title = folder.title
    result = _folder(folder.id, title if isinstance(title, str) else title.text)
    if isinstance(folder, types.DialogFilter):
        result["contacts"] = bool(folder.contacts)
        result["non_contacts"] = bool(folder.non_contacts)
        result["groups"] = bool(folder.groups)
        result["channels"] = bool(folder.broadcasts)
        result["bots"] = bool(folder.bots)
        result["exclude_muted"] = bool(folder.exclude_muted)
        result["exclude_read"] = bool(folder.exclude_read)
        result["exclude_archived"] = bool(folder.exclude_archived)
        result["excluded"] = _peer_ids(folder.exclude_peers, self_id)
    result["pinned"] = _peer_ids(folder.pinned_peers, self_id)
    result["included"] = _peer_ids(folder.include_peers, self_id)
    return result


def _folder(folder_id: int, title: str, *, is_default: bool = False) -> FolderDict:
    return {
        "id": folder_id,
        "title": title,
        "is_default": is_default,
        "contacts": is_default,
        "non_contacts": is_default,
        "groups": is_default,
        "channels": is_default,
        "bots": is_default,
        "exclude_muted": False,
        "exclude_read": False,
        "exclude_archived": False,
        "pinned": [],
        "included": [],
        "excluded": [],
    }


def _peer_ids(peers: Any, self_id: int | None) -> list[int]:
    ids = []
    for peer in peers:
        if isinstance(peer, types.InputPeerSelf):
            if self_id is not None:
                ids.append(self_id)
        elif not isinstance(peer, types.InputPeerEmpty):
            ids.append(utils.get_peer_id(peer))
    return ids


def full_chat_dict(full: Any, entity: Any, first_message: Any = None) -> FullChatDict:
    """Return a full user, group or channel; `first_message` (id 1) tells when it was made."""
    dialog = entity_dialog(entity)
    members = getattr(full, "participants_count", None)
    if members is None and isinstance(getattr(full, "participants", None), types.ChatParticipants):
        members = len(full.participants.participants)
    if members is None:
        members = dialog["participants_count"]
    dialog["participants_count"] = members
    created = iso_date(getattr(first_message, "date", None)) or dialog["created_date"]
    dialog["created_date"] = created
    dialog["is_archived"] = getattr(full, "folder_id", None) == ARCHIVE
    old = getattr(full, "migrated_from_chat_id", None)
    linked = getattr(full, "linked_chat_id", None)
    return {
        "dialog": dialog,
        "about": getattr(full, "about", None) or "",
        "participants_count": members,
        "can_view_participants": _may_list_members(full, entity),
        "available_min_id": getattr(full, "available_min_id", None) or 0,
        "created_date": created,
        "pinned_message_id": getattr(full, "pinned_msg_id", None),
        "linked_chat_id": CHANNEL_BASE - linked if linked else None,
        "slowmode_seconds": getattr(full, "slowmode_seconds", None),
        "migrated_from": -old if old else None,
        "migrated_from_max_id": getattr(full, "migrated_from_max_id", None),
        "invite_link": getattr(getattr(full, "exported_invite", None), "link", None),
        "pts": getattr(full, "pts", None),
        "photo": chat_photo(entity),
    }


def _may_list_members(full: Any, entity: Any) -> bool:
    if isinstance(full, types.ChannelFull):
        return bool(full.can_view_participants)
    return isinstance(getattr(full, "participants", None), types.ChatParticipants)


def invite_link_dict(invite: Any) -> InviteLinkDict:
    """Return an exported invite link."""
    return {
        "link": invite.link,
        "title": invite.title,
        "is_revoked": bool(invite.revoked),
        "is_permanent": bool(invite.permanent),
        "request_needed": bool(invite.request_needed),
        "date": iso_date(invite.date),
        "expire_date": iso_date(invite.expire_date),
        "usage_limit": invite.usage_limit,
        "usage": invite.usage or 0,
    }
