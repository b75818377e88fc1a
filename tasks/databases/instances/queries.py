"""Read the golds of a database: the values and columns that they mention, and their near misses.

A near miss is a query with one of the mistakes that models make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

import sqlglot
from sqlglot import exp

from tasks.types import Cell

_COMPARISONS = (exp.Predicate, exp.In, exp.Between, exp.Like, exp.Not)


@dataclass(frozen=True, slots=True)
class Mentions:
    """What a set of queries mentions. Column names are in lower case, without their tables.

    ``values[column]``: the literals that it is compared with; under ``""`` the texts outside comparisons.
    ``joined[column]``: the other columns that it is equated with. ``ranked``: the columns by which
    ``ORDER BY ... LIMIT`` picks rows.
    """

    values: dict[str, list[Cell]] = field(default_factory=dict)
    joined: dict[str, set[str]] = field(default_factory=dict)
    ranked: set[str] = field(default_factory=set)


def mentions_of(queries: Iterable[str], dialect: str = "sqlite") -> Mentions:
    """What the queries mention. A query that cannot be parsed is skipped."""
    mentions = Mentions()
    for query in queries:
        try:
            tree = sqlglot.parse_one(query, dialect=dialect)
        except (sqlglot.errors.SqlglotError, RecursionError):
            continue
        _add(tree, mentions)
    return mentions


def _add(tree: exp.Expr, mentions: Mentions) -> None:
    columns = {column.name.lower() for column in tree.find_all(exp.Column)}
    for literal, value in _literals(tree):
        for name in _compared(literal) & columns or {""}:
            known = mentions.values.setdefault(name, [])
            if value not in known and (name or isinstance(value, str)):
                known.append(value)
    for select in tree.find_all(exp.Select):
        if select.args.get("limit") and (order := select.args.get("order")):
            keys = [key.this for key in order.expressions]
            mentions.ranked.update(key.name.lower() for key in keys if isinstance(key, exp.Column))
    for equation in tree.find_all(exp.EQ):
        left, right = equation.this, equation.expression
        if isinstance(left, exp.Column) and isinstance(right, exp.Column):
            mentions.joined.setdefault(left.name.lower(), set()).add(right.name.lower())
            mentions.joined.setdefault(right.name.lower(), set()).add(left.name.lower())


def _literals(tree: exp.Expr) -> Iterator[tuple[exp.Expr, Cell]]:
    """Numbers and texts. SQLite also takes a text in double quotes, which is parsed as a column."""
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


_OPERATORS: dict[type[exp.Expr], tuple[type[exp.Expr], ...]] = {
    exp.EQ: (exp.NEQ,),
    exp.NEQ: (exp.EQ,),
    exp.GT: (exp.GTE, exp.LT),
    exp.GTE: (exp.GT, exp.LTE),
    exp.LT: (exp.LTE, exp.GT),
    exp.LTE: (exp.LT, exp.GTE),
    exp.And: (exp.Or,),
    exp.Or: (exp.And,),
    exp.Max: (exp.Min,),
    exp.Min: (exp.Max,),
    exp.Sum: (exp.Avg,),
    exp.Avg: (exp.Sum,),
    exp.Union: (exp.Intersect,),
    exp.Intersect: (exp.Union, exp.Except),
    exp.Except: (exp.Union, exp.Intersect),
}
"""Operator -> operators that models write instead; all take the same arguments."""


def mutants(
    sql: str, tables: Mapping[str, Sequence[str]], limit: int, random: Random, dialect: str = "sqlite"
) -> list[str]:
    """Up to ``limit`` near misses of a query: the mistakes that models make, one at a time.

    ``tables``: name -> columns. Empty where the query cannot be parsed.
    """
    try:
        tree = sqlglot.parse_one(sql, dialect=dialect)
    except (sqlglot.errors.SqlglotError, RecursionError):
        return []
    siblings = _siblings(tables)
    changes = [
        (place, change) for place, node in enumerate(tree.walk()) for change in _changes(node, siblings)
    ]
    random.shuffle(changes)
    queries: dict[str, None] = {}
    for place, change in changes[:limit]:
        copy = tree.copy()
        node = next(node for index, node in enumerate(copy.walk()) if index == place)
        change(node)
        queries[copy.sql(dialect=dialect)] = None
    return list(queries)


def _siblings(tables: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Column -> the other columns of the tables with a column of this name, all in lower case."""
    siblings: dict[str, list[str]] = {}
    for columns in tables.values():
        names = [column.lower() for column in columns]
        for name in names:
            siblings.setdefault(name, []).extend(other for other in names if other != name)
    return siblings


Change = Callable[[exp.Expr], object]


def _changes(node: exp.Expr, siblings: Mapping[str, Sequence[str]]) -> Iterator[Change]:
    """The mistakes that are possible at one node of the tree."""
    for other in _OPERATORS.get(type(node), ()):
        yield partial(_retype, kind=other)
    if isinstance(node, exp.And):
        yield lambda node: node.replace(node.args["this"])
        yield lambda node: node.replace(node.args["expression"])
    elif isinstance(node, exp.Union):
        yield lambda node: node.set("distinct", not node.args.get("distinct"))
    elif isinstance(node, exp.Column):
        for name in siblings.get(node.name.lower(), ()):
            yield partial(_set, part="this", value=exp.to_identifier(name, quoted=True))
    elif isinstance(node, exp.Literal) and not node.is_string:
        yield lambda node: node.replace(exp.Literal.number(float(node.name) + 1))
    elif isinstance(node, exp.Ordered):
        yield lambda node: node.set("desc", not node.args.get("desc"))
    elif isinstance(node, exp.Select):
        for part in ("where", "having", "order", "limit", "distinct"):
            if node.args.get(part):
                yield partial(_set, part=part, value=None)


def _retype(node: exp.Expr, kind: type[exp.Expr]) -> None:
    node.replace(kind(**node.args))


def _set(node: exp.Expr, part: str, value: exp.Expr | None) -> None:
    node.set(part, value)
