"""What is known of a column with floats before any rows are compared.

Nearness keeps the order of numbers: columns that are near in some order of rows are near when both are
sorted. And two numbers between which there is a gap are in different chains, so they are not near.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import accumulate, chain
from operator import not_
from typing import Any

from rewards.matching.cells import FLOOR, NAN, RELATIVE, has_float, number, numbers_in, shape
from rewards.matching.columns import Codes
from tasks.types import Cell

_FLOATS = frozenset({float})


class Column:
    """One column, and what is known of it at a glance."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.kinds = frozenset(map(type, cells))

    @cached_property
    def exact(self) -> bool:
        """Whether no cell is a float or holds one."""
        return float not in self.kinds and not (tuple in self.kinds and any(map(has_float, self.cells)))

    @cached_property
    def bag(self) -> Counter[Cell]:
        return Counter(self.cells)

    @cached_property
    def floats(self) -> bool:
        """Whether all cells are floats and finite."""
        return self.kinds == _FLOATS and math.isfinite(sum(self.cells))  # type: ignore[arg-type]

    @cached_property
    def values(self) -> list[float]:
        """The numbers that are cells, NaN left out, sorted."""
        if self.floats:
            return sorted(self.cells)  # type: ignore[arg-type]
        found = [x for x in map(number, self.cells) if x is not None and x == x]
        return sorted(found)

    @cached_property
    def rest(self) -> Counter[object]:
        """The shapes of what are no numbers."""
        if len(self.values) == len(self.cells):
            return Counter()
        return Counter([shape(cell) for cell in self.cells if number(cell) is None or cell != cell])

    @cached_property
    def size(self) -> float:
        """The largest finite number that stands in a cell, without its sign."""
        if self.floats:
            return max(-self.values[0], self.values[-1])
        found: Iterator[float] | list[float] = self.values
        if tuple in self.kinds:
            found = (x for cell in self.cells for x in numbers_in(cell))
        return max((abs(x) for x in found if math.isfinite(x)), default=0.0)


def floor_of(one: Column, other: Column) -> float:
    """What two columns allow their numbers to be apart. Beside nothing but zeros, the size is taken as 1."""
    sizes = one.size, other.size
    return FLOOR * (max(sizes) if min(sizes) > 0 else 1.0)


def may_be(gold: Column, other: Column) -> bool:
    """Whether each cell of ``other`` may have a partner of its own in ``gold``, which may have more."""
    if gold.exact and other.exact:
        return dict.__eq__(gold.bag, other.bag) or (
            len(other.cells) < len(gold.cells) and other.bag <= gold.bag
        )
    if not other.rest <= gold.rest or len(other.values) > len(gold.values):
        return False
    close = partial(math.isclose, rel_tol=RELATIVE, abs_tol=floor_of(gold, other))
    one, two = gold.values, other.values
    if len(one) == len(two):
        step = len(one) // 8 + 1
        return all(map(close, one[::step], two[::step])) and all(map(close, one, two))
    left = iter(one)
    return all(any(close(x, value) for x in left) for value in two)


def families_of(candidates: Sequence[Sequence[int]], width: int) -> tuple[Codes, Codes]:
    """Numbers of the connected components of a bipartite graph, for both of its sides; -1: no partner."""
    mine = list(range(width))
    theirs: list[int] = [-1] * width
    for i, found in enumerate(candidates):
        for j in found:
            if theirs[j] < 0:
                theirs[j] = mine[i]
            elif theirs[j] != mine[i]:
                old, new = mine[i], theirs[j]
                mine = [new if one == old else one for one in mine]
                theirs = [new if one == old else one for one in theirs]
    return mine, theirs


def chain_codes(columns: Sequence[Column]) -> list[Codes]:
    """Cells as numbers: equal for cells of one chain, or of one shape where they are no numbers."""
    codes: dict[object, int] = {}
    if all(column.exact for column in columns):
        return [[codes.setdefault(cell, len(codes)) for cell in column.cells] for column in columns]
    values = sorted(chain.from_iterable(column.values for column in columns))
    floor = FLOOR * max([column.size or 1.0 for column in columns])
    close = partial(math.isclose, rel_tol=RELATIVE, abs_tol=floor)
    links = map(not_, map(close, values, values[1:]))
    chains = dict(zip(values, accumulate(links, initial=0), strict=False))
    codes[NAN] = len(values)

    def code(cell: Cell) -> int:
        if isinstance(cell, float) and cell == cell:
            return chains[cell]
        value = number(cell)
        if value is not None and value == value:
            return chains[value]
        return codes.setdefault(shape(cell), len(values) + len(codes))

    look_up: Callable[[Any], int] = chains.__getitem__
    return [list(map(look_up if column.floats else code, column.cells)) for column in columns]
