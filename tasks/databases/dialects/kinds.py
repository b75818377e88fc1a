"""What the names in a query mean: the table or subquery that a column comes from, and what it holds.

Only what SQLite's rules of comparison and arithmetic depend on: whether an expression is an integer, a real
number, text or a truth value, and the affinity of a column. Source: sqlite.org/datatype3.html.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from tasks.types import Schema

Kind = Literal["integer", "real", "text", "boolean", "other"]
"""``other``: a blob, a date of another engine, or unknown."""
NUMBERS = frozenset({"integer", "real"})
_NUMERIC_DECLARED = ("INT", "REAL", "FLOA", "DOUB", "NUM", "DEC", "BOOL", "DATE", "TIME", "YEAR")
_TEXT_DECLARED = ("CHAR", "CLOB", "TEXT")
_HELD: Mapping[str, Kind] = {
    "bigint": "integer",
    "integer": "integer",
    "double": "real",
    "double precision": "real",
    "numeric": "real",
    "text": "text",
    "longtext": "text",
    "varchar": "text",
    "boolean": "boolean",
}


@dataclass(frozen=True, slots=True)
class Held:
    """A column: what it holds in the copy, and whether SQLite converts what is compared with it to text
    (``text``), to a number (``number``) or not (``none``)."""

    kind: Kind
    affinity: Literal["text", "number", "none"] = "none"


@dataclass(frozen=True, slots=True)
class Found:
    """A column of a query: its source's alias, its name, what it holds."""

    source: str
    name: str
    held: Held
    table: str = ""
    """The table; "" for a subquery."""


class Tables:
    """The columns of all tables: lower-case table -> lower-case column -> what it holds."""

    def __init__(self, source: Schema, target: Schema) -> None:
        """``source``: as declared there; ``target``: the copy, whose types are true."""
        declared = {
            (table.name.lower(), column.name.lower()): column.type.upper()
            for table in source.tables
            for column in table.columns
        }
        self.columns: dict[str, dict[str, Held]] = {}
        self.keys: dict[str, frozenset[str]] = {}
        """Table -> its primary key."""
        for table in target.tables:
            name = table.name.lower()
            self.columns[name] = {
                column.name.lower(): Held(
                    _held(column.type), _affinity(declared.get((name, column.name.lower()), ""))
                )
                for column in table.columns
            }
            self.keys[name] = frozenset(column.name.lower() for column in table.columns if column.primary_key)


def _held(declared: str) -> Kind:
    return _HELD.get(declared.lower().partition("(")[0], "other")


def _affinity(declared: str) -> Literal["text", "number", "none"]:
    if "INT" in declared:
        return "number"
    if any(word in declared for word in _TEXT_DECLARED):
        return "text"
    if not declared or "BLOB" in declared:
        return "none"
    return "number"


class Names:
    """Looks up the columns of one query. The tree may change: only its FROM clauses and aliases are read."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def find(self, column: exp.Column) -> Found | None:
        """The column of a table or subquery that a name means; None where it is none."""
        select = column.find_ancestor(exp.Select)
        while select is not None:
            if found := self._find_in(select, column.name.lower(), column.table.lower()):
                return found
            select = select.find_ancestor(exp.Select)
        return None

    def _find_in(self, select: exp.Select, name: str, table: str) -> Found | None:
        for alias, columns, origin in self.sources(select):
            if table in ("", alias) and name in columns:
                return Found(alias, name, columns[name], origin)
        return None

    def determined(self, found: Found, grouped: Collection[object]) -> bool:
        """Whether the primary key of a column's table is among the ``(source, name)`` of GROUP BY."""
        key = self._tables.keys.get(found.table)
        return bool(key) and all((found.source, name) in grouped for name in key or ())

    def sources(self, select: exp.Select) -> Iterator[tuple[str, Mapping[str, Held], str]]:
        """The tables and subqueries of a FROM: lower-case alias, columns, name of the table."""
        clause = select.args.get("from_")
        joins = select.args.get("joins") or []
        for node in [*([clause.this] if clause else []), *(join.this for join in joins)]:
            yield from self._source(node)

    def _source(self, node: exp.Expr) -> Iterator[tuple[str, Mapping[str, Held], str]]:
        if isinstance(node, exp.Table):
            name, alias = node.name.lower(), node.alias_or_name.lower()
            common = self._common(node, name)
            yield alias, common or self._tables.columns.get(name, {}), "" if common else name
            for join in node.args.get("joins") or []:
                yield from self._source(join.this)
        elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):  # joins in brackets
            yield from self._source(node.this)
        elif isinstance(node, exp.Subquery):
            yield node.alias.lower(), self.output(node.this), ""

    def _common(self, node: exp.Expr, name: str) -> Mapping[str, Held]:
        """The columns of a common table expression that is visible at a node."""
        above, inside = node.parent, set[int]()
        while above is not None:
            inside.add(id(above))
            clause = above.args.get("with_")
            for cte in clause.expressions if clause else []:
                if cte.alias.lower() == name and id(cte) not in inside:
                    return {} if clause and clause.recursive else self.output(cte.this)
            above = above.parent
        return {}

    def output(self, query: exp.Expr) -> dict[str, Held]:
        """The columns of a subquery."""
        while isinstance(query, exp.SetOperation | exp.Subquery | exp.Paren):
            query = query.this
        columns: dict[str, Held] = {}
        if not isinstance(query, exp.Select):
            return columns
        for item in query.expressions:
            if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and item.is_star):
                table = item.table.lower() if isinstance(item, exp.Column) else ""
                for alias, held, _ in self.sources(query):
                    if table in ("", alias):
                        columns |= {name: one for name, one in held.items() if name not in columns}
            elif item.alias_or_name:
                columns.setdefault(item.alias_or_name.lower(), self.held(item))
        return columns

    def held(self, node: exp.Expr) -> Held:
        """What an expression holds; the affinity is that of a column, also in brackets and subqueries."""
        while isinstance(node, exp.Paren | exp.Alias | exp.Subquery):
            node = node.this
        if isinstance(node, exp.SetOperation):
            return self.held(node.this)
        if isinstance(node, exp.Select):
            return self.held(node.expressions[0]) if node.expressions else Held("other")
        if isinstance(node, exp.Column):
            found = self.find(node)
            return found.held if found else self._alias(node)
        return Held(self._kind(node), _affinity(node.to.sql()) if isinstance(node, exp.Cast) else "none")

    def _alias(self, column: exp.Column) -> Held:
        """What the projection that a name stands for holds."""
        projection = self.projection(column)
        return Held("other") if projection is None else self.held(projection)

    def projection(self, column: exp.Column) -> exp.Expr | None:
        """The projection of the same SELECT that a name without a table stands for."""
        select = column.find_ancestor(exp.Select)
        if select is None or column.table:
            return None
        place: exp.Expr = column
        while place.parent is not select and place.parent is not None:
            place = place.parent
        if place.arg_key == "expressions":  # one projection does not see another
            return None
        for item in select.expressions:
            if isinstance(item, exp.Alias) and item.alias.lower() == column.name.lower():
                found: exp.Expr = item.this
                return found
        return None

    def kind(self, node: exp.Expr) -> Kind:
        """What an expression holds."""
        return self.held(node).kind

    def _kind(self, node: exp.Expr) -> Kind:
        if isinstance(node, exp.Literal):
            return "text" if node.is_string else "integer" if node.is_int else "real"
        if isinstance(node, exp.Predicate | exp.Not | exp.Connector | exp.Boolean):
            return "boolean"
        if isinstance(node, exp.Neg | exp.Abs):
            return self.kind(node.this)
        if isinstance(node, exp.Cast):
            return self._cast(node)
        if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod):
            sides = {self.kind(node.this), self.kind(node.expression)}
            return "integer" if sides <= {"integer", "boolean"} else "real"
        if isinstance(node, exp.Count | exp.Length | exp.StrPosition | exp.IntDiv | exp.RowNumber):
            return "integer"
        if isinstance(node, exp.Sum):
            return "integer" if self.kind(node.this) in ("integer", "boolean") else "real"
        if isinstance(node, exp.Avg | exp.Round):
            return "real"
        if isinstance(node, exp.Max | exp.Min | exp.Distinct | exp.Coalesce | exp.Nullif | exp.Window):
            inner = node.expressions[0] if isinstance(node, exp.Distinct) else node.this
            return self.kind(inner)
        if isinstance(node, exp.Case | exp.If):
            branches = node.args.get("ifs") or [node]
            return self.kind(branches[0].args["true"])
        text = exp.DPipe | exp.Concat | exp.Substring | exp.Upper | exp.Lower | exp.Trim | exp.Replace
        return "text" if isinstance(node, text | exp.TimeToStr | exp.GroupConcat) else "other"

    def _cast(self, node: exp.Cast) -> Kind:
        if node.to.this in exp.DataType.INTEGER_TYPES:
            return "integer"
        if node.to.this in exp.DataType.TEXT_TYPES:
            return "text"
        return "real" if node.to.this in exp.DataType.NUMERIC_TYPES else "other"
