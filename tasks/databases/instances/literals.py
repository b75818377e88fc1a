"""The values that queries speak of: which literal is compared with which column, which columns are joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp

from tasks.types import Cell

_COMPARISONS = (exp.Predicate, exp.In, exp.Between, exp.Like, exp.Not)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a set of queries speaks of. Column names are in lower case, without their tables.

    ``values[column]``: literals compared with it; under ``""`` the texts that stand by themselves.
    ``joined[column]``: other columns that it is equated with. ``ranked``: columns that ``ORDER BY ... LIMIT``
    picks rows by.
    """

    values: dict[str, list[Cell]] = field(default_factory=dict)
    joined: dict[str, set[str]] = field(default_factory=dict)
    ranked: set[str] = field(default_factory=set)


def spoken(queries: Iterable[str], dialect: str = "sqlite") -> Spoken:
    """Read the queries; what cannot be parsed says nothing."""
    found = Spoken()
    for query in queries:
        try:
            tree = sqlglot.parse_one(query, dialect=dialect)
        except (sqlglot.errors.SqlglotError, RecursionError):
            continue
        _read(tree, found)
    return found


def _read(tree: exp.Expr, found: Spoken) -> None:
    columns = {column.name.lower() for column in tree.find_all(exp.Column)}
    for literal, value in _literals(tree):
        for name in _compared(literal) & columns or {""}:
            known = found.values.setdefault(name, [])
            if value not in known and (name or isinstance(value, str)):
                known.append(value)
    for select in tree.find_all(exp.Select):
        if select.args.get("limit") and (order := select.args.get("order")):
            keys = [key.this for key in order.expressions]
            found.ranked.update(key.name.lower() for key in keys if isinstance(key, exp.Column))
    for equation in tree.find_all(exp.EQ):
        left, right = equation.this, equation.expression
        if isinstance(left, exp.Column) and isinstance(right, exp.Column):
            found.joined.setdefault(left.name.lower(), set()).add(right.name.lower())
            found.joined.setdefault(right.name.lower(), set()).add(left.name.lower())


def _literals(tree: exp.Expr) -> Iterator[tuple[exp.Expr, Cell]]:
    """Numbers and texts; in SQLite a text may stand in double quotes and then reads as a column."""
    for literal in tree.find_all(exp.Literal):
        if literal.find_ancestor(exp.Limit, exp.Offset) is None:
            yield literal, literal.this if literal.is_string else _number(literal.this)
    for column in tree.find_all(exp.Column):
        if isinstance(column.this, exp.Identifier) and column.this.quoted and not column.table:
            yield column, column.name


def _number(text: str) -> Cell:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _compared(literal: exp.Expr) -> set[str]:
    """The columns of the smallest comparison around a literal."""
    around = literal.find_ancestor(*_COMPARISONS)
    if around is None:
        return set()
    return {column.name.lower() for column in around.find_all(exp.Column) if column is not literal}
