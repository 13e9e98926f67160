"""TL objects as the shapes of `engine.methods.shapes`; nobody else knows TL's attributes."""

from engine.telegram.convert.chats import (
    chat_type,
    default_folder,
    dialog_dict,
    entity_dialog,
    folder_dict,
    full_chat_dict,
    invite_link_dict,
    user_dict,
)
from engine.telegram.convert.common import (
    CHANNEL_BASE,
    display_name,
    index,
    iso_date,
    marked,
    marked_entity,
    text_date,
    to_datetime,
    unix_date,
    username_of,
)
from engine.telegram.convert.files import chat_photo, media_dict, photo_file
from engine.telegram.convert.messages import (
    message_dict,
    own_reactions,
    reaction_dicts,
    unreadable_message,
)

__all__ = [
    "CHANNEL_BASE",
    "chat_photo",
    "chat_type",
    "default_folder",
    "dialog_dict",
    "display_name",
    "entity_dialog",
    "folder_dict",
    "full_chat_dict",
    "index",
    "invite_link_dict",
    "iso_date",
    "marked",
    "marked_entity",
    "media_dict",
    "message_dict",
    "own_reactions",
    "photo_file",
    "reaction_dicts",
    "text_date",
    "to_datetime",
    "unix_date",
    "unreadable_message",
    "user_dict",
    "username_of",
]
