"""Pages of lists: `limit` and `offset`, refused when out of range instead of bent into it."""

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from django.db.models import Model, QuerySet
from rest_framework import serializers

MAX_LIMIT = 500
DEFAULT_LIMIT = 100
MAX_OFFSET = 2**31 - 1


class PageQuery(serializers.Serializer[Any]):
    """Query parameters of a list."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT)
    offset = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET, default=0)


class CursorQuery(serializers.Serializer[Any]):
    """Query parameters of a list that grows at its head: what is older than row `before`."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT)
    before = serializers.IntegerField(
        min_value=1, max_value=2**63 - 1, required=False, default=None, allow_null=True
    )


class PageDict(TypedDict):
    """`total` counts what matches, `has_more` says that rows follow this page."""

    total: int
    limit: int
    offset: int
    has_more: bool
    results: list[Any]


class CursorPageDict(TypedDict):
    """`next` is the `before` of the following page, None on the last one."""

    next: int | None
    results: list[Any]


def page(
    rows: "QuerySet[Any] | Sequence[Any]",
    *,
    limit: int,
    offset: int,
    render: Callable[[Any], Any] = lambda row: row,
) -> PageDict:
    """Return one page of `rows`, a queryset in a settled order or a list."""
    total = rows.count() if isinstance(rows, QuerySet) else len(rows)
    return {
        "total": total,
        "limit": limit,
        "offset": offset,
        "has_more": offset + limit < total,
        "results": [render(row) for row in rows[offset : offset + limit]],
    }


def cursor_page(
    rows: "QuerySet[Any]",
    *,
    limit: int,
    before: int | None,
    render: Callable[[Any], Any] = lambda row: row,
) -> CursorPageDict:
    """Return the newest `limit` rows older than `before`, by primary key; nothing is counted."""
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found: list[Model] = list(rows.order_by("-pk")[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return {"next": found[-1].pk if more else None, "results": [render(row) for row in found]}
