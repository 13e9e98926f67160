"""Telegram's updates as the hub's events.

`data` of an event: `message.new` and `message.edited` have `{"message": MessageDict}`;
`message.deleted` has `{"message_ids"}` (a private chat's deletion names no chat: `chat_id` is
None then); `message.read` has `{"max_id", "outgoing", "unread_count"}`; `message.reactions` has
`{"message_id", "reactions"}`; `chat.member` has `{"user_id", "action", "by_id"}`, action being
`added`, `removed` or `changed` (our own rights or membership; ask for the chat again).
`dialog.changed` has `{"what"}` (`archive`, `mute`, `unread_mark`, `name`) and concerns this
account's list of dialogs alone; `folders.changed` has `{}`.

Source: https://core.telegram.org/constructor/updateNewMessage and its siblings
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from telethon import types, utils

from engine.store import EngineEvent
from engine.telegram import convert

Entities = Mapping[int, Any]
Maker = Callable[[Any, Entities, int | None], list[EngineEvent]]


def events_of(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    """Return what an update means; [] for kinds that the hub does not pass on."""
    maker = _MAKERS.get(type(update))
    return [] if maker is None else maker(update, entities, self_id)


def message_of(update: Any, self_id: int | None) -> Any | None:
    """Return the message that an update brings, None when it brings none."""
    if isinstance(update, types.UpdateNewMessage | types.UpdateNewChannelMessage):
        return update.message
    if isinstance(update, types.UpdateShortMessage):
        return _short(update, types.PeerUser(update.user_id), update.user_id, self_id)
    if isinstance(update, types.UpdateShortChatMessage):
        return _short(update, types.PeerChat(update.chat_id), update.from_id, self_id)
    return None


def message_events(message: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    """Return `message.new`, and `chat.member` for those who came or went; [] for an empty one."""
    event = _message("message.new", message, getattr(message, "date", None), entities, self_id)
    if event is None:
        return []
    by_id = utils.get_peer_id(message.from_id) if message.from_id is not None else None
    return [
        event,
        *(
            _event("chat.member", event.chat_id, {"user_id": who, "action": what, "by_id": by_id})
            for who, what in _comings(message, by_id)
        ),
    ]


def _comings(message: Any, by_id: int | None) -> list[tuple[int | None, str]]:
    """Return who came or went, as a service message tells."""
    action = message.action if isinstance(message, types.MessageService) else None
    if isinstance(action, types.MessageActionChatAddUser):
        return [(user_id, "added") for user_id in action.users]
    if isinstance(action, types.MessageActionChatDeleteUser):
        return [(action.user_id, "removed")]
    if isinstance(
        action, types.MessageActionChatJoinedByLink | types.MessageActionChatJoinedByRequest
    ):
        return [(by_id, "added")]
    return []


def _message(
    kind: Any, message: Any, date: Any, entities: Entities, self_id: int | None
) -> EngineEvent | None:
    if isinstance(message, types.MessageEmpty) or message.peer_id is None:
        return None
    data = {"message": convert.message_dict(message, entities, self_id=self_id)}
    return EngineEvent(kind, utils.get_peer_id(message.peer_id), data, _unix(date))


def _short(update: Any, peer: Any, sender_id: int, self_id: int | None) -> Any:
    """Build the message of an `updateShort…Message`, which names no sender when it is ours."""
    sender = self_id if update.out and self_id else sender_id
    return types.Message(
        id=update.id,
        peer_id=peer,
        from_id=types.PeerUser(sender),
        date=update.date,
        message=update.message,
        out=update.out,
        mentioned=update.mentioned,
        media_unread=update.media_unread,
        silent=update.silent,
        fwd_from=update.fwd_from,
        via_bot_id=update.via_bot_id,
        reply_to=update.reply_to,
        entities=update.entities,
        ttl_period=update.ttl_period,
    )


def _new(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    return message_events(message_of(update, self_id), entities, self_id)


def _edited(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    message = update.message
    date = getattr(message, "edit_date", None) or getattr(message, "date", None)
    event = _message("message.edited", message, date, entities, self_id)
    return [event] if event else []


def _deleted(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    if not update.messages:
        return []  # Stands for a request of ours that only moved the pts.
    channel_id = getattr(update, "channel_id", None)
    chat_id = utils.get_peer_id(types.PeerChannel(channel_id)) if channel_id else None
    return [_event("message.deleted", chat_id, {"message_ids": list(update.messages)})]


def _read(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    channel_id = getattr(update, "channel_id", None)
    peer = types.PeerChannel(channel_id) if channel_id else update.peer
    outgoing = isinstance(update, types.UpdateReadHistoryOutbox | types.UpdateReadChannelOutbox)
    data = {
        "max_id": update.max_id,
        "outgoing": outgoing,
        "unread_count": getattr(update, "still_unread_count", None),
    }
    return [_event("message.read", utils.get_peer_id(peer), data)]


def _reactions(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    reactions = convert.reaction_dicts(update.reactions)
    data = {"message_id": update.msg_id, "reactions": reactions}
    return [_event("message.reactions", utils.get_peer_id(update.peer), data)]


def _member_added(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    data = {"user_id": update.user_id, "action": "added", "by_id": update.inviter_id}
    return [_event("chat.member", utils.get_peer_id(types.PeerChat(update.chat_id)), data)]


def _member_removed(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    data = {"user_id": update.user_id, "action": "removed", "by_id": None}
    return [_event("chat.member", utils.get_peer_id(types.PeerChat(update.chat_id)), data)]


def _own_channel(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    """`updateChannel` says that our place in a channel changed, its `chat` says how."""
    chat_id = utils.get_peer_id(types.PeerChannel(update.channel_id))
    return [_own_place(chat_id, entities.get(chat_id), self_id)]


def _own_chat(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    chat_id = utils.get_peer_id(types.PeerChat(update.chat_id))
    return [_own_place(chat_id, entities.get(chat_id), self_id)]


def _own_place(chat_id: int, chat: Any, self_id: int | None) -> EngineEvent:
    gone = isinstance(chat, types.ChannelForbidden | types.ChatForbidden) or bool(
        getattr(chat, "left", False) or getattr(chat, "deactivated", False)
    )
    data = {"user_id": self_id, "action": "removed" if gone else "changed", "by_id": None}
    return _event("chat.member", chat_id, data)


def _archived(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    return [_dialog(moved.peer, "archive") for moved in update.folder_peers]


def _muted(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    # The defaults of all users or groups, and topics, are no dialog's.
    peer = update.peer.peer if isinstance(update.peer, types.NotifyPeer) else None
    return [_dialog(peer, "mute")] if peer is not None else []


def _marked_unread(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    peer = update.peer.peer if isinstance(update.peer, types.DialogPeer) else None
    return [_dialog(peer, "unread_mark")] if peer is not None else []


def _renamed(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    return [_dialog(types.PeerUser(update.user_id), "name")]


def _dialog(peer: Any, what: str) -> EngineEvent:
    return _event("dialog.changed", utils.get_peer_id(peer), {"what": what})


def _folders(update: Any, entities: Entities, self_id: int | None) -> list[EngineEvent]:
    return [_event("folders.changed", None, {})]


def _event(kind: Any, chat_id: int | None, data: dict[str, Any]) -> EngineEvent:
    return EngineEvent(kind, chat_id, data, int(time.time()))


def _unix(date: Any) -> int:
    return int(date.timestamp()) if date else int(time.time())


_MAKERS: dict[type, Maker] = {
    types.UpdateNewMessage: _new,
    types.UpdateNewChannelMessage: _new,
    types.UpdateShortMessage: _new,
    types.UpdateShortChatMessage: _new,
    types.UpdateEditMessage: _edited,
    types.UpdateEditChannelMessage: _edited,
    types.UpdateDeleteMessages: _deleted,
    types.UpdateDeleteChannelMessages: _deleted,
    types.UpdateReadHistoryInbox: _read,
    types.UpdateReadHistoryOutbox: _read,
    types.UpdateReadChannelInbox: _read,
    types.UpdateReadChannelOutbox: _read,
    types.UpdateMessageReactions: _reactions,
    types.UpdateChatParticipantAdd: _member_added,
    types.UpdateChatParticipantDelete: _member_removed,
    types.UpdateChannel: _own_channel,
    types.UpdateChat: _own_chat,
    types.UpdateFolderPeers: _archived,
    types.UpdateNotifySettings: _muted,
    types.UpdateDialogUnreadMark: _marked_unread,
    types.UpdateUserName: _renamed,
    types.UpdateDialogFilter: _folders,
    types.UpdateDialogFilters: _folders,
    types.UpdateDialogFilterOrder: _folders,
}
