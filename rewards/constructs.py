"""Constructs that a task may forbid although they run: found in the syntax tree, never by text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


def _star(tree: exp.Expression) -> bool:
    return any(select.is_star for select in tree.find_all(exp.Select))


def _cross(tree: exp.Expression) -> bool:
    return any(
        not (one.args.get("on") or one.args.get("using") or one.method) for one in tree.find_all(exp.Join)
    )


def _unordered_limit(tree: exp.Expression) -> bool:
    return any(one.args.get("limit") and not one.args.get("order") for one in tree.find_all(exp.Query))


CONSTRUCTS: dict[str, Callable[[exp.Expression], bool]] = {
    "select_star": _star,
    "cross_join": _cross,
    "limit_without_order": _unordered_limit,
    "subquery": lambda tree: len(list(tree.find_all(exp.Select))) > 1,
    "set_operation": lambda tree: tree.find(exp.SetOperation) is not None,
    "case": lambda tree: tree.find(exp.Case) is not None,
    "window": lambda tree: tree.find(exp.Window) is not None,
}
"""Name -> whether a query's tree has it."""


def forbidden_in(sql: str, names: Iterable[str]) -> list[str]:
    """Which of these constructs a query has; none where it cannot be read, for then it is wrong already."""
    try:
        tree = sqlglot.parse_one(sql, dialect="sqlite")
    except (SqlglotError, RecursionError, ValueError):
        return []
    return [name for name in names if CONSTRUCTS[name](tree)]
