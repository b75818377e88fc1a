"""Which tables and columns of a schema a query reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from tasks.types import Schema

ColumnsOf = Mapping[str, frozenset[str]]
"""Table -> its columns, both in lower case."""


@dataclass(frozen=True, slots=True)
class Used:
    """Tables, and (table, column) pairs, that a query names, directly or by a star; in lower case."""

    tables: frozenset[str]
    columns: frozenset[tuple[str, str]]


def columns_of(schema: Schema) -> ColumnsOf:
    """The tables of a schema with their columns. Tables of one name in several schemas count as one."""
    found: dict[str, frozenset[str]] = {}
    for table in schema.tables:
        name = table.name.lower()
        found[name] = found.get(name, frozenset()) | {column.name.lower() for column in table.columns}
    return found


def used(tree: exp.Query, known: ColumnsOf) -> Used:
    """The tables and columns that a query reads, of the known ones; names that are not known are left out.

    A column without a table belongs to each table of its SELECT that has it, else to those of the queries
    around it. ``*`` reads all columns of its tables, ``COUNT(*)`` none. Aliases, derived tables and common
    table expressions are resolved.
    """
    tables: set[str] = set()
    columns: set[tuple[str, str]] = set()
    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if isinstance(source, exp.Table) and source.name.lower() in known:
                tables.add(source.name.lower())
        columns.update(_columns(scope, known))
    return Used(frozenset(tables), frozenset(columns))


def _columns(scope: Scope, known: ColumnsOf) -> Iterator[tuple[str, str]]:
    """The columns that the clauses of one SELECT read."""
    for column in scope.columns:
        yield from _resolved(column.name.lower(), column.table.lower(), scope, known)
    for join in scope.expression.args.get("joins") or ():
        for name in join.args.get("using") or ():
            yield from _resolved(name.name.lower(), "", scope, known)
    if isinstance(scope.expression, exp.Select):
        for projection in scope.expression.expressions:
            star = projection.unalias()
            if isinstance(star, exp.Star) or (isinstance(star, exp.Column) and star.name == "*"):
                named = star.table.lower() if isinstance(star, exp.Column) else ""
                for table in _tables(scope, named):
                    yield from ((table, name) for name in known.get(table, ()))


def _resolved(name: str, qualifier: str, scope: Scope | None, known: ColumnsOf) -> list[tuple[str, str]]:
    """The columns of a name in the innermost SELECT around it that has one."""
    while scope is not None:
        found = [(table, name) for table in _tables(scope, qualifier) if name in known.get(table, ())]
        if found:
            return found
        scope = scope.parent
    return []


def _tables(scope: Scope, qualifier: str) -> list[str]:
    """The tables that a SELECT reads under this alias; under any, if it is empty."""
    return [
        source.name.lower()
        for alias, source in scope.sources.items()
        if isinstance(source, exp.Table) and qualifier in ("", alias.lower())
    ]
