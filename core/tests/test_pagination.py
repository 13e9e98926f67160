import pytest

from core.errors import ValidationFailed
from core.models import EventClock
from core.pagination import CursorQuery, PageQuery, cursor_page, page
from core.validation import validated


def test_it_works():
    assert page(list(range(5)), limit=2, offset=2) == {
        "total": 5,
        "limit": 2,
        "offset": 2,
        "has_more": True,
        "results": [2, 3],
    }


def test_querysets(db):
    EventClock.objects.bulk_create([EventClock(pk=n) for n in range(1, 6)])
    answer = page(EventClock.objects.order_by("pk"), limit=3, offset=3, render=lambda row: row.pk)
    assert (answer["total"], answer["has_more"], answer["results"]) == (5, False, [4, 5])


def test_cursor_pages_follow_each_other(db):
    EventClock.objects.bulk_create([EventClock(pk=n) for n in range(1, 6)])
    seen, before = [], None
    while True:
        answer = cursor_page(
            EventClock.objects.all(), limit=2, before=before, render=lambda row: row.pk
        )
        seen.append(answer["results"])
        if (before := answer["next"]) is None:
            break
    assert seen == [[5, 4], [3, 2], [1]]


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 501}, {"limit": "x"}, {"offset": -1}, {"offset": 2**40}]
)
def test_it_refuses_what_is_out_of_range(query):
    with pytest.raises(ValidationFailed):
        validated(PageQuery, query)


@pytest.mark.parametrize("query", [{"before": 0}, {"before": 2**63}, {"before": "x"}])
def test_it_refuses_bad_cursors(query):
    with pytest.raises(ValidationFailed):
        validated(CursorQuery, query)


def test_defaults():
    assert validated(PageQuery, {}) == {"limit": 100, "offset": 0}
    assert validated(CursorQuery, {}) == {"limit": 100, "before": None}
