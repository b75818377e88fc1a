"""The values of a database that occur in a question, looked up in an inverted index.

The index is built once by the sandbox's workers: of each column with text, the distinct values among its
first rows. The limits that usually hold are numbers of rows, values and characters, which do not depend on
the machine; columns that take too long are left out, with a line on stderr. An index is an SQLite file under
HARNESS_HOME/values, named by the content of the database; that of a row's own DDL is kept in memory.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from tasks.common import files
from tasks.common.caches import cached_by_identity
from tasks.common.digests import digest_of
from tasks.common.errors import DataError
from tasks.common.home import home
from tasks.common.terminal import say
from tasks.databases.sandbox.pool import Sandbox
from tasks.databases.state import database_digest, database_state, file_of, on_server
from tasks.types import Database, Limits, Outcome, Schema, Status, Table

VERSION = 1
"""Part of the file names. Increase it when the same database would give another index."""
ROWS, VALUES = 50_000, 5_000
"""The most rows of a column that are read, and the most of its distinct values that are kept."""
ALL_ROWS, ALL_VALUES = 10_000_000, 1_000_000
"""The most rows and values of all columns together; each column gets an equal share."""
LENGTH = 60
"""The most characters of a value."""
SECONDS, ALL_SECONDS = 5.0, 60.0
"""CPU seconds for one query, and seconds after which no further column is read."""
PROGRESS_SECONDS = 2.0
"""Seconds between two lines of progress on stderr."""
WORDS = 10
"""The most words of a value that are looked up."""
_CHUNK = 20
"""Columns whose values are read together."""
_WORDS = re.compile(r"\w+")
_COMMON = re.compile(
    "a|about|all|and|any|are|as|at|be|by|do|does|each|for|from|has|have|how|in|is|it|its|list|many|name|no|not"
    "|of|on|or|per|show|than|that|the|their|there|they|this|to|was|we|were|what|when|where|which|who|whose|with|yes"
)
TextColumn = tuple[str, str, str]
"""A column's name as prompts show it, its table as SQL, and its name as SQL."""


def find_values(
    database: Database, schema: Schema, question: str, per_column: int = 3
) -> Mapping[str, tuple[str, ...]]:
    """``table.column`` -> its text values that occur in the question, word for word, longest first.

    Case and punctuation do not matter. Only columns of the schema are searched, and only the first rows and
    values of each. Raises DataError.
    """
    first = replace(database, instances=database.instances[:1], generated=0, stamp="")
    index = _index(schema.tables, first, _state(first))
    by_column: dict[str, list[str]] = {}
    for phrase in _phrases(question):
        for column, value in index.execute(_LOOKUP, [phrase]):
            values = by_column.setdefault(column, [])
            if len(values) < per_column and value not in values:
                values.append(value)
    return {column: tuple(values) for column, values in by_column.items()}


def _state(database: Database) -> str:
    """The state of its file; "" for DDL, and for a server, which has none."""
    if not database.instances or on_server(database):
        return ""
    return database_state(file_of(database, 0), database.engine)


def _text_columns(tables: Sequence[Table], mark: str) -> Iterator[TextColumn]:
    """All columns of tables that may hold text. ``mark`` quotes names in the sandbox's queries."""

    def quoted(name: str) -> str:
        return mark + name.replace(mark, 2 * mark) + mark

    for table in tables:
        place = ".".join(map(quoted, filter(None, (table.schema, table.name))))
        name = f"{table.schema}.{table.name}" if table.schema else table.name
        for column in table.columns if table.kind != "view" else ():
            kind = column.type.upper()
            if not kind or any(word in kind for word in ("CHAR", "TEXT", "CLOB", "STRING", "ENUM")):
                yield f"{name}.{column.name}", place, quoted(column.name)


_LOOKUP = "SELECT name, value FROM found JOIN columns USING (place) WHERE phrase = ? ORDER BY place, number"
_TABLES = """
CREATE TABLE columns(place INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE found(
    phrase TEXT, place INTEGER, number INTEGER, value TEXT, PRIMARY KEY (phrase, place, number)
) WITHOUT ROWID;
"""


@cached_by_identity(64)
def _index(tables: tuple[Table, ...], database: Database, _: str) -> sqlite3.Connection:
    """The index of the columns of these tables, built if it is not under HARNESS_HOME."""
    columns = list(_text_columns(tables, "`" if database.engine == "mariadb" else '"'))
    if not database.instances:
        return _built(database, columns)
    key = digest_of(VERSION, ROWS, VALUES, ALL_ROWS, ALL_VALUES, database.engine, columns)
    path = home() / "values" / f"{database_digest(database)[:16]}-{key}.sqlite"
    opened = _opened(path)
    if opened is None:
        image = _built(database, columns).serialize()
        with files.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, image, durable=False)
        opened = _opened(path)
    if opened is None:
        raise DataError(f"{path}: not a readable index of values: remove it")
    return opened


def _opened(path: Path) -> sqlite3.Connection | None:
    """The index in a file; None if there is none, or it is damaged."""
    if not path.is_file():
        return None
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
    )
    try:
        connection.execute(_LOOKUP, [""]).fetchall()
    except sqlite3.Error:
        connection.close()
        return None
    return connection


def _built(database: Database, columns: Sequence[TextColumn]) -> sqlite3.Connection:
    """A new index in memory. Raises DataError: the database cannot be read."""
    index = sqlite3.connect(":memory:", check_same_thread=False)
    index.executescript(_TABLES)
    left_out: list[str] = []
    began = reported = time.monotonic()
    for start in range(0, len(columns), _CHUNK):
        chunk = columns[start : start + _CHUNK]
        if (now := time.monotonic()) - began > ALL_SECONDS:
            left_out += [name for name, *_ in columns[start:]]
            break
        if now - reported > PROGRESS_SECONDS:
            reported = now
            say(f"database {database.id}: reading values, {start} of {len(columns)} columns")
        for place, values in enumerate(_distinct(database, chunk, len(columns)), start):
            index.execute("INSERT INTO columns VALUES (?, ?)", [place, columns[place][0]])
            left_out += [columns[place][0]] if values is None else []
            index.executemany("INSERT INTO found VALUES (?, ?, ?, ?)", _entries(place, values or ()))
    index.commit()
    if left_out:
        say(f"database {database.id}: the values of {len(left_out)} columns are left out: {left_out[0]} ...")
    return index


def _entries(place: int, values: Sequence[str]) -> Iterator[tuple[str, int, int, str]]:
    for number, value in enumerate(values):
        words = _WORDS.findall(value.lower())
        if 0 < len(words) <= WORDS:
            yield " ".join(words), place, number, value


def _distinct(
    database: Database, columns: Sequence[TextColumn], total: int
) -> Iterator[Sequence[str] | None]:
    """The first distinct texts of each column; None for a column that cannot be read within the limits.

    A query reads several columns of one table; where it fails, each is read alone.
    """
    groups = [list(group) for _, group in groupby(columns, key=lambda column: column[1])]
    together = _outcomes(database, groups, total)
    alone = [
        [column] for group, read in zip(groups, together, strict=True) if not read.ok for column in group
    ]
    singles = iter(_outcomes(database, alone, total))
    for group, outcome in zip(groups, together, strict=True):
        for number in range(len(group)):
            read, place = (outcome, number) if outcome.ok else (next(singles), 0)
            values = (value for column, value in read.rows if column == place and isinstance(value, str))
            yield [value for value in values if value.isprintable()] if read.ok else None


def _outcomes(database: Database, groups: Sequence[Sequence[TextColumn]], total: int) -> list[Outcome]:
    """The outcome of one query for each group of columns. Raises DataError: the database cannot be read."""
    rows, most = max(1, min(ROWS, ALL_ROWS // total)), max(1, min(VALUES, ALL_VALUES // total))
    queries = []
    for group in groups:
        parts = []
        for number, (_, table, column) in enumerate(group):
            cell = f"CAST({column} AS VARCHAR)" if database.engine == "duckdb" else column
            scanned = f"SELECT {cell} AS v FROM {table} LIMIT {rows}"
            short = f"SELECT DISTINCT v FROM ({scanned}) AS s WHERE length(v) <= {LENGTH} LIMIT {most}"
            parts.append(f"SELECT {number} AS place, v FROM ({short}) AS d")
        queries.append((database, 0, " UNION ALL ".join(parts)))
    with Sandbox(1, Limits(seconds=SECONDS)) as sandbox:
        outcomes = sandbox.run(queries)
    for outcome in outcomes:
        if outcome.status is Status.INFRASTRUCTURE:
            raise DataError(f"database {database.id}: {outcome.message}")
    return outcomes


def _phrases(question: str) -> Iterator[str]:
    """Runs of words in the question, the longest first, without single letters and common words."""
    words = _WORDS.findall(question.lower())
    for length in range(min(len(words), WORDS), 0, -1):
        for start in range(len(words) - length + 1):
            phrase = " ".join(words[start : start + length])
            if length > 1 or (len(phrase) > 1 and not _COMMON.fullmatch(phrase)):
                yield phrase
