"""What an answer that is a file says of it: range, type, name. Pure functions.

Sources: RFC 9110 section 14 (ranges), RFC 6266 and RFC 8187 (names).
"""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote

INLINE_TYPES = frozenset(
    {
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "image/avif",
        "video/mp4",
        "video/webm",
        "video/quicktime",
    }
)
"""What a browser shows without running anything; all else is saved."""

_ACTIVE = re.compile(
    r"(text/(html|xml|xsl|javascript|ecmascript|css|cache-manifest|x-.*script.*))"
    r"|(image/svg.*)|(.*\+xml)|(multipart/.*)|(message/.*)"
    r"|(application/(xml.*|xhtml.*|javascript|x-javascript|ecmascript|wasm|x-shockwave-flash|mathml.*))"
)
_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,126}")
_RANGE = re.compile(r"bytes=([0-9]{0,1000})-([0-9]{0,1000})")
MAX_OFFSET = 1 << 62
"""Behind the end of every file, and still a number that Telegram takes."""
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
MAX_NAME_BYTES = 200


class RangeNotSatisfiable(Exception):
    """The range lies behind the file's end."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` to `end` (exclusive; None: to the end of a file whose size is not known)."""

    start: int
    end: int | None


def parse_range(header: str, size: int | None) -> ByteRange | None:
    """Return the one range that is asked for; None for none, several or nonsense (all of it).

    Without a size only ranges that name their start can be served. Raises RangeNotSatisfiable.
    """
    match = _RANGE.fullmatch(header.strip().lower().replace(" ", ""))
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), MAX_OFFSET)
        if size is None:
            return None
        if length == 0 or size == 0:
            raise RangeNotSatisfiable
        return ByteRange(max(0, size - length), size)
    start = min(int(match[1]), MAX_OFFSET)
    end = min(int(match[2]), MAX_OFFSET) + 1 if match[2] else None
    if end is not None and end <= start:
        return None
    if size is None:
        return ByteRange(start, end)
    if start >= size:
        raise RangeNotSatisfiable
    return ByteRange(start, size if end is None else min(end, size))


def matches(header: str, etag: str) -> bool:
    """Tell whether an `If-None-Match` names this file."""
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def content_type(declared: str) -> str:
    """Return the type as its sender declared it, or a harmless one for what browsers would run."""
    kind = declared.partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(kind) or _ACTIVE.fullmatch(kind):
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def safe_name(name: str, fallback: str) -> str:
    """Return a name that is no path, hides nothing, and that every system can write."""
    name = re.split(r"[/\\]", name)[-1]
    # Cc, Cf: controls, NUL, marks that turn the writing direction; Cs: halves of a pair.
    name = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "" for c in name)
    name = re.sub(r'[<>:"|?*\u2028\u2029]', "_", unicodedata.normalize("NFC", name))
    name = name.strip(" .")
    if _DEVICE.match(name):
        name = f"_{name}"
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension.encode()) > 20:
        stem, dot, extension = name, "", ""
    while len(f"{stem}{dot}{extension}".encode()) > MAX_NAME_BYTES:
        stem = stem[:-1]
    return f"{stem}{dot}{extension}" or fallback


def disposition(name: str, kind: str) -> str:
    """Return the `Content-Disposition` for a safe name: shown only when that is harmless."""
    how = "inline" if kind in INLINE_TYPES else "attachment"
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    value = f'{how}; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe='')}"
    return value
