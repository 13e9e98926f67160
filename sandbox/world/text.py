"""Entities that the server finds by itself: links, mentions, hashtags, commands, addresses.

Offsets and lengths count UTF-16 code units. https://core.telegram.org/api/entities
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from telethon.tl import types

_PATTERNS: list[tuple[re.Pattern[str], type]] = [
    (re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)]"), types.MessageEntityUrl),
    (re.compile(r"(?<![\w.@/])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), types.MessageEntityEmail),
    (re.compile(r"(?<![\w@/.:])(?:[a-z0-9-]+\.)+(?:com|org|net|me|io|dev)(?:/[\w./?=&#%+-]*\w)?\b",
                re.IGNORECASE), types.MessageEntityUrl),
    (re.compile(r"(?<![\w@/])@[A-Za-z]\w{3,31}\b"), types.MessageEntityMention),
    (re.compile(r"(?<![\w#/])#(?=\w*[^\W\d_])\w{1,255}"), types.MessageEntityHashtag),
    (re.compile(r"(?<![\w$])\$[A-Z]{3,8}\b"), types.MessageEntityCashtag),
    (re.compile(r"(?<![\w/@<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z]\w{3,31})?\b"),
     types.MessageEntityBotCommand),
]  # fmt: skip


def utf16_length(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text) + sum(ord(character) > 0xFFFF for character in text)


def with_found_entities(text: str, given: Iterable[Any] = ()) -> list[Any]:
    """The client's entities plus those that the server finds outside of them, in order."""
    entities = list(given)
    if not any(mark in text for mark in "@#/.$"):
        return entities
    taken = [(entity.offset, entity.offset + entity.length) for entity in entities]
    for pattern, kind in _PATTERNS:
        for match in pattern.finditer(text):
            start = utf16_length(text[: match.start()])
            end = start + utf16_length(match.group())
            if all(end <= left or right <= start for left, right in taken):
                taken.append((start, end))
                entities.append(kind(start, end - start))
    entities.sort(key=lambda entity: (entity.offset, -entity.length))
    return entities


def mentioned_usernames(text: str, entities: Iterable[Any]) -> list[str]:
    """Lower-case usernames that the text's mention entities name."""
    encoded = text.encode("utf-16-le")
    names = []
    for entity in entities:
        if isinstance(entity, types.MessageEntityMention):
            piece = encoded[2 * entity.offset + 2 : 2 * (entity.offset + entity.length)]
            names.append(piece.decode("utf-16-le", "ignore").lower())
    return names
