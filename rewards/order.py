"""Whether a gold query orders its rows, and which rows tie under that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp

from rewards.tree import parse
from tasks.types import Cell, Outcome


@dataclass(frozen=True, slots=True)
class Order:
    """How a query orders its rows.

    ``keyed`` are ways to write the query with its order keys as further columns, and ``keys`` say where they
    stand in its rows: counted from the left where they are columns of the result anyway, from the right
    (negative) where added. Without ``keys`` it is not known by what the rows are ordered.
    """

    keys: tuple[int, ...] = ()
    keyed: tuple[str, ...] = ()


@lru_cache(maxsize=16_384)
def order_of(sql: str, dialect: str) -> Order | None:
    """The order that the outermost query asks for; None where it asks for none."""
    tree = parse(sql, dialect)
    if tree is None:
        return Order() if "order by" in " ".join(sql.lower().split()) else None
    order = tree.args.get("order")
    if order is None:
        return None
    terms = [term.this if isinstance(term, exp.Ordered) else term for term in order.expressions]
    names = [projection.alias_or_name.lower() for projection in tree.selects]
    starred = any(projection.is_star for projection in tree.selects)
    keys: list[int] = []
    added: list[exp.Expr] = []
    for term in terms:
        place = _place(term, tree.selects, names, starred)
        keys.append(len(added) if place is None else place)
        if place is None:
            added.append(term)
            keys[-1] = -len(added)
    if not added:
        return Order(tuple(keys))
    if not isinstance(tree, exp.Select):
        return Order()
    added.reverse()
    spelt_out = [_without_aliases(term, tree) for term in added]
    keyed = [tree.copy().select(*terms, copy=True).sql(dialect=dialect) for terms in (added, spelt_out)]
    return Order(tuple(keys), tuple(dict.fromkeys(keyed)))


def _without_aliases(term: exp.Expr, tree: exp.Select) -> exp.Expr:
    """The term with the names of output columns replaced by what they stand for."""
    aliases = {one.alias.lower(): one.this for one in tree.selects if isinstance(one, exp.Alias)}

    def spell(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and not node.table and node.name.lower() in aliases:
            return exp.paren(aliases[node.name.lower()].copy())
        return node

    return term.copy().transform(spell)


def _place(term: exp.Expr, selects: Sequence[exp.Expr], names: list[str], starred: bool) -> int | None:
    """The column of the result that this order term is, None where it is not known to be one."""
    if isinstance(term, exp.Literal) and term.is_int:
        return int(term.this) - 1
    if starred:
        return None
    if isinstance(term, exp.Column) and not term.table and term.name.lower() in names:
        return names.index(term.name.lower())
    for index, projection in enumerate(selects):
        if projection.unalias() == term:
            return index
    return None


def tie_groups(gold: Outcome, order: Order, run: Callable[[str], Outcome]) -> list[int]:
    """For each row of the gold the number of its tie group: 0, 0, 1, 2, 2, ...

    The keys are read from what ``run`` returns for one of ``order.keyed``: it must be the gold's own rows,
    with the keys beside them. Where none is, or the keys are not known, no row ties with another.
    """
    keys = _keys(gold, order, run)
    if keys is None:
        return list(range(len(gold.rows)))
    groups: list[int] = []
    for index, key in enumerate(keys):
        groups.append(0 if index == 0 else groups[-1] + (key != keys[index - 1]))
    return groups


def _keys(gold: Outcome, order: Order, run: Callable[[str], Outcome]) -> list[tuple[Cell, ...]] | None:
    width = len(gold.columns)
    if not order.keys or max(order.keys) >= width:
        return None
    if not order.keyed:
        return [tuple([row[key] for key in order.keys]) for row in gold.rows]
    for sql in order.keyed:
        rows = run(sql).rows
        if tuple([row[:width] for row in rows]) == gold.rows:
            return [tuple([row[key] for key in order.keys]) for row in rows]
    return None
