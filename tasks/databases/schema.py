"""Describe a database: its tables, columns, keys and first rows, and the values that occur in a question.

Trusted files are read in this process. A description is cached until the state of the file on disk changes.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from functools import lru_cache
from typing import Any, Literal

from tasks.common.errors import DataError
from tasks.databases.engines.sqlite_open import open_trusted
from tasks.databases.sql_text import quote
from tasks.databases.state import content_of, database_state, file_of, on_server
from tasks.types import Column, Database, ForeignKey, Row, Schema, Table

_MAX_VALUES = 5_000
"""The most distinct values of a column that are searched."""
_MAX_ROWS = 50_000
"""The most rows of a table that are searched."""
_MAX_LENGTH = 60
"""The most characters of a value that is searched."""
_WORDS = re.compile(r"\w+")
_COMMON = re.compile(
    "a|about|all|and|any|are|as|at|be|by|do|does|each|for|from|has|have|how|in|is|it|its|list|many|name|no|not"
    "|of|on|or|per|show|than|that|the|their|there|they|this|to|was|we|were|what|when|where|which|who|whose|with|yes"
)


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


def find_values(
    database: Database, schema: Schema, question: str, per_column: int = 3
) -> Mapping[str, tuple[str, ...]]:
    """``table.column`` -> its text values that occur in the question, word for word, longest first.

    Case and punctuation do not matter. Only the first rows and values of each column are searched.
    """
    index = _index(_bare(database), tuple(_text_columns(schema)), _state(database))
    by_column: dict[str, list[str]] = {}
    for phrase in _phrases(question):
        for column, value in index.get(phrase, ()):
            values = by_column.setdefault(column, [])
            if len(values) < per_column and value not in values:
                values.append(value)
    return {column: tuple(values) for column, values in by_column.items()}


def _state(database: Database) -> str:
    """The state of its file; "" for DDL, and for a server, whose description is kept."""
    if not database.instances or on_server(database):
        return ""
    return database_state(file_of(database, 0), database.engine)


def _bare(database: Database) -> Database:
    """The database with its first instance only, as the key of the caches."""
    return Database(database.id, database.engine, database.instances[:1], database.ddl)


@lru_cache(maxsize=4096)
def _describe(database: Database, rows: int, _: str) -> Schema:
    if database.engine == "duckdb":
        from tasks.databases.engines.duckdb import describe_duckdb

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


def _text_columns(schema: Schema) -> Iterator[tuple[str, str, str]]:
    """``(name, table as SQL, column)`` of all table columns that may hold text."""
    for table in schema.tables:
        place = f"{quote(table.schema)}.{quote(table.name)}" if table.schema else quote(table.name)
        name = f"{table.schema}.{table.name}" if table.schema else table.name
        for column in table.columns if table.kind != "view" else ():
            kind = column.type.upper()
            if not kind or any(word in kind for word in ("CHAR", "TEXT", "CLOB", "STRING", "ENUM")):
                yield f"{name}.{column.name}", place, column.name


@lru_cache(maxsize=64)
def _index(
    database: Database, columns: tuple[tuple[str, str, str], ...], _: str
) -> dict[str, list[tuple[str, str]]]:
    """The words of a value -> the columns that have it, with its spelling there."""
    index: dict[str, list[tuple[str, str]]] = {}
    for name, values in _distinct(database, columns):
        for value in values:
            words = _WORDS.findall(value.lower())
            if words and len(value) <= _MAX_LENGTH:
                index.setdefault(" ".join(words), []).append((name, value))
    return index


def _distinct(
    database: Database, columns: tuple[tuple[str, str, str], ...]
) -> Iterator[tuple[str, list[str]]]:
    """The name of each column with its first distinct texts."""
    try:
        with _opened(database) as connection:
            yield from _texts(connection, columns)
    except sqlite3.Error as error:
        raise DataError(f"{_where(database)}: {error}") from None


def _opened(database: Database) -> AbstractContextManager[Any]:
    """A connection for our own queries."""
    if database.engine == "duckdb":
        from tasks.databases.engines import duckdb

        return closing(duckdb.connect(database, 0, 2**30))
    if on_server(database):
        return content_of(database.engine).opened(database)
    return closing(open_trusted(database))


def _texts(connection: Any, columns: tuple[tuple[str, str, str], ...]) -> Iterator[tuple[str, list[str]]]:
    for name, table, column in columns:
        scanned = f"SELECT {quote(column)} AS v FROM {table} LIMIT {_MAX_ROWS}"
        rows = connection.execute(
            f"SELECT DISTINCT v FROM ({scanned}) AS scanned LIMIT {_MAX_VALUES}"
        ).fetchall()
        yield name, [value for (value,) in rows if isinstance(value, str)]


def _phrases(question: str) -> Iterator[str]:
    """Runs of words in the question, the longest first, without single letters and common words."""
    words = _WORDS.findall(question.lower())
    for length in range(min(len(words), 10), 0, -1):
        for start in range(len(words) - length + 1):
            phrase = " ".join(words[start : start + length])
            if length > 1 or (len(phrase) > 1 and not _COMMON.fullmatch(phrase)):
                yield phrase
