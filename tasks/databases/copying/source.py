"""Read a SQLite database for a copy: what its tables hold, rather than what they declare.

SQLite does not check declared types, so the type of a column comes from its values: a column with any text is
text, with any real number real, else integer. Values of dates are text or numbers there, and stay that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tasks.databases.schema import describe
from tasks.databases.sql_text import quote
from tasks.types import Column, Database, Row

Kind = Literal["integer", "real", "text", "blob"]


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key: columns, the other table and its columns."""

    columns: tuple[str, ...]
    table: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table to copy. ``kinds``: column -> what it holds."""

    name: str
    kinds: dict[str, Kind]
    required: frozenset[str]
    """Columns that may not be NULL."""
    primary: tuple[str, ...]
    foreign: tuple[Key, ...]

    def rows(self, connection: sqlite3.Connection) -> Iterator[Row]:
        """All rows."""
        columns = ", ".join(map(quote, self.kinds))
        yield from connection.execute(f"SELECT {columns} FROM {quote(self.name)}")


def tables_of(connection: sqlite3.Connection, database: Database) -> list[SourceTable]:
    """The tables of a database in the order of their creation. Raises DataError, sqlite3.Error."""
    tables = [table for table in describe(database).tables if table.kind != "view"]
    names = {table.name.lower(): table.name for table in tables}
    return [
        SourceTable(
            table.name,
            {column.name: _kind(connection, table.name, column) for column in table.columns},
            frozenset(column.name for column in table.columns if column.not_null),
            _primary(connection, table.name),
            tuple(_foreign(connection, table.name, names)),
        )
        for table in tables
    ]


def views_of(database: Database) -> dict[str, str]:
    """The views: name -> CREATE VIEW."""
    return {table.name: table.ddl for table in describe(database).tables if table.kind == "view"}


def _kind(connection: sqlite3.Connection, table: str, column: Column) -> Kind:
    name = quote(column.name)
    found = {
        kind
        for (kind,) in connection.execute(f"SELECT DISTINCT typeof({name}) FROM {quote(table)}")
        if kind != "null"
    }
    if not found:
        return _declared(column.type.upper())
    kinds: tuple[Kind, ...] = ("blob", "text", "real")
    return next((kind for kind in kinds if kind in found), "integer")


def _declared(name: str) -> Kind:
    """What a column without values holds."""
    if "INT" in name:
        return "integer"
    return "real" if any(word in name for word in ("REAL", "FLOA", "DOUB", "NUM", "DEC")) else "text"


def _primary(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    infos = connection.execute(f"PRAGMA table_info({quote(table)})").fetchall()
    return tuple(name for place, name in sorted((info[5], info[1]) for info in infos) if place)


def _foreign(connection: sqlite3.Connection, table: str, names: dict[str, str]) -> Iterator[Key]:
    """The foreign keys to tables that exist, in the order of their declaration."""
    keys: dict[int, list[tuple[str, str, str | None]]] = {}
    for number, _, other, column, other_column, *_ in connection.execute(
        f"PRAGMA foreign_key_list({quote(table)})"
    ):
        keys.setdefault(number, []).append((other, column, other_column))
    for _, parts in sorted(keys.items(), reverse=True):
        other = names.get(parts[0][0].lower())
        if other is None:
            continue
        others = tuple(target for *_, target in parts if target) or _primary(connection, other)
        if len(others) == len(parts):
            yield Key(tuple(column for _, column, _ in parts), other, others)
