"""Rows that are stored past the ORM, on both databases."""

import pytest
from django.db import connection, transaction

from core.upserts import MANY, ROWS_PER_STATEMENT, insert, upsert

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]

COLUMNS = ("id", "name", "size", "flag", "note")


@pytest.fixture
def table():
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE upserted (id bigint PRIMARY KEY, name text NOT NULL, size bigint, "
            "flag boolean NOT NULL, note text)"
        )
        with transaction.atomic():
            yield "upserted"
        cursor.execute("DROP TABLE upserted")


def stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, name, size, flag, note FROM upserted ORDER BY id")
        return [(*row[:3], bool(row[3]), row[4]) for row in cursor.fetchall()]


@pytest.mark.parametrize("count", [1, MANY - 1, MANY, ROWS_PER_STATEMENT + 3])
@pytest.mark.parametrize(
    "rest",
    [("", None, False, None), ("", 0, False, ""), ("x", 7, True, None)],
    ids=["empty", "zeros", "full"],
)
def test_every_value_is_what_was_given(table, count, rest):
    rows = [(number, *rest) for number in range(1, count + 1)]
    upsert(table, COLUMNS, rows, conflict="id")
    assert stored() == rows


def test_empty_values_replace_what_is_there(table):
    full = [(number, "x", 7, True, "y") for number in range(MANY)]
    empty = [(number, "", None, False, None) for number in range(MANY)]
    upsert(table, COLUMNS, full, conflict="id")
    upsert(table, COLUMNS, empty, conflict="id", update=COLUMNS[1:])
    assert stored() == empty


def test_a_column_that_is_empty_in_some_rows_only(table):
    rows = [(number, "x" * (number % 2), number % 3 or None, False, "") for number in range(200)]
    insert(table, COLUMNS, rows)
    assert stored() == rows


def test_rows_of_nothing_but_empty_values(table):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE hollow (a bigint, b text)")
        insert("hollow", ("a", "b"), [(None, "")] * MANY)
        cursor.execute("SELECT a, b FROM hollow")
        assert cursor.fetchall() == [(None, "")] * MANY
        cursor.execute("DROP TABLE hollow")
