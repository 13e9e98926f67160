"""The list of chats: pages of it, pins, the archive, folders, drafts.

Source: https://core.telegram.org/api/folders
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from telethon.tl import functions, types

from sandbox.methods.pages import check_limit, unix
from sandbox.methods.peers import input_peer
from sandbox.methods.results import described, raw_messages
from sandbox.rpc import Call, RpcError, handles
from sandbox.world import peers as render_peers
from sandbox.world.dates import utc
from sandbox.world.model import Dialog, Message, PeerId, is_channel

ARCHIVE = 1
PINNED_LIMIT = 5
PINNED_LIMIT_PREMIUM = 10
PINNED_LIMIT_ARCHIVE = 100


def top_message(call: Call, peer: PeerId) -> Message | None:
    """Return the newest message of a dialog that the caller may see."""
    top = call.world.history(call.me.id, peer).top
    if top is None or top.id_for(call.me.id) <= call.world.min_id(call.me.id, peer):
        return None
    return top


def listed(call: Call, folder_id: int | None) -> list[tuple[Dialog, Message | None]]:
    """Return the caller's dialogs in the order of Telegram's apps: pins first, then by date.

    Private chats and basic groups without a message are not listed, channels and supergroups
    only while the caller is inside.
    """
    rows: list[tuple[Dialog, Message | None]] = []
    for peer, dialog in call.me.dialogs.items():
        if dialog.hidden or (folder_id is not None and dialog.folder_id != folder_id):
            continue
        top = top_message(call, peer)
        if is_channel(peer):
            if call.world.chat(peer).member(call.me.id) is None:
                continue
        elif top is None:
            continue
        rows.append((dialog, top))
    rows.sort(key=lambda row: sort_key(call, *row))
    return rows


def sort_key(call: Call, dialog: Dialog, top: Message | None) -> tuple[int, int, int, int, int]:
    """Return where a dialog stands in the list; smaller is higher up."""
    if dialog.pinned:
        return (0, dialog.folder_id, dialog.pinned_order, 0, 0)
    date, message_id = (top.date, top.id_for(call.me.id)) if top is not None else (0, 0)
    return (1, 0, -date, -message_id, dialog.peer)


@handles(functions.messages.GetDialogsRequest)
async def get_dialogs(call: Call, request: Any) -> Any:
    """Return a page of the list of chats with their newest messages.

    The page begins after the dialog that `offset_date`, `offset_id` and `offset_peer` (date, id
    and chat of its top message) name. Without `folder_id` archived chats are among them.
    Source: https://core.telegram.org/method/messages.getDialogs
    """
    with call.world.lock:
        if request.folder_id not in (None, 0, ARCHIVE):
            raise RpcError(400, "FOLDER_ID_INVALID")
        limit = check_limit(request.limit, call.world.limits.dialogs)
        rows = listed(call, request.folder_id)
        if request.exclude_pinned:
            rows = [row for row in rows if not row[0].pinned]
        count = len(rows)
        rows = rows[_start(call, request, rows) :]
        content = _dialogs(call, rows[:limit])
        if len(content["dialogs"]) >= count:
            return types.messages.Dialogs(**content)
        return types.messages.DialogsSlice(count=count, **content)


def _start(call: Call, request: Any, rows: list[tuple[Dialog, Message | None]]) -> int:
    date = unix(request.offset_date)
    peer = 0
    if not isinstance(request.offset_peer, types.InputPeerEmpty):
        try:
            peer = input_peer(call, request.offset_peer)
        except RpcError:
            raise RpcError(400, "OFFSET_PEER_ID_INVALID") from None
    if date:
        last = (1, 0, -date, -request.offset_id, peer)
        if not request.offset_id and not peer:
            # A bare date leaves out what was sent at that second or later.
            last = (1, 0, -date, 1, 0)
        return sum(sort_key(call, *row) <= last for row in rows)
    if peer:
        places = [index for index, row in enumerate(rows) if row[0].peer == peer]
        return places[0] + 1 if places else 0
    return 0


def _dialogs(call: Call, rows: Iterable[tuple[Dialog, Message | None]]) -> dict[str, Any]:
    rows = list(rows)
    tops = [top for _dialog, top in rows if top is not None]
    users, chats = described(call, tops, [dialog.peer for dialog, _top in rows])
    return {
        "dialogs": [
            render_peers.tl_dialog(call.world, call.me.id, dialog.peer) for dialog, _top in rows
        ],
        "messages": raw_messages(call, tops),
        "chats": chats,
        "users": users,
    }


def _state(call: Call) -> Any:
    box = call.me.box
    unread = sum(
        call.world.unread_count(call.me.id, dialog.peer) for dialog, _top in listed(call, 0)
    )
    return types.updates.State(
        pts=box.pts, qts=box.qts, date=utc(call.now()), seq=box.seq, unread_count=unread
    )


@handles(functions.messages.GetPinnedDialogsRequest)
async def get_pinned_dialogs(call: Call, request: Any) -> Any:
    """Return the pinned chats of a list; the main one's begin with the archive, if there is one.

    Source: https://core.telegram.org/method/messages.getPinnedDialogs
    """
    with call.world.lock:
        if request.folder_id not in (0, ARCHIVE):
            raise RpcError(400, "FOLDER_ID_INVALID")
        rows = [row for row in listed(call, request.folder_id) if row[0].pinned]
        content = _dialogs(call, rows)
        archived = [] if request.folder_id else listed(call, ARCHIVE)
        if archived:
            top_row = max(archived, key=lambda row: row[1].date if row[1] else 0)
            content["dialogs"].insert(0, _archive_row(call, archived, top_row))
            more = _dialogs(call, [top_row])
            for part in ("messages", "chats", "users"):
                known = {getattr(one, "id", None) for one in content[part]} - {None}
                content[part] += [
                    one for one in more[part] if getattr(one, "id", None) not in known
                ]
        return types.messages.PeerDialogs(state=_state(call), **content)


def _archive_row(call: Call, rows: list[Any], top_row: tuple[Dialog, Message | None]) -> Any:
    unread = [
        (call.world.unread_count(call.me.id, dialog.peer), dialog.mute_until > call.now())
        for dialog, _top in rows
    ]
    dialog, top = top_row
    return types.DialogFolder(
        folder=types.Folder(id=ARCHIVE, title="Archived Chats"),
        peer=render_peers.tl_peer(dialog.peer),
        top_message=top.id_for(call.me.id) if top else 0,
        unread_muted_peers_count=sum(count > 0 and muted for count, muted in unread),
        unread_unmuted_peers_count=sum(count > 0 and not muted for count, muted in unread),
        unread_muted_messages_count=sum(count for count, muted in unread if muted),
        unread_unmuted_messages_count=sum(count for count, muted in unread if not muted),
        pinned=True,
    )


@handles(functions.messages.GetPeerDialogsRequest)
async def get_peer_dialogs(call: Call, request: Any) -> Any:
    """Return the dialogs of the given peers, listed or not, and the account's update state.

    Source: https://core.telegram.org/method/messages.getPeerDialogs
    """
    with call.world.lock:
        rows: list[tuple[Dialog, Message | None]] = []
        for item in request.peers:
            if isinstance(item, types.InputDialogPeerFolder):
                rows += listed(call, item.folder_id)
                continue
            peer = input_peer(call, item.peer)
            dialog = call.me.dialogs.get(peer) or Dialog(peer)
            rows.append((dialog, top_message(call, peer)))
        return types.messages.PeerDialogs(state=_state(call), **_dialogs(call, rows))


@handles(functions.messages.GetDialogFiltersRequest)
async def get_dialog_filters(call: Call, request: Any) -> Any:
    """Return the folders, "All chats" first.

    Source: https://core.telegram.org/method/messages.getDialogFilters
    """
    with call.world.lock:
        own = [
            render_peers.tl_folder(call.world, call.me.id, folder.id) for folder in call.me.folders
        ]
        return types.messages.DialogFilters(filters=[types.DialogFilterDefault(), *own])


@handles(functions.folders.EditPeerFoldersRequest)
async def edit_peer_folders(call: Call, request: Any) -> Any:
    """Move chats into the archive (1) or out of it (0).

    Source: https://core.telegram.org/method/folders.editPeerFolders
    """
    with call.world.acting(call.me.id, call.origin) as act:
        moves = []
        for item in request.folder_peers:
            if item.folder_id not in (0, ARCHIVE):
                raise RpcError(400, "FOLDER_ID_INVALID")
            moves.append((input_peer(call, item.peer), item.folder_id))
        for peer, folder_id in moves:
            dialog = call.world.dialog(call.me.id, peer)
            if dialog.folder_id != folder_id:
                dialog.pinned = False
                call.world.archive(call.me, peer, folder_id == ARCHIVE)
        return act.result()


def _dialog_peer(call: Call, item: Any) -> PeerId:
    if not isinstance(item, types.InputDialogPeer):
        raise RpcError(400, "PEER_ID_INVALID")
    return input_peer(call, item.peer)


@handles(functions.messages.ToggleDialogPinRequest)
async def toggle_dialog_pin(call: Call, request: Any) -> bool:
    """Pin a chat to the top of its list, or let it go.

    Source: https://core.telegram.org/method/messages.toggleDialogPin
    """
    with call.world.acting(call.me.id, call.origin):
        peer = _dialog_peer(call, request.peer)
        dialog = call.world.dialog(call.me.id, peer)
        pins = [one for one, _top in listed(call, dialog.folder_id) if one.pinned]
        if request.pinned and not dialog.pinned:
            most = PINNED_LIMIT_PREMIUM if call.me.premium else PINNED_LIMIT
            if len(pins) >= (PINNED_LIMIT_ARCHIVE if dialog.folder_id else most):
                raise RpcError(400, "PINNED_DIALOGS_TOO_MUCH")
        call.world.pin_dialog(call.me, peer, bool(request.pinned))
        return True


@handles(functions.messages.MarkDialogUnreadRequest)
async def mark_dialog_unread(call: Call, request: Any) -> bool:
    """Set or clear a chat's unread mark.

    Source: https://core.telegram.org/method/messages.markDialogUnread
    """
    with call.world.acting(call.me.id, call.origin):
        peer = _dialog_peer(call, request.peer)
        call.world.mark_unread(call.me, peer, bool(request.unread))
        return True


@handles(functions.messages.GetPeerSettingsRequest)
async def get_peer_settings(call: Call, request: Any) -> Any:
    """Return what an app offers above a chat: report, add, block.

    Source: https://core.telegram.org/method/messages.getPeerSettings
    """
    with call.world.lock:
        peer = input_peer(call, request.peer)
        stranger = peer > 0 and peer != call.me.id and peer not in call.me.contacts
        users, chats = call.world.updates.describe(call.me.id, {peer})
        settings = types.PeerSettings(
            report_spam=stranger or None,
            add_contact=stranger or None,
            block_contact=stranger or None,
        )
        return types.messages.PeerSettings(settings=settings, chats=chats, users=users)


def _draft_update(dialog: Dialog) -> Any:
    date = utc(dialog.draft_date)
    draft = (
        types.DraftMessage(dialog.draft, date) if dialog.draft else types.DraftMessageEmpty(date)
    )
    return types.UpdateDraftMessage(peer=render_peers.tl_peer(dialog.peer), draft=draft)


def save_draft_text(call: Call, peer: PeerId, text: str) -> None:
    """Keep (or with an empty text drop) a chat's draft and tell the account's other sessions."""
    dialog = call.world.dialog(call.me.id, peer)
    if dialog.draft == text:
        return
    dialog.draft, dialog.draft_date = text, call.world.now()
    call.world.updates.tell(call.me.id, [_draft_update(dialog)], {peer}, keep=True)


@handles(functions.messages.SaveDraftRequest)
async def save_draft(call: Call, request: Any) -> bool:
    """Keep what was typed in a chat.

    Source: https://core.telegram.org/method/messages.saveDraft
    """
    with call.world.acting(call.me.id, call.origin):
        save_draft_text(call, input_peer(call, request.peer), request.message)
        return True


@handles(functions.messages.GetAllDraftsRequest)
async def get_all_drafts(call: Call, request: Any) -> Any:
    """Return every draft as `updateDraftMessage`.

    Source: https://core.telegram.org/method/messages.getAllDrafts
    """
    with call.world.acting(call.me.id, call.origin) as act:
        drafts = [dialog for dialog in call.me.dialogs.values() if dialog.draft]
        return act.result([_draft_update(one) for one in drafts], {one.peer for one in drafts})
