"""When two cells are equal, by the rule at the top of ``rewards.matching.strict``, and the same for columns.

Two facts about columns with floats save comparing their rows. Columns whose cells are near each other in some
order of rows are near each other when both are sorted. And two numbers in different clusters (runs of sorted
numbers, each near the next) are not near each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import accumulate, chain
from operator import not_
from typing import Any

from rewards.matching.columns import Codes
from tasks.types import DECIMAL, Cell

RELATIVE_TOLERANCE = 1e-9
"""How far apart two floats may be, as a share of the larger."""
ABSOLUTE_TOLERANCE = 1e-12
"""How far apart they may be in any case, as a share of the largest number of their columns."""
_NAN = ("nan",)
_NUMBER = ("number",)
_FLOATS = frozenset({float})


def same_cell(one: Cell, other: Cell, tolerance: float = 0.0) -> bool:
    """Whether two cells are equal. ``tolerance``: how far apart their numbers may be in any case."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        if one == other:
            return True
        if one[0] == DECIMAL or one[0] != other[0] or len(one) != len(other):
            return False
        return all(same_cell(a, b, tolerance) for a, b in zip(one[1:], other[1:], strict=True))
    if not isinstance(one, float) and not isinstance(other, float):
        same_type = type(one) is type(other) or (isinstance(one, int) and isinstance(other, int))
        return same_type and one == other
    x, y = number(one), number(other)
    return x is not None and y is not None and near(x, y, tolerance)


def near(one: float, other: float, tolerance: float) -> bool:
    """Whether two numbers, one of them a float, are equal. NaN equals NaN, and an infinity equals itself."""
    close = math.isclose(one, other, rel_tol=RELATIVE_TOLERANCE, abs_tol=tolerance)
    return close or (one != one and other != other)


def number(cell: Cell) -> float | None:
    """The cell's number as a float; None where the cell is not a number."""
    if isinstance(cell, int | float):
        return float(cell)
    if isinstance(cell, tuple) and cell[0] == DECIMAL:
        return float(str(cell[1]))
    return None


def has_float(cell: Cell) -> bool:
    """Whether the cell is a float or contains one."""
    if isinstance(cell, tuple):
        return cell[0] != DECIMAL and any(map(has_float, cell[1:]))
    return isinstance(cell, float)


def _numbers_in(cell: Cell) -> Iterator[float]:
    """The cell's number, or all numbers in a nested cell."""
    if isinstance(cell, tuple) and cell[0] != DECIMAL:
        for part in cell[1:]:
            yield from _numbers_in(part)
    elif (value := number(cell)) is not None:
        yield value


def _shape(cell: Cell) -> object:
    """The part of a cell that equal cells have exactly in common: all but its numbers. Hashable."""
    if isinstance(cell, float) and cell != cell:
        return _NAN
    if number(cell) is not None:
        return _NUMBER
    if isinstance(cell, tuple):
        return (cell[0], *map(_shape, cell[1:]))
    return cell


class ColumnFacts:
    """One column of a result and facts about it, each computed on first use."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.types = frozenset(map(type, cells))

    @cached_property
    def exact(self) -> bool:
        """Whether no cell is a float or contains one."""
        return float not in self.types and not (tuple in self.types and any(map(has_float, self.cells)))

    @cached_property
    def bag(self) -> Counter[Cell]:
        return Counter(self.cells)

    @cached_property
    def floats(self) -> bool:
        """Whether all cells are finite floats."""
        return self.types == _FLOATS and math.isfinite(sum(self.cells))  # type: ignore[arg-type]

    @cached_property
    def numbers(self) -> list[float]:
        """The cells that are numbers, without NaN, sorted."""
        if self.floats:
            return sorted(self.cells)  # type: ignore[arg-type]
        return sorted([x for x in map(number, self.cells) if x is not None and x == x])

    @cached_property
    def other_shapes(self) -> Counter[object]:
        """The shapes of the cells that are not in ``numbers``."""
        if len(self.numbers) == len(self.cells):
            return Counter()
        return Counter([_shape(cell) for cell in self.cells if number(cell) is None or cell != cell])

    @cached_property
    def largest(self) -> float:
        """The largest absolute value of a finite number in any cell."""
        if self.floats:
            return max(-self.numbers[0], self.numbers[-1])
        numbers: Iterator[float] | list[float] = self.numbers
        if tuple in self.types:
            numbers = (x for cell in self.cells for x in _numbers_in(cell))
        return max((abs(x) for x in numbers if math.isfinite(x)), default=0.0)


def absolute_tolerance(one: ColumnFacts, other: ColumnFacts) -> float:
    """How far apart numbers of two columns may be in any case.

    If one column has nothing but zeros, the size of the numbers is taken as 1.
    """
    sizes = one.largest, other.largest
    return ABSOLUTE_TOLERANCE * (max(sizes) if min(sizes) > 0 else 1.0)


def may_match(gold: ColumnFacts, other: ColumnFacts) -> bool:
    """Whether each cell of ``other`` may be paired with an equal one of ``gold``, which may be longer."""
    if gold.exact and other.exact:
        return dict.__eq__(gold.bag, other.bag) or (
            len(other.cells) < len(gold.cells) and other.bag <= gold.bag
        )
    if not other.other_shapes <= gold.other_shapes or len(other.numbers) > len(gold.numbers):
        return False
    tolerance = absolute_tolerance(gold, other)
    close = partial(math.isclose, rel_tol=RELATIVE_TOLERANCE, abs_tol=tolerance)
    golds, others = gold.numbers, other.numbers
    if len(golds) == len(others):
        step = len(golds) // 8 + 1
        return all(map(close, golds[::step], others[::step])) and all(map(close, golds, others))
    remaining = iter(golds)
    return all(any(close(x, value) for x in remaining) for value in others)


def cluster_codes(columns: Sequence[ColumnFacts]) -> list[Codes]:
    """Cells as codes: equal for numbers of one cluster, and for cells of one shape that are not numbers."""
    codes: dict[object, int] = {}
    if all(column.exact for column in columns):
        return [[codes.setdefault(cell, len(codes)) for cell in column.cells] for column in columns]
    numbers = sorted(chain.from_iterable(column.numbers for column in columns))
    tolerance = ABSOLUTE_TOLERANCE * max([column.largest or 1.0 for column in columns])
    close = partial(math.isclose, rel_tol=RELATIVE_TOLERANCE, abs_tol=tolerance)
    gaps = map(not_, map(close, numbers, numbers[1:]))
    clusters = dict(zip(numbers, accumulate(gaps, initial=0), strict=False))
    codes[_NAN] = len(numbers)

    def code(cell: Cell) -> int:
        if isinstance(cell, float) and cell == cell:
            return clusters[cell]
        value = number(cell)
        if value is not None and value == value:
            return clusters[value]
        return codes.setdefault(_shape(cell), len(numbers) + len(codes))

    look_up: Callable[[Any], int] = clusters.__getitem__
    return [list(map(look_up if column.floats else code, column.cells)) for column in columns]
