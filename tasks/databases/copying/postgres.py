"""Write a copy of a SQLite or DuckDB database into an empty PostgreSQL database.

Names become lower case, because PostgreSQL reads a name without quotes so, and the others do not tell cases
apart. What PostgreSQL does not take (a key that the rows violate, a view in the source's own SQL) is left out
and named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import psycopg
import sqlglot
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from tasks.common.errors import DataError, first_line
from tasks.databases.copying.copied import Copied
from tasks.databases.copying.source import Kind, SourceTable, key_statements, opened, tables_of, views_of
from tasks.databases.sql_text import quote
from tasks.types import Database, Row

TYPES: Mapping[Kind, str] = {
    "integer": "bigint",
    "real": "double precision",
    "text": "text",
    "blob": "bytea",
    "boolean": "boolean",
    "decimal": "numeric",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "interval": "interval",
    "uuid": "uuid",
    "json": "jsonb",
}
_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def copy_into(database: Database, login: str, reader: str) -> Copied:
    """Copy the first instance of a SQLite or DuckDB database into the empty PostgreSQL database at ``login``.

    ``reader``: the role that may read the copy; "" for none. Raises DataError.
    """
    copied = Copied()
    try:
        with (
            opened(database) as source,
            psycopg.connect(login) as target,
        ):
            tables = tables_of(source, database)
            for table in tables:
                _create(target, table)
                copied.rows += _fill(target, table, table.rows(source), copied)
                copied.tables += 1
            for alter, what in key_statements(tables, lower, " NOT VALID"):
                _tried(target, alter, what, copied)
            for name, ddl in views_of(database).items():
                _tried(target, _view(ddl, database.engine), f"view {name}", copied)
            if reader:
                target.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}".encode())
            target.commit()
            target.autocommit = True
            target.execute("ANALYZE")
    except (sqlite3.Error, duckdb.Error, psycopg.Error) as error:
        raise DataError(f"database {database.id} cannot be copied: {first_line(error)}") from None
    return copied


def lower(name: str) -> str:
    """A name as SQL in the copy."""
    return quote(name.translate(_ASCII_LOWER))


def _create(target: psycopg.Connection[Any], table: SourceTable) -> None:
    columns = ", ".join(
        f"{lower(name)} {TYPES[kind]}{' NOT NULL' * (name in table.required)}"
        for name, kind in table.kinds.items()
    )
    target.execute(f"CREATE TABLE {lower(table.name)} ({columns})".encode())


def _fill(target: psycopg.Connection[Any], table: SourceTable, rows: Iterator[Row], copied: Copied) -> int:
    """Copy the rows; returns their number."""
    columns = ", ".join(map(lower, table.kinds))
    texts = [place for place, kind in enumerate(table.kinds.values()) if kind in ("text", "blob")]
    kinds = list(table.kinds.values())
    count = nuls = 0
    with target.cursor().copy(f"COPY {lower(table.name)} ({columns}) FROM STDIN".encode()) as copy:
        for row in rows:
            cells = list(row)
            for place in texts:
                cell = cells[place]
                if isinstance(cell, str) and kinds[place] == "text" and "\0" in cell:
                    cells[place], nuls = cell.replace("\0", ""), nuls + 1
                elif kinds[place] == "blob" and cell is not None and not isinstance(cell, bytes):
                    cells[place] = str(cell).encode()
            copy.write_row(cells)
            count += 1
    if nuls:
        copied.left_out.append(f"table {table.name}: the NUL characters of {nuls} texts")
    return count


def _view(ddl: str, dialect: str) -> str:
    """A CREATE VIEW in PostgreSQL's SQL; as it is, where it cannot be parsed."""
    try:
        tree = sqlglot.parse_one(ddl, read=dialect)
        for name in tree.find_all(sqlglot.exp.Identifier):
            name.set("quoted", False)
        return normalize_identifiers(tree, dialect="postgres").sql("postgres")
    except sqlglot.ParseError:
        return ddl


def _tried(target: psycopg.Connection[Any], sql: str, what: str, copied: Copied) -> None:
    """Run a statement; where it fails, note that this is left out."""
    try:
        with target.transaction():
            target.execute(sql.encode())
    except psycopg.Error as error:
        copied.left_out.append(f"{what}: {first_line(error)}")
