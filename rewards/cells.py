"""When two cells are equal, by the rule at the top of ``rewards.compare``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

from tasks.types import Cell, Row

TOLERANCE = 1e-6


def same_cell(one: Cell, other: Cell) -> bool:
    """Whether two cells are equal."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        if isinstance(one, int) and isinstance(other, int):
            return one == other
        return math.isclose(one, other, rel_tol=TOLERANCE) or (one != one and other != other)
    return type(one) is type(other) and one == other


def harmonised(gold: Sequence[Row], other: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Both tables with numbers that are near each other made the same, and NaN one object.

    Nearness is not transitive, so this only finds candidates: a chain of near numbers becomes one. Tables
    in which nothing changes are returned as they are.
    """
    floats = {cell for row in chain(gold, other) for cell in row if isinstance(cell, float)}
    if not floats:
        return gold, other
    integers = {cell for row in chain(gold, other) for cell in row if isinstance(cell, int)}
    undefined = {number for number in floats if number != number}
    stand_in: dict[Cell, Cell] = dict.fromkeys(undefined, math.nan)
    stand_in |= _chained(sorted((floats - undefined) | integers), floats)
    if not stand_in:
        return gold, other
    get = stand_in.get
    return [tuple(map(get, row, row)) for row in gold], [tuple(map(get, row, row)) for row in other]


def _chained(numbers: Sequence[float], floats: set[float]) -> dict[Cell, Cell]:
    """For each number near the one before it, the first of its chain. Integers are only near floats."""
    stand_in: dict[Cell, Cell] = {}
    last = first = math.nan
    for number in numbers:
        near = math.isclose(last, number, rel_tol=TOLERANCE)
        if near and (number in floats or last in floats):
            stand_in[number] = first
        else:
            first = number
        last = number
    return stand_in
