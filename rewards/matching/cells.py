"""When two cells are equal, by the rule at the top of ``rewards.matching.strict``."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tasks.types import DECIMAL, Cell

RELATIVE = 1e-9
"""How far apart two floats may be, as a share of the larger."""
FLOOR = 1e-12
"""How far apart they may be in any case, as a share of the largest number of their columns."""
NAN = ("nan",)
_NUMBER = ("number",)


def same_cell(one: Cell, other: Cell, floor: float = 0.0) -> bool:
    """Whether two cells are equal. ``floor``: what their columns allow numbers to be apart."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        if one == other:
            return True
        if one[0] == DECIMAL or one[0] != other[0] or len(one) != len(other):
            return False
        return all(same_cell(a, b, floor) for a, b in zip(one[1:], other[1:], strict=True))
    if not isinstance(one, float) and not isinstance(other, float):
        alike = type(one) is type(other) or (isinstance(one, int) and isinstance(other, int))
        return alike and one == other
    x, y = number(one), number(other)
    return x is not None and y is not None and near(x, y, floor)


def near(one: float, other: float, floor: float) -> bool:
    """Whether two numbers, one of them a float, are equal. NaN equals NaN, an infinity itself."""
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=floor) or (one != one and other != other)


def number(cell: Cell) -> float | None:
    """The cell's number as a float; None where it is none."""
    if isinstance(cell, int | float):
        return float(cell)
    if isinstance(cell, tuple) and cell[0] == DECIMAL:
        return float(str(cell[1]))
    return None


def has_float(cell: Cell) -> bool:
    """Whether the cell is a float or holds one."""
    if isinstance(cell, tuple):
        return cell[0] != DECIMAL and any(map(has_float, cell[1:]))
    return isinstance(cell, float)


def numbers_in(cell: Cell) -> Iterator[float]:
    """The cell's number, or all numbers that a nested cell holds."""
    if isinstance(cell, tuple) and cell[0] != DECIMAL:
        for part in cell[1:]:
            yield from numbers_in(part)
    elif (found := number(cell)) is not None:
        yield found


def shape(cell: Cell) -> object:
    """What two equal cells have in common exactly: all but their numbers. Hashable."""
    if isinstance(cell, float) and cell != cell:
        return NAN
    if number(cell) is not None:
        return _NUMBER
    if isinstance(cell, tuple):
        return (cell[0], *map(shape, cell[1:]))
    return cell
