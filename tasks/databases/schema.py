"""Describe a database: its tables, columns, keys, comments and first rows.

Trusted files are read in this process. A description is cached until the state of the file on disk changes.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Literal

from tasks.common.errors import DataError
from tasks.databases.engines.sqlite_open import open_trusted
from tasks.databases.sql_text import quote
from tasks.databases.state import content_of, database_state, file_of, on_server
from tasks.types import Column, Database, ForeignKey, Row, Schema, Table

_CATALOGUE = """
SELECT name, type, sql FROM sqlite_master
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
ORDER BY type = 'view', rowid
"""
_KINDS: Mapping[str, Literal["virtual"]] = {"virtual": "virtual"}
_SHADOWS = (
    r"content|segments|segdir|docsize|stat|data|idx|config|node|parent|rowid|rowids|chunks|info|auxiliary"
    r"|vector_chunks\d+|metadatachunks\d+|metadatatext\d+"
)
"""Suffixes, after the virtual table's name, of the tables in which known modules keep its data."""


def describe(database: Database, rows: int = 0) -> Schema:
    """The tables and views of a database's first instance, with the first ``rows`` rows of each table.

    Foreign keys to missing tables are left out. Raises DataError: it is missing or corrupt, or its DDL fails.
    """
    return _describe(_bare(database), rows, _state(database))


def _state(database: Database) -> str:
    """The state of its file; "" for DDL, and for a server, whose description is kept."""
    if not database.instances or on_server(database):
        return ""
    return database_state(file_of(database, 0), database.engine)


def _bare(database: Database) -> Database:
    """The database with its first instance only, as the key of the caches."""
    first = database.instances[:1]
    return Database(database.id, database.engine, first, database.ddl, private=database.private)


@lru_cache(maxsize=4096)
def _describe(database: Database, rows: int, _: str) -> Schema:
    if database.engine == "duckdb":
        from tasks.databases.engines.duckdb_content import describe_duckdb

        return describe_duckdb(database, rows)
    if on_server(database):
        return content_of(database.engine).describe_server(database, rows)
    connection = open_trusted(database)
    try:
        return Schema(tuple(_tables(connection, rows)))
    except sqlite3.Error as error:
        raise DataError(f"{_where(database)}: not a readable SQLite database: {error}") from None
    finally:
        connection.close()


def _where(database: Database) -> str:
    return str(database.instances[0]) if database.instances else f"database {database.id}"


def _tables(connection: sqlite3.Connection, rows: int) -> Iterator[Table]:
    """The tables in the order of their creation, then the views.

    Tables in which a virtual table keeps its data are left out, and so are those that no query can read: a
    virtual table without its module, a view of a missing table.
    """
    catalogue = connection.execute(_CATALOGUE).fetchall()
    kinds = {name: kind for _, name, kind, *_ in connection.execute("PRAGMA table_list").fetchall()}
    hidden = _hidden(connection, [name for name, kind, _ in catalogue if kinds.get(name) == "virtual"])
    names = {name.lower(): name for name, kind, _ in catalogue if kind == "table"}
    for name, kind, ddl in catalogue:
        if kinds.get(name) == "shadow" or hidden(name):
            continue
        try:
            columns = _columns(connection, name)
        except sqlite3.OperationalError:
            continue
        if kind == "view":
            yield Table(name, columns, (), ddl or "", (), "view")
            continue
        keys = tuple(_foreign_keys(connection, name, names))
        shown = _rows(connection, name, rows)
        yield Table(name, columns, keys, ddl or "", shown, _KINDS.get(kinds.get(name, ""), "table"))


def _hidden(connection: sqlite3.Connection, virtual: list[str]) -> Callable[[str], bool]:
    """A function: whether a name is a virtual table without its module, or a table with its data."""
    missing = []
    for name in virtual:
        try:
            connection.execute(f"SELECT 1 FROM {quote(name)} LIMIT 0")
        except sqlite3.OperationalError:
            missing.append(re.escape(name))
    pattern = re.compile(
        f"(?:{'|'.join(missing)})(?:_(?:{_SHADOWS}))?" if missing else r"(?!)", re.IGNORECASE
    )
    return lambda name: pattern.fullmatch(name) is not None


def _columns(connection: sqlite3.Connection, table: str) -> tuple[Column, ...]:
    """Columns in table order; hidden ones of virtual tables are left out."""
    infos = connection.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()
    return tuple(
        Column(name, kind, bool(key), bool(not_null))
        for _, name, kind, not_null, _default, key, hidden in infos
        if hidden != 1
    )


def _foreign_keys(
    connection: sqlite3.Connection, table: str, names: Mapping[str, str]
) -> Iterator[ForeignKey]:
    """In the order of their declaration; ``REFERENCES t`` without a column means t's primary key."""
    keys = connection.execute(f"PRAGMA foreign_key_list({quote(table)})").fetchall()
    for _, place, other, column, other_column, *_ in sorted(keys, key=lambda key: (-key[0], key[1])):
        name = names.get(other.lower())
        if name is None:
            continue
        target = other_column or _primary_key(connection, name).get(place + 1)
        if target is not None:
            yield ForeignKey(column, name, target)


def _primary_key(connection: sqlite3.Connection, table: str) -> dict[int, str]:
    """Position in the primary key, from 1 -> column."""
    infos = connection.execute(f"PRAGMA table_info({quote(table)})").fetchall()
    return {place: name for _, name, _, _, _, place in infos if place}


def _rows(connection: sqlite3.Connection, table: str, rows: int) -> tuple[Row, ...]:
    if not rows:
        return ()
    return tuple(connection.execute(f"SELECT * FROM {quote(table)} LIMIT {rows}").fetchall())
