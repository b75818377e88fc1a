"""``strict``: the rule by which a result is right. Read together with ``tests/fixtures/compare``.

- A result is a bag of rows: how often a row stands in it matters, DISTINCT is never stripped.
- The order of rows matters only where the gold's *outermost* query has an ORDER BY, and rows that tie under
  it may come in any order (``rewards.matching.order``). Where a LIMIT or OFFSET of that query cuts through
  rows that tie, any of these may stand in their places. LIMIT without ORDER BY is no such case: the rows
  that the gold returned are asked for.
- Both have the same number of columns. Names and order of columns are free: some one-to-one mapping of
  columns must make the rows equal, the same mapping for all rows (``rewards.matching.columns``).
- NULL equals NULL only. Text equals the same text only, never a number or a blob, byte for byte, case and
  white space included. A blob equals the same blob only. Dates and times are text, as SQLite has them.
- A list, struct or map equals one of its own kind with equal parts (names of fields included), never a text.
- Exact numbers (INTEGER, DECIMAL, BOOLEAN as 0 and 1) are equal when their values are, at any size.
- Numbers of which one is a float (REAL, DOUBLE, FLOAT) are equal within 1e-9 of the larger, or within 1e-12
  of the largest number of their two columns. Where one column holds nothing but zeros, nothing shows how
  large the numbers were that cancelled out: that size is taken as 1. -0.0 = 0. NaN equals NaN, an infinity
  itself. DuckDB's FLOAT has the value of the DOUBLE that it widens to. ::

    one                          other                        equal
    1                            1.0                          yes
    9007199254740993             9007199254740992             no: both are exact
    9007199254740993             9007199254740992.0           yes
    DECIMAL 1.10                 DECIMAL 1.1                  yes
    DECIMAL 1.0000000001         DECIMAL 1.0000000002         no: both are exact
    SUM of 100,000 floats        the same in another order    yes: they differ by less than 1e-11
    0.1 + 0.2 - 0.3              0.0                          yes: 5.6e-17
    1e-10, beside 1e6            0.0, beside 1e6              yes
    1e-20                        2e-20                        no
    1/3.0                        0.333333                     no
    julianday('2021-01-01')      julianday('2021-01-02')      no: 4e-7 apart
    12345678                     12345683.0                   no: 4e-7 apart
    0.1::FLOAT                   0.1::DOUBLE                  no: 1.5e-8 apart, as DuckDB says

- Nearness is no equivalence, so it is asked of rows in pairs: there must be a one-to-one mapping of rows
  (inside their tie groups) under which all cells are equal (``rewards.matching.numbers``).
- Where the rule cannot be decided within bounds (``columns.py``, ``numbers.py``), the answer is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from rewards.matching.columns import bijections
from rewards.matching.numbers import Near
from rewards.types import Reason
from tasks.databases.cells import written
from tasks.types import Outcome, Row

Groups = Sequence[int]
"""For each row of the gold the number of its tie group, in order: 0, 0, 1, 2, 2, ..."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A gold whose LIMIT or OFFSET cuts through rows that tie.

    ``rows`` are those that may stand in the result, more than do, and ``groups`` their tie groups;
    ``places[i]`` is the group of which some row must stand in row i of the result.
    """

    rows: Sequence[Row]
    groups: Groups
    places: Groups

    def holds(self, rows: Sequence[Row]) -> bool:
        """Whether a result of as many rows is one that the cut allows."""
        return Near(self.rows, rows).holds(self.groups, self.places)


def no_cut() -> Cut | None:
    """A gold of which no other rows may be returned."""
    return None


def strict(
    gold: Outcome,
    prediction: Outcome,
    ties: Callable[[], Groups | None],
    cut: Callable[[], Cut | None] = no_cut,
) -> Reason:
    """CORRECT, or what is wrong with the prediction. ``ties()`` is None where the order of rows is free.

    Both functions may run queries and are asked only where their answers decide.
    """
    if len(gold.columns) != len(prediction.columns):
        return Reason.WRONG_COLUMNS
    if gold.same_as(prediction) or gold.rows == prediction.rows:
        return Reason.CORRECT
    if len(gold.rows) != len(prediction.rows):
        return Reason.WRONG_ROWS if prediction.rows else Reason.EMPTY_RESULT
    tables = _Tables(gold.rows, prediction.rows)
    wrong = Reason.WRONG_ROWS
    if tables.same(None):
        groups = ties()
        if groups is None or tables.same(groups):
            return Reason.CORRECT
        wrong = Reason.WRONG_ORDER
    found = cut()
    return Reason.CORRECT if found and found.holds(prediction.rows) else wrong


class _Tables:
    """Two tables of the same size, and whether they hold the same rows."""

    def __init__(self, gold: Sequence[Row], other: Sequence[Row]) -> None:
        self._gold = gold
        self._other = other

    @cached_property
    def _near(self) -> Near:
        return Near(self._gold, self._other)

    def same(self, groups: Groups | None) -> bool:
        """Whether the rows are the same, group by group, under some order of columns."""
        classes = groups if groups is not None else [0] * len(self._gold)
        expected = _bag(self._gold, classes)
        if expected == _bag(self._other, classes):
            return True
        for order in bijections(self._gold, self._other, groups):
            if expected == _bag(permuted(self._other, order), classes):
                return True
        return not self._near.exact and self._near.same(groups)


def permuted(rows: Sequence[Row], order: Sequence[int]) -> Sequence[Row]:
    """The rows with their columns in this order."""
    if len(order) == 1:
        return rows
    return list(map(itemgetter(*order), rows))


def _bag(rows: Sequence[Row], classes: Groups) -> Counter[tuple[int, Row]]:
    return Counter(zip(classes, rows, strict=True))


def difference(gold: Outcome, prediction: Outcome) -> str:
    """The first row of each that the other has not, in one short line for a reader."""
    if len(gold.columns) != len(prediction.columns):
        return f"{len(prediction.columns)} columns, expected {len(gold.columns)}"
    expected = _first_missing(gold.rows, prediction.rows)
    got = _first_missing(prediction.rows, gold.rows)
    count = (
        f"{len(prediction.rows)} rows, expected {len(gold.rows)}; "
        if len(gold.rows) != len(prediction.rows)
        else ""
    )
    return f"{count}expected {_short(expected)}, got {_short(got)}"


def first_out_of_order(gold: Outcome, prediction: Outcome) -> str:
    """The first place where two tables of the same rows differ."""
    for index, (expected, got) in enumerate(zip(gold.rows, prediction.rows, strict=True)):
        if expected != got:
            return f"row {index + 1}: expected {_short(expected)}, got {_short(got)}"
    return ""


def preview(outcome: Outcome, count: int) -> list[str]:
    """The names of the columns and the first ``count`` rows, a short line each."""
    return [_short(row) for row in (outcome.columns, *outcome.rows[:count])]


def _first_missing(rows: Sequence[Row], other: Sequence[Row]) -> Row | None:
    left = Counter(other)
    for row in rows:
        if not left[row]:
            return row
        left[row] -= 1
    return None


def _short(row: Row | None, cells: int = 6, width: int = 40) -> str:
    if row is None:
        return "no other row"
    shown = [
        repr(cell[:width]) if isinstance(cell, str | bytes) else written(cell)[:width] for cell in row[:cells]
    ]
    return f"({', '.join(shown)}{', ...' if len(row) > cells else ''})"
