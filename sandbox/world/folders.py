"""An account's own order: archive, pins, mutes, drafts, folders, cleared chats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from telethon.tl import types

from sandbox.world.groups import Groups
from sandbox.world.model import Folder, PeerId, is_channel
from sandbox.world.peers import notify_settings, tl_folder, tl_peer
from sandbox.world.state import Who

ARCHIVE = 1
FIRST_FOLDER = 2
FOREVER = 2_147_483_647


class Folders(Groups):
    """Verbs on one account's dialogs."""

    def archive(self, user: Who, chat: Who, archived: bool = True) -> None:
        """Move a chat into the archive or back. https://core.telegram.org/api/folders"""
        with self.lock:
            owner, peer = self.user(self.resolve(user)), self.resolve(chat)
            folder_id = ARCHIVE if archived else 0
            self.dialog(owner.id, peer).folder_id = folder_id
            self.updates.account_event(owner, "folder_peers", peer=peer, max_id=folder_id)

    def pin_dialog(self, user: Who, chat: Who, pinned: bool = True) -> None:
        """Pin a chat above the others, the newest pin first."""
        with self.lock:
            owner, peer = self.user(self.resolve(user)), self.resolve(chat)
            dialog = self.dialog(owner.id, peer)
            dialog.pinned = pinned
            order = [one.pinned_order for one in owner.dialogs.values() if one.pinned]
            dialog.pinned_order = min(order, default=0) - 1 if pinned else 0
            update = types.UpdateDialogPinned(
                types.DialogPeer(tl_peer(peer)), pinned or None, dialog.folder_id or None
            )
            self.updates.tell(owner.id, [update], {peer}, keep=True)

    def mute(self, user: Who, chat: Who, until: int = FOREVER) -> None:
        """Mute a chat until a date (Unix seconds); 0 unmutes."""
        with self.lock:
            owner, peer = self.user(self.resolve(user)), self.resolve(chat)
            self.dialog(owner.id, peer).mute_until = until
            update = types.UpdateNotifySettings(
                types.NotifyPeer(tl_peer(peer)), notify_settings(self, owner.id, peer)
            )
            self.updates.tell(owner.id, [update], {peer}, keep=True)

    def mark_unread(self, user: Who, chat: Who, unread: bool = True) -> None:
        with self.lock:
            owner, peer = self.user(self.resolve(user)), self.resolve(chat)
            self.dialog(owner.id, peer).unread_mark = unread
            update = types.UpdateDialogUnreadMark(types.DialogPeer(tl_peer(peer)), unread or None)
            self.updates.tell(owner.id, [update], {peer}, keep=True)

    def set_draft(self, user: Who, chat: Who, text: str) -> None:
        with self.lock:
            owner, peer = self.user(self.resolve(user)), self.resolve(chat)
            dialog = self.dialog(owner.id, peer)
            dialog.draft, dialog.draft_date = text, self.now()

    def add_folder(
        self,
        user: Who,
        title: str,
        chats: Sequence[Who] = (),
        *,
        folder_id: int = 0,
        exclude: Sequence[Who] = (),
        pinned: Sequence[Who] = (),
        emoticon: str = "",
        **flags: bool,
    ) -> Folder:
        """Make a folder; `flags` are TL dialogFilter's (contacts, groups, exclude_muted...)."""
        with self.lock:
            owner = self.user(self.resolve(user))
            taken = [folder.id for folder in owner.folders]
            folder = Folder(
                folder_id or max(taken, default=FIRST_FOLDER - 1) + 1,
                title,
                emoticon,
                include=self._peers(chats),
                exclude=self._peers(exclude),
                pinned=self._peers(pinned),
                **flags,
            )
            owner.folders = [one for one in owner.folders if one.id != folder.id] + [folder]
            self.folder_changed(owner.id, folder.id)
            return folder

    def delete_folder(self, user: Who, folder_id: int) -> None:
        with self.lock:
            owner = self.user(self.resolve(user))
            owner.folders = [one for one in owner.folders if one.id != folder_id]
            self.folder_changed(owner.id, folder_id)

    def folder_changed(self, user_id: int, folder_id: int) -> None:
        """Tell an account's sessions about a folder that was made, changed or deleted."""
        known = any(one.id == folder_id for one in self.user(user_id).folders)
        tl_filter: Any = tl_folder(self, user_id, folder_id) if known else None
        update = types.UpdateDialogFilter(folder_id, tl_filter)
        self.updates.tell(user_id, [update], keep=True)

    def _peers(self, chats: Sequence[Who]) -> list[PeerId]:
        return [self.resolve(chat) for chat in chats]

    def clear_history(
        self, user: Who, chat: Who, max_id: int = 0, *, revoke: bool = False, keep: bool = False
    ) -> int:
        """Delete an account's history with a chat up to `max_id`; return how many went.

        `revoke` deletes for the other side too; `keep` leaves the emptied dialog in the list.
        """
        with self.lock:
            owner, peer = self.user(self.resolve(user)), self.resolve(chat)
            history = self.history(owner.id, peer)
            end = history.index_after_id(max_id) if max_id else len(history)
            gone = history.messages[:end]
            if is_channel(peer):
                member = self.chat(peer).members[owner.id]
                if revoke:
                    self.delete(*gone)
                elif gone:
                    member.available_min_id = max(member.available_min_id, gone[-1].channel_id)
            else:
                self.delete(*gone, only_for=None if revoke else owner)
            dialog = self.dialog(owner.id, peer)
            dialog.hidden = dialog.hidden or not keep
            return len(gone)
