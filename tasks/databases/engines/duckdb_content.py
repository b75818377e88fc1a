"""Describe a DuckDB database for prompts."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

import duckdb

from tasks.common.errors import DataError, first_line
from tasks.databases.engines.duckdb import connect
from tasks.databases.engines.duckdb_cells import execute
from tasks.databases.sql_text import one_line, quote
from tasks.types import Column, Database, ForeignKey, Row, Schema, Table

_OWN = "database_name = current_database() AND NOT internal"
"""The condition that selects the user's objects from DuckDB's catalogue."""
_MEMORY = 2**30


def describe_duckdb(database: Database, rows: int) -> Schema:
    """The tables of all schemas as they were created, with the first ``rows`` rows of each, then the views.

    Raises DataError.
    """
    with connect(database, 0, _MEMORY) as connection:
        try:
            tables = connection.execute(
                f"SELECT schema_name, table_name, sql, comment FROM duckdb_tables() WHERE {_OWN}"
                " ORDER BY table_oid"
            ).fetchall()
            views = connection.execute(
                f"SELECT schema_name, view_name, sql, comment FROM duckdb_views() WHERE {_OWN}"
                " ORDER BY view_oid"
            ).fetchall()
            found = [_table(connection, s, name, ddl, note, rows) for s, name, ddl, note in tables]
            found += [_view(connection, s, name, ddl, note) for s, name, ddl, note in views]
            return Schema(tuple(found))
        except duckdb.Error as error:
            raise DataError(f"{database.id}: {first_line(error)}") from None


def _table(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, ddl: str, comment: str | None, rows: int
) -> Table:
    constraints = connection.execute(
        "SELECT constraint_type, constraint_column_names, referenced_table, referenced_column_names "
        "FROM duckdb_constraints() "
        "WHERE database_name = current_database() AND schema_name = ? AND table_name = ?",
        [schema, name],
    ).fetchall()
    primary = {column for kind, names, *_ in constraints if kind == "PRIMARY KEY" for column in names}
    foreign = tuple(
        ForeignKey(column, other, other_column)
        for kind, names, other, others in constraints
        if kind == "FOREIGN KEY"
        for column, other_column in zip(names, others, strict=True)
    )
    columns = _columns(connection, schema, name, primary)
    shown = _first_rows(connection, f"{quote(schema)}.{quote(name)}", columns, rows) if rows else ()
    return Table(name, columns, foreign, ddl, shown, "table", _needed(schema), one_line(comment))


def _first_rows(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Collection[Column], rows: int
) -> tuple[Row, ...]:
    """The cells that scoring reads; an INTERVAL is DuckDB's text, which a query can hold."""
    listed = ", ".join(
        f"CAST({quote(column.name)} AS VARCHAR)" if column.type == "INTERVAL" else quote(column.name)
        for column in columns
    )
    _, fetch = execute(connection, f"SELECT {listed} FROM {table} LIMIT {rows}")
    return tuple(chain.from_iterable(iter(fetch, [])))


def _view(connection: duckdb.DuckDBPyConnection, schema: str, name: str, ddl: str, note: str | None) -> Table:
    seen = _columns(connection, schema, name)
    return Table(name, seen, ddl=ddl, kind="view", schema=_needed(schema), comment=one_line(note))


def _columns(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, primary: Collection[str] = ()
) -> tuple[Column, ...]:
    found = connection.execute(
        "SELECT column_name, data_type, NOT is_nullable, comment FROM duckdb_columns() "
        f"WHERE {_OWN} AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [schema, name],
    ).fetchall()
    return tuple(
        Column(column, kind, column in primary, strict, one_line(note))
        for column, kind, strict, note in found
    )


def _needed(schema: str) -> str:
    return "" if schema == "main" else schema
