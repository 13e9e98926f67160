"""Input that a client sent: shapes, names, phone numbers and dates of the contract."""

import calendar
import contextlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime
from rest_framework import serializers

from core.errors import NON_FIELD, ValidationFailed, flatten_errors

MAX_NAME = 64
INT64 = 2**63 - 1


def validated(serializer_class: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    """Return what `serializer_class` makes of `data`; raises ValidationFailed (400)."""
    with contextlib.suppress(serializers.ValidationError):
        return dict(_shared(serializer_class).run_validation(data))
    # DRF's texts stay in the language in which a serializer tells them first.
    serializer = serializer_class(data=data)
    if not serializer.is_valid():
        raise ValidationFailed(flatten_errors(serializer.errors))
    return dict(serializer.validated_data)


@cache
def _shared(serializer_class: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """Return a serializer for valid data: making its fields takes longer than using them.

    What it is given and what it finds are arguments and results, so threads may share it.
    """
    return serializer_class()


def is_session_name(name: str) -> bool:
    """Tell whether `name` can name a session.

    1 to 64 printable characters, no `/`, no outer blanks.
    """
    if not 1 <= len(name) <= MAX_NAME or name != name.strip():
        return False
    return name.isprintable() and "/" not in name


class SessionNameField(serializers.CharField):
    """The name of a session, taken to the letter."""

    default_error_messages = {
        "name": f"A name is 1 to {MAX_NAME} printable characters without '/' and outer blanks.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        # A number would be taken for its digits, another name than the one that was meant.
        if not isinstance(data, str) or not is_session_name(data):
            self.fail("name")
        return data


_PHONE_MARKS = re.compile(r"[\s().\-/\u2010-\u2015]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def normalize_phone(text: str) -> str | None:
    """Return `text` as E.164 (`+4915112345678`), or None when it is no phone number.

    Blanks and punctuation are dropped, `00` and nothing at all stand for `+`.
    """
    digits = _PHONE_MARKS.sub("", unicodedata.normalize("NFKC", text))
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    elif not digits.startswith("+"):
        digits = "+" + digits
    return digits if _E164.fullmatch(digits) else None


class PhoneField(serializers.CharField):
    """A phone number, normalised to E.164."""

    default_error_messages = {
        "phone": "This is not a phone number in international form, such as +49151….",
    }

    def to_internal_value(self, data: Any) -> str:
        phone = normalize_phone(super().to_internal_value(data))
        if phone is None:
            self.fail("phone")
        return phone


def parse_moment(text: str, *, end: bool = False) -> datetime | None:
    """Return the UTC time that `text` names, or None when it names none.

    `YYYY-MM-DD`, `YYYY-MM-DD HH:MM:SS`, or ISO 8601 with an offset; UTC unless said.
    A date alone is its first moment, with `end` its last one.
    """
    text = text.strip()
    # In a query string an unquoted "+" of an offset arrives as a blank.
    text = re.sub(r"(T?\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)\Z", r"\1+\2", text)
    try:
        if day := (parse_date(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None):
            start = datetime.combine(day, time.min, UTC)
            return start + timedelta(days=1, microseconds=-1) if end else start
        moment = parse_datetime(text)
        if moment is None:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def unix_seconds(moment: datetime | None) -> int | None:
    """Return the whole second that an aware time lies in; None for none.

    `timestamp()` is a float, in which the last microsecond of a far year is the next second.
    """
    return None if moment is None else calendar.timegm(moment.utctimetuple())


class MomentField(serializers.CharField):
    """A date or time of the contract, as an aware datetime; `end=True` ends a period."""

    default_error_messages = {
        "moment": "A date is YYYY-MM-DD or YYYY-MM-DD HH:MM:SS (or ISO 8601 with an offset).",
    }

    def __init__(self, *, end: bool = False, **kwargs: Any) -> None:
        self.end = end
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Any:
        moment = parse_moment(super().to_internal_value(data), end=self.end)
        if moment is None:
            self.fail("moment")
        return moment

    def to_representation(self, value: Any) -> str:
        return str(value.isoformat())


def refuse_reversed(
    values: Mapping[str, Any], start: str = "start_date", end: str = "end_date"
) -> None:
    """Raise ValidationFailed when the period between two fields ends before it starts."""
    first, last = values.get(start), values.get(end)
    if first is not None and last is not None and first > last:
        raise ValidationFailed({start: [f"{start} is after {end}."]})


class PeriodSerializer(serializers.Serializer[Any]):
    """Input with an optional `start_date` and `end_date`, in this order."""

    start_date = MomentField(required=False, allow_null=True, default=None)
    end_date = MomentField(required=False, allow_null=True, default=None, end=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        first, last = attrs.get("start_date"), attrs.get("end_date")
        if first is not None and last is not None and first > last:
            raise serializers.ValidationError({"start_date": "start_date is after end_date."})
        return attrs


class Int64Field(serializers.IntegerField):
    """An integer that both databases can hold; booleans and floats are refused."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("min_value", -INT64 - 1)
        kwargs.setdefault("max_value", INT64)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool | float):
            self.fail("invalid")
        return super().to_internal_value(data)


def fail(text: str, field: str = NON_FIELD) -> ValidationFailed:
    """Return the 400 that says `text` of `field`."""
    return ValidationFailed({field: [text]})
