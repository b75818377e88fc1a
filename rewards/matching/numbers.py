"""Tables that are equal row by row although their numbers differ in the last digits.

Nearness is no equivalence: 1 may be near 2 and 2 near 3 where 1 is not near 3. So it is asked of pairs of
rows only, and partners are found as in any bipartite graph. Chains of near numbers serve to leave out what
cannot be: two rows with numbers of different chains are no partners, and columns with other chains neither.
What is not decided within the budget is not the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

from rewards.matching.chains import Column, chain_codes, families_of, may_be
from rewards.matching.columns import Codes, Search
from rewards.matching.partners import Block, Budget, Pair, matched
from tasks.types import Row

PAIRS = 3 * 10**6
"""Pairs of columns, of rows and of cells that are looked at beside one pass over both tables."""
ORDERS = 5000
"""Orders of columns that are tried."""


class Near:
    """Two tables of as many columns; the gold may have more rows than the other has.

    ``same`` asks for the same rows, ``holds`` whether the other's rows are some of the gold's.
    """

    def __init__(self, gold: Sequence[Row], other: Sequence[Row]) -> None:
        self._left, self._right = [
            [Column(cells) for cells in zip(*rows, strict=True)] for rows in (gold, other)
        ]
        self._width = len(self._left)
        self._budget = Budget(PAIRS + 4 * self._width * len(gold))

    @property
    def exact(self) -> bool:
        """Whether there is no float at all: exact comparison then decides."""
        return all(column.exact for column in (*self._left, *self._right))

    def same(self, groups: Sequence[int] | None) -> bool:
        """Whether the rows are the same, group by group, under some order of columns.

        ``groups`` as for ``rewards.matching.columns.bijections``.
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
            found.append([j for j, other in enumerate(self._right) if may_be(mine, other)])
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
        families = families_of(self._candidates, self._width)
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
            codes = chain_codes(columns)
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
        pairs = [Pair(mine, self._right[j]) for mine, j in zip(self._left, order, strict=True)]
        exact = self._exact_families
        open_pairs = [pair for pair, one in zip(pairs, families[0], strict=True) if one not in exact]
        single = [block for block in needed if len(block[0]) == 1]
        here, there = [block[0][0] for block in single], [block[1][0] for block in single]
        if not all(pair.all_equal(here, there) for pair in open_pairs):
            return False
        return all(matched(block, open_pairs, self._budget) for block in needed if len(block[0]) > 1)
