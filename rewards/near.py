"""Large tables whose numbers are near each other, not equal: decided column by column, where they can be.

Two columns that are near in some order of rows are near when both are sorted, for nearness keeps the order
of numbers. So a column of one table mostly has one partner in the other, and a column whose numbers stand
well apart says which row is which. What this leaves open is for ``rewards.cells.harmonised``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from rewards.cells import TOLERANCE, same_cell
from tasks.types import Cell, Row

NUMBERS = frozenset({int, float})
_near = partial(math.isclose, rel_tol=TOLERANCE)
_close = partial(math.isclose, rel_tol=4 * TOLERANCE)


@dataclass(frozen=True)
class _Column:
    cells: Sequence[Cell]

    @cached_property
    def kinds(self) -> frozenset[type]:
        return frozenset(map(type, self.cells))

    @cached_property
    def numbers(self) -> list[float]:
        """Sorted."""
        if self.kinds <= NUMBERS:
            return sorted(self.cells)  # type: ignore[arg-type]  # all are numbers
        return sorted([cell for cell in self.cells if isinstance(cell, int | float)])

    @cached_property
    def others(self) -> Counter[Cell]:
        if self.kinds <= NUMBERS:
            return Counter()
        return Counter([cell for cell in self.cells if not isinstance(cell, int | float)])

    def may_be(self, other: _Column) -> bool:
        """Whether both may hold the same cells."""
        one, two = self.numbers, other.numbers
        if len(one) != len(two) or not all(map(_near, one[:: len(one) // 8 + 1], two[:: len(two) // 8 + 1])):
            return False
        return all(map(_near, one, two)) and self.others == other.others


Pair = tuple[_Column, _Column]
"""A column of the gold and the only one of the other table that it can be."""


class Near:
    """Two tables with the same number of rows and of columns."""

    def __init__(self, gold: Sequence[Row], other: Sequence[Row]) -> None:
        self._left, self._right = (
            [_Column(cells) for cells in zip(*rows, strict=True)] for rows in (gold, other)
        )

    def same(self, groups: Sequence[int] | None) -> bool | None:
        """Whether the rows are the same up to nearness, group by group; None where that stays open.

        ``groups`` as for ``rewards.columns.bijections``.
        """
        if self._aligned is None or isinstance(self._aligned, bool):
            return self._aligned
        here, there = self._aligned
        if groups is not None and [groups[row] for row in here] != [groups[row] for row in there]:
            return False
        return self._matched

    @cached_property
    def _candidates(self) -> list[list[_Column]]:
        """For each column of the gold those that it may be."""
        return [[column for column in self._right if mine.may_be(column)] for mine in self._left]

    @cached_property
    def _aligned(self) -> tuple[list[int], list[int]] | bool | None:
        """The rows of both tables, partner by partner; or that there is no such order, or that it is open."""
        columns = (*self._left, *self._right)
        if not any(float in column.kinds for column in columns):
            return False
        if any(math.isnan(sum(column.numbers)) for column in columns):
            return None  # NaN has no place in an order
        if not all(self._candidates):
            return False
        pairs = [
            (mine, found[0])
            for mine, found in zip(self._left, self._candidates, strict=True)
            if len(found) == 1 and mine.kinds <= NUMBERS and found[0].kinds <= NUMBERS
        ]
        everything = list(range(len(self._left[0].cells)))
        here: list[int] = []
        there: list[int] = []
        if not _align(pairs, everything, everything, here, there):
            return None
        return here, there

    @cached_property
    def _matched(self) -> bool | None:
        """Whether, with the rows in this order, each column finds a partner of its own."""
        assert isinstance(self._aligned, tuple)
        here, there = self._aligned
        taken: set[int] = set()
        for mine, found in zip(self._left, self._candidates, strict=True):
            fitting = [column for column in found if _fits(mine, column, here, there)]
            if not fitting:
                return False
            free = next((column for column in fitting if id(column) not in taken), None)
            if free is None:
                return None
            taken.add(id(free))
        return True


def _align(
    pairs: Sequence[Pair], left: list[int], right: list[int], here: list[int], there: list[int]
) -> bool:
    """Append partner after partner; False where the numbers do not tell the rows apart."""
    if len(left) == 1:
        here += left
        there += right
        return True
    if not pairs:
        return False
    (one, two), rest = pairs[0], pairs[1:]
    left = sorted(left, key=one.cells.__getitem__)  # type: ignore[arg-type]  # all are numbers
    right = sorted(right, key=two.cells.__getitem__)  # type: ignore[arg-type]
    numbers = [one.cells[row] for row in left]
    start = 0
    for end, close in enumerate([*map(_close, numbers, numbers[1:]), False], start=1):
        if not close:
            if not _align(rest, left[start:end], right[start:end], here, there):
                return False
            start = end
    return True


def _fits(one: _Column, two: _Column, here: Sequence[int], there: Sequence[int]) -> bool:
    test = _near if one.kinds == two.kinds == {float} else same_cell
    return all(map(test, map(one.cells.__getitem__, here), map(two.cells.__getitem__, there)))
