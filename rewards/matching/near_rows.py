"""Pair the rows of two tables whose cells are all near each other, where several pairings are possible.

If only one column distinguishes the rows, sorting both tables by it pairs them. If several columns do, the
pairing is a matching in a bipartite graph.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from rewards.matching.numbers import (
    RELATIVE_TOLERANCE,
    ColumnFacts,
    absolute_tolerance,
    near,
    number,
    same_cell,
)
from tasks.types import Cell

_FEW = 16
"""The most pairs of different cells of a block for which every pair is compared."""
_FLOATS = frozenset({float})

Block = tuple[list[int], list[int]]
"""Rows of the gold and rows of the other table that can only be paired with each other."""


@dataclass
class SearchBudget:
    """Steps that a comparison may still take."""

    remaining: int

    def spend(self, count: int) -> bool:
        """Take ``count`` steps; False where fewer were left."""
        self.remaining -= count
        return self.remaining >= 0


class ColumnPair:
    """A column of the gold and the column of the other table that it is mapped to."""

    def __init__(self, gold: ColumnFacts, other: ColumnFacts) -> None:
        self.gold = gold.cells
        self.other = other.cells
        self.tolerance = absolute_tolerance(gold, other)
        self.floats = gold.floats and other.floats

    def equal(self, gold_row: int, other_row: int) -> bool:
        return same_cell(self.gold[gold_row], self.other[other_row], self.tolerance)

    def all_equal(self, gold_rows: Sequence[int], other_rows: Sequence[int]) -> bool:
        """Whether the cells of the i-th rows are equal, for each i."""
        test: Callable[..., bool] = partial(same_cell, tolerance=self.tolerance)
        if self.floats:
            test = partial(math.isclose, rel_tol=RELATIVE_TOLERANCE, abs_tol=self.tolerance)
        return all(map(test, map(self.gold.__getitem__, gold_rows), map(self.other.__getitem__, other_rows)))


class _BlockColumns:
    """A pair of columns, restricted to one block of rows."""

    def __init__(self, pair: ColumnPair, block: Block) -> None:
        self.equal = pair.equal
        self.all_equal = pair.all_equal
        self._pair = pair
        self._cells = [pair.gold[row] for row in block[0]], [pair.other[row] for row in block[1]]

    @cached_property
    def monotone(self) -> bool:
        """Whether nearness keeps the order of cells: all are numbers, and one side has only floats."""
        types = [set(map(type, cells)) for cells in self._cells]
        numbers = all(number(cell) is not None and cell == cell for cells in self._cells for cell in cells)
        return numbers and (types[0] == _FLOATS or types[1] == _FLOATS)

    @property
    def distinguishes(self) -> bool:
        """Whether these columns may rule out some pairs of rows of the block."""
        if self.monotone:
            values = [*map(_value, self._cells[0]), *map(_value, self._cells[1])]
            return not near(min(values), max(values), self._pair.tolerance)
        one, two = [list({repr(cell): cell for cell in cells}.values()) for cells in self._cells]
        few = len(one) * len(two) <= _FEW
        return not few or not all(same_cell(a, b, self._pair.tolerance) for a in one for b in two)

    def gold_value(self, row: int) -> float:
        return _value(self._pair.gold[row])

    def other_value(self, row: int) -> float:
        return _value(self._pair.other[row])

    def reach(self, value: float) -> float:
        """An upper bound on the distance between a number and any number near it."""
        return 2 * RELATIVE_TOLERANCE * abs(value) + 2 * self._pair.tolerance


def _value(cell: Cell) -> float:
    value = number(cell)
    assert value is not None
    return value


def rows_match(block: Block, pairs: Sequence[ColumnPair], budget: SearchBudget) -> bool:
    """Whether each row of the other table can be paired with a near row of the gold, no two with the same."""
    gold_rows, other_rows = block
    if not budget.spend(len(pairs) * len(gold_rows)):
        return False
    columns = [column for column in (_BlockColumns(pair, block) for pair in pairs) if column.distinguishes]
    if not columns:
        return True
    monotone = [column for column in columns if column.monotone]
    if len(gold_rows) == len(other_rows):
        for column in monotone:
            left = sorted(gold_rows, key=column.gold_value)
            right = sorted(other_rows, key=column.other_value)
            if all(other.all_equal(left, right) for other in columns):
                return True
        if len(columns) == len(monotone) == 1:
            return False
    return _all_matched(_near_rows(gold_rows, other_rows, columns, budget), budget)


def _near_rows(
    gold_rows: Sequence[int],
    other_rows: Sequence[int],
    columns: Sequence[_BlockColumns],
    budget: SearchBudget,
) -> list[list[int]]:
    """For each row of the other table the near rows of the gold; ``[[]]`` where the budget is spent."""
    first = next((column for column in columns if column.monotone), None)
    gold_rows = sorted(gold_rows, key=first.gold_value) if first else gold_rows
    values = list(map(first.gold_value, gold_rows)) if first else []
    candidates: list[list[int]] = []
    for row in other_rows:
        within_reach = gold_rows
        if first:
            value = first.other_value(row)
            reach = first.reach(value)
            within_reach = gold_rows[bisect_left(values, value - reach) : bisect_right(values, value + reach)]
        if not budget.spend(len(within_reach) * len(columns)):
            return [[]]
        candidates.append(
            [gold_row for gold_row in within_reach if all(column.equal(gold_row, row) for column in columns)]
        )
    return candidates


def _all_matched(candidates: Sequence[Sequence[int]], budget: SearchBudget) -> bool:
    """Whether a bipartite graph has a matching that covers all of its left side (augmenting paths).

    ``candidates[i]``: the vertices on the right that are adjacent to vertex i on the left.
    """
    left_of: dict[int, int] = {}
    right_of: dict[int, int] = {}
    for start in range(len(candidates)):
        reached_from: dict[int, int] = {}
        free = _augmenting_path(start, candidates, left_of, reached_from, budget)
        while free is not None:
            left = reached_from[free]
            left_of[free] = left
            right_of[left], free = free, right_of.get(left)
        if start not in right_of:
            return False
    return True


def _augmenting_path(
    start: int,
    candidates: Sequence[Sequence[int]],
    left_of: dict[int, int],
    reached_from: dict[int, int],
    budget: SearchBudget,
) -> int | None:
    """The unmatched right vertex at the end of an alternating path; ``reached_from`` gives the way back."""
    waiting = [start]
    while waiting and budget.spend(1):
        left = waiting.pop()
        for right in candidates[left]:
            if right in reached_from:
                continue
            budget.spend(1)
            reached_from[right] = left
            if right not in left_of:
                return right
            waiting.append(left_of[right])
    return None
