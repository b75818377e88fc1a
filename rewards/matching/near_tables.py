"""Whether two tables are equal row by row although their numbers differ in the last digits.

Nearness is not transitive: 1 may be near 2 and 2 near 3 where 1 is not near 3. So only pairs of rows are
compared, and the pairing is a matching in a bipartite graph. Clusters of near numbers rule out candidates
early: rows with numbers of different clusters are no pair, and neither are columns with different clusters.
If the budget is spent before this is decided, the tables count as different.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

from rewards.matching.columns import Codes, Search
from rewards.matching.near_rows import Block, ColumnPair, SearchBudget, rows_match
from rewards.matching.numbers import ColumnFacts, cluster_codes, may_match
from tasks.types import Row

PAIRS = 3 * 10**6
"""Pairs of columns, of rows and of cells that may be compared, beside one pass over both tables."""
MAPPINGS = 5000
"""Column mappings that are tried."""


class NearTables:
    """Two tables with the same number of columns and at least one row; the gold may have more rows.

    A column mapping is a list: item i is the column of the other table that the gold's column i maps to.
    """

    def __init__(self, gold: Sequence[Row], other: Sequence[Row]) -> None:
        self._gold, self._other = [
            [ColumnFacts(cells) for cells in zip(*rows, strict=True)] for rows in (gold, other)
        ]
        self._width = len(self._gold)
        self._budget = SearchBudget(PAIRS + 4 * self._width * len(gold))

    @property
    def exact(self) -> bool:
        """Whether there is no float at all: exact comparison then decides."""
        return all(column.exact for column in (*self._gold, *self._other))

    def equal(self, groups: Sequence[int] | None) -> bool:
        """Whether the rows are the same, group by group, under some column mapping.

        ``groups`` as for ``rewards.matching.columns.bijections``.
        """
        if not self._coded:
            return False
        classes = list(groups) if groups is not None else [0] * len(self._gold[0].cells)
        components, gold_codes, other_codes = self._coded
        search = Search((gold_codes, other_codes), lambda i, j: j in self._candidates[i])
        return self._any_fits(search.run(components, (classes, classes)), classes, classes)

    def contains(self, groups: Sequence[int], other_groups: Sequence[int]) -> bool:
        """Whether each row of the other can be paired with a row of the gold in the same group."""
        if not self._coded:
            return False
        return self._any_fits(self._mappings([], list(groups), list(other_groups)), groups, other_groups)

    def _any_fits(
        self, mappings: Iterator[list[int]], groups: Sequence[int], other_groups: Sequence[int]
    ) -> bool:
        for tried, mapping in enumerate(mappings):
            if self._fits(mapping, groups, other_groups):
                return True
            if tried == MAPPINGS or self._budget.remaining < 0:
                break
        return False

    @cached_property
    def _candidates(self) -> list[list[int]]:
        """For each column of the gold the columns that it may map to."""
        candidates: list[list[int]] = []
        for column in self._gold:
            if not self._budget.spend(len(self._other)):
                return [[]]
            candidates.append([j for j, other in enumerate(self._other) if may_match(column, other)])
            if not candidates[-1]:
                break
        return candidates

    @cached_property
    def _coded(self) -> tuple[tuple[Codes, Codes], list[Codes], list[Codes]] | None:
        """The component of each column of both tables, and the cells of both as codes of clusters.

        Columns that may map to each other are in one component. None where some column has no candidate.
        """
        if not all(self._candidates):
            return None
        components = _components(self._candidates, self._width)
        if -1 in components[1]:
            return None
        gold_codes: list[Codes] = [[] for _ in self._gold]
        other_codes: list[Codes] = [[] for _ in self._other]
        rows = len(self._gold[0].cells)
        rows_distinct = False
        for component in set(components[0]):
            mine = [i for i, its in enumerate(components[0]) if its == component]
            theirs = [j for j, its in enumerate(components[1]) if its == component]
            columns = [self._gold[i] for i in mine] + [self._other[j] for j in theirs]
            if rows_distinct and len(columns) == 2 and not (columns[0].exact and columns[1].exact):
                # another column already distinguishes all rows: this one needs no codes
                gold_codes[mine[0]], other_codes[theirs[0]] = [0] * rows, [0] * len(self._other[0].cells)
                continue
            codes = cluster_codes(columns)
            rows_distinct = rows_distinct or len(set(codes[0])) == rows
            for place, code in zip(mine, codes[: len(mine)], strict=True):
                gold_codes[place] = code
            for place, code in zip(theirs, codes[len(mine) :], strict=True):
                other_codes[place] = code
        return components, gold_codes, other_codes

    @cached_property
    def _exact_components(self) -> set[int]:
        """Components without floats: equal codes are equal cells."""
        assert self._coded
        (mine, theirs), _, _ = self._coded
        inexact = {its for its, column in zip(mine, self._gold, strict=True) if not column.exact}
        inexact |= {its for its, column in zip(theirs, self._other, strict=True) if not column.exact}
        return set(mine) - inexact

    def _mappings(self, chosen: list[int], left: Codes, right: Codes) -> Iterator[list[int]]:
        """Column mappings, beginning with ``chosen``, under which each row of the other may find a pair.

        ``left`` and ``right``: the class of each row by its group and its cells in the columns chosen so far.
        """
        assert self._coded
        if len(chosen) == self._width:
            yield chosen
            return
        gold_codes = self._coded[1][len(chosen)]
        for j in self._candidates[len(chosen)]:
            if j in chosen or not self._budget.spend(len(left)):
                continue
            classes: dict[tuple[int, int], int] = {}
            mine = [classes.setdefault(key, len(classes)) for key in zip(left, gold_codes, strict=True)]
            keys = zip(right, self._coded[2][j], strict=True)
            theirs = [classes.setdefault(key, len(classes)) for key in keys]
            if Counter(theirs) <= Counter(mine):
                yield from self._mappings([*chosen, j], mine, theirs)

    def _fits(self, mapping: Sequence[int], groups: Sequence[int], other_groups: Sequence[int]) -> bool:
        """Whether, under this column mapping, each row of the other finds a pair."""
        assert self._coded
        components, gold_codes, other_codes = self._coded
        blocks: dict[tuple[int, ...], Block] = defaultdict(lambda: ([], []))
        for row, key in enumerate(zip(groups, *gold_codes, strict=True)):
            blocks[key][0].append(row)
        for row, key in enumerate(zip(other_groups, *[other_codes[j] for j in mapping], strict=True)):
            blocks[key][1].append(row)
        needed = [block for block in blocks.values() if block[1]]
        if any(len(gold_rows) < len(other_rows) for gold_rows, other_rows in needed):
            return False
        pairs = [ColumnPair(mine, self._other[j]) for mine, j in zip(self._gold, mapping, strict=True)]
        exact = self._exact_components
        inexact_pairs = [pair for pair, its in zip(pairs, components[0], strict=True) if its not in exact]
        single = [block for block in needed if len(block[0]) == 1]
        gold_rows, other_rows = [block[0][0] for block in single], [block[1][0] for block in single]
        if not all(pair.all_equal(gold_rows, other_rows) for pair in inexact_pairs):
            return False
        return all(rows_match(block, inexact_pairs, self._budget) for block in needed if len(block[0]) > 1)


def _components(candidates: Sequence[Sequence[int]], width: int) -> tuple[Codes, Codes]:
    """The connected components of a bipartite graph as a number for each vertex of both sides.

    ``candidates[i]``: the vertices on the right that are adjacent to vertex i on the left. -1: none is.
    """
    left = list(range(width))
    right: list[int] = [-1] * width
    for i, adjacent in enumerate(candidates):
        for j in adjacent:
            if right[j] < 0:
                right[j] = left[i]
            elif right[j] != left[i]:
                old, new = left[i], right[j]
                left = [new if component == old else component for component in left]
                right = [new if component == old else component for component in right]
    return left, right
