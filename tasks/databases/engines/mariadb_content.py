"""Describe a MariaDB database for prompts, and digest its content."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pymysql

from tasks.common.errors import DataError, MissingData
from tasks.databases.engines.mariadb_connection import Connection, PastDeadline
from tasks.databases.engines.mariadb_open import connect, json_columns
from tasks.databases.engines.session import ServerLost
from tasks.databases.private.names import public_comment
from tasks.databases.sql_text import literal, one_line, quote
from tasks.types import Cell, Column, Database, ForeignKey, Row, Schema, Server, Table

LARGEST = 2**30
"""Bytes of the largest table whose rows are part of the digest; of a larger one it is their number."""
_TABLES = """
SELECT TABLE_NAME, TABLE_TYPE = 'VIEW', IF(TABLE_TYPE = 'VIEW', '', TABLE_COMMENT), COALESCE(DATA_LENGTH, 0)
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW')
ORDER BY 2, BINARY TABLE_NAME
"""
_COLUMNS = """
SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE = 'NO', COLUMN_KEY = 'PRI', COLUMN_COMMENT
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND FIND_IN_SET('select', PRIVILEGES) > 0
ORDER BY BINARY TABLE_NAME, ORDINAL_POSITION
"""
_KEYS = """
SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA = DATABASE() AND COALESCE(REFERENCED_TABLE_SCHEMA, DATABASE()) = DATABASE()
ORDER BY BINARY TABLE_NAME, CONSTRAINT_NAME <> 'PRIMARY', REFERENCED_TABLE_NAME IS NOT NULL, CONSTRAINT_NAME,
    ORDINAL_POSITION
"""
_VIEWS = "SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE()"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SYNTAX = 1064


@contextmanager
def opened(database: Database, instance: int = 0) -> Iterator[Connection]:
    """A connection of our own to an instance, in one read-only transaction. Raises DataError."""
    server = _server(database, instance)
    connection = None
    try:
        connection = connect(server)
        connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield connection
    except ServerLost as error:
        raise DataError(str(error)) from None
    except (pymysql.Error, PastDeadline) as error:
        raise DataError(f"{server}: {error.args[-1] if error.args else error}") from None
    finally:
        if connection:
            connection.close()


def _server(database: Database, instance: int) -> Server:
    server = database.instances[instance]
    assert isinstance(server, Server)
    return server


def exists(database: Database) -> bool:
    """Whether the server has the database. Raises DataError: the server cannot be asked."""
    try:
        connect(_server(database, 0)).close()
    except ServerLost as error:
        raise DataError(str(error)) from None
    except MissingData:
        return False
    return True


def describe_server(database: Database, rows: int) -> Schema:
    """The tables that the account may read, by name, with the first ``rows`` rows of each, then the views.

    Raises DataError.
    """
    with opened(database) as connection:
        columns = _columns(connection, database)
        keys = _keys(connection, columns)
        views = {name: str(text or "") for name, text in connection.execute(_VIEWS).fetchall()}
        names = _Names(connection)
        [(own,)] = connection.execute("SELECT DATABASE()").fetchall()
        tables = []
        for name, is_view, comment, _ in connection.execute(_TABLES).fetchall():
            if name not in columns:
                continue
            comment = public_comment(database, str(comment or ""))
            found = _table(str(name), columns[name], keys[name], comment)
            if is_view:
                text = views.get(name, "").replace(f"`{own!s}`.", "")
                ddl = f"CREATE VIEW {names(str(name))} AS {text}"
                tables.append(replace(found, foreign_keys=(), ddl=ddl, kind="view"))
                continue
            ddl = _ddl(names, str(name), comment, columns[name], keys[name])
            listed = ", ".join(quote(str(column)) for column, *_ in columns[name])
            select = f"SELECT {listed} FROM {quote(str(name))} LIMIT {rows}"
            first = tuple(connection.execute(select).fetchall()) if rows else ()
            tables.append(replace(found, ddl=ddl, rows=first))
        return Schema(tuple(tables))


def _columns(connection: Connection, database: Database) -> Mapping[Cell, list[Row]]:
    """The columns of each table; those that were declared as JSON have that type."""
    found = _by_table(connection, _COLUMNS)
    declared = json_columns(connection)
    for table, columns in found.items():
        found[table] = [
            (
                name,
                "json" if (table, name) in declared else kind,
                *rest,
                public_comment(database, str(comment or "")),
            )
            for name, kind, *rest, comment in columns
        ]
    return found


def _keys(connection: Connection, columns: Mapping[Cell, list[Row]]) -> Mapping[Cell, list[Row]]:
    """The keys of each table, without those of or to columns that the account may not read."""
    known = {(str(table).lower(), str(column)) for table, listed in columns.items() for column, *_ in listed}
    found = _by_table(connection, _KEYS)
    for table, parts in found.items():
        hidden = {
            constraint
            for constraint, column, other, other_column in parts
            if (str(table).lower(), column) not in known
            or (other is not None and (str(other).lower(), other_column) not in known)
        }
        found[table] = [part for part in parts if part[0] not in hidden]
    return found


def _by_table(connection: Connection, sql: str) -> dict[Cell, list[Row]]:
    """The rows of a query by their first cell, without it."""
    found: dict[Cell, list[Row]] = defaultdict(list)
    for table, *rest in connection.execute(sql).fetchall():
        found[table].append(tuple(rest))
    return found


def _table(name: str, columns: list[Row], keys: list[Row], comment: str) -> Table:
    described = tuple(
        Column(str(column), str(kind), bool(primary), bool(strict), one_line(str(note or "")))
        for column, kind, strict, primary, note in columns
    )
    foreign = tuple(
        ForeignKey(str(column), str(other), str(other_column))
        for _, column, other, other_column in keys
        if other is not None
    )
    return Table(name, described, foreign, comment=one_line(comment))


class _Names:
    """Names as SQL: quoted where the server does not read them without quotes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        if name not in self._known:
            escaped = name.replace("`", "``")
            self._known[name] = name if self._is_plain(name) else f"`{escaped}`"
        return self._known[name]

    def _is_plain(self, name: str) -> bool:
        if not _PLAIN.fullmatch(name):
            return False
        try:
            self._connection.execute(f"SELECT 1 AS {name}")
        except pymysql.Error as error:
            if error.args[0] != _SYNTAX:
                raise
            return False
        return True


def _ddl(names: _Names, name: str, comment: str, columns: list[Row], keys: list[Row]) -> str:
    """A CREATE TABLE with the columns, keys and comments."""
    lines = [
        f"{names(str(column))} {kind!s}{' NOT NULL' * bool(strict)}{_comment(str(text or ''), ' ')}"
        for column, kind, strict, _, text in columns
    ]
    by_name: dict[Cell, list[Row]] = defaultdict(list)
    for constraint, *key in keys:
        by_name[constraint].append(tuple(key))
    for constraint, parts in by_name.items():
        listed = ", ".join(names(str(column)) for column, *_ in parts)
        other = parts[0][1]
        if other is not None:
            others = ", ".join(names(str(column)) for *_, column in parts)
            lines.append(f"FOREIGN KEY ({listed}) REFERENCES {names(str(other))}({others})")
        else:
            lines.append(f"{'PRIMARY KEY' if constraint == 'PRIMARY' else 'UNIQUE'} ({listed})")
    return f"CREATE TABLE {names(name)} (\n  " + ",\n  ".join(lines) + f"\n){_comment(comment, ' ')}"


def _comment(text: str, before: str) -> str:
    return f"{before}COMMENT {literal(text)}" if text else ""


def content_digest(database: Database, instance: int) -> str:
    """SHA-256, 32 hex digits, of the server's version, the schema, and the rows in any order. Raises
    DataError."""
    with opened(database, instance) as connection:
        sha = hashlib.sha256(f"{connection.server_version}\n".encode())
        columns = _by_table(connection, _COLUMNS)
        keys = _keys(connection, columns)
        sha.update(repr(sorted(connection.execute(_VIEWS).fetchall(), key=repr)).encode())
        for name, is_view, comment, size in connection.execute(_TABLES).fetchall():
            if name not in columns:
                continue
            sha.update(repr((name, is_view, comment, columns[name], keys[name])).encode())
            if is_view:
                continue
            assert isinstance(size, int)
            listed = ", ".join(f"COALESCE(MD5({quote(str(column))}), '-')" for column, *_ in columns[name])
            row = f"CAST(CONV(LEFT(MD5(CONCAT({listed})), 16), 16, 10) AS UNSIGNED)"
            counted = "COUNT(*)" if size > LARGEST else f"COUNT(*), SUM({row})"
            [content] = connection.execute(f"SELECT {counted} FROM {quote(str(name))}").fetchall()
            sha.update(repr(content).encode())
        return sha.hexdigest()[:32]
