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

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from operator import itemgetter

from rewards.cells import harmonised, same_cell
from rewards.columns import bijections
from rewards.near import Near
from rewards.types import Reason
from tasks.types import Outcome, Row

Groups = Sequence[int]
"""For each row of the gold the number of its tie group, in order: 0, 0, 1, 2, 2, ..."""

_Buckets = dict[tuple[int, Row], list[Row]]


def strict(gold: Outcome, prediction: Outcome, ties: Callable[[], Groups | None]) -> Reason:
    """CORRECT, or what is wrong with the prediction. ``ties()`` is None where the order of rows is free."""
    if len(gold.columns) != len(prediction.columns):
        return Reason.WRONG_COLUMNS
    if gold.same_as(prediction) or gold.rows == prediction.rows:
        return Reason.CORRECT
    if len(gold.rows) != len(prediction.rows):
        return Reason.WRONG_ROWS if prediction.rows else Reason.EMPTY_RESULT
    tables = _Tables(gold.rows, prediction.rows)
    if not tables.same(None):
        return Reason.WRONG_ROWS
    groups = ties()
    if groups is not None and not tables.same(groups):
        return Reason.WRONG_ORDER
    return Reason.CORRECT


class _Tables:
    """Two tables of the same size, and whether they hold the same rows."""

    def __init__(self, gold: Sequence[Row], other: Sequence[Row]) -> None:
        self._gold = gold
        self._other = other

    @cached_property
    def _near(self) -> Near:
        return Near(self._gold, self._other)

    @cached_property
    def _harmonised(self) -> tuple[Sequence[Row], Sequence[Row]]:
        return harmonised(self._gold, self._other)

    def same(self, groups: Groups | None) -> bool:
        """Whether the rows are the same, group by group, under some order of columns."""
        classes = groups if groups is not None else [0] * len(self._gold)
        if _bag(self._gold, classes) == _bag(self._other, classes):
            return True
        for order in bijections(self._gold, self._other, groups):
            if _bag(self._gold, classes) == _bag(permuted(self._other, order), classes):
                return True
        decided = self._near.same(groups)
        if decided is not None:
            return decided
        gold, other = self._harmonised
        if gold is self._gold:
            return False
        expected = _buckets(gold, self._gold, classes)
        for order in bijections(gold, other, groups):
            found = _buckets(permuted(other, order), permuted(self._other, order), classes)
            if expected.keys() == found.keys() and all(_pairwise(expected[key], found[key]) for key in found):
                return True
        return False


def permuted(rows: Sequence[Row], order: Sequence[int]) -> Sequence[Row]:
    """The rows with their columns in this order."""
    if len(order) == 1:
        return rows
    return list(map(itemgetter(*order), rows))


def _bag(rows: Sequence[Row], classes: Groups) -> Counter[tuple[int, Row]]:
    return Counter(zip(classes, rows, strict=True))


def _buckets(keys: Sequence[Row], rows: Sequence[Row], classes: Groups) -> _Buckets:
    """The rows of each class that are alike up to nearness, sorted by their numbers."""
    buckets: _Buckets = defaultdict(list)
    for group, key, row in zip(classes, keys, rows, strict=True):
        buckets[group, key].append(row)
    for bucket in buckets.values():
        if len(bucket) > 1:
            bucket.sort(key=lambda row: [cell for cell in row if isinstance(cell, int | float)])
    return buckets


def _pairwise(rows: Sequence[Row], others: Sequence[Row]) -> bool:
    if len(rows) != len(others):
        return False
    return all(all(map(same_cell, row, other)) for row, other in zip(rows, others, strict=True))


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
    shown = [repr(cell[:width] if isinstance(cell, str | bytes) else cell) for cell in row[:cells]]
    return f"({', '.join(shown)}{', ...' if len(row) > cells else ''})"
