"""Near misses of a query: the mistakes that models make, one at a time.

They are what an instance of a database has to tell apart from the query itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from random import Random

import sqlglot
from sqlglot import exp

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
"""What is mistaken for what; the two take the same arguments."""


def mutants(
    sql: str, tables: Mapping[str, Sequence[str]], most: int, random: Random, dialect: str = "sqlite"
) -> list[str]:
    """Up to ``most`` near misses of a query on these tables (name -> columns); none where it has no tree."""
    try:
        tree = sqlglot.parse_one(sql, dialect=dialect)
    except (sqlglot.errors.SqlglotError, RecursionError):
        return []
    siblings = _siblings(tables)
    changes = [
        (place, change) for place, node in enumerate(tree.walk()) for change in _changes(node, siblings)
    ]
    random.shuffle(changes)
    found: dict[str, None] = {}
    for place, change in changes[:most]:
        copy = tree.copy()
        node = next(node for at, node in enumerate(copy.walk()) if at == place)
        change(node)
        found[copy.sql(dialect=dialect)] = None
    return list(found)


def _siblings(tables: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Column -> the other columns of the tables that have one of this name; all names in lower case."""
    found: dict[str, list[str]] = {}
    for columns in tables.values():
        names = [column.lower() for column in columns]
        for name in names:
            found.setdefault(name, []).extend(other for other in names if other != name)
    return found


Change = Callable[[exp.Expr], object]


def _changes(node: exp.Expr, siblings: Mapping[str, Sequence[str]]) -> Iterator[Change]:
    """The mistakes that can be made at one place of the tree."""
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
