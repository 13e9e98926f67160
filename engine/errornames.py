"""Telegram's error names, sorted by what they mean to a caller of the hub.

Only names whose number alone would say the wrong thing stand here; the rest follow their number
(400, 401, 403, 404, 5xx). Numbers inside a name are cut out (`FLOOD_WAIT_30` is `FLOOD_WAIT`).
Source: https://core.telegram.org/api/errors and each method's own page.
"""

import re

EXPIRED = frozenset(
    {
        "AUTH_KEY_DUPLICATED",
        "AUTH_KEY_INVALID",
        "AUTH_KEY_NOT_FOUND",
        "AUTH_KEY_UNREGISTERED",
        "SESSION_EXPIRED",
        "SESSION_REVOKED",
        "USER_DEACTIVATED",
        "USER_DEACTIVATED_BAN",
    }
)
"""The session is lost for good: 401, never tried again."""

HIDDEN = frozenset(
    {"CHANNEL_PRIVATE", "CHAT_FORBIDDEN", "USER_BANNED_IN_CHANNEL", "USER_NOT_PARTICIPANT"}
)
"""The account may not look inside: reading is 404, writing 403."""

NOT_FOUND = frozenset(
    {
        "CHANNEL_ID_INVALID",
        "CHANNEL_INVALID",
        "CHAT_ID_EMPTY",
        "CHAT_ID_INVALID",
        "CHAT_INVALID",
        "FILE_ID_INVALID",
        "FILE_REFERENCE_EMPTY",
        "FILE_REFERENCE_EXPIRED",
        "FILE_REFERENCE_INVALID",
        "FILTER_ID_INVALID",
        "FOLDER_ID_INVALID",
        "INPUT_USER_DEACTIVATED",
        "INVITE_HASH_EXPIRED",
        "INVITE_HASH_INVALID",
        "LOCATION_INVALID",
        "MEGAGROUP_ID_INVALID",
        "MESSAGE_ID_INVALID",
        "MSG_ID_INVALID",
        "PARTICIPANT_ID_INVALID",
        "PEER_ID_INVALID",
        "PHONE_NOT_OCCUPIED",
        "TOPIC_DELETED",
        "USERNAME_NOT_OCCUPIED",
        "USER_ID_INVALID",
        "USER_INVALID",
    }
)

CONFLICT = frozenset(
    {
        "AUTH_TOKEN_ALREADY_ACCEPTED",
        "INVITE_REQUEST_SENT",
        "NEW_SALT_INVALID",
        "PASSWORD_MISSING",
        "PASSWORD_RECOVERY_NA",
        "PASSWORD_REQUIRED",
        "RANDOM_ID_DUPLICATE",
        "SRP_ID_INVALID",
        "SRP_PASSWORD_CHANGED",
        "USERNAME_OCCUPIED",
        "USER_ALREADY_INVITED",
        "USER_ALREADY_PARTICIPANT",
    }
)

TOO_LARGE = frozenset(
    {
        "FILE_PARTS_INVALID",
        "FILE_PARTS_TOO_MUCH",
        "FILE_PART_TOO_BIG",
        "INPUT_REQUEST_TOO_LONG",
        "WEBDOCUMENT_SIZE_TOO_BIG",
    }
)

FAILING = frozenset(
    {
        "CONNECTION_LAYER_INVALID",
        "CONNECTION_NOT_INITED",
        "INPUT_CONSTRUCTOR_INVALID",
        "INPUT_FETCH_ERROR",
        "INPUT_FETCH_FAIL",
        "INPUT_LAYER_INVALID",
        "INPUT_METHOD_INVALID",
        "MSG_WAIT_FAILED",
        "TIMEDOUT",
        "TIMEOUT",
        "UNKNOWN_ERROR",
    }
)
"""Telegram's failure, or a disagreement between its protocol and ours: 502."""

FORBIDDEN = frozenset(
    {
        "CHANNELS_ADMIN_LOCATED_TOO_MUCH",
        "CHANNELS_ADMIN_PUBLIC_TOO_MUCH",
        "CHANNELS_TOO_MUCH",
        "FROZEN_METHOD_INVALID",
        "FROZEN_PARTICIPANT_MISSING",
        "MEGAGROUP_PREHISTORY_HIDDEN",
        "MESSAGE_EDIT_TIME_EXPIRED",
        "PASSWORD_TOO_FRESH",
        "PEER_FLOOD",
        "PREMIUM_CURRENTLY_UNAVAILABLE",
        "SESSION_TOO_FRESH",
        "SEND_CODE_UNAVAILABLE",
        "UPDATE_APP_TO_LOGIN",
        "USERPIC_UPLOAD_REQUIRED",
        "USERPIC_PRIVACY_REQUIRED",
        "USERS_TOO_MUCH",
        "USER_CHANNELS_TOO_MUCH",
        "USER_CREATOR",
        "USER_IS_BLOCKED",
        "USER_BLOCKED",
        "USER_KICKED",
        "USER_NOT_MUTUAL_CONTACT",
        "YOU_BLOCKED_USER",
    }
)

INVALID = frozenset({"BANNED_RIGHTS_INVALID", "BOT_GROUPS_BLOCKED", "PHONE_NUMBER_UNOCCUPIED"})
"""400, although a word in the name says otherwise."""

FLOOD = frozenset(
    {
        "FLOOD_PREMIUM_WAIT",
        "FLOOD_TEST_PHONE_WAIT",
        "FLOOD_WAIT",
        "PHONE_NUMBER_FLOOD",
        "PHONE_PASSWORD_FLOOD",
        "PREVIOUS_CHAT_IMPORT_ACTIVE_WAIT",
        "SLOWMODE_WAIT",
        "TAKEOUT_INIT_DELAY",
        "2FA_CONFIRM_WAIT",
    }
)

WITH_SECONDS = frozenset({"PASSWORD_TOO_FRESH", "SESSION_TOO_FRESH"})

FORBIDDING = re.compile(r"FORBIDDEN|RESTRICTED|ADMIN_REQUIRED|BANNED|NOT_ALLOWED|ACCOUNT_REQUIRED")

UNNAMED_WAIT_SECONDS = 3600
"""How long to wait where Telegram only says "flood" (codes and passwords tried too often)."""

DETAILS = {
    "AUTH_KEY_DUPLICATED": "Telegram ended the session: it was used from two places at once.",
    "AUTH_KEY_UNREGISTERED": "The session is not logged in at Telegram.",
    "CHANNEL_PRIVATE": "The chat is private, or this account may no longer see it.",
    "CHAT_ADMIN_REQUIRED": "Only an admin of the chat may do this.",
    "CHAT_FORWARDS_RESTRICTED": "Messages may not be forwarded out of this chat.",
    "CHAT_SEND_MEDIA_FORBIDDEN": "Media may not be sent in this chat.",
    "CHAT_WRITE_FORBIDDEN": "This account may not write in this chat.",
    "FLOOD_PREMIUM_WAIT": "Telegram slows down transfers of accounts without Premium.",
    "INPUT_USER_DEACTIVATED": "The account of this user was deleted.",
    "INVITE_HASH_EXPIRED": "The invite link does not exist or has expired.",
    "INVITE_HASH_INVALID": "The invite link does not exist.",
    "INVITE_REQUEST_SENT": "The request to join was sent; an admin has to accept it.",
    "MEDIA_CAPTION_TOO_LONG": "The caption is too long.",
    "MESSAGE_AUTHOR_REQUIRED": "Only who wrote the message may do this.",
    "MESSAGE_EDIT_TIME_EXPIRED": "The message is too old to be edited.",
    "MESSAGE_EMPTY": "The message is empty.",
    "MESSAGE_ID_INVALID": "There is no such message.",
    "MESSAGE_NOT_MODIFIED": "The message would not change.",
    "MESSAGE_TOO_LONG": "The message is too long.",
    "PASSWORD_HASH_INVALID": "The password is wrong.",
    "PEER_FLOOD": "Telegram has limited this account: it may not write to strangers for now.",
    "PEER_ID_INVALID": "There is no such chat, or this account has not met it.",
    "PHONE_CODE_EMPTY": "The code is missing.",
    "PHONE_CODE_EXPIRED": "The code has expired; ask for a new one.",
    "PHONE_CODE_INVALID": "The code is wrong.",
    "PHONE_NUMBER_BANNED": "Telegram has banned this phone number.",
    "PHONE_NUMBER_FLOOD": "Codes were asked for too often with this phone number.",
    "PHONE_NUMBER_INVALID": "The phone number is not valid.",
    "PHONE_NUMBER_UNOCCUPIED": "There is no Telegram account with this phone number.",
    "PHONE_PASSWORD_FLOOD": "The login was tried too often.",
    "REACTION_INVALID": "There is no such reaction, or the chat does not allow it.",
    "SCHEDULE_DATE_INVALID": "The date to send at is not valid.",
    "SCHEDULE_DATE_TOO_LATE": "A message can be scheduled for a year ahead at most.",
    "SCHEDULE_TOO_MUCH": "The chat has as many scheduled messages as Telegram allows.",
    "SESSION_PASSWORD_NEEDED": "The account has a two-step password.",
    "SESSION_REVOKED": "The session was ended from another device.",
    "USERNAME_INVALID": "This is not a valid username.",
    "USERNAME_NOT_OCCUPIED": "Nobody has this username.",
    "USER_ALREADY_PARTICIPANT": "The account is already in this chat.",
    "USER_BANNED_IN_CHANNEL": "This account is banned in the chat.",
    "USER_DEACTIVATED": "The account was deleted.",
    "USER_DEACTIVATED_BAN": "Telegram has banned the account.",
    "USER_IS_BLOCKED": "This user has blocked the account, or is blocked by it.",
    "USER_NOT_PARTICIPANT": "The account is not in this chat.",
    "USER_PRIVACY_RESTRICTED": "The user's privacy settings do not allow this.",
    "YOU_BLOCKED_USER": "This account has blocked the user.",
}

_READING = re.compile(
    r"(get|search|resolve|list|check|export|file_info|read_page|read_file|history|iter)"
)


def reads(method: str) -> bool:
    """Whether a method, by TL's name or ours, only looks. Unknown ("") counts as looking."""
    name = method.rpartition(".")[2].removesuffix("Request")
    return not name or _READING.match(name[:1].lower() + name[1:]) is not None
