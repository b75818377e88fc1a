"""Which row of one table is the partner of which row of the other, where several may be.

Rows are partners if all their cells are near each other. Where one column alone tells rows apart, sorting
finds the partners; where several do, it is a matching in a bipartite graph.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from rewards.matching.cells import RELATIVE, near, number, same_cell
from rewards.matching.chains import Column, floor_of
from tasks.types import Cell

_FEW = 16
"""Pairs of different cells of a block that are all looked at."""
_FLOATS = frozenset({float})

Block = tuple[list[int], list[int]]
"""Rows of the gold and rows of the other table that may only be partners of each other."""


@dataclass
class Budget:
    """Steps that a comparison may still take."""

    left: int

    def spend(self, count: int) -> bool:
        """Whether there are so many left."""
        self.left -= count
        return self.left >= 0


class Pair:
    """A column of the gold and its partner."""

    def __init__(self, gold: Column, other: Column) -> None:
        self.gold = gold.cells
        self.other = other.cells
        self.floor = floor_of(gold, other)
        self.floats = gold.floats and other.floats

    def equal(self, here: int, there: int) -> bool:
        return same_cell(self.gold[here], self.other[there], self.floor)

    def all_equal(self, here: Sequence[int], there: Sequence[int]) -> bool:
        test: Callable[..., bool] = partial(same_cell, floor=self.floor)
        if self.floats:
            test = partial(math.isclose, rel_tol=RELATIVE, abs_tol=self.floor)
        return all(map(test, map(self.gold.__getitem__, here), map(self.other.__getitem__, there)))


class _Within:
    """A pair of columns in one block of rows."""

    def __init__(self, pair: Pair, block: Block) -> None:
        self.equal = pair.equal
        self.all_equal = pair.all_equal
        self._pair = pair
        self._cells = [pair.gold[row] for row in block[0]], [pair.other[row] for row in block[1]]

    @cached_property
    def smooth(self) -> bool:
        """Whether nearness keeps the order of numbers here: all are, and one side has nothing but floats."""
        kinds = [set(map(type, cells)) for cells in self._cells]
        numbers = all(number(cell) is not None and cell == cell for cells in self._cells for cell in cells)
        return numbers and (kinds[0] == _FLOATS or kinds[1] == _FLOATS)

    @property
    def tells_apart(self) -> bool:
        """Whether some of these rows may be no partners by this column."""
        if self.smooth:
            found = [*map(_value, self._cells[0]), *map(_value, self._cells[1])]
            return not near(min(found), max(found), self._pair.floor)
        one, two = [list({repr(cell): cell for cell in cells}.values()) for cells in self._cells]
        few = len(one) * len(two) <= _FEW
        return not few or not all(same_cell(a, b, self._pair.floor) for a in one for b in two)

    def here(self, row: int) -> float:
        return _value(self._pair.gold[row])

    def there(self, row: int) -> float:
        return _value(self._pair.other[row])

    def reach(self, value: float) -> float:
        """More than what lies between a number and any that is near it."""
        return 2 * RELATIVE * abs(value) + 2 * self._pair.floor


def _value(cell: Cell) -> float:
    value = number(cell)
    assert value is not None
    return value


def matched(block: Block, pairs: Sequence[Pair], budget: Budget) -> bool:
    """Whether each row of the second has a partner of its own among those of the first."""
    here, there = block
    if not budget.spend(len(pairs) * len(here)):
        return False
    telling = [one for one in (_Within(pair, block) for pair in pairs) if one.tells_apart]
    if not telling:
        return True
    smooth = [one for one in telling if one.smooth]
    if len(here) == len(there):
        for one in smooth:
            mine, theirs = sorted(here, key=one.here), sorted(there, key=one.there)
            if all(other.all_equal(mine, theirs) for other in telling):
                return True
        if len(telling) == len(smooth) == 1:
            return False
    return _all_matched(_partners(here, there, telling, budget), budget)


def _partners(
    here: Sequence[int], there: Sequence[int], telling: Sequence[_Within], budget: Budget
) -> list[list[int]]:
    """For each row of ``there`` the rows of ``here`` that are near it; nothing where the budget is spent."""
    first = next((one for one in telling if one.smooth), None)
    here = sorted(here, key=first.here) if first else here
    numbers = list(map(first.here, here)) if first else []
    found: list[list[int]] = []
    for row in there:
        possible = here
        if first:
            value = first.there(row)
            reach = first.reach(value)
            possible = here[bisect_left(numbers, value - reach) : bisect_right(numbers, value + reach)]
        if not budget.spend(len(possible) * len(telling)):
            return [[]]
        found.append([mine for mine in possible if all(one.equal(mine, row) for one in telling)])
    return found


def _all_matched(partners: Sequence[Sequence[int]], budget: Budget) -> bool:
    """Whether a bipartite graph has a matching that leaves out no one on the left (augmenting paths)."""
    owner: dict[int, int] = {}
    held: dict[int, int] = {}
    for start in range(len(partners)):
        reached: dict[int, int] = {}
        free = _free_partner(start, partners, owner, reached, budget)
        while free is not None:
            one = reached[free]
            owner[free] = one
            held[one], free = free, held.get(one)
        if start not in held:
            return False
    return True


def _free_partner(
    start: int,
    partners: Sequence[Sequence[int]],
    owner: dict[int, int],
    reached: dict[int, int],
    budget: Budget,
) -> int | None:
    """A partner without owner at the end of an alternating path; ``reached`` tells the way back."""
    waiting = [start]
    while waiting and budget.spend(1):
        one = waiting.pop()
        for partner in partners[one]:
            if partner in reached:
                continue
            budget.spend(1)
            reached[partner] = one
            if partner not in owner:
                return partner
            waiting.append(owner[partner])
    return None
