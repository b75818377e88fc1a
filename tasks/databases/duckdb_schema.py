"""The schema of a DuckDB database, from its own catalogue."""

from __future__ import annotations

import duckdb

from tasks.databases.duckdb import connect
from tasks.databases.duckdb_cells import plain
from tasks.databases.statements import quote
from tasks.errors import DataError
from tasks.types import Column, Database, ForeignKey, Schema, Table

_MEMORY = 2**30
_MAIN = "database_name = current_database() AND NOT internal AND schema_name = 'main'"


def describe_duckdb(database: Database, rows: int) -> Schema:
    """Tables in the order of their creation, with the first ``rows`` rows of each. Raises DataError."""
    with connect(database, 0, _MEMORY) as connection:
        try:
            found = connection.execute(
                f"SELECT table_name, sql FROM duckdb_tables() WHERE {_MAIN} ORDER BY table_oid"
            ).fetchall()
            return Schema(tuple(_table(connection, name, ddl, rows) for name, ddl in found))
        except duckdb.Error as error:
            raise DataError(f"{database.id}: {str(error).splitlines()[0]}") from None


def _table(connection: duckdb.DuckDBPyConnection, name: str, ddl: str, rows: int) -> Table:
    columns = connection.execute(
        "SELECT column_name, data_type, NOT is_nullable FROM duckdb_columns() "
        f"WHERE {_MAIN} AND table_name = ? ORDER BY column_index",
        [name],
    ).fetchall()
    constraints = connection.execute(
        "SELECT constraint_type, constraint_column_names, referenced_table, referenced_column_names "
        "FROM duckdb_constraints() WHERE database_name = current_database() AND table_name = ?",
        [name],
    ).fetchall()
    primary = {column for kind, names, *_ in constraints if kind == "PRIMARY KEY" for column in names}
    foreign = tuple(
        ForeignKey(column, other, other_column)
        for kind, names, other, others in constraints
        if kind == "FOREIGN KEY"
        for column, other_column in zip(names, others, strict=True)
    )
    first = connection.execute(f"SELECT * FROM {quote(name)} LIMIT {rows}").fetchall()
    return Table(
        name,
        tuple(Column(column, kind, column in primary, strict) for column, kind, strict in columns),
        foreign,
        ddl,
        tuple(tuple(plain(cell) for cell in row) for row in first),
    )
