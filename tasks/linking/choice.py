"""Choose the tables and columns of a database that a prompt shows for a question, within a budget of tokens.

The whole schema is shown if it fits. Else tables are taken in the order of their scores, each with the tables
on its join path to those taken before. A large table is taken with its keys and its best columns; what is
left of the budget extends these tables, then adds others, then their rows. The choice is shown in the order
of the schema, so that prompts that choose alike share their beginning. Equal inputs give equal choices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from tasks.common.caches import cached_by_identity
from tasks.linking.index import Index, Ranking
from tasks.linking.joins import Joins
from tasks.linking.tables import part_of
from tasks.linking.tokens import estimate
from tasks.prompts import render_schema, render_table
from tasks.spec import SchemaSpec
from tasks.types import Schema, Table

Values = Mapping[str, tuple[str, ...]]
"""As ``Schema.values``."""

LARGE = 12
"""Columns of a table up to which it is shown whole, if it is not the only one."""
FORMS = (LARGE, LARGE // 2)
"""How many columns of a large table are shown at first, and if that does not fit."""
FIRST = 0.75
"""The share of the budget for the first pass, in which large tables show LARGE columns."""
NEARBY = 0.3
"""The share of the best neighbour's score that a table with a score of its own gets in addition."""
MISSES = 25
"""Tables in a row that do not fit, after which no further one is tried."""
VALUES = 0.2
"""The most that values of the question take of the budget, if they are shown."""


def linked(spec: SchemaSpec, schema: Schema, question: str, values: Callable[[], Values]) -> Schema:
    """What a prompt shows of a schema for a question, with its values if the spec shows them.

    ``values``: finds the values that occur in the question; it is called only if they are needed.
    """
    linker = _linker(schema.tables, spec)
    fits = linker.tokens <= spec.max_tokens
    found = values() if spec.values or not fits else {}
    return Schema(schema.tables, found) if fits else linker.choose(question, found)


class _Linker:
    """What is known of a schema without a question; its terms are indexed when a question needs them."""

    def __init__(self, tables: tuple[Table, ...], spec: SchemaSpec) -> None:
        self.tables = tables
        self.spec = spec
        self.tokens = estimate(render_schema(spec, Schema(tables)))
        self._bare = spec.model_copy(update={"rows": 0})
        self.tokens_without_rows = estimate(render_schema(self._bare, Schema(tables)))
        self._costs: dict[int, int] = {}

    @cached_property
    def index(self) -> Index:
        return Index(self.tables)

    @cached_property
    def joins(self) -> Joins:
        return Joins(self.tables)

    def cost(self, place: int, columns: Sequence[int]) -> int:
        """The tokens of a table with the columns at these positions, without rows."""
        if len(columns) < len(self.tables[place].columns):
            return estimate(render_table(self._bare, part_of(self.tables[place], columns))) + 1
        if place not in self._costs:
            self._costs[place] = estimate(render_table(self._bare, self.tables[place])) + 1
        return self._costs[place]

    def cost_with_rows(self, place: int, columns: Sequence[int]) -> int:
        """The tokens of a table with the columns at these positions and its rows."""
        return estimate(render_table(self.spec, part_of(self.tables[place], columns))) + 1

    def choose(self, question: str, values: Values) -> Schema:
        """The part of the schema that is shown for a question."""
        choice = _Choice(self, self.index.rank(question, values))
        budget = self.spec.max_tokens
        shown = _first_values(values, int(budget * VALUES)) if self.spec.values else {}
        budget -= _cost_of_values(shown) if shown else 0
        choice.add(int(budget * FIRST))
        choice.extend(budget)
        choice.add(budget)
        choice.add_rows(budget)
        tables = choice.tables()
        names = {
            ".".join(filter(None, (table.schema, table.name, column.name)))
            for table in tables
            for column in table.columns
        }
        return Schema(tables, {name: texts for name, texts in shown.items() if name in names})


@cached_by_identity(64)
def _linker(tables: tuple[Table, ...], spec: SchemaSpec) -> _Linker:
    return _Linker(tables, spec)


def _cost_of_values(values: Values) -> int:
    return estimate(render_schema(SchemaSpec(values=True), Schema((), values)))


def _first_values(values: Values, budget: int) -> dict[str, tuple[str, ...]]:
    """As many values as the budget has room for; they come with the longest first."""
    shown: dict[str, tuple[str, ...]] = {}
    for name, texts in values.items():
        if _cost_of_values(shown | {name: texts}) > budget:
            break
        shown[name] = texts
    return shown


class _Choice:
    """The tables that are taken so far, with the positions of their columns, and their tokens."""

    def __init__(self, linker: _Linker, ranking: Ranking) -> None:
        self._linker = linker
        self._tables = linker.tables
        self._ranking = ranking
        self._joins = joins = linker.joins
        self._taken: dict[int, Sequence[int]] = {}
        self._costs: dict[int, int] = {}
        self._with_rows: set[int] = set()
        scores = joins.spread(ranking.tables, NEARBY)
        every = not any(scores) or linker.tokens_without_rows <= linker.spec.max_tokens
        self._order = sorted(
            (place for place, score in enumerate(scores) if score or every),
            key=lambda place: (-scores[place], place),
        )

    @property
    def _used(self) -> int:
        return sum(self._costs.values())

    def add(self, budget: int) -> None:
        """Take tables with their join paths in the order of their scores, while they fit."""
        misses = 0
        for place in self._order:
            if place not in self._taken:
                misses = 0 if self._take(place, budget) else misses + 1
            if misses >= MISSES:
                return

    def _take(self, place: int, budget: int) -> bool:
        """Take a table and those on its join path, of large ones as many columns as fit; False: none fit."""
        between = [other for other in self._joins.path(place, self._taken) if other not in self._taken]
        for most in FORMS if self._taken else (*FORMS, 1):
            forms = {other: self._form(other, most) for other in (place, *between)}
            costs = {other: self._linker.cost(other, columns) for other, columns in forms.items()}
            if self._used + sum(costs.values()) <= budget:
                self._taken |= forms
                self._costs |= costs
                return True
        return False

    def extend(self, budget: int) -> None:
        """Show more columns of the large tables, those with the highest scores first, while they fit."""
        for place in list(self._taken):
            shown, whole = len(self._taken[place]), len(self._tables[place].columns)
            while shown < whole:
                more = (shown + whole + 1) // 2
                columns = self._form(place, more)
                cost = self._linker.cost(place, columns)
                if self._used - self._costs[place] + cost <= budget:
                    self._taken[place], self._costs[place] = columns, cost
                    shown = more
                else:
                    whole = more - 1

    def add_rows(self, budget: int) -> None:
        """Show the rows of the tables with the highest scores, while they fit."""
        for place, columns in self._taken.items():
            cost = self._linker.cost_with_rows(place, columns)
            if self._used - self._costs[place] + cost <= budget:
                self._costs[place] = cost
                self._with_rows.add(place)

    def tables(self) -> tuple[Table, ...]:
        """The taken tables in the order of the schema, without foreign keys to others."""
        names = {(self._tables[place].schema, self._tables[place].name) for place in self._taken}
        chosen = []
        for place in sorted(self._taken):
            table = part_of(self._tables[place], self._taken[place])
            keys = [key for key in table.foreign_keys if (table.schema, key.other_table) in names]
            rows = table.rows if place in self._with_rows else ()
            chosen.append(replace(table, foreign_keys=tuple(keys), rows=rows))
        return tuple(chosen)

    def _form(self, place: int, most: int) -> Sequence[int]:
        """The positions of a table's keys and of its best other columns, about ``most`` in total."""
        count = len(self._tables[place].columns)
        if count <= (most if most == 1 else max(most, LARGE)):
            return range(count)
        keys, scores = self._joins.keys[place], self._ranking.columns.get(place, {})
        others = sorted(set(range(count)) - keys, key=lambda column: (-scores.get(column, 0.0), column))
        return sorted({*keys, *others[: max(most - len(keys), most // 3, 1)]})
