"""TL users, chats, dialogs and input peers as one account sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telethon.tl import types

from sandbox.world.dates import utc
from sandbox.world.model import Chat, Kind, PeerId, Photo, User, bare_id, is_channel

if TYPE_CHECKING:
    from sandbox.world.state import State

FOREVER = 2_147_483_647
DAY = 86_400
ADMIN_RIGHTS = [
    "change_info",
    "delete_messages",
    "ban_users",
    "invite_users",
    "pin_messages",
    "add_admins",
    "manage_call",
    "other",
    "manage_topics",
]
POSTING_RIGHTS = ["post_messages", "edit_messages"]


def tl_peer(peer: PeerId) -> Any:
    """TL `Peer` of a marked id."""
    if peer > 0:
        return types.PeerUser(peer)
    if is_channel(peer):
        return types.PeerChannel(bare_id(peer))
    return types.PeerChat(-peer)


def peer_id(peer: Any) -> PeerId:
    """Marked id of a TL `Peer`."""
    if isinstance(peer, types.PeerUser):
        return int(peer.user_id)
    if isinstance(peer, types.PeerChat):
        return -int(peer.chat_id)
    return -1_000_000_000_000 - int(peer.channel_id)


def input_peer(world: State, viewer_id: int, peer: PeerId) -> Any:
    """TL `InputPeer` with the viewer's own access hash."""
    if peer == viewer_id:
        return types.InputPeerSelf()
    if peer > 0:
        return types.InputPeerUser(peer, world.access_hash(viewer_id, peer))
    if is_channel(peer):
        return types.InputPeerChannel(bare_id(peer), world.access_hash(viewer_id, peer))
    return types.InputPeerChat(-peer)


def user_status(world: State, viewer_id: int, user: User) -> Any:
    """Exact for oneself and contacts, roughly for strangers, none for bots.

    https://core.telegram.org/type/UserStatus
    """
    now = world.now()
    if user.bot or user.deleted:
        return None
    if user.online_until > now:
        return types.UserStatusOnline(utc(user.online_until))
    if not user.last_seen:
        return types.UserStatusRecently()
    if viewer_id == user.id or user.id in world.users[viewer_id].contacts:
        return types.UserStatusOffline(utc(user.last_seen))
    days = (now - user.last_seen) / DAY
    if days < 3:
        return types.UserStatusRecently()
    if days < 7:
        return types.UserStatusLastWeek()
    return types.UserStatusLastMonth() if days < 30 else types.UserStatusEmpty()


def profile_photo(photo: Photo | None) -> Any:
    if photo is None:
        return None
    return types.UserProfilePhoto(photo.id, photo.dc, stripped_thumb=photo.stripped or None)


def chat_photo(photo: Photo | None) -> Any:
    if photo is None:
        return types.ChatPhotoEmpty()
    return types.ChatPhoto(photo.id, photo.dc, stripped_thumb=photo.stripped or None)


def tl_user(world: State, viewer_id: int, user_id: int, *, minimal: bool = False) -> Any:
    """TL `User`: a contact under the viewer's own label, a phone only where it is shown.

    A *min* user has an access hash that opens nothing: https://core.telegram.org/api/min
    """
    user = world.user(user_id)
    access_hash = world.access_hash(viewer_id, user_id, minimal=minimal)
    if user.deleted:
        return types.User(id=user_id, deleted=True, access_hash=access_hash)
    viewer = world.user(viewer_id)
    contact = viewer.contacts.get(user_id)
    is_self = viewer_id == user_id
    phone = user.phone if is_self or contact or not user.hides_phone else ""
    first, last = user.first_name, user.last_name
    if contact is not None and not is_self:
        first, last = contact.first_name, contact.last_name
    return types.User(
        id=user_id,
        is_self=is_self or None,
        contact=contact is not None or None,
        mutual_contact=(contact is not None and viewer_id in user.contacts) or None,
        bot=user.bot or None,
        bot_nochats=None,
        bot_info_version=1 if user.bot else None,
        verified=user.verified or None,
        premium=user.premium or None,
        support=(user_id == 777000) or None,
        min=minimal or None,
        apply_min_photo=minimal or None,
        access_hash=access_hash,
        first_name=first or None,
        last_name=last or None,
        username=user.username or None,
        phone=None if minimal else phone or None,
        photo=profile_photo(user.photo),
        status=user_status(world, viewer_id, user),
    )


def admin_rights(*, broadcast: bool = False, **given: bool) -> Any:
    """TL `ChatAdminRights`: the usual ones of a full administrator, `given` overriding."""
    names = [*ADMIN_RIGHTS, *(POSTING_RIGHTS if broadcast else ())]
    return types.ChatAdminRights(**{**dict.fromkeys(names, True), **given})


def no_bans() -> Any:
    """TL `ChatBannedRights` that ban nothing."""
    return types.ChatBannedRights(until_date=utc(FOREVER))


def tl_chat(world: State, viewer_id: int, peer: PeerId) -> Any:
    """TL `Chat` or `Channel` (or its …Forbidden form for one who was thrown out)."""
    chat = world.chat(peer)
    return _group(chat, viewer_id) if chat.kind is Kind.GROUP else _channel(world, chat, viewer_id)


def _group(chat: Chat, viewer_id: int) -> Any:
    member = chat.members.get(viewer_id)
    if member is None or member.banned:
        return types.ChatForbidden(chat.id, chat.title)
    return types.Chat(
        id=chat.id,
        title=chat.title,
        photo=chat_photo(chat.photo),
        participants_count=chat.participants_count,
        date=utc(member.date),
        version=chat.version,
        creator=member.creator or None,
        left=member.left or None,
        deactivated=chat.deactivated or None,
        noforwards=chat.noforwards or None,
        migrated_to=types.InputChannel(bare_id(chat.migrated_to), 0) if chat.migrated_to else None,
        admin_rights=member.admin_rights,
        default_banned_rights=chat.banned_rights or no_bans(),
    )


def _channel(world: State, chat: Chat, viewer_id: int) -> Any:
    member = chat.members.get(viewer_id)
    access_hash = world.access_hash(viewer_id, chat.peer)
    broadcast, megagroup = chat.broadcast or None, not chat.broadcast or None
    hidden = not world.may_read(viewer_id, chat.peer)
    if (member is not None and member.banned) or (hidden and member is not None):
        until = member.banned_rights.until_date if member.banned_rights else None
        return types.ChannelForbidden(
            id=chat.id,
            access_hash=access_hash,
            title=chat.title,
            broadcast=broadcast,
            megagroup=megagroup,
            until_date=until,
        )
    inside = member is not None and member.inside
    return types.Channel(
        id=chat.id,
        access_hash=access_hash,
        title=chat.title,
        photo=chat_photo(chat.photo),
        date=utc(member.date if member is not None else chat.date),
        creator=(member is not None and member.creator) or None,
        left=not inside or None,
        broadcast=broadcast,
        megagroup=megagroup,
        verified=chat.verified or None,
        signatures=chat.signatures or None,
        has_link=bool(chat.linked_chat) or None,
        slowmode_enabled=bool(chat.slowmode_seconds) or None,
        noforwards=chat.noforwards or None,
        join_request=chat.join_request or None,
        forum=chat.forum or None,
        username=chat.username or None,
        admin_rights=member.admin_rights if member is not None else None,
        banned_rights=member.banned_rights if member is not None else None,
        default_banned_rights=None if chat.broadcast else chat.banned_rights or no_bans(),
        participants_count=chat.participants_count,
    )


def tl_group_participants(chat: Chat, viewer_id: int) -> Any:
    """TL `ChatParticipants` of a basic group; forbidden to those who are not inside."""
    if chat.member(viewer_id) is None:
        return types.ChatParticipantsForbidden(chat.id)
    rows: list[Any] = []
    for member in chat.participants:
        if member.creator:
            rows.append(types.ChatParticipantCreator(member.user_id))
            continue
        kind = types.ChatParticipantAdmin if member.admin_rights else types.ChatParticipant
        rows.append(kind(member.user_id, member.inviter_id, utc(member.date)))
    return types.ChatParticipants(chat.id, rows, chat.version)


def notify_settings(world: State, viewer_id: int, peer: PeerId) -> Any:
    """TL `PeerNotifySettings` of a dialog."""
    dialog = world.user(viewer_id).dialogs.get(peer)
    if dialog is None:
        return types.PeerNotifySettings()
    return types.PeerNotifySettings(
        mute_until=utc(dialog.mute_until) if dialog.mute_until else None,
        silent=dialog.silent or None,
    )


def tl_dialog(world: State, viewer_id: int, peer: PeerId) -> Any:
    """TL `Dialog` of one chat in the viewer's list."""
    dialog = world.dialog(viewer_id, peer)
    top = world.history(viewer_id, peer).top
    top_id = top.id_for(viewer_id) if top else 0
    read_inbox = dialog.read_inbox_max_id
    return types.Dialog(
        peer=tl_peer(peer),
        top_message=top_id,
        read_inbox_max_id=read_inbox,
        read_outbox_max_id=dialog.read_outbox_max_id,
        unread_count=world.unread_count(viewer_id, peer),
        unread_mentions_count=sum(one > read_inbox for one in dialog.unread_mentions),
        unread_reactions_count=len(dialog.unread_reactions),
        unread_poll_votes_count=0,
        notify_settings=notify_settings(world, viewer_id, peer),
        pinned=dialog.pinned or None,
        unread_mark=dialog.unread_mark or None,
        pts=world.chat(peer).box.pts if is_channel(peer) else None,
        draft=(types.DraftMessage(dialog.draft, utc(dialog.draft_date)) if dialog.draft else None),
        folder_id=dialog.folder_id or None,
    )


def tl_folder(world: State, viewer_id: int, folder_id: int) -> Any:
    """TL `DialogFilter` of one of the viewer's folders."""
    folder = next(one for one in world.user(viewer_id).folders if one.id == folder_id)

    def peers(ids: list[PeerId]) -> list[Any]:
        return [input_peer(world, viewer_id, peer) for peer in ids]

    return types.DialogFilter(
        id=folder.id,
        title=types.TextWithEntities(folder.title, []),
        pinned_peers=peers(folder.pinned),
        include_peers=peers(folder.include),
        exclude_peers=peers(folder.exclude),
        contacts=folder.contacts or None,
        non_contacts=folder.non_contacts or None,
        groups=folder.groups or None,
        broadcasts=folder.broadcasts or None,
        bots=folder.bots or None,
        exclude_muted=folder.exclude_muted or None,
        exclude_read=folder.exclude_read or None,
        exclude_archived=folder.exclude_archived or None,
        emoticon=folder.emoticon or None,
    )
