"""Find which rows of a gold tie under its ORDER BY, and which other rows its LIMIT could have returned.

The engine decides: the gold runs twice with its columns as further order terms, ascending and descending.
At every place where both runs have returned the same rows so far, no later row ties with an earlier one. So
the engine decides ties for every kind of term: under a collation, of NULL or NaN, of aliases, in a UNION.
Rows also tie where the first key in which they differ is a float and differs in its last digits only
(``KEY_TOLERANCE``): a sum computed in another order would order them differently.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rewards.matching.order_by import OrderBy, without_direction
from rewards.matching.strict import Groups, LimitCut
from tasks.types import Cell, Engine, Outcome, Row

KEY_TOLERANCE = 1e-13
"""How far apart two float keys of rows that tie may be, as a share of the larger."""
SPARE = (16, 1000)
"""How many rows after the LIMIT are read: first 16, then 1000 if these all tie, then all."""

RunQuery = Callable[[str], Outcome]


@dataclass(frozen=True, slots=True)
class Ties:
    """The tie group of each row of a gold, and the rows at its LIMIT, if that cuts through a tie group."""

    groups: Groups
    cut: LimitCut | None = None


def find_ties(gold: Outcome, order: OrderBy, engine: Engine, run: RunQuery) -> Ties:
    """The ties of the gold, from queries given to ``run``. Where they cannot be found, no rows tie."""
    no_ties = Ties(range(len(gold.rows)))
    first = _offset(order, run) if gold.rows else None
    if first is None:
        return no_ties
    last = first + len(gold.rows)
    order = order.each(len(gold.columns), engine)
    tie_breakers = _tie_breakers(gold, order, engine, run)
    for limit in [*(last + spare for spare in SPARE), None] if order.limited else [None]:
        extended = _Extended(order, engine, run, tie_breakers, limit)
        rows = extended.rows()
        if rows is None or (not order.limited and len(rows) != len(gold.rows)):
            break
        groups = extended.groups(rows, gold.columns)
        if limit is None or len(rows) < limit or groups[-1] > groups[last - 1]:
            return _window(gold, [row for row, _ in rows], groups, first, last) or no_ties
    return no_ties


def _offset(order: OrderBy, run: RunQuery) -> int | None:
    """How many rows the gold skips; None where that is unknown."""
    if not order.offset_query:
        return order.offset
    rows = run(order.offset_query).rows
    value = rows[0][0] if rows else None
    return max(value, 0) if isinstance(value, int) else None


def _tie_breakers(
    gold: Outcome, order: OrderBy, engine: Engine, run: RunQuery
) -> tuple[list[str], list[str]]:
    """Order terms, ascending and descending, under which different rows do not tie.

    DuckDB refuses a collation of a column that is not text, and a date's cell is text too, so a query tries
    it. DuckDB puts NULL last in both directions by default. PostgreSQL takes no collation of a column's
    place, and text that ties under one of its usual collations is the same. MariaDB puts NULL first, and
    orders a column by its bytes where its name is unique.
    """
    places = range(1, len(gold.columns) + 1)
    if engine == "sqlite":
        terms = [f"{place} COLLATE BINARY" for place in places]
        return terms, [f"{term} DESC" for term in terms]
    texts = [any(isinstance(row[place - 1], str) for row in gold.rows) for place in places]
    if engine == "mariadb":
        names = ["`" + name.replace("`", "``") + "`" for name in gold.columns]
        bytewise = [f"BINARY {name}" for name, text in zip(names, texts, strict=True) if text]
        terms = [term for term in bytewise if run(order.by([term], 0)).ok] + [str(place) for place in places]
        return terms, [f"{term} DESC" for term in terms]
    terms = []
    for place, text in zip(places, texts, strict=True):
        term = f"{place} COLLATE C"
        text = text and engine == "duckdb"
        terms.append(term if text and run(order.by([term], 0)).ok else f"{place}")
    return [f"{term} NULLS FIRST" for term in terms], [f"{term} DESC NULLS LAST" for term in terms]


@dataclass(frozen=True, slots=True)
class _Extended:
    """The gold with the tie breakers as further order terms, and with another LIMIT or none."""

    order: OrderBy
    engine: Engine
    run: RunQuery
    tie_breakers: tuple[list[str], list[str]]
    limit: int | None

    def rows(self) -> list[tuple[Row, int]] | None:
        """The rows in order, each with the number of its tie group; None where a query fails.

        If the limit cuts the last group, only some of its rows are returned.
        """
        up, down = [self.run(self.order.by(terms, self.limit)) for terms in self.tie_breakers]
        if not up.ok or not down.ok or len(up.rows) != len(down.rows):
            return None
        ahead: Counter[object] = Counter()
        unequal = group = 0
        rows = []
        for pair in zip(up.rows, down.rows, strict=True):
            rows.append((pair[0], group))
            for row, step in zip(map(_comparable, pair), (1, -1), strict=True):
                unequal -= ahead[row] != 0
                ahead[row] += step
                unequal += ahead[row] != 0
            group += not unequal
        return rows if not unequal or self.limit == len(rows) else None

    def groups(self, rows: Sequence[tuple[Row, int]], columns: Sequence[str]) -> list[int]:
        """The tie groups, joined where their keys differ in their last digits only."""
        groups = [group for _, group in rows]
        keys = self._keys([row for row, _ in rows], columns)
        if keys is None:
            return groups
        merged = [0] * len(rows)
        for i in range(1, len(rows)):
            alike = rows[i - 1][0] == rows[i][0] and keys[i - 1] == keys[i]
            tied = groups[i] == groups[i - 1] or alike or _near_keys(keys[i - 1], keys[i])
            merged[i] = merged[i - 1] + (not tied)
        return merged

    def _keys(self, rows: Sequence[Row], columns: Sequence[str]) -> list[Row] | None:
        """The values of the order terms for each row; None where they are not known.

        If only the first terms are known, the row's number follows them, which differs for each row.
        """
        names = [name.lower() for name in columns]
        places: list[int] = []
        added: list[str] = []
        whole = True
        for term in (without_direction(term, self.engine) for term in self.order.terms):
            name = term.strip('"`[]').lower()
            if not term:
                whole = False
                break  # a collated term is text, which is never near other text
            if term.isdecimal():
                places.append(int(term) - 1)
            elif name in names:
                places.append(names.index(name))
            else:
                places.append(len(names) + len(added))
                added.append(f"({term})")
        if not places or (added and self.order.place is None) or max(places) >= len(names) + len(added):
            return None
        if added:
            outcome = self.run(self.order.by(self.tie_breakers[0], self.limit, added))
            if [_comparable(row[: len(names)]) for row in outcome.rows] != list(map(_comparable, rows)):
                return None
            rows = outcome.rows
        keys = [tuple([row[place] for place in places]) for row in rows]
        return keys if whole else [(*key, number) for number, key in enumerate(keys)]


def _comparable(row: Row) -> object:
    """The row with NaN replaced by a value that equals itself."""
    return tuple([cell if cell == cell else "nan" for cell in row])


def _near_keys(one: Sequence[Cell], other: Sequence[Cell]) -> bool:
    """Whether the first key in which two rows differ is a float and does so in its last digits."""
    differ = ((a, b) for a, b in zip(one, other, strict=True) if a != b and (a == a or b == b))
    x, y = next(differ, (None, None))
    return isinstance(x, float) and isinstance(y, float) and math.isclose(x, y, rel_tol=KEY_TOLERANCE)


def _window(gold: Outcome, rows: list[Row], groups: Sequence[int], first: int, last: int) -> Ties | None:
    """The ties of rows ``first`` to ``last``; None if these rows do not contain the gold's own."""
    if last > len(rows):
        return None
    groups = [group - groups[first] for group in groups]
    places = groups[first:last]
    candidates = [(group, row) for group, row in zip(groups, rows, strict=True) if 0 <= group <= places[-1]]
    returned = Counter((group, _comparable(row)) for group, row in zip(places, gold.rows, strict=True))
    allowed = Counter((group, _comparable(row)) for group, row in candidates)
    if not returned <= allowed:
        return None
    left_out = {group for group, _ in allowed - returned}
    different = Counter(group for group, _ in allowed)
    if all(different[group] == 1 for group in left_out):  # equal rows leave no choice
        return Ties(places)
    return Ties(places, LimitCut([row for _, row in candidates], [group for group, _ in candidates], places))
