"""``strict``: the rule by which a result is correct. ``tests/fixtures/compare`` has an example of each line.

- A result is a bag of rows: it matters how often a row occurs, and DISTINCT is never removed.
- The order of rows matters only where the gold's *outermost* query has an ORDER BY, and rows that tie under
  it may come in any order (``rewards.matching.order``). Where a LIMIT or OFFSET of that query cuts through
  rows that tie, any of them may take the remaining places. This does not hold for LIMIT without ORDER BY:
  there the prediction must return the same rows as the gold.
- Both results have the same number of columns. Names and order of columns do not matter: some one-to-one
  mapping of columns must make the rows equal, the same mapping for all rows (``rewards.matching.columns``).
- NULL equals NULL only. Text equals the same text only, byte for byte with case and white space, and never a
  number or a blob. A blob equals the same blob only. Dates and times are text, as in SQLite.
- A list, struct or map equals one of the same kind with equal parts and field names, and never a text.
- Exact numbers (INTEGER, DECIMAL, BOOLEAN as 0 and 1) are equal when their values are, at any size.
- Two numbers, at least one of them a float (REAL, DOUBLE, FLOAT), are equal within 1e-9 of the larger, or
  within 1e-12 of the largest number of their two columns. If one column has nothing but zeros, that size
  is taken as 1, because nothing shows how large the numbers were that cancelled out. -0.0 equals 0. NaN
  equals NaN, an infinity equals itself. DuckDB's FLOAT has the value of the DOUBLE that it widens to. ::

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

- Nearness is not transitive, so rows are compared in pairs: there must be a one-to-one mapping of rows
  (inside their tie groups) under which all cells are equal (``rewards.matching.near_tables``).
- Where this cannot be decided within bounds (``columns.py``, ``near_tables.py``), the prediction is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from rewards.matching.columns import bijections
from rewards.matching.near_tables import NearTables
from rewards.types import Reason
from tasks.types import Outcome, Row

Groups = Sequence[int]
"""For each row of the gold the number of its tie group, in order: 0, 0, 1, 2, 2, ..."""


@dataclass(frozen=True, slots=True)
class LimitCut:
    """A gold whose LIMIT or OFFSET cuts through rows that tie.

    ``rows``: all rows that the result may contain, more than it has. ``groups``: the tie group of each.
    ``places[i]``: the tie group to which row i of the result must belong.
    """

    rows: Sequence[Row]
    groups: Groups
    places: Groups

    def allows(self, rows: Sequence[Row]) -> bool:
        """Whether the gold could also have returned these rows; ``rows`` has as many as ``places``."""
        return NearTables(self.rows, rows).contains(self.groups, self.places)


def no_cut() -> LimitCut | None:
    """The ``cut`` of a gold that can return no other rows."""
    return None


def strict(
    gold: Outcome,
    prediction: Outcome,
    ties: Callable[[], Groups | None],
    cut: Callable[[], LimitCut | None] = no_cut,
) -> Reason:
    """CORRECT, or why the prediction is wrong. ``ties()`` is None if any order of rows is right.

    ``ties`` and ``cut`` may run queries, so they are called only if the verdict depends on them.
    """
    if len(gold.columns) != len(prediction.columns):
        return Reason.WRONG_COLUMNS
    if gold.same_as(prediction) or gold.rows == prediction.rows:
        return Reason.CORRECT
    if len(gold.rows) != len(prediction.rows):
        return Reason.WRONG_ROWS if prediction.rows else Reason.EMPTY_RESULT
    tables = _Tables(gold.rows, prediction.rows)
    wrong = Reason.WRONG_ROWS
    if tables.equal(None):
        groups = ties()
        if groups is None or tables.equal(groups):
            return Reason.CORRECT
        wrong = Reason.WRONG_ORDER
    limit_cut = cut()
    return Reason.CORRECT if limit_cut and limit_cut.allows(prediction.rows) else wrong


class _Tables:
    """Two tables of the same size, to be compared without and with their tie groups."""

    def __init__(self, gold: Sequence[Row], other: Sequence[Row]) -> None:
        self._gold = gold
        self._other = other

    @cached_property
    def _near(self) -> NearTables:
        return NearTables(self._gold, self._other)

    def equal(self, groups: Groups | None) -> bool:
        """Whether the rows are the same, group by group, under some column mapping."""
        classes = groups if groups is not None else [0] * len(self._gold)
        expected = _bag(self._gold, classes)
        if expected == _bag(self._other, classes):
            return True
        for order in bijections(self._gold, self._other, groups):
            if expected == _bag(permuted(self._other, order), classes):
                return True
        return not self._near.exact and self._near.equal(groups)


def permuted(rows: Sequence[Row], order: Sequence[int]) -> Sequence[Row]:
    """The rows with their columns in the given order."""
    if len(order) == 1:
        return rows
    return list(map(itemgetter(*order), rows))


def _bag(rows: Sequence[Row], classes: Groups) -> Counter[tuple[int, Row]]:
    return Counter(zip(classes, rows, strict=True))
