"""A query that rules rewrite, and the pieces of SQL that they put in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import sqlglot
from sqlglot import exp

from tasks.databases.dialects.kinds import NUMBERS, Kind, Names

N = TypeVar("N", bound=exp.Expr)
DIALECTS: Mapping[str, str] = {"mariadb": "mysql"}
"""Engine -> sqlglot's name of its dialect, where it is another."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PLACE = "place_"
_UNREAD = {"SUBSTR_REGEX": "SUBSTRING", "INSTR_REGEX": "REGEXP_INSTR"}
"""Functions that sqlglot would read and write otherwise: a name for them -> their name."""
_PIECES: Mapping[str, Mapping[str, str]] = {
    "prefix": {
        "postgres": "COALESCE(CAST(SUBSTR_REGEX(place_, '^\\s*{number}') AS DOUBLE PRECISION),"
        " CASE WHEN place_ IS NULL THEN NULL ELSE 0 END)",
        "duckdb": "COALESCE(TRY_CAST(REGEXP_EXTRACT(place_, '^\\s*{number}') AS DOUBLE),"
        " CASE WHEN place_ IS NULL THEN NULL ELSE 0 END)",
        "mysql": "place_ + 0.0",
    },
    "number": {
        "postgres": "CASE WHEN place_ ~ '^\\s*{number}\\s*$' THEN CAST(place_ AS DOUBLE PRECISION) END",
        "duckdb": "CASE WHEN REGEXP_MATCHES(place_, '^\\s*{number}\\s*$')"
        " THEN TRY_CAST(place_ AS DOUBLE) END",
        "mysql": "CASE WHEN INSTR_REGEX(place_, '^\\s*{number}\\s*$') = 1 THEN place_ + 0.0 END",
    },
    "day": {
        "postgres": "CAST(EXTRACT(EPOCH FROM CAST(place_ AS TIMESTAMP)) / 86400.0 + 2440587.5"
        " AS DOUBLE PRECISION)",
        "duckdb": "EPOCH(CAST(place_ AS TIMESTAMP)) / 86400.0 + 2440587.5",
        "mysql": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', place_) / 86400000000.0 + 2440587.5",
    },
}
"""``prefix``: a text as a number, as SQLite calculates with it: its beginning, or 0. ``number``: the number
that a text is as a whole, else NULL. ``day``: the Julian day of a date or time in a text."""


@dataclass(frozen=True, slots=True)
class Query:
    """A syntax tree to rewrite in place. ``dialect``: sqlglot's name of the engine's dialect."""

    tree: exp.Expr
    dialect: str
    names: Names
    picks: list[exp.Expr] = field(default_factory=list)
    """The columns that were taken from some row of a group."""

    def selects(self) -> list[exp.Select]:
        """All SELECTs, the inner ones first."""
        return list(self.tree.find_all(exp.Select))[::-1]

    def kind(self, node: exp.Expr) -> Kind:
        """What an expression holds."""
        return self.names.kind(node)

    def piece(self, name: str, place: exp.Expr) -> exp.Expr:
        """A piece of SQL around a copy of an expression, in brackets."""
        text = _PIECES[name][self.dialect].replace("{number}", _NUMBER)
        if self.dialect == "mysql":
            text = text.replace("\\", "\\\\")
        tree = sqlglot.parse_one(text, read=self.dialect)
        for column in list(tree.find_all(exp.Column)):
            if column.name == _PLACE:
                column.replace(place.copy())
        for call in tree.find_all(exp.Anonymous):
            call.set("this", _UNREAD.get(call.name.upper(), call.name))
        return exp.Paren(this=tree)

    def number(self, node: exp.Expr) -> None:
        """Replace a text or truth value, with which SQLite calculates, by the number that it takes it for."""
        kind = self.kind(node)
        if kind == "text":
            node.replace(self.piece("prefix", node))
        elif kind == "boolean" and self.dialect != "mysql":
            node.replace(cast(node, "INT"))

    def text(self, node: exp.Expr) -> None:
        """Replace a number, which SQLite takes for text here, by its text."""
        if self.kind(node) in NUMBERS:
            node.replace(cast(node, "TEXT"))


def cast(node: exp.Expr, to: str) -> exp.Expr:
    """CAST of a copy of an expression."""
    return exp.Cast(this=node.copy(), to=exp.DataType.build(to))


def is_aggregate(node: exp.Expr) -> bool:
    """Whether a node is an aggregate function, and not a window function or the larger of two values."""
    if isinstance(node, exp.Anonymous):
        return node.name.upper() == "TOTAL"
    if not isinstance(node, exp.AggFunc) or isinstance(node.parent, exp.Window | exp.Filter):
        return False
    return not (isinstance(node, exp.Max | exp.Min) and node.expressions)


def inner_first(tree: exp.Expr, *types: type[N]) -> list[N]:
    """The nodes of these types, inner ones before those around them: so each may be replaced by a copy."""
    return list(tree.find_all(*types))[::-1]


def own_nodes(node: exp.Expr) -> Iterator[exp.Expr]:
    """The nodes of an expression without those inside its subqueries."""
    yield from node.walk(prune=lambda inner: isinstance(inner, exp.Query) and inner is not node)
