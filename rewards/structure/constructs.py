"""Find constructs that a task forbids (``scoring.terms.forbidden``) in the syntax tree of a query.

If a query cannot be parsed, every construct whose keyword is among its tokens counts as found, so that long
comments, deep nesting or syntax that the parser does not know cannot hide a construct.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from rewards.structure.parse import parse, tokenize


def _star(tree: exp.Expr) -> bool:
    for select in tree.find_all(exp.Select):
        source = select.args.get("from_")
        if select.is_star and not (source and isinstance(source.this, exp.Values)):
            return True
    return any(columns.find(exp.Star) for columns in tree.find_all(exp.Columns))  # DuckDB's COLUMNS(*)


def _cross(tree: exp.Expr) -> bool:
    return any(
        not (join.args.get("using") or join.method or _restricts(join.args.get("on")))
        for join in tree.find_all(exp.Join)
    )


def _restricts(condition: exp.Expr | None) -> bool:
    """Whether a join's condition depends on a column: ON 1 and ON a.x = a.x join all rows with all rows."""
    if condition is None:
        return False
    if isinstance(condition, exp.And | exp.Paren):
        return any(_restricts(part) for part in condition.iter_expressions())
    if isinstance(condition, exp.EQ | exp.GTE | exp.LTE | exp.Is) and condition.this == condition.expression:
        return False
    return condition.find(exp.Column) is not None


def _unordered_limit(tree: exp.Expr) -> bool:
    return any(
        query.args.get("limit") and not _orders(query.args.get("order")) for query in tree.find_all(exp.Query)
    )


def _orders(order: exp.Expr | None) -> bool:
    """Whether an ORDER BY has a term that can differ between rows: a column or a column's number."""
    if order is None:
        return False
    terms = [term.this for term in order.expressions]
    return any(term.is_int or term.find(exp.Column, exp.AggFunc) for term in terms)


class Construct(NamedTuple):
    """How to find a construct in a tree. A query has it only if it has one of ``tokens``."""

    is_in: Callable[[exp.Expr], bool]
    tokens: Sequence[TokenType]


CONSTRUCTS: dict[str, Construct] = {
    "select_star": Construct(_star, (TokenType.STAR, TokenType.FROM, TokenType.TABLE)),
    "cross_join": Construct(_cross, (TokenType.JOIN, TokenType.COMMA, TokenType.STRAIGHT_JOIN)),
    "limit_without_order": Construct(_unordered_limit, (TokenType.LIMIT, TokenType.FETCH)),
    "subquery": Construct(
        lambda tree: len(list(tree.find_all(exp.Select))) > 1, (TokenType.L_PAREN, TokenType.UNION)
    ),
    "set_operation": Construct(
        lambda tree: tree.find(exp.SetOperation) is not None,
        (TokenType.UNION, TokenType.INTERSECT, TokenType.EXCEPT),
    ),
    "case": Construct(lambda tree: tree.find(exp.Case) is not None, (TokenType.CASE,)),
    "window": Construct(lambda tree: tree.find(exp.Window) is not None, (TokenType.OVER,)),
}
"""Name -> how to find it."""


def forbidden_in(sql: str, names: Iterable[str], dialect: str) -> list[str]:
    """The names of those constructs that a query has, in the dialect of its engine."""
    tree = parse(sql, dialect)
    if tree is not None:
        return [name for name in names if CONSTRUCTS[name].is_in(tree)]
    tokens = tokenize(sql, dialect)
    types = None if tokens is None else {token.token_type for token in tokens}
    return [name for name in names if types is None or not types.isdisjoint(CONSTRUCTS[name].tokens)]
