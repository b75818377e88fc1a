"""How tables join: declared foreign keys, and columns named as the primary key of one other table."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Sequence

from tasks.types import Table

MOST_BETWEEN = 2
"""The most tables on a join path between two chosen tables."""


class Joins:
    """The joins of a database. Tables and columns are positions in its description.

    ``keys[table]``: the columns of its primary key and of its joins. A join that no foreign key declares is
    read from names: a column that is called as the whole primary key of exactly one other table.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self.keys: list[set[int]] = [
            {place for place, column in enumerate(table.columns) if column.primary_key} for table in tables
        ]
        self._neighbours: list[dict[int, None]] = [{} for _ in tables]
        columns = [
            {column.name.lower(): place for place, column in enumerate(table.columns)} for table in tables
        ]
        for first, first_column, second, second_column in (*_declared(tables), *_named(tables)):
            left, right = columns[first].get(first_column), columns[second].get(second_column)
            if left is None or right is None or first == second:
                continue
            self.keys[first].add(left)
            self.keys[second].add(right)
            self._neighbours[first][second] = self._neighbours[second][first] = None

    def spread(self, scores: Sequence[float], share: float) -> list[float]:
        """Each score that is not 0 with a share of the highest one among the table's neighbours."""
        return [
            score and score + share * max((scores[other] for other in neighbours), default=0.0)
            for score, neighbours in zip(scores, self._neighbours, strict=True)
        ]

    def path(self, table: int, chosen: Collection[int]) -> list[int]:
        """The tables between a table and the nearest chosen one; empty if they are neighbours or too far."""
        before: dict[int, int] = {table: table}
        waiting = deque([(table, 0)])
        while waiting:
            here, distance = waiting.popleft()
            if here in chosen:
                return list(_back(before, before[here], table))
            if distance <= MOST_BETWEEN:
                for other in self._neighbours[here]:
                    if other not in before:
                        before[other] = here
                        waiting.append((other, distance + 1))
        return []


def _back(before: dict[int, int], here: int, start: int) -> Iterator[int]:
    while here != start:
        yield here
        here = before[here]


Join = tuple[int, str, int, str]
"""A table and its column, another table and its column, in lower case."""


def _declared(tables: Sequence[Table]) -> Iterator[Join]:
    places = {(table.schema, table.name.lower()): place for place, table in enumerate(tables)}
    for place, table in enumerate(tables):
        for key in table.foreign_keys:
            other = places.get((table.schema, key.other_table.lower()))
            if other is not None:
                yield place, key.column.lower(), other, key.other_column.lower()


def _named(tables: Sequence[Table]) -> Iterator[Join]:
    """The joins of columns without a foreign key, where the name says which table they point to."""
    primary: defaultdict[str, list[int]] = defaultdict(list)
    for place, table in enumerate(tables):
        keys = [column.name.lower() for column in table.columns if column.primary_key]
        if len(keys) == 1:
            primary[keys[0]].append(place)
    shared = Counter(column.name.lower() for table in tables for column in table.columns)
    for place, table in enumerate(tables):
        declared = {key.column.lower() for key in table.foreign_keys}
        for column in table.columns:
            name = column.name.lower()
            owners = primary.get(name, [])
            if len(owners) == 1 and owners[0] != place and name not in declared and shared[name] > 1:
                yield place, name, owners[0], name
