"""Log lines without secrets: what looks like one is hidden, also in tracebacks.

Imported while Django configures logging, so it needs nothing of Django's.
"""

import json
import logging
import re
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from core.request_id import current_request_id

HIDDEN = "[hidden]"

_SECRET_NAMES = (
    "api_hash|auth_?key|passw(?:or)?d|secret|token|session_?string|string_?session|"
    "x-session-string|api_?key|x-api-key|authorization|phone_code(?:_hash)?|phone(?:_number)?|"
    "private_key|encryption_keys?|credentials?"
)
_VALUE = r"""b?"(?:\\.|[^"\\])*"|b?'(?:\\.|[^'\\])*'|[^\s,;&)}\]]+"""

# In this order: what names its kind first, what is only long and random last.
_PATTERNS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\b(tgh_[A-Za-z0-9]{8})_[A-Za-z0-9_-]{16,}"), rf"\1_{HIDDEN}"),
    # PostgreSQL quotes the row that it refused.
    (re.compile(r"(?m)^(DETAIL:).*$"), rf"\1 {HIDDEN}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), f"whsec_{HIDDEN}"),
    (re.compile(r"(?i)\b((?:set-)?cookie[\"']?\s*[:=])[^\r\n]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)(tg://login\?token=)[^\s\"'&]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(/auth/qr/)[^/\s.\"'?]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^\s:/@\"']*:)[^\s/@\"']+(?=@)"), rf"\1{HIDDEN}"),
    (re.compile(r"\b\d{6,12}:[A-Za-z0-9_-]{35}\b"), HIDDEN),
    (
        re.compile(rf"(?i)\b([\w-]{{0,30}}(?:{_SECRET_NAMES})[\"']?\s*(?:=>|[:=])\s*)(?:{_VALUE})"),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(r"(?i)\b((?:code|код)[\"']?(?:\s+is|\s+was)?\s*[:=]?\s*[\"']?)\d{5,8}\b"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"""\bb(?:'(?:\\.|[^'\\]){24,}'|"(?:\\.|[^"\\]){24,}")"""), f"b'{HIDDEN}'"),
    (re.compile(r"[A-Za-z0-9+/_-]{80,}={0,2}"), HIDDEN),
    (re.compile(r"\b[0-9a-fA-F]{32,}\b"), HIDDEN),
    (re.compile(r"\+\d(?:[ ().-]{0,2}\d){6,14}(?!\d)"), "[phone]"),
]

_known_secrets: set[str] = set()
SHORTEST_KNOWN = 6


def hide(secret: str | None) -> None:
    """Hide these very words wherever they are logged from now on (settings, not codes)."""
    if secret and len(secret) >= SHORTEST_KNOWN:
        _known_secrets.add(secret)


def redact(text: str) -> str:
    """Return `text` with everything hidden that is, or looks like, a secret or a phone number."""
    for secret in _known_secrets:
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class RedactingFilter(logging.Filter):
    """Rewrites each record of a handler, whichever logger it came from."""

    def filter(self, record: logging.LogRecord) -> bool:
        redact_record(record)
        return True


class RefusalFilter(logging.Filter):
    """Makes Django's warning of each 4xx a line at INFO that says what was called.

    They are the callers' affair: a hub with many clients would hide its own warnings in them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        status, request = getattr(record, "status_code", 0), getattr(record, "request", None)
        if request is None or not 400 <= status < 500:
            return True
        if not logging.getLogger().isEnabledFor(logging.INFO):
            return False
        record.levelno, record.levelname = logging.INFO, "INFO"
        # A 403 of the admin, say, comes with the whole way to where it was raised.
        record.exc_info = record.exc_text = record.stack_info = None
        # First what strangers made: of `/login/password: 409` the status would be hidden.
        record.msg, record.args = f"{request.method} {request.path}", ()
        redact_record(record)
        record.msg = f"{record.msg}: {status}"
        return True


_plain = logging.Formatter()


def redact_record(record: logging.LogRecord) -> None:
    """Hide secrets in message, traceback and stack of `record`, once."""
    if getattr(record, "is_redacted", False):
        return
    try:
        message = record.getMessage()
    except Exception:
        # The logging module would print the arguments to stderr.
        message = f"{record.msg} [the arguments do not fit]"
    record.msg, record.args = redact(message), ()
    if record.exc_info and not record.exc_text:
        record.exc_text = _plain.formatException(record.exc_info)
    if record.exc_text:
        record.exc_text = redact(record.exc_text)
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    if not hasattr(record, "request_id"):
        record.request_id = current_request_id()
    record.is_redacted = True


class TextFormatter(logging.Formatter):
    """`2026-11-20 12:00:00.123 INFO core.writer [request] session=7 message`, UTC."""

    def format(self, record: logging.LogRecord) -> str:
        redact_record(record)
        parts = [_time(record)[:23].replace("T", " "), record.levelname, record.name]
        if request_id := getattr(record, "request_id", ""):
            parts.append(f"[{request_id}]")
        if (session := getattr(record, "session_id", None)) is not None:
            parts.append(f"session={session}")
        # One record is one line, whatever a stranger put into it.
        parts.append(str(record.msg).replace("\r", "\\r").replace("\n", "\\n"))
        lines = [" ".join(parts), record.exc_text, record.stack_info]
        return "\n".join(line for line in lines if line)


class JSONFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request_id, session_id, exception."""

    def format(self, record: logging.LogRecord) -> str:
        redact_record(record)
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.msg,
        }
        for name in ("request_id", "session_id"):
            if (value := getattr(record, name, None)) not in (None, ""):
                line[name] = value
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, default=str)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def log_uncaught() -> Callable[[], None]:
    """Log what no thread caught, instead of printing it past the redaction; return the undo."""
    logger = logging.getLogger("uncaught")
    thread_hook, main_hook = threading.excepthook, sys.excepthook

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            name = args.thread.name if args.thread else "?"
            logger.critical("thread %s died", name, exc_info=args.exc_value)

    def in_main(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        if isinstance(error, KeyboardInterrupt):
            main_hook(kind, error, traceback)
        else:
            logger.critical("the process dies", exc_info=error)

    def undo() -> None:
        threading.excepthook, sys.excepthook = thread_hook, main_hook

    threading.excepthook, sys.excepthook = in_thread, in_main
    return undo
