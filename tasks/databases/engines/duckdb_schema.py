"""The schema of a DuckDB database, from its own catalogue."""

from __future__ import annotations

import duckdb

from tasks.common.errors import DataError, first_line
from tasks.databases.engines.duckdb import connect
from tasks.databases.engines.duckdb_cells import plain
from tasks.databases.engines.sqlite_statements import quote
from tasks.types import Column, Database, ForeignKey, Schema, Table

_MEMORY = 2**30
_OURS = "database_name = current_database() AND NOT internal"


def describe_duckdb(database: Database, rows: int) -> Schema:
    """The tables of all schemas as they were created, with the first ``rows`` rows of each, then the views.

    Raises DataError.
    """
    with connect(database, 0, _MEMORY) as connection:
        try:
            tables = connection.execute(
                f"SELECT schema_name, table_name, sql FROM duckdb_tables() WHERE {_OURS} ORDER BY table_oid"
            ).fetchall()
            views = connection.execute(
                f"SELECT schema_name, view_name, sql FROM duckdb_views() WHERE {_OURS} ORDER BY view_oid"
            ).fetchall()
            described = [_table(connection, schema, name, ddl, rows) for schema, name, ddl in tables]
            described += [_view(connection, schema, name, ddl) for schema, name, ddl in views]
            return Schema(tuple(described))
        except duckdb.Error as error:
            raise DataError(f"{database.id}: {first_line(error)}") from None


def _table(connection: duckdb.DuckDBPyConnection, schema: str, name: str, ddl: str, rows: int) -> Table:
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
    first = connection.execute(f"SELECT * FROM {quote(schema)}.{quote(name)} LIMIT {rows}").fetchall()
    shown = tuple(tuple(plain(cell) for cell in row) for row in first)
    columns = tuple(
        Column(column, kind, column in primary, strict)
        for column, kind, strict in _columns(connection, schema, name)
    )
    return Table(name, columns, foreign, ddl, shown, schema=_needed(schema))


def _view(connection: duckdb.DuckDBPyConnection, schema: str, name: str, ddl: str) -> Table:
    columns = tuple(Column(column, kind) for column, kind, _ in _columns(connection, schema, name))
    return Table(name, columns, ddl=ddl, kind="view", schema=_needed(schema))


def _columns(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> list[tuple[str, str, bool]]:
    return connection.execute(
        "SELECT column_name, data_type, NOT is_nullable FROM duckdb_columns() "
        f"WHERE {_OURS} AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [schema, name],
    ).fetchall()


def _needed(schema: str) -> str:
    return "" if schema == "main" else schema
