"""Tables that are equal row by row although their numbers differ in the last digits.

Nearness is no equivalence: 1 may be near 2 and 2 near 3 where 1 is not near 3. So it is asked of pairs of
rows only, and partners are found as in any bipartite graph. Chains of near numbers serve to leave out what
cannot be: two rows with numbers of different chains are no partners, and columns with other chains neither.
What is not decided within the budget is not the same.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, chain
from operator import not_
from typing import Any

from rewards.cells import FLOOR, NAN, RELATIVE, has_float, near, number, numbers_in, same_cell, shape
from rewards.columns import Codes, Search
from tasks.types import Cell, Row

PAIRS = 3 * 10**6
"""Pairs of columns, of rows and of cells that are looked at beside one pass over both tables."""
ORDERS = 5000
"""Orders of columns that are tried."""
_FLOATS = frozenset({float})
_FEW = 16
"""Pairs of different cells of a block that are all looked at."""

Block = tuple[list[int], list[int]]
"""Rows of the gold and rows of the other table that may only be partners of each other."""


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


def _may_be(gold: Column, other: Column) -> bool:
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


@dataclass
class _Budget:
    left: int

    def spend(self, count: int) -> bool:
        self.left -= count
        return self.left >= 0


class Near:
    """Two tables of as many columns; the gold may have more rows than the other has.

    ``same`` asks for the same rows, ``holds`` whether the other's rows are some of the gold's.
    """

    def __init__(self, gold: Sequence[Row], other: Sequence[Row]) -> None:
        self._left, self._right = [
            [Column(cells) for cells in zip(*rows, strict=True)] for rows in (gold, other)
        ]
        self._width = len(self._left)
        self._budget = _Budget(PAIRS + 4 * self._width * len(gold))

    @property
    def exact(self) -> bool:
        """Whether there is no float at all: exact comparison then decides."""
        return all(column.exact for column in (*self._left, *self._right))

    def same(self, groups: Sequence[int] | None) -> bool:
        """Whether the rows are the same, group by group, under some order of columns.

        ``groups`` as for ``rewards.columns.bijections``.
        """
        if not self._coded:
            return False
        classes = list(groups) if groups is not None else [0] * len(self._left[0].cells)
        families, left, right = self._coded
        search = Search((left, right), lambda i, j: j in self._candidates[i])
        for tried, order in enumerate(search.run(families, (classes, classes))):
            if self._fits(order, classes, classes):
                return True
            if tried == ORDERS or self._budget.left < 0:
                break
        return False

    def holds(self, groups: Sequence[int], others: Sequence[int]) -> bool:
        """Whether each of the other's rows has a partner of its own in the gold's group of that number."""
        if not self._coded:
            return False
        for tried, order in enumerate(self._orders([], list(groups), list(others))):
            if self._fits(order, groups, others):
                return True
            if tried == ORDERS or self._budget.left < 0:
                break
        return False

    @cached_property
    def _candidates(self) -> list[list[int]]:
        """For each column of the gold those that it may be."""
        found: list[list[int]] = []
        for mine in self._left:
            if not self._budget.spend(len(self._right)):
                return [[]]
            found.append([j for j, other in enumerate(self._right) if _may_be(mine, other)])
            if not found[-1]:
                break
        return found

    @cached_property
    def _coded(self) -> tuple[tuple[Codes, Codes], list[Codes], list[Codes]] | None:
        """The families of columns that may be each other, and their cells as numbers of chains.

        None where some column has no partner.
        """
        if not all(self._candidates):
            return None
        families = _families(self._candidates, self._width)
        if -1 in families[1]:
            return None
        left: list[Codes] = [[] for _ in self._left]
        right: list[Codes] = [[] for _ in self._right]
        rows = len(self._left[0].cells)
        told_apart = False
        for family in set(families[0]):
            mine = [i for i, one in enumerate(families[0]) if one == family]
            theirs = [j for j, one in enumerate(families[1]) if one == family]
            columns = [self._left[i] for i in mine] + [self._right[j] for j in theirs]
            if told_apart and len(columns) == 2 and not (columns[0].exact and columns[1].exact):
                # each row is known by another column: no need to number this one
                left[mine[0]], right[theirs[0]] = [0] * rows, [0] * len(self._right[0].cells)
                continue
            codes = _codes(columns)
            told_apart = told_apart or len(set(codes[0])) == rows
            for place, code in zip(mine, codes[: len(mine)], strict=True):
                left[place] = code
            for place, code in zip(theirs, codes[len(mine) :], strict=True):
                right[place] = code
        return families, left, right

    @cached_property
    def _exact_families(self) -> set[int]:
        """Families without floats: their numbers say which cells are equal."""
        assert self._coded
        (mine, theirs), _, _ = self._coded
        inexact = {one for one, column in zip(mine, self._left, strict=True) if not column.exact}
        inexact |= {one for one, column in zip(theirs, self._right, strict=True) if not column.exact}
        return set(mine) - inexact

    def _orders(self, chosen: list[int], left: Codes, right: Codes) -> Iterator[list[int]]:
        """Orders of columns under which each row of the other may have a partner in the gold."""
        assert self._coded
        if len(chosen) == self._width:
            yield chosen
            return
        mine = self._coded[1][len(chosen)]
        for j in self._candidates[len(chosen)]:
            if j in chosen or not self._budget.spend(len(left)):
                continue
            numbers: dict[tuple[int, int], int] = {}
            here = [numbers.setdefault(key, len(numbers)) for key in zip(left, mine, strict=True)]
            pairs = zip(right, self._coded[2][j], strict=True)
            there = [numbers.setdefault(key, len(numbers)) for key in pairs]
            if Counter(there) <= Counter(here):
                yield from self._orders([*chosen, j], here, there)

    def _fits(self, order: Sequence[int], groups: Sequence[int], others: Sequence[int]) -> bool:
        """Whether, with the columns in this order, each of the other's rows finds a partner."""
        assert self._coded
        families, left, right = self._coded
        blocks: dict[tuple[int, ...], Block] = defaultdict(lambda: ([], []))
        for row, key in enumerate(zip(groups, *left, strict=True)):
            blocks[key][0].append(row)
        for row, key in enumerate(zip(others, *[right[j] for j in order], strict=True)):
            blocks[key][1].append(row)
        needed = [block for block in blocks.values() if block[1]]
        if any(len(here) < len(there) for here, there in needed):
            return False
        pairs = [_Pair(mine, self._right[j]) for mine, j in zip(self._left, order, strict=True)]
        exact = self._exact_families
        open_pairs = [pair for pair, one in zip(pairs, families[0], strict=True) if one not in exact]
        single = [block for block in needed if len(block[0]) == 1]
        here, there = [block[0][0] for block in single], [block[1][0] for block in single]
        if not all(pair.all_equal(here, there) for pair in open_pairs):
            return False
        return all(_matched(block, open_pairs, self._budget) for block in needed if len(block[0]) > 1)


class _Pair:
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

    def __init__(self, pair: _Pair, block: Block) -> None:
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


def _matched(block: Block, pairs: Sequence[_Pair], budget: _Budget) -> bool:
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
    here: Sequence[int], there: Sequence[int], telling: Sequence[_Within], budget: _Budget
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


def _all_matched(partners: Sequence[Sequence[int]], budget: _Budget) -> bool:
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
    budget: _Budget,
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


def _families(candidates: Sequence[Sequence[int]], width: int) -> tuple[Codes, Codes]:
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


def _codes(columns: Sequence[Column]) -> list[Codes]:
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
