"""Describe a PostgreSQL database for prompts, and digest its content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tasks.common.errors import DataError
from tasks.databases.engines.postgres_cells import cells
from tasks.databases.engines.postgres_open import Connection, array_elements, connect
from tasks.databases.engines.session import ServerLost
from tasks.databases.private.names import public_comment
from tasks.databases.sql_text import one_line, quote
from tasks.types import Column, Database, ForeignKey, Schema, Server, Table

LARGEST = 2**30
"""Bytes of the largest table whose rows are part of the digest; of a larger one it is the number of its
pages."""
_PAGE = 8192
_INTERVAL = re.compile(r"interval\b(?!.*\])")
_TABLES = """
SELECT c.oid, nspname, relname, relkind IN ('v', 'm'), relpages,
       quote_ident(relname),
       CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
       obj_description(c.oid, 'pg_class'),
       nspname = current_schema(),
       quote_ident(nspname)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
  AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
ORDER BY 4, c.oid
"""
_COLUMNS = """
SELECT attname, quote_ident(attname), format_type(atttypid, atttypmod), attnotnull,
       col_description(attrelid, attnum), attnum
FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND has_column_privilege(attrelid, attnum, 'SELECT')
ORDER BY attnum
"""
_KEYS = """
SELECT contype = 'p', conkey, f.relname, quote_ident(f.relname), others.names, others.quoted
FROM pg_constraint LEFT JOIN pg_class f ON f.oid = confrelid
LEFT JOIN LATERAL (
    SELECT array_agg(attname ORDER BY place) AS names, array_agg(quote_ident(attname) ORDER BY place) AS
    quoted FROM unnest(confkey) WITH ORDINALITY AS k(number, place) JOIN pg_attribute ON attrelid = confrelid
    AND attnum = number) others ON true WHERE conrelid = %s AND (contype = 'p' OR contype = 'f' AND
    f.relnamespace = connamespace AND NOT EXISTS (
        SELECT FROM unnest(confkey) AS number WHERE NOT has_column_privilege(confrelid, number, 'SELECT')
    )) ORDER BY contype <> 'p', pg_constraint.oid
"""
"""The keys of a table, without foreign keys to columns that the role may not read."""


@contextmanager
def opened(database: Database, instance: int = 0) -> Iterator[Connection]:
    """A connection of our own to an instance, in one read-only transaction. Raises DataError."""
    server = database.instances[instance]
    assert isinstance(server, Server)
    try:
        with closing(connect(server)) as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection
    except ServerLost as error:
        raise DataError(str(error)) from None
    except psycopg.Error as error:
        raise DataError(f"{server}: {' '.join(str(error).split())}") from None


def exists(database: Database) -> bool:
    """Whether the server has the database. Raises DataError: the server cannot be asked."""
    server = database.instances[0]
    assert isinstance(server, Server)
    name = conninfo_to_dict(server.login).get("dbname")
    try:
        with closing(connect(server, dbname="postgres")) as connection:
            return bool(connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall())
    except ServerLost as error:
        raise DataError(str(error)) from None


def describe_server(database: Database, rows: int) -> Schema:
    """The tables that the role may read, with the first ``rows`` rows of each, then the views. Raises
    DataError."""
    with opened(database) as connection:
        elements = array_elements(connection) if rows else {}
        return Schema(
            tuple(
                _table(database, connection, row, rows, elements)
                for row in connection.execute(_TABLES).fetchall()
            )
        )


def _table(
    database: Database, connection: Connection, row: tuple[Any, ...], rows: int, elements: dict[int, int]
) -> Table:
    oid, schema, name, view, _, quoted, definition, comment, usual, quoted_schema = row
    shown, prefix = ("", "") if usual else (schema, f"{quoted_schema}.")
    columns = connection.execute(_COLUMNS, [oid]).fetchall()
    keys = [] if view else connection.execute(_KEYS, [oid]).fetchall()
    names = {number: column for column, *_, number in columns}
    primary = {number for is_primary, numbers, *_ in keys if is_primary for number in numbers}
    foreign = tuple(
        ForeignKey(names[number], other, other_column)
        for is_primary, numbers, other, _, others, _ in keys
        if not is_primary
        for number, other_column in zip(numbers, others, strict=True)
        if number in names
    )
    described = tuple(
        Column(column, kind, number in primary, strict, one_line(public_comment(database, note or "")))
        for column, _, kind, strict, note, number in columns
    )
    note = one_line(public_comment(database, comment or ""))
    if view:
        view_ddl = f"CREATE VIEW {prefix}{quoted} AS{definition.rstrip(';')}"
        return Table(name, described, (), view_ddl, (), "view", shown, note)
    first = []
    if rows and columns:
        first = cells(connection, _first_rows(schema, name, columns, rows), elements)
    ddl = _ddl(prefix, quoted, columns, keys)
    return Table(name, described, foreign, ddl, tuple(first), "table", shown, note)


def _first_rows(schema: str, name: str, columns: list[tuple[Any, ...]], rows: int) -> str:
    """The query of a table's first rows. An interval is the server's text, which a query can hold."""
    listed = ", ".join(
        f"{quote(column)}{'::text' * bool(_INTERVAL.match(kind))}" for column, _, kind, *_ in columns
    )
    return f"SELECT {listed} FROM {quote(schema)}.{quote(name)} LIMIT {rows}"


def _ddl(prefix: str, name: str, columns: list[tuple[Any, ...]], keys: list[tuple[Any, ...]]) -> str:
    """A CREATE TABLE with the columns and keys. ``prefix``: the schema of the table and its foreign keys."""
    quoted = {number: column for _, column, *_, number in columns}
    lines = [f"{column} {kind}{' NOT NULL' * strict}" for _, column, kind, strict, *_ in columns]
    for is_primary, numbers, _, other, _, others in keys:
        if not quoted.keys() >= set(numbers):
            continue
        listed = ", ".join(quoted[number] for number in numbers)
        target = "" if is_primary else f" REFERENCES {prefix}{other}({', '.join(others)})"
        lines.append(f"{'PRIMARY' if is_primary else 'FOREIGN'} KEY ({listed}){target}")
    return f"CREATE TABLE {prefix}{name} (\n  " + ",\n  ".join(lines) + "\n)"


def content_digest(database: Database, instance: int) -> str:
    """SHA-256, 32 hex digits, of the server's version, the schema, and the rows in any order. Raises
    DataError."""
    with opened(database, instance) as connection:
        sha = hashlib.sha256(f"{connection.pgconn.server_version}\n".encode())
        for row in connection.execute(_TABLES).fetchall():
            oid, schema, name, view, pages, *rest, _ = row
            columns = connection.execute(_COLUMNS, [oid]).fetchall()
            keys = connection.execute(_KEYS, [oid]).fetchall()
            sha.update(repr((schema, name, view, rest, columns, keys)).encode())
            if view:
                continue
            if pages * _PAGE > LARGEST:
                sha.update(f"{pages} pages\n".encode())
                continue
            listed = ", ".join(f"t.{quote(column)}" for column, *_ in columns)
            content = connection.execute(
                f"SELECT count(*), sum(hashtextextended(ROW({listed})::text, 0)::numeric)"
                f" FROM {quote(schema)}.{quote(name)} t".encode()
            ).fetchone()
            sha.update(repr(content).encode())
        return sha.hexdigest()[:32]
