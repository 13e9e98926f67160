"""Which dialogs a chat folder holds, by the rules that Telegram's apps follow.

Source: https://core.telegram.org/api/folders
"""

import time

from engine.methods.shapes import DialogDict, FolderDict


def folder_holds(folder: FolderDict, dialog: DialogDict, *, now: float | None = None) -> bool:
    """Tell whether a folder holds a dialog (with its `extra`); named chats beat the rules.

    `now` is Unix seconds, by which muted chats are told.
    """
    chat_id = dialog["id"]
    if chat_id in folder["excluded"]:
        return False
    if chat_id in folder["included"] or chat_id in folder["pinned"]:
        return True
    if not _kind_wanted(folder, dialog):
        return False
    extra = dialog.get("extra", {})
    mentioned = extra.get("unread_mentions_count", 0) > 0
    muted = extra.get("muted_until", 0) > (time.time() if now is None else now)
    if folder["exclude_muted"] and muted and not mentioned:
        return False
    unread = dialog["unread_count"] > 0 or extra.get("unread_mark", False) or mentioned
    if folder["exclude_read"] and not unread:
        return False
    return not (folder["exclude_archived"] and dialog["is_archived"])


def _kind_wanted(folder: FolderDict, dialog: DialogDict) -> bool:
    kind = dialog["type"]
    if kind == "bot":
        return folder["bots"]
    if kind in ("group", "supergroup"):
        return folder["groups"]
    if kind == "channel":
        return folder["channels"]
    contact = dialog.get("extra", {}).get("is_contact", False)
    return folder["contacts"] if contact else folder["non_contacts"]
