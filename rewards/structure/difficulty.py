"""How hard a query is to write, by the rules of Spider's ``evaluation.py`` (``eval_hardness``)."""

from __future__ import annotations

from typing import Literal

from sqlglot import exp

Difficulty = Literal["easy", "medium", "hard", "extra"]


def difficulty_of(query: exp.Expr) -> Difficulty:
    """The level of a query. Of a set operation, Spider counts the clauses of the first SELECT."""
    nested = len(list(query.find_all(exp.Select))) - 1
    tree = query
    while isinstance(tree, exp.SetOperation):
        tree = tree.this
    where, group, order = (tree.args.get(name) for name in ("where", "group", "order"))
    found = list(where.find_all(exp.And, exp.Or, exp.Like)) if where else []
    conditions = [part for part in found if part.find_ancestor(exp.Select) is tree]
    clauses = sum(map(bool, (where, group, order, tree.args.get("limit"))))
    clauses += len(tree.args.get("joins") or [])
    clauses += sum(isinstance(part, exp.Or | exp.Like) for part in conditions)
    aggregating = [part for part in (*tree.expressions, tree.args.get("having"), order) if part]
    aggregates = sum(len(list(part.find_all(exp.AggFunc))) for part in aggregating)
    others = (aggregates > 1) + (len(tree.expressions) > 1) + bool(group and len(group.expressions) > 1)
    others += any(isinstance(part, exp.And | exp.Or) for part in conditions)
    return _level(nested, clauses, others)


def _level(nested: int, clauses: int, others: int) -> Difficulty:
    """The level, from the numbers of Spider's three components."""
    if nested:
        return "hard" if nested == 1 and clauses <= 1 and others == 0 else "extra"
    if clauses <= 1 and others == 0:
        return "easy"
    if (others <= 2 and clauses <= 1) or (others < 2 and clauses <= 2):
        return "medium"
    return "hard" if (others > 2 and clauses <= 2) or (others <= 2 and clauses == 3) else "extra"
