"""Find the column mapping between two results from their rows alone.

Whether two tables are equal up to the order of their rows and columns is graph isomorphism, for which no
polynomial algorithm is known; the official evaluators try all n! or n^n orders. Here columns and rows refine
each other (colour refinement, Weisfeiler and Leman 1968): columns with different bags of cells get different
colours, rows with different cells in columns of different colours get different classes, and so on until
nothing changes. A search with a budget decides between the mappings that remain. Equal cells are first
replaced by equal codes, and only codes are compared: nothing depends on how Python hashes a value.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from tasks.types import Cell, Row

Cells = tuple[Cell, ...]
Codes = list[int]
"""One column, or the classes of the rows: an integer for each row. Equal codes are equal cells."""
Sides = tuple[list[Codes], list[Codes]]
"""The columns of both tables, with the same codes for the same cells."""
Colours = tuple[Codes, Codes]
"""A number for each column of both tables; only columns of the same number may map to each other."""
Classes = tuple[Codes, Codes]
"""A number for each row of both tables; only rows of the same number may be equal."""
Allowed = Callable[[int, int], bool]
SEARCH = 2 * 10**7
"""Cells that a search may read, beside a few passes over both tables."""
PASS = 1000
"""The fixed cost of one pass, in cells."""


def bijections(
    gold: Sequence[Row], other: Sequence[Row], groups: Sequence[int] | None = None
) -> Iterator[tuple[int, ...]]:
    """Column mappings under which ``other`` may be the same bag of rows as ``gold``, likely ones first.

    Both tables have the same number of rows (one at least) and of columns. ``groups[i]`` is the group that
    row i of both must belong to. Cells are compared by Python's ``==``. Yields ``order``: ``order[i]`` is the
    column of ``other`` that column i of ``gold`` maps to. Ends when there is no other candidate or when the
    budget is spent. The caller checks each candidate.
    """
    if not set(gold[0]).issubset(chain.from_iterable(other)):
        return
    left, right = _places(gold), _places(other)
    if len(left) != len(right):
        return
    classes = list(groups) if groups is not None else [0] * len(gold)
    if classes[-1] == len(gold) - 1:
        yield from _aligned(left, right)
        return
    numbers: dict[Cell, int] = {}
    sides = _numbered(left, numbers), _numbered(right, numbers)
    if sorted(map(sum, sides[0])) != sorted(map(sum, sides[1])):
        return
    colours = [len(places) for places in left.values()], [len(places) for places in right.values()]
    gold_places, other_places = list(left.values()), list(right.values())
    for partners in Search(sides, None).run(colours, (classes, classes)):
        yield _order(gold_places, [other_places[partner] for partner in partners])


def _places(rows: Sequence[Row]) -> dict[Cells, list[int]]:
    """The distinct columns, and the positions of each."""
    places: dict[Cells, list[int]] = {}
    for index, column in enumerate(zip(*rows, strict=True)):
        places.setdefault(column, []).append(index)
    return places


def _numbered(columns: dict[Cells, list[int]], numbers: dict[Cell, int]) -> list[Codes]:
    return [[numbers.setdefault(cell, len(numbers)) for cell in column] for column in columns]


def _order(gold_places: list[list[int]], other_places: list[list[int]]) -> tuple[int, ...]:
    """The mapping that sends the i-th places of the gold to the i-th places of the other table."""
    pairs = chain.from_iterable(map(partial(zip, strict=True), gold_places, other_places))
    return tuple([other for _, other in sorted(pairs)])


def _aligned(left: dict[Cells, list[int]], right: dict[Cells, list[int]]) -> Iterator[tuple[int, ...]]:
    """The one mapping where each row is a group of its own: columns are then equal or not."""
    gold_places = list(left.values())
    other_places = [right.get(column, []) for column in left]
    if list(map(len, other_places)) == list(map(len, gold_places)):
        yield _order(gold_places, other_places)


@dataclass(frozen=True)
class _State:
    colours: Colours
    classes: Classes


class Search:
    """The search for column mappings between two tables with the same number of rows and of columns.

    ``allowed(i, j)``: whether column i of the first may map to column j of the second; None: every column of
    the same colour may.
    """

    def __init__(self, sides: Sides, allowed: Allowed | None, budget: int = SEARCH) -> None:
        self._sides = sides
        self._allowed = allowed
        self._rows = len(sides[0][0])
        self._codes = 1 + max(max(map(max, side)) for side in sides)
        self._remaining = budget + 16 * self._rows * len(sides[0])

    def run(self, colours: Colours, classes: Classes) -> Iterator[list[int]]:
        """Yield candidates: for each column of the first table the column of the second that it maps to."""
        waiting = iter([_State(colours, classes)])
        stack = [waiting]
        while stack:
            state = next(stack[-1], None)
            if state is None:
                stack.pop()
                continue
            refined = self._refine(state)
            if refined is None:
                continue
            branches = self._branches(refined)
            if branches is None:
                where = {colour: index for index, colour in enumerate(refined.colours[1])}
                yield [where[colour] for colour in refined.colours[0]]
            else:
                stack.append(branches)

    def _branches(self, state: _State) -> Iterator[_State] | None:
        """The ways to map one more column; None where all are mapped."""
        gold, other = state.colours
        sizes = Counter(gold)
        shared = [colour for colour, size in sizes.items() if size > 1]
        if not shared:
            return None
        colour = min(shared, key=sizes.__getitem__)
        members = [index for index, its_colour in enumerate(gold) if its_colour == colour]
        partners = [index for index, its_colour in enumerate(other) if its_colour == colour]
        chosen, fitting = members[0], partners
        if self._allowed is not None:
            options = [[j for j in partners if self._allowed(i, j)] for i in members]
            chosen, fitting = min(zip(members, options, strict=True), key=lambda option: len(option[1]))
        fresh = max(gold) + 1
        return (
            _State((_replaced(gold, chosen, fresh), _replaced(other, index, fresh)), state.classes)
            for index in fitting
        )

    def _refine(self, state: _State) -> _State | None:
        """Refine colours and classes until nothing changes; None where the tables cannot be equal."""
        while True:
            colours = self._refine_columns(state)
            if colours is None:
                return None
            count = max(colours[0]) + 1
            if count == len(colours[0]):
                return _State(colours, state.classes)
            classes = self._refine_rows(colours, state.classes)
            if classes is None:
                return None
            settled = count == len(set(state.colours[0])) and max(classes[0]) == max(state.classes[0])
            state = _State(colours, classes)
            if settled:
                return state

    def _refine_columns(self, state: _State) -> Colours | None:
        """Split colours by each column's bag of (row class, cell); None where the tables then differ."""
        sizes = Counter(state.colours[0])
        if sizes != Counter(state.colours[1]):
            return None
        open_columns = sum(size for size in sizes.values() if size > 1)
        self._remaining -= PASS + 2 * open_columns * self._rows + len(sizes)
        if self._remaining < 0:
            return None
        numbers: dict[tuple[int, Codes | tuple[int, ...]], int] = {}
        result = []
        for columns, colours, classes in zip(self._sides, state.colours, state.classes, strict=True):
            scaled = [self._codes * row_class for row_class in classes]
            keys = [
                (colour, tuple(sorted(map(int.__add__, scaled, column))) if sizes[colour] > 1 else ())
                for colour, column in zip(colours, columns, strict=True)
            ]
            result.append([numbers.setdefault(key, len(numbers)) for key in keys])
        if Counter(result[0]) != Counter(result[1]):
            return None
        return result[0], result[1]

    def _refine_rows(self, colours: Colours, classes: Classes) -> Classes | None:
        """Split classes by each row's cells in each colour; None where the tables then differ."""
        self._remaining -= 2 * len(colours[0]) * self._rows
        numbers: dict[tuple[object, ...], int] = {}
        result = []
        for columns, colour, rows in zip(self._sides, colours, classes, strict=True):
            keys = zip(rows, *_by_colour(columns, colour), strict=True)
            result.append([numbers.setdefault(key, len(numbers)) for key in keys])
        if Counter(result[0]) != Counter(result[1]):
            return None
        return result[0], result[1]


def _replaced(colours: Codes, index: int, colour: int) -> Codes:
    return [*colours[:index], colour, *colours[index + 1 :]]


def _by_colour(columns: list[Codes], colours: Codes) -> list[Sequence[object]]:
    """For each colour, in order, each row's cell there, or its bag of cells where columns share it."""
    shared: dict[int, list[Codes]] = defaultdict(list)
    for column, colour in zip(columns, colours, strict=True):
        shared[colour].append(column)
    cells_by_colour: list[Sequence[object]] = []
    for colour in sorted(shared):
        cells = shared[colour]
        cells_by_colour.append(
            cells[0] if len(cells) == 1 else [tuple(sorted(row)) for row in zip(*cells, strict=True)]
        )
    return cells_by_colour
