"""Comparisons of text with numbers, which SQLite decides by the affinity of the columns.

Source: sqlite.org/datatype3.html, section 4. A numeric column makes the text it is compared with a number,
where it is one; else a column of text makes the number a text; else any text is greater than any number.
"""

from __future__ import annotations

import re

from sqlglot import exp

from tasks.databases.dialects.kinds import NUMBERS, Held
from tasks.databases.dialects.query import Query, cast, inner_first

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_ABOVE = exp.NEQ | exp.GT | exp.GTE
"""The comparisons in which a text is on the left of a number, and that hold because it is greater."""
_SWAPPED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}


def comparisons(query: Query) -> None:
    """Text and numbers are compared by the affinity of their columns."""
    for node in inner_first(query.tree, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE):
        _compare(query, node)
    for between in inner_first(query.tree, exp.Between):
        value, bounds = between.this, (between.args["low"], between.args["high"])
        if any(_is_mixed(query, value, bound) for bound in bounds):
            low = exp.GTE(this=value.copy(), expression=bounds[0].copy())
            high = exp.LTE(this=value.copy(), expression=bounds[1].copy())
            between.replace(exp.Paren(this=exp.And(this=low, expression=high)))
            for part in (low, high):
                _compare(query, part)
    for member in inner_first(query.tree, exp.In):
        _member(query, member)


def _is_mixed(query: Query, one: exp.Expr, other: exp.Expr) -> bool:
    """Whether one is text and the other a number."""
    kinds = query.kind(one), query.kind(other)
    return "text" in kinds and not NUMBERS.isdisjoint(kinds)


def _compare(query: Query, node: exp.Expr) -> None:
    left, right = node.this, node.expression
    kinds = query.kind(left), query.kind(right)
    if "boolean" in kinds and not NUMBERS.isdisjoint(kinds) and query.dialect != "mysql":
        query.number(left if kinds[0] == "boolean" else right)
    elif _is_mixed(query, left, right):
        swapped = kinds[1] == "text"
        text, number = (right, left) if swapped else (left, right)
        operator = _SWAPPED.get(type(node), type(node)) if swapped else type(node)
        node.replace(_mixed(query, text, number, operator))


def _mixed(query: Query, text: exp.Expr, number: exp.Expr, operator: type[exp.Expr]) -> exp.Expr:
    """The comparison ``text operator number`` as SQLite decides it."""
    held, other = query.names.held(text), query.names.held(number)
    if "number" in (held.affinity, other.affinity):
        return _as_numbers(query, text, number, operator)
    if held.affinity == "text":
        return operator(this=text.copy(), expression=_as_text(number))
    return _always(text, number, operator)


def _as_text(number: exp.Expr) -> exp.Expr:
    if isinstance(number, exp.Literal) and number.is_int:
        return exp.Literal.string(number.name)
    return cast(number, "TEXT")


def _always(text: exp.Expr, number: exp.Expr, operator: type[exp.Expr]) -> exp.Expr:
    """The comparison of a text that is no number with a number: the text is greater."""
    if not issubclass(operator, _ABOVE):
        return exp.false()
    given = [
        exp.Not(this=exp.Is(this=side.copy(), expression=exp.Null()))
        for side in (text, number)
        if not isinstance(side, exp.Literal)
    ]
    return exp.and_(*given) if given else exp.true()


def _as_numbers(query: Query, text: exp.Expr, number: exp.Expr, operator: type[exp.Expr]) -> exp.Expr:
    if isinstance(text, exp.Literal):
        if not _NUMBER.fullmatch(text.name):
            return _always(text, number, operator)
        return operator(this=_literal(text.name), expression=number.copy())
    if issubclass(operator, exp.EQ | exp.NEQ) and query.kind(number) == "integer":
        return operator(this=text.copy(), expression=_as_text(number))
    value = query.piece("number", text)
    compared = operator(this=value, expression=number.copy())
    if not issubclass(operator, _ABOVE):
        return compared
    is_text = exp.And(
        this=exp.Is(this=value.copy(), expression=exp.Null()),
        expression=exp.Not(this=exp.Is(this=text.copy(), expression=exp.Null())),
    )
    return exp.Paren(this=exp.Or(this=compared, expression=exp.Paren(this=is_text)))


def _literal(text: str) -> exp.Expr:
    plain = text.strip().lstrip("+")
    number = exp.Literal.number(plain.lstrip("-"))
    return exp.Neg(this=number) if plain.startswith("-") else number


def _member(query: Query, node: exp.Expr) -> None:
    """``x IN (...)``: the affinity of x counts for a list, and that of both sides for a subquery."""
    held = query.names.held(node.this)
    if subquery := node.args.get("query"):
        inner = subquery.this if isinstance(subquery, exp.Subquery) else subquery
        if not isinstance(inner, exp.Select) or not inner.expressions:
            return
        item = inner.expressions[0]
        value = item.this if isinstance(item, exp.Alias) else item
        if _is_mixed(query, node.this, value):
            text, number = (node.this, value) if held.kind == "text" else (value, node.this)
            if query.kind(number) == "integer":
                number.replace(cast(number, "TEXT"))
            elif "number" in (held.affinity, query.names.held(value).affinity):
                text.replace(query.piece("number", text))
            elif held.kind == "text":
                value.replace(cast(value, "TEXT"))
        return
    for item in node.expressions:
        if held.kind == "text" and held.affinity == "text" and query.kind(item) in NUMBERS:
            item.replace(_as_text(item))
        elif held.kind in NUMBERS and isinstance(item, exp.Literal) and item.is_string:
            _as_number(item, held)
    if (
        held.kind == "text"
        and held.affinity == "number"
        and any(query.kind(i) in NUMBERS for i in node.expressions)
    ):
        node.this.replace(query.piece("number", node.this))
        for item in node.expressions:
            if isinstance(item, exp.Literal) and item.is_string:
                item.replace(_literal(item.name) if _NUMBER.fullmatch(item.name) else exp.Null())


def _as_number(item: exp.Literal, held: Held) -> None:
    if _NUMBER.fullmatch(item.name) and held.affinity == "number":
        item.replace(_literal(item.name))
    else:
        item.replace(exp.Null())
