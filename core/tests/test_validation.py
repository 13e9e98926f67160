from datetime import UTC, datetime

import pytest
from django.utils import translation
from rest_framework import serializers

from core.errors import ValidationFailed
from core.validation import (
    Int64Field,
    MomentField,
    PeriodSerializer,
    PhoneField,
    SessionNameField,
    fail,
    is_session_name,
    normalize_phone,
    parse_moment,
    refuse_reversed,
    unix_seconds,
    validated,
)


class Sample(serializers.Serializer):
    session_id = SessionNameField(required=False)
    phone_number = PhoneField(required=False)
    number = Int64Field(required=False)
    at = MomentField(required=False)


def errors_of(data, serializer=Sample):
    with pytest.raises(ValidationFailed) as caught:
        validated(serializer, data)
    assert caught.value.status == 400
    return caught.value.errors


def test_it_works():
    values = validated(
        Sample, {"session_id": "_john", "phone_number": "+1 (555) 000-0001", "number": "-7"}
    )
    assert values == {"session_id": "_john", "phone_number": "+15550000001", "number": -7}


@pytest.mark.parametrize(
    "name",
    ["_john", "+4915112345678", "Анна", "a", "x" * 64, "a b", "..", "%2e", "日本", "a:b?c#d"],
)
def test_session_names(name):
    assert is_session_name(name)
    assert validated(Sample, {"session_id": name})["session_id"] == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 65, "a/b", "/", "../evil", " a", "a ", "a\n", "a\tb", "a\0b", "\u200b", "a\u202eb"],
)
def test_it_refuses_other_names(name):
    assert not is_session_name(name)
    assert "session_id" in errors_of({"session_id": name})


@pytest.mark.parametrize("name", [7, 1.5, True, None, ["a"], {"a": 1}])
def test_a_name_is_a_string(name):
    assert "session_id" in errors_of({"session_id": name})


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("+15550000001", "+15550000001"),
        ("15550000001", "+15550000001"),
        ("0049 151 123-456.78", "+4915112345678"),
        (" +49 (151) 1234/5678 ", "+4915112345678"),
        ("+49\u2011151\u00a012345678", "+4915112345678"),
        ("+９９96621234", "+9996621234"),
        ("0151 12345678", None),
        ("+0151", None),
        ("+1", None),
        ("+1234567890123456", None),
        ("", None),
        ("abc", None),
        ("+٤٩١٥١١٢٣٤٥٦٧٨", None),
        ("+1555x0000001", None),
        ("++15550000001", None),
    ],
)
def test_phone_numbers(text, phone):
    assert normalize_phone(text) == phone
    if phone is None:
        assert "phone_number" in errors_of({"phone_number": text})


@pytest.mark.parametrize(
    ("text", "end", "moment"),
    [
        ("2026-02-03", False, datetime(2026, 2, 3, tzinfo=UTC)),
        ("2026-02-03", True, datetime(2026, 2, 3, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-02-03 04:05:06", False, datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-02-03 04:05:06", True, datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-02-03T04:05:06", False, datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-02-03T04:05:06Z", False, datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-02-03T04:05:06+02:00", False, datetime(2026, 2, 3, 2, 5, 6, tzinfo=UTC)),
        ("2026-02-03T04:05:06 02:00", False, datetime(2026, 2, 3, 2, 5, 6, tzinfo=UTC)),
        ("2026-02-03 04:05", False, datetime(2026, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-02-30", False, None),
        ("2026-13-01 00:00:00", False, None),
        ("9999-12-31T23:59:59-10:00", False, None),
        ("2026-2-3", False, None),
        ("03.02.2026", False, None),
        ("1767225600", False, None),
        ("yesterday", False, None),
        ("", False, None),
    ],
)
def test_dates(text, end, moment):
    assert parse_moment(text, end=end) == moment
    if moment is None:
        assert "at" in errors_of({"at": text})


def test_the_last_day_can_end_a_period():
    assert parse_moment("9999-12-31", end=True) == datetime(
        9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC
    )


def test_a_period_of_one_day_is_that_day():
    period = validated(PeriodSerializer, {"start_date": "2026-02-03", "end_date": "2026-02-03"})
    assert (period["end_date"] - period["start_date"]).total_seconds() == pytest.approx(86400)


def test_start_after_end_is_refused():
    period = {"start_date": "2026-02-04", "end_date": "2026-02-03"}
    assert errors_of(period, PeriodSerializer) == {"start_date": ["start_date is after end_date."]}
    values = {"from_date": 2, "to_date": 1}
    with pytest.raises(ValidationFailed):
        refuse_reversed(values, "from_date", "to_date")
    refuse_reversed({"from_date": 1, "to_date": 1}, "from_date", "to_date")
    refuse_reversed({"start_date": None, "end_date": 1})


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, "x", 1.5, True, 1.8e19, "1e400", [1]])
def test_integers_fit_the_database(number):
    assert "number" in errors_of({"number": number})


def test_nul_is_refused_in_any_text():
    assert "phone_number" in errors_of({"phone_number": "\0"})


def test_a_list_is_no_object():
    assert "non_field_errors" in errors_of([1])


def test_nothing_is_no_object():
    assert errors_of(None) == {"non_field_errors": ["No data provided"]}


class Bounded(serializers.Serializer):
    text = serializers.CharField(max_length=3, required=False)
    words = serializers.ListField(child=serializers.CharField(), default=list)


def test_each_refusal_is_in_its_own_language():
    with translation.override("en"):
        english = errors_of({"text": "long"}, Bounded)
    with translation.override("ru"):
        russian = errors_of({"text": "long"}, Bounded)
    assert "3 characters" in english["text"][0]
    assert "3 символ" in russian["text"][0]


def test_what_was_valid_before_leaves_nothing_behind():
    validated(Bounded, {"text": "abc"})["words"].append("kept")
    assert validated(Bounded, {}) == {"words": []}


def test_fail_names_the_field():
    assert fail("Wrong.", "code").errors == {"code": ["Wrong."]}
    assert fail("Wrong.").detail == "Wrong."


def test_whole_seconds():
    assert unix_seconds(None) is None
    assert unix_seconds(parse_moment("2024-06-15 12:00:00.999999")) == 1718452800
    assert unix_seconds(parse_moment("1969-12-31 23:59:59.5")) == -1
    assert unix_seconds(parse_moment("9999-12-31", end=True)) == 253_402_300_799
    assert unix_seconds(parse_moment("2024-06-15T12:00:00+02:00")) == 1718445600
