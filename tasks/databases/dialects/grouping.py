"""Columns beside aggregates that no GROUP BY names, which SQLite takes from some row of the group."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp

from tasks.databases.dialects.kinds import NUMBERS
from tasks.databases.dialects.query import Query, cast, is_aggregate

_FIRST = {
    "": "(ARRAY_AGG(v ORDER BY k {order} NULLS LAST))[1]",
    "mysql": "SUBSTRING_INDEX(GROUP_CONCAT(v ORDER BY k IS NULL, k {order} SEPARATOR '\x1f'), '\x1f', 1)",
}
"""The value of v in the row with the first k, by dialect."""
_STOPS = exp.Query | exp.Window | exp.Filter


def bare_columns(query: Query) -> None:
    """A column that is not in GROUP BY has the value of some row; beside one MAX or MIN, of its row."""
    for select in query.selects():
        places = _places(select)
        group = select.args.get("group")
        found = _aggregates([*places, *select.expressions])
        if group is None and not found:
            continue
        keys = _keys(query, select, group.expressions if group else [])
        _expand_stars(query, select)
        picked = _extreme(found)
        for item in list(select.expressions):
            _pick_in_projection(query, item, keys, picked)
        outputs = {item.alias_or_name.lower() for item in select.expressions if isinstance(item, exp.Alias)}
        for place in places:
            _pick(query, place, keys, picked, outputs)


def _places(select: exp.Select) -> list[exp.Expr]:
    """The expressions of HAVING and ORDER BY."""
    having, order = select.args.get("having"), select.args.get("order")
    terms = [term.this for term in order.expressions] if order else []
    return [*([having.this] if having else []), *terms]


def _aggregates(nodes: Sequence[exp.Expr]) -> list[exp.Expr]:
    """The aggregates of a SELECT, without those of its subqueries."""
    found = []
    for node in nodes:
        walked = node.walk(prune=lambda inner: isinstance(inner, _STOPS))
        found += [inner for inner in walked if is_aggregate(inner)]
    return found


def _extreme(found: Sequence[exp.Expr]) -> exp.Expr | None:
    """The only MIN or MAX of a SELECT, with whose row SQLite goes; None where there is none or several."""
    texts = {node.sql().lower(): node for node in found if isinstance(node, exp.Min | exp.Max)}
    return next(iter(texts.values())) if len(texts) == 1 else None


def _key(query: Query, node: exp.Expr) -> object:
    """Equal for expressions that mean the same."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Column) and (found := query.names.find(node)):
        return found.source, found.name
    return node.sql().lower()


def _covered(query: Query, node: exp.Expr, keys: set[object]) -> bool:
    """Whether GROUP BY has the expression, or (which PostgreSQL knows) the primary key of its table."""
    if _key(query, node) in keys:
        return True
    found = query.names.find(node) if isinstance(node, exp.Column) and query.dialect == "postgres" else None
    return found is not None and query.names.determined(found, keys)


def _keys(query: Query, select: exp.Select, terms: Sequence[exp.Expr]) -> set[object]:
    """The terms of GROUP BY; a number or the name of a projection stands for that."""
    keys: set[object] = set()
    for term in terms:
        node = term
        if isinstance(term, exp.Literal) and term.is_int and 0 < int(term.name) <= len(select.expressions):
            node = select.expressions[int(term.name) - 1].unalias()
        elif isinstance(term, exp.Column) and query.names.find(term) is None:
            node = query.names.projection(term) or term
        keys.add(_key(query, node))
    return keys


def _expand_stars(query: Query, select: exp.Select) -> None:
    """Write the columns of a star, which stands beside an aggregate, one by one."""
    items: list[exp.Expr] = []
    for item in select.expressions:
        if not (isinstance(item, exp.Star) or (isinstance(item, exp.Column) and item.is_star)):
            items.append(item)
            continue
        table = item.table.lower() if isinstance(item, exp.Column) else ""
        for alias, columns, _ in query.names.sources(select):
            if table in ("", alias):
                items += [exp.column(name, table=alias or None) for name in columns]
    select.set("expressions", items)


def _pick_in_projection(query: Query, item: exp.Expr, keys: set[object], picked: exp.Expr | None) -> None:
    """Pick in a projection, which keeps its name."""
    name = item.alias_or_name
    target = item.this if isinstance(item, exp.Alias) else item
    if (
        isinstance(target, exp.Column)
        and not isinstance(item, exp.Alias)
        and not _covered(query, target, keys)
    ):
        item.replace(exp.alias_(_picked(query, target, picked), name, quoted=True))
    else:
        _pick(query, target, keys, picked, set())


def _pick(
    query: Query, node: exp.Expr, keys: set[object], picked: exp.Expr | None, outputs: set[str]
) -> None:
    """Replace each column that no key covers by the value of a row of the group."""
    if isinstance(node, _STOPS) or is_aggregate(node) or _covered(query, node, keys):
        return
    if not isinstance(node, exp.Column):
        for child in list(node.iter_expressions()):
            _pick(query, child, keys, picked, outputs)
    elif (node.table or node.name.lower() not in outputs) and query.names.find(node) is not None:
        node.replace(_picked(query, node, picked))


def _picked(query: Query, column: exp.Expr, extreme: exp.Expr | None) -> exp.Expr:
    query.picks.append(column)
    if extreme is None or extreme.this.find(exp.Star):
        return exp.Min(this=column.copy())
    order = "DESC" if isinstance(extreme, exp.Max) else "ASC"
    text = _FIRST["mysql" if query.dialect == "mysql" else ""].format(order=order)
    row = sqlglot.parse_one(text, read=query.dialect)
    for place in list(row.find_all(exp.Column)):
        place.replace((column if place.name == "v" else extreme.this).copy())
    kind = query.kind(column)
    if query.dialect == "mysql" and kind in NUMBERS:
        return cast(row, "BIGINT" if kind == "integer" else "DOUBLE")
    return row


def distinct_order(query: Query) -> None:
    """DISTINCT may be ordered by a column that is not selected: by its value in some row."""
    for select in query.selects():
        order, distinct = select.args.get("order"), select.args.get("distinct")
        items = [item.unalias() for item in select.expressions]
        stars = any(isinstance(item, exp.Star) or item.is_star for item in items)
        if not order or not distinct or select.args.get("group") or stars:
            continue
        if _aggregates([*items, *(term.this for term in order.expressions)]):
            continue
        keys = {_key(query, item) for item in items}
        names = {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}
        hidden = [term.this for term in order.expressions if _is_hidden(query, term.this, keys, names)]
        if hidden:
            for node in hidden:
                node.replace(exp.Min(this=node.copy()))
            select.set("distinct", None)
            select.set("group", exp.Group(expressions=[item.copy() for item in items]))


def _is_hidden(query: Query, node: exp.Expr, keys: set[object], names: set[str]) -> bool:
    if isinstance(node, exp.Literal) or (isinstance(node, exp.Column) and node.name.lower() in names):
        return False
    return _key(query, node) not in keys
