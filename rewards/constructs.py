"""Constructs that a task may forbid although they run: found in the syntax tree, never by text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlglot import exp

from rewards.tree import parse


def _star(tree: exp.Expr) -> bool:
    return any(select.is_star for select in tree.find_all(exp.Select))


def _cross(tree: exp.Expr) -> bool:
    return any(
        not (one.args.get("on") or one.args.get("using") or one.method) for one in tree.find_all(exp.Join)
    )


def _unordered_limit(tree: exp.Expr) -> bool:
    return any(one.args.get("limit") and not one.args.get("order") for one in tree.find_all(exp.Query))


CONSTRUCTS: dict[str, Callable[[exp.Expr], bool]] = {
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
    tree = parse(sql, "sqlite")
    return [name for name in names if CONSTRUCTS[name](tree)] if tree else []
