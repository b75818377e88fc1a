"""Read a SQLite or DuckDB database for a copy.

SQLite does not check declared types, so the type of a column comes from its values: a column with any text
is text, with any real number real, else integer. Values of dates are text or numbers there, and stay that.
DuckDB checks types, so there the declared type counts; a list, struct or map becomes JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.databases.engines.sqlite_open import open_trusted
from tasks.databases.schema import describe
from tasks.databases.sql_text import quote
from tasks.types import Column, Database, Row

Kind = Literal[
    "integer",
    "real",
    "text",
    "blob",
    "boolean",
    "decimal",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "uuid",
    "json",
]
"""What a column holds; a column of SQLite holds one of the first four."""
FETCH = 1024
"""Rows that are read at a time."""
_MEMORY = 2**30
_DUCKDB_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), "integer"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER"), "integer"),
    **dict.fromkeys(("UBIGINT", "HUGEINT", "UHUGEINT", "DECIMAL", "BIGNUM"), "decimal"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "real"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "timestamp"),
    **dict.fromkeys(("STRUCT", "MAP", "JSON", "UNION"), "json"),
    "BLOB": "blob",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "INTERVAL": "interval",
    "UUID": "uuid",
}


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
    reads: tuple[str, ...]
    """The columns as they are read, in SQL of the source."""

    def rows(self, connection: Any) -> Iterator[Row]:
        """All rows, of a connection that ``opened`` returned."""
        cursor = connection.execute(f"SELECT {', '.join(self.reads)} FROM {quote(self.name)}")
        while chunk := cursor.fetchmany(FETCH):
            yield from chunk


def is_duckdb(path: Path) -> bool:
    """Whether a file is a DuckDB database."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"


def opened(database: Database) -> AbstractContextManager[Any]:
    """A connection to the first instance. Raises DataError."""
    if database.engine == "duckdb":
        from tasks.databases.engines.duckdb import connect

        return closing(connect(database, 0, _MEMORY))
    return closing(open_trusted(database))


def tables_of(connection: Any, database: Database) -> list[SourceTable]:
    """The tables of a database in the order of their creation. Raises DataError, sqlite3.Error, duckdb.Error.

    Of DuckDB, the tables of the schema ``main``.
    """
    tables = [table for table in describe(database).tables if table.kind != "view" and not table.schema]
    if database.engine == "duckdb":
        found = [(table, *_duckdb_keys(connection, table.name)) for table in tables]
    else:
        names = {table.name.lower(): table.name for table in tables}
        found = [
            (table, _primary(connection, table.name), tuple(_foreign(connection, table.name, names)))
            for table in tables
        ]
    return [
        SourceTable(
            table.name,
            {column.name: _kind(connection, database, table.name, column) for column in table.columns},
            frozenset(column.name for column in table.columns if column.not_null),
            primary,
            foreign,
            tuple(_read(database, column) for column in table.columns),
        )
        for table, primary, foreign in found
    ]


def views_of(database: Database) -> dict[str, str]:
    """The views: name -> CREATE VIEW."""
    return {table.name: table.ddl for table in describe(database).tables if table.kind == "view"}


def _kind(connection: Any, database: Database, table: str, column: Column) -> Kind:
    if database.engine == "duckdb":
        return _duckdb_kind(column.type)
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


def _duckdb_kind(declared: str) -> Kind:
    return "json" if declared.endswith("]") else _DUCKDB_KINDS.get(declared.partition("(")[0], "text")


def _duckdb_keys(connection: Any, table: str) -> tuple[tuple[str, ...], tuple[Key, ...]]:
    """The primary key, and the foreign keys in the order of their declaration."""
    found = connection.execute(
        "SELECT constraint_type, constraint_column_names, referenced_table, referenced_column_names"
        " FROM duckdb_constraints() WHERE database_name = current_database() AND schema_name = 'main'"
        " AND table_name = ? ORDER BY constraint_index",
        [table],
    ).fetchall()
    primary = next((tuple(names) for kind, names, *_ in found if kind == "PRIMARY KEY"), ())
    foreign = [
        Key(tuple(names), other, tuple(others))
        for kind, names, other, others in found
        if kind == "FOREIGN KEY"
    ]
    return primary, tuple(foreign)


def _read(database: Database, column: Column) -> str:
    """A column as it is read: JSON, and what only DuckDB has, as text."""
    name = quote(column.name)
    if database.engine != "duckdb":
        return name
    kind = _duckdb_kind(column.type)
    if kind == "json" and column.type != "JSON":
        return f"CAST(to_json({name}) AS VARCHAR)"
    return f"CAST({name} AS VARCHAR)" if kind in ("text", "json") else name


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


def key_statements(
    tables: Sequence[SourceTable], lower: Callable[[str], str], ending: str = ""
) -> Iterator[tuple[str, str]]:
    """Statements that add the primary keys, then the foreign ones, and what each adds.

    ``lower``: a name as SQL. ``ending``: added to a foreign key.
    """
    for table in tables:
        if table.primary:
            columns = ", ".join(map(lower, table.primary))
            alter = f"ALTER TABLE {lower(table.name)} ADD PRIMARY KEY ({columns})"
            yield alter, f"table {table.name}: primary key"
    for table in tables:
        for key in table.foreign:
            columns, others = (", ".join(map(lower, names)) for names in (key.columns, key.others))
            alter = (
                f"ALTER TABLE {lower(table.name)} ADD FOREIGN KEY ({columns})"
                f" REFERENCES {lower(key.table)} ({others}){ending}"
            )
            yield alter, f"table {table.name}: foreign key ({', '.join(key.columns)})"
