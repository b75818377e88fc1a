"""Write a copy of a SQLite or DuckDB database into a MariaDB database.

Names become lower case, as in a copy to PostgreSQL: MariaDB distinguishes the cases of table names, unless
the server has lower_case_table_names=1. Text is compared by its characters, as SQLite does (a collation
without case rules and padding). A text column is as long as its longest value needs, because longer ones make
a query slow. Foreign keys are declared without a check of the rows, with an index where they need one. What
MariaDB does not take (a key of NULLs, a view in the source's own SQL) is left out and named. Of DuckDB's
types, a decimal has 18 digits behind the point, and a timestamp with a time zone is in UTC.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import Any

import duckdb
import pymysql
import sqlglot

from tasks.common.errors import DataError, MissingData, first_line
from tasks.databases.copying.copied import Copied
from tasks.databases.copying.source import Kind, SourceTable, key_statements, opened, tables_of, views_of
from tasks.databases.engines.mariadb_connection import Connection
from tasks.databases.engines.mariadb_open import connect, database_of, is_mariadb
from tasks.databases.engines.session import ServerLost
from tasks.databases.servers.prepare_mariadb import let_reader_read
from tasks.databases.sql_text import quote
from tasks.types import Database, Row, Server

_TYPES: Mapping[Kind, str] = {
    "integer": "bigint",
    "real": "double",
    "text": "longtext",
    "blob": "longblob",
    "boolean": "boolean",
    "decimal": "decimal(65, 18)",
    "date": "date",
    "time": "time(6)",
    "timestamp": "datetime(6)",
    "timestamptz": "datetime(6)",
    "interval": "varchar(64)",
    "uuid": "char(36)",
    "json": "json",
}
_LONGEST_KEY = 768
"""Characters of the longest text in a key: InnoDB takes 3072 bytes."""
_ROW = 60_000
"""Bytes that the short texts of a row may have together; MariaDB takes 65,535 without the long ones."""
_SHORTEST = 16
_BATCH = 2**20
"""Characters of one INSERT."""
_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def load(database: Database, target: Server) -> Copied:
    """Copy the first instance of a SQLite or DuckDB database into the MariaDB database ``target``, which
    ``harness_reader`` may then read.

    The database is made where it is missing, and must be empty. Raises DataError.
    """
    try:
        with opened(database) as source, closing(_connected(target)) as connection:
            if connection.execute("SHOW TABLES").fetchall():
                raise DataError(f"{target}: it is not empty: name an empty database")
            collation = "utf8mb4_nopad_bin" if is_mariadb(connection) else "utf8mb4_0900_bin"
            connection.execute(f"ALTER DATABASE CHARACTER SET utf8mb4 COLLATE {collation}")
            connection.execute("SET SESSION foreign_key_checks = 0, unique_checks = 0, autocommit = 0")
            copied = _copy(database, source, connection)
            let_reader_read(connection, database_of(target))
            return copied
    except (ServerLost, sqlite3.Error, duckdb.Error, pymysql.Error) as error:
        text = error.args[-1] if isinstance(error, pymysql.Error) and error.args else first_line(error)
        raise DataError(f"{target}: database {database.id} cannot be copied: {text}") from None


def _connected(target: Server) -> Connection:
    try:
        return connect(target)
    except MissingData:
        with closing(connect(target, database=False)) as connection:
            connection.execute(f"CREATE DATABASE {quote(database_of(target))}")
        return connect(target)


def lower(name: str) -> str:
    """A name as SQL in the copy."""
    return quote(name.translate(_ASCII_LOWER))


def _copy(database: Database, source: Any, target: Connection) -> Copied:
    copied = Copied()
    tables = tables_of(source, database)
    keys = {(table.name, column) for table in tables for column in table.primary}
    for table in tables:
        for key in table.foreign:
            keys |= {(table.name, column) for column in key.columns}
            keys |= {(key.table, column) for column in key.others}
    for table in _in_order(tables):
        types = _types(source, table, {column for name, column in keys if name == table.name})
        columns = ", ".join(
            f"{lower(name)} {kind}{' NOT NULL' * (name in table.required)}" for name, kind in types.items()
        )
        target.execute(f"CREATE TABLE {lower(table.name)} ({columns})")
        copied.rows += _fill(target, table, table.rows(source), copied)
        copied.tables += 1
    _add_keys(target, tables, copied)
    for name, ddl in views_of(database).items():
        _tried(target, _view(ddl, database.engine), f"view {name}", copied)
    for table in tables:
        target.execute(f"ANALYZE TABLE {lower(table.name)}")
    return copied


def _in_order(tables: list[SourceTable]) -> Iterator[SourceTable]:
    """The tables, each after those that it points to; in a cycle, in the order of their creation."""
    waiting, done = list(tables), set[str]()
    while waiting:
        table = next((t for t in waiting if {key.table for key in t.foreign} <= done | {t.name}), waiting[0])
        waiting.remove(table)
        done.add(table.name)
        yield table


def _types(source: Any, table: SourceTable, keys: set[str]) -> dict[str, str]:
    """The type of each column. ``keys``: the columns that keys need, which come first for a short type."""
    types = {name: _TYPES[kind] for name, kind in table.kinds.items()}
    texts = [name for name, kind in table.kinds.items() if kind == "text"]
    if not texts:
        return types
    lengths = ", ".join(f"MAX(LENGTH(CAST({quote(name)} AS TEXT)))" for name in texts)
    [longest] = source.execute(f"SELECT {lengths} FROM {quote(table.name)}").fetchall()
    room = _ROW
    by_length = sorted(zip(longest, texts, strict=True), key=lambda pair: (pair[1] not in keys, pair[0] or 0))
    for length, name in by_length:
        characters = _SHORTEST
        while characters < (length or 0):
            characters *= 2
        if name in keys and (length or 0) <= _LONGEST_KEY:
            characters = min(characters, _LONGEST_KEY)
        if 4 * characters + 2 <= room:
            room -= 4 * characters + 2
            types[name] = f"varchar({characters})"
    return types


def _fill(target: Connection, table: SourceTable, rows: Iterator[Row], copied: Copied) -> int:
    """Copy the rows; returns their number."""
    columns = ", ".join(map(lower, table.kinds))
    insert = f"INSERT INTO {lower(table.name)} ({columns}) VALUES "
    kinds = list(table.kinds.values())
    count = size = infinite = 0
    waiting: list[str] = []
    for row in rows:
        texts = [_literal(target, cell, kind) for cell, kind in zip(row, kinds, strict=True)]
        infinite += texts.count("")
        waiting.append(f"({', '.join(text or 'NULL' for text in texts)})")
        size += len(waiting[-1])
        count += 1
        if size > _BATCH:
            target.execute(insert + ", ".join(waiting))
            waiting, size = [], 0
    if waiting:
        target.execute(insert + ", ".join(waiting))
    target.execute("COMMIT")
    if infinite:
        copied.left_out.append(
            f"table {table.name}: {infinite} numbers that are infinite or NaN, which became NULL"
        )
    return count


def _literal(target: Connection, cell: Any, kind: Kind) -> str:
    """A value as SQL; "" for an infinity or NaN, which MariaDB does not have."""
    if cell is None:
        return "NULL"
    if kind == "blob":
        return f"X'{(cell if isinstance(cell, bytes) else str(cell).encode()).hex()}'"
    if kind != "text" and isinstance(cell, int | float):
        return repr(cell) if math.isfinite(cell) else ""
    if isinstance(cell, datetime) and cell.tzinfo:
        cell = cell.astimezone(UTC).replace(tzinfo=None)
    return str(target.escape(str(cell).encode(errors="replace").decode()))


def _add_keys(target: Connection, tables: list[SourceTable], copied: Copied) -> None:
    """Add the keys. What a foreign key refers to needs an index, where it is not the primary key."""
    primary = {table.name: table.primary for table in tables}
    for key in (key for table in tables for key in table.foreign if primary[key.table] != key.others):
        with suppress(pymysql.Error):  # the key then fails too, and is named
            target.execute(f"ALTER TABLE {lower(key.table)} ADD INDEX ({', '.join(map(lower, key.others))})")
    for alter, what in key_statements(tables, lower):
        _tried(target, alter, what, copied)


def _view(ddl: str, dialect: str) -> str:
    """A CREATE VIEW in MariaDB's SQL, with our quotes; as it is, where it cannot be parsed."""
    try:
        tree = sqlglot.parse_one(ddl, read=dialect)
    except sqlglot.ParseError:
        return ddl
    for name in tree.find_all(sqlglot.exp.Identifier):
        name.set("this", name.name.translate(_ASCII_LOWER))
    return tree.sql("mysql")


def _tried(target: Connection, sql: str, what: str, copied: Copied) -> None:
    """Run a statement; where it fails, note that this is left out."""
    try:
        target.execute(sql)
    except pymysql.Error as error:
        copied.left_out.append(f"{what}: {' '.join(str(error.args[-1]).split())}")
