"""``strict``: the rule by which a result is right. Read together with ``tests/fixtures/compare``.

- A result is a bag of rows: how often a row stands in it matters, DISTINCT is never stripped.
- The order of rows matters only where the gold's *outermost* query has an ORDER BY, and rows that tie under
  it may come in any order (``rewards.order``).
- Both have the same number of columns. Names and order of columns are free: some one-to-one mapping of
  columns must make the rows equal, the same mapping for all rows (``rewards.columns``).
- NULL equals NULL only. Text equals the same text only, never a number or a blob, byte for byte, case and
  white space included. A blob equals the same blob only. Dates and decimals are what the engine's file in
  ``tasks/databases`` makes of them.
- Numbers: integers are equal exactly, beyond 2^53 too. If one of the two is a float, they are equal
  within 1e-6 of the larger: 1 = 1.0. -0.0 = 0. Booleans are 0 and 1. NaN equals NaN, an infinity itself.
- Where the rule cannot be decided within bounds (``rewards.columns``), the answer is wrong.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import chain

from rewards.columns import bijections
from rewards.types import Reason
from tasks.types import Cell, Outcome, Row

TOLERANCE = 1e-6
Groups = Sequence[int]
"""For each row of the gold the number of its tie group, in order: 0, 0, 1, 2, 2, ..."""

_Buckets = dict[tuple[int, Row], list[Row]]


def strict(gold: Outcome, prediction: Outcome, ties: Callable[[], Groups] | None) -> Reason:
    """CORRECT, or what is wrong with the prediction. ``ties`` is None where the order of rows is free."""
    if len(gold.columns) != len(prediction.columns):
        return Reason.WRONG_COLUMNS
    if gold.rows == prediction.rows:
        return Reason.CORRECT
    if len(gold.rows) != len(prediction.rows):
        return Reason.WRONG_ROWS if prediction.rows else Reason.EMPTY_RESULT
    if not same_rows(gold.rows, prediction.rows):
        return Reason.WRONG_ROWS
    if ties is not None and not same_rows(gold.rows, prediction.rows, ties()):
        return Reason.WRONG_ORDER
    return Reason.CORRECT


def same_rows(gold: Sequence[Row], other: Sequence[Row], groups: Groups | None = None) -> bool:
    """Whether two tables of the same size hold the same rows, group by group, under some order of columns."""
    classes = groups if groups is not None else [0] * len(gold)
    if _bag(gold, classes) == _bag(other, classes):
        return True
    left, right = harmonised(gold, other)
    for order in bijections(left, right, groups):
        if _same_cells(gold, [tuple([row[i] for i in order]) for row in other], classes):
            return True
    return False


def _bag(rows: Sequence[Row], classes: Groups) -> Counter[tuple[int, Row]]:
    return Counter(zip(classes, rows, strict=True))


def harmonised(gold: Sequence[Row], other: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Both tables with numbers that are near each other made the same, and NaN one object.

    Nearness is not transitive, so this only finds candidates: a chain of near numbers becomes one.
    """
    if float not in set(map(type, chain(chain.from_iterable(gold), chain.from_iterable(other)))):
        return gold, other
    cells = chain(chain.from_iterable(gold), chain.from_iterable(other))
    numbers = {cell for cell in cells if isinstance(cell, int | float)}
    stand_in: dict[Cell, Cell] = {number: math.nan for number in numbers if number != number}
    last: float | None = None
    for number in sorted(number for number in numbers if number == number):
        near = last is not None and math.isclose(last, number, rel_tol=TOLERANCE)
        stand_in[number] = stand_in[last] if near else number
        last = number
    get = stand_in.get
    return [tuple(map(get, row, row)) for row in gold], [tuple(map(get, row, row)) for row in other]


def _same_cells(gold: Sequence[Row], other: Sequence[Row], classes: Groups) -> bool:
    """Whether rows can be paired within their classes so that every pair is equal cell by cell."""
    if _bag(gold, classes) == _bag(other, classes):
        return True
    left, right = harmonised(gold, other)
    expected, found = _buckets(left, gold, classes), _buckets(right, other, classes)
    if expected.keys() != found.keys():
        return False
    return all(_pairwise(rows, found[key]) for key, rows in expected.items())


def _buckets(keys: Sequence[Row], rows: Sequence[Row], classes: Groups) -> _Buckets:
    """The rows of each class that are alike up to nearness, sorted by their numbers."""
    buckets: _Buckets = defaultdict(list)
    for group, key, row in zip(classes, keys, rows, strict=True):
        buckets[group, key].append(row)
    for bucket in buckets.values():
        bucket.sort(key=lambda row: [cell for cell in row if isinstance(cell, int | float)])
    return buckets


def _pairwise(rows: Sequence[Row], others: Sequence[Row]) -> bool:
    if len(rows) != len(others):
        return False
    return all(all(map(same_cell, row, other)) for row, other in zip(rows, others, strict=True))


def same_cell(one: Cell, other: Cell) -> bool:
    """Whether two cells are equal by the rule at the top of this file."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        if isinstance(one, int) and isinstance(other, int):
            return one == other
        return math.isclose(one, other, rel_tol=TOLERANCE) or (one != one and other != other)
    return type(one) is type(other) and one == other


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
    shown = [repr(cell[:width] if isinstance(cell, str | bytes) else cell) for cell in row[:cells]]
    return f"({', '.join(shown)}{', ...' if len(row) > cells else ''})"
