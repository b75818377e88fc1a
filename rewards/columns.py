"""Which column of one result is which column of the other, when only the rows tell.

Two tables that are equal up to the order of their rows and columns are isomorphic graphs, for which no
polynomial algorithm is known; the official evaluators try all n! or n^n orders. Here columns and rows refine
each other (Weisfeiler and Leman's colour refinement): columns with different bags of cells differ, rows that
hold different cells in columns already told apart differ, and so on until nothing changes. Real results are
settled by that; what is left is a search with a budget.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tasks.types import Cell, Row

Column = tuple[Cell, ...]
Classes = list[int]
SEARCH = 2 * 10**6
"""Cells that a search may look at, beside a few passes over the whole of both tables."""
PASS = 2000
"""What one pass costs beside its cells, in cells."""


@dataclass
class _Side:
    """One table: its distinct columns, where each of them stands, and the class of each row."""

    columns: list[Column]
    places: list[list[int]]
    classes: Classes


@dataclass
class _Budget:
    cells: int

    def spend(self, cells: int) -> bool:
        self.cells -= cells
        return self.cells >= 0


@dataclass(frozen=True)
class _State:
    """Colours of the distinct columns (equal colour: perhaps the same column) and classes of the rows."""

    gold: tuple[int, ...]
    other: tuple[int, ...]
    rows: tuple[Classes, Classes] = field(repr=False)


def bijections(
    gold: Sequence[Row], other: Sequence[Row], groups: Sequence[int] | None = None
) -> Iterator[tuple[int, ...]]:
    """Column orders of ``other`` that may make it the same bag of rows as ``gold``, likely ones first.

    Both have the same number of rows (one at least) and of columns. ``groups[i]`` is the group that row i
    of both must belong to. Cells are equal if Python says so. Yields ``order``: ``order[i]`` is the column of
    ``other`` that is column i of ``gold``; ends when there is no other candidate or when the budget is spent.
    Candidates rest on hashes: the caller checks them.
    """
    classes = list(groups) if groups is not None else [0] * len(gold)
    left, right = _side(gold, classes), _side(other, classes)
    if len(left.columns) != len(right.columns):
        return
    if classes[-1] == len(gold) - 1:
        yield from _aligned(left, right)
        return
    budget = _Budget(SEARCH + 8 * 2 * len(gold) * len(gold[0]))
    start = _State(
        tuple(len(places) for places in left.places),
        tuple(len(places) for places in right.places),
        (left.classes, right.classes),
    )
    for state in _solve(left, right, start, budget):
        where = dict(zip(state.other, right.places, strict=True))
        yield _order(left.places, [where[colour] for colour in state.gold])


def _order(places: list[list[int]], partners: list[list[int]]) -> tuple[int, ...]:
    pairs = (
        pair for here, there in zip(places, partners, strict=True) for pair in zip(here, there, strict=True)
    )
    return tuple([there for _, there in sorted(pairs)])


def _aligned(left: _Side, right: _Side) -> Iterator[tuple[int, ...]]:
    """The one order where every row has its partner already: columns are equal or not."""
    where = dict(zip(right.columns, right.places, strict=True))
    partners = [where.get(column, []) for column in left.columns]
    if [len(there) for there in partners] == [len(here) for here in left.places]:
        yield _order(left.places, partners)


def _side(rows: Sequence[Row], classes: Classes) -> _Side:
    places: dict[Column, list[int]] = {}
    for index, column in enumerate(zip(*rows, strict=True)):
        places.setdefault(column, []).append(index)
    return _Side(list(places), list(places.values()), classes)


def _solve(left: _Side, right: _Side, state: _State, budget: _Budget) -> Iterator[_State]:
    """All refinements of ``state`` in which each colour stands for one column."""
    refined = _refine(left, right, state, budget)
    if refined is None:
        return
    sizes = Counter(refined.gold)
    open_colours = [colour for colour, size in sizes.items() if size > 1]
    if not open_colours:
        yield refined
        return
    colour = min(open_colours, key=lambda c: sizes[c])
    chosen = refined.gold.index(colour)
    fresh = max(refined.gold) + 1
    for index, candidate in enumerate(refined.other):
        if candidate == colour:
            gold = _replace(refined.gold, chosen, fresh)
            yield from _solve(
                left, right, _State(gold, _replace(refined.other, index, fresh), refined.rows), budget
            )


def _replace(colours: tuple[int, ...], index: int, colour: int) -> tuple[int, ...]:
    return (*colours[:index], colour, *colours[index + 1 :])


def _refine(left: _Side, right: _Side, state: _State, budget: _Budget) -> _State | None:
    """Let columns and rows tell each other apart until nothing changes; None where they cannot match."""
    cells = PASS + 2 * (len(left.columns) + len(right.columns)) * len(left.classes)
    while budget.spend(cells):
        gold, other = _signatures(left, right, state, sum)
        if len(set(gold)) < len(gold):
            gold, other = _signatures(left, right, state, _mixed)
        if Counter(gold) != Counter(other):
            return None
        numbers = {signature: number for number, signature in enumerate(dict.fromkeys(gold))}
        colours = tuple(numbers[s] for s in gold), tuple(numbers[s] for s in other)
        if len(numbers) == len(gold):
            return _State(*colours, state.rows)
        rows = _row_classes(left, right, colours, state.rows)
        if rows is None:
            return None
        settled = len(numbers) == len(set(state.gold)) and max(rows[0]) == max(state.rows[0])
        state = _State(*colours, rows)
        if settled:
            return state
    return None


_Signatures = list[tuple[int, int]]


def _signatures(
    left: _Side, right: _Side, state: _State, total: Callable[[Iterable[int]], int]
) -> tuple[_Signatures, _Signatures]:
    """For each column its colour and an order-free hash of its (row class, cell) pairs."""
    sides = []
    for side, colours, classes in ((left, state.gold, state.rows[0]), (right, state.other, state.rows[1])):
        hashes = [total(map(hash, zip(classes, column, strict=True))) for column in side.columns]
        sides.append(list(zip(colours, hashes, strict=True)))
    return sides[0], sides[1]


def _mixed(hashes: Iterable[int]) -> int:
    """An order-free hash of hashes. Squares: Python's hashes of small tuples are all but linear."""
    return sum([number * number for number in hashes])


def _row_classes(
    left: _Side, right: _Side, colours: tuple[tuple[int, ...], tuple[int, ...]], rows: tuple[Classes, Classes]
) -> tuple[Classes, Classes] | None:
    """Rows told apart by what they hold in each colour; None where the two tables then differ."""
    numbers: dict[tuple[int, ...], int] = {}
    result = []
    for side, colour, classes in ((left, colours[0], rows[0]), (right, colours[1], rows[1])):
        keys = zip(classes, *_by_colour(side.columns, colour), strict=True)
        result.append([numbers.setdefault(key, len(numbers)) for key in keys])
    if Counter(result[0]) != Counter(result[1]):
        return None
    return result[0], result[1]


def _by_colour(columns: list[Column], colours: tuple[int, ...]) -> list[list[int]]:
    """For each colour, in order, one hash a row: of its cell, or its bag of cells where columns share it."""
    shared: dict[int, list[Column]] = defaultdict(list)
    for column, colour in zip(columns, colours, strict=True):
        shared[colour].append(column)
    hashes = []
    for colour in sorted(shared):
        cells = [[hash((cell,)) for cell in column] for column in shared[colour]]
        hashes.append(cells[0] if len(cells) == 1 else list(map(_mixed, zip(*cells, strict=True))))
    return hashes
