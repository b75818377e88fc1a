"""Spider 2.0's rule, case by case; the verdicts are those of the official ``compare_pandas_table``."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rewards.matching.spider2 import difference, equal
from tasks.types import Cell, Outcome, Status

Rows = Sequence[tuple[Cell, ...]]


def result(rows: Rows) -> Outcome:
    return Outcome(
        Status.OK, tuple(f"c{number}" for number in range(len(rows[0]) if rows else 1)), tuple(rows)
    )


@pytest.mark.parametrize(
    ("expected", "found", "ordered", "right"),
    [
        ([("1",), ("2",)], [(1,), (2,)], True, True),
        ([("1",), ("2",)], [(2,), (1,)], True, False),
        ([("1",), ("2",)], [(2,), (1,)], False, True),
        ([("1",), ("2",)], [("1",), ("2",)], True, True),
        ([("1",), ("2",)], [("x", 1), ("y", 2)], True, True),
        ([("1", "x"), ("2", "y")], [(1,), (2,)], True, False),
        ([("1", "1")], [(1,)], True, True),
        ([("10.33",)], [(10.3333333,)], True, True),
        ([("10.33",)], [(10.35,)], True, False),
        ([("a",)], [("A",)], True, False),
        ([("007",)], [(7,)], True, True),
        ([("007",), ("x",)], [(7,), ("x",)], True, False),
        ([("",), ("1",)], [(None,), (1,)], True, True),
        ([("",), ("1",)], [("NA",), (1.0,)], True, True),
        ([("",), ("1",)], [(0,), (1,)], True, False),
        ([("True",), ("False",)], [("true",), ("FALSE",)], True, True),
        ([("True",)], [(1,)], True, True),
        ([("2020-01-02",)], [("2020-01-02 00:00:00",)], True, False),
        ([("1",)], [(1,), (1,)], True, False),
        ([("b", "1"), ("a", "2")], [(1, "a"), (2, "b")], False, True),
        ([("9",), ("10",)], [(10.0,), (9.0,)], False, True),
        ([], [], True, True),
        ([("inf",)], [(float("inf"),)], True, True),
    ],
)
def test_columns_match(expected: Rows, found: Rows, ordered: bool, right: bool) -> None:
    assert equal(result(expected), result(found), ordered) is right


def test_the_difference_names_what_is_missing() -> None:
    gold = result([("1", "x"), ("2", "y")])
    assert difference(gold, result([(1,)])) == "1 row, expected 2"
    assert difference(gold, result([(1,), (2,)])) == "no column has the values of c1"
    assert difference(gold, result([(2, "y"), (1, "x")])) == "not in the expected order"
