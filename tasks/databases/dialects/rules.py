"""What SQLite accepts and other engines do not, or understand differently: a rule for each.

sqlglot translates syntax; it does not know the columns of the tables. A rule rewrites a query so that the
other engine does what SQLite would do. Whether it does is decided by comparing the rows
(``rewards.translation``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlglot import exp

from tasks.databases.dialects import comparisons, grouping
from tasks.databases.dialects.kinds import NUMBERS
from tasks.databases.dialects.query import Query, cast, inner_first, is_aggregate
from tasks.databases.sql_text import RESERVED

_SCALAR_PLACES = exp.Binary | exp.Predicate | exp.Select | exp.Alias | exp.Func | exp.Paren | exp.Neg
_ARITHMETIC = exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod
_TEXT_ARGUMENTS = (
    exp.Length | exp.Upper | exp.Lower | exp.Substring | exp.Trim | exp.Replace | exp.StrPosition
)
_DECIMAL = {"postgres": "DECIMAL", "mysql": "DECIMAL(38, 12)"}
"""The exact numbers of servers."""
_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class Rule(NamedTuple):
    """``name`` and ``why``, for the pages; ``dialects``: where it is applied."""

    name: str
    why: str
    apply: Callable[[Query], None]
    dialects: frozenset[str]


def strings(query: Query) -> None:
    """``"x"`` that names no column is the text 'x'."""
    for column in inner_first(query.tree, exp.Column):
        name = column.this
        if not (isinstance(name, exp.Identifier) and name.quoted) or column.table:
            continue
        if query.names.find(column) is None and not _names_an_alias(query, column):
            column.replace(exp.Literal.string(name.name))


def _names_an_alias(query: Query, column: exp.Column) -> bool:
    select = column.find_ancestor(exp.Select)
    return select is not None and any(
        isinstance(item, exp.Alias) and item.alias.lower() == column.name.lower()
        for item in select.expressions
    )


def aliases(query: Query) -> None:
    """A name of a projection may be used in WHERE, HAVING and inside expressions of ORDER BY."""
    for select in query.selects():
        for clause in (select.args.get(name) for name in ("where", "having", "order", "group")):
            for column in list(clause.find_all(exp.Column)) if clause else []:
                inner = column.find_ancestor(exp.Select) is not select
                alone = isinstance(column.parent, exp.Ordered | exp.Group)
                if inner or alone or query.names.find(column) is not None:
                    continue
                if (projection := query.names.projection(column)) is not None:
                    column.replace(exp.Paren(this=projection.copy()))


def single_rows(query: Query) -> None:
    """A subquery that stands for a value gives its first row; others refuse several rows."""
    for subquery in query.tree.find_all(exp.Subquery):
        inner, parent = subquery.this, subquery.parent
        if not isinstance(inner, exp.Select) or not isinstance(parent, _SCALAR_PLACES):
            continue
        if isinstance(parent, exp.In | exp.Exists) or subquery.arg_key in ("from_", "joins", "with_"):
            continue
        single = not inner.args.get("group") and any(map(is_aggregate, inner.expressions[0].walk()))
        if not single and not inner.args.get("limit"):
            inner.set("limit", exp.Limit(expression=exp.Literal.number(1)))


def likes(query: Query) -> None:
    """LIKE does not tell upper from lower case, knows no escape character, and takes numbers for text."""
    for like in inner_first(query.tree, exp.Like):
        for side in (like.this, like.expression):
            query.text(side)
        pattern = like.expression
        found: exp.Expr = exp.ILike(**{name: value for name, value in like.args.items() if value is not None})
        parent = like.parent
        like.replace(found)
        plain = not isinstance(pattern, exp.Literal) or "\\" not in pattern.name
        if not plain and not isinstance(parent, exp.Escape) and query.dialect != "duckdb":
            found.replace(exp.Escape(this=found.copy(), expression=exp.Literal.string("")))


def arithmetic(query: Query) -> None:
    """Text counts as the number at its beginning, a truth value as 0 or 1; integers divide to integers."""
    for node in inner_first(query.tree, *_ARITHMETIC.__args__, exp.Neg, exp.Abs):
        integers = isinstance(node, exp.Div) and query.kind(node) == "integer"
        for side in [node.this, *([node.expression] if isinstance(node, exp.Binary) else [])]:
            query.number(side)
        if isinstance(node, exp.Div) and not integers and query.dialect == "mysql":
            node.set("this", cast(node.this, "DOUBLE"))  # whose exact numbers have four more digits only
        if not integers:
            continue
        for total in list(node.find_all(exp.Sum)):  # a sum of integers is no integer elsewhere
            if total.parent and not isinstance(total.parent, exp.Cast | exp.Window):
                total.replace(cast(total, "BIGINT"))
        if query.dialect != "postgres":
            divisor = exp.Nullif(this=node.expression.copy(), expression=exp.Literal.number(0))
            node.replace(exp.IntDiv(this=node.this.copy(), expression=divisor))


def aggregates(query: Query) -> None:
    """SUM and AVG take text, and aggregates take truth values; TOTAL is a SUM that is never NULL."""
    for node in inner_first(query.tree, exp.Sum, exp.Avg, exp.Max, exp.Min):
        inner = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
        if isinstance(node, exp.Sum | exp.Avg) or query.kind(inner) == "boolean":
            query.number(inner)
        if isinstance(node, exp.Avg) and query.dialect == "mysql" and not isinstance(node.this, exp.Distinct):
            node.set("this", cast(node.this, "DOUBLE"))
    for call in inner_first(query.tree, exp.Anonymous):
        if call.name.upper() == "TOTAL" and len(call.expressions) == 1:
            query.number(call.expressions[0])
            total = exp.Sum(this=call.expressions[0].copy())
            call.replace(exp.Coalesce(this=total, expressions=[exp.Literal.number("0.0")]))


def casts(query: Query) -> None:
    """CAST takes the number at the beginning of a text, and cuts the digits after the point."""
    for node in inner_first(query.tree, exp.Cast):
        before, inner = query.kind(node.this), node.this
        if node.to.this in exp.DataType.INTEGER_TYPES and before in ("text", "real"):
            query.number(inner)
            cut = exp.Anonymous(this="TRUNC", expressions=[node.this.copy()])
            if query.dialect == "mysql":
                cut = exp.Anonymous(this="TRUNCATE", expressions=[node.this.copy(), exp.Literal.number(0)])
            node.replace(cast(cut, "BIGINT"))
        elif query.kind(node) == "real" and before == "text":
            query.number(inner)


def conditions(query: Query) -> None:
    """A number that is not 0 is true."""
    found: list[exp.Expr] = []
    for node in query.tree.walk():
        if isinstance(node, exp.Where | exp.Having | exp.Not):
            found.append(node.this)
        elif isinstance(node, exp.Connector):
            found += [node.this, node.expression]
        elif isinstance(node, exp.Join) and node.args.get("on"):
            found.append(node.args["on"])
        elif isinstance(node, exp.If) and not (isinstance(node.parent, exp.Case) and node.parent.this):
            found.append(node.this)
    for node in reversed(found):
        kind = query.kind(node)
        if kind in (*NUMBERS, "text"):
            value = query.piece("prefix", node) if kind == "text" else exp.Paren(this=node.copy())
            node.replace(exp.NEQ(this=value, expression=exp.Literal.number(0)))


def texts(query: Query) -> None:
    """Functions of text take numbers; servers round exact numbers away from 0, as SQLite does all."""
    for node in inner_first(query.tree, *_TEXT_ARGUMENTS.__args__):
        query.text(node.this)
    for node in inner_first(query.tree, exp.DPipe):
        for side in (node.this, node.expression):
            query.text(side)
    for node in inner_first(query.tree, exp.GroupConcat):
        query.text(node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this)
    for node in inner_first(query.tree, exp.Round):
        query.number(node.this)
        if query.dialect in _DECIMAL:
            node.set("this", cast(node.this, _DECIMAL[query.dialect]))


def days(query: Query) -> None:
    """JULIANDAY exists in SQLite only."""
    for node in inner_first(query.tree, exp.Anonymous):
        if node.name.upper() == "JULIANDAY" and len(node.expressions) == 1:
            node.replace(query.piece("day", node.expressions[0]))


def collations(query: Query) -> None:
    """COLLATE NOCASE compares and orders without case, as DuckDB does too; others are the engine's own."""
    for node in inner_first(query.tree, exp.Collate):
        plain, parent = node.this.copy(), node.parent
        if node.expression.name.upper() != "NOCASE":
            node.replace(plain)
            continue
        if isinstance(parent, exp.Predicate) and isinstance(parent, exp.Binary):
            other = parent.expression if node is parent.this else parent.this
            other.replace(exp.Lower(this=other.copy()))
        node.replace(exp.Lower(this=plain))


def derived(query: Query) -> None:
    """A subquery in FROM needs no name in SQLite."""
    for number, subquery in enumerate(query.tree.find_all(exp.Subquery)):
        in_from = isinstance(subquery.parent, exp.From | exp.Join) and not isinstance(
            subquery.this, exp.Table
        )
        if in_from and not subquery.alias:
            subquery.set("alias", exp.TableAlias(this=exp.to_identifier(f"derived_{number}")))


def names(query: Query) -> None:
    """Names are the same in upper and lower case; in copies on servers, which tell them apart, lower."""
    for name in query.tree.find_all(exp.Identifier):
        text = name.name if query.dialect == "duckdb" else name.name.translate(_ASCII_LOWER)
        simple = text.isidentifier() and text.isascii() and text.lower() not in RESERVED
        name.set("this", text)
        name.set("quoted", query.dialect == "mysql" or not simple)


_ALL = frozenset({"postgres", "duckdb", "mysql"})
_TYPED = _ALL - {"mysql"}
FROM_SQLITE = tuple(
    Rule(apply.__name__, " ".join((apply.__doc__ or "").split()), apply, dialects)
    for apply, dialects in (
        (strings, _ALL),
        (aliases, _ALL - {"duckdb"}),
        (single_rows, _ALL),
        (likes, _ALL),
        (casts, _TYPED),
        (arithmetic, _ALL),
        (aggregates, _ALL),
        (texts, _ALL),
        (days, _ALL),
        (comparisons.comparisons, _ALL),
        (conditions, _TYPED),
        (collations, _ALL - {"duckdb"}),
        (grouping.distinct_order, frozenset({"postgres"})),
        (grouping.bare_columns, _ALL),
    )
)
"""The rules for queries that are written for SQLite, in the order in which they are applied."""
FOR_ALL = (derived, names)
"""What is done to the queries of every engine, after that."""
