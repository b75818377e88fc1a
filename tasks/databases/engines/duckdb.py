"""DuckDB, read-only and locked: one open instance of a database, one SELECT at a time.

No statement has an effect on the next one. A file is opened read-only; a database built from DDL is in
memory, where each statement runs in a read-only transaction. Both refuse what the plan would write, also
inside a CTE, a view or a macro (``nextval``). Variables, the random seed and temporary objects belong to a
connection, and each statement has its own. After a statement that may call one of the few functions that
change the open database itself (logs, external resources), the database is closed and opened again.
``enable_external_access=false`` (no files, no network, no ATTACH, no COPY), no temporary files, no
extensions, no Python variables, one thread, a memory limit; the configuration is locked.
DuckDB's own parser counts the statements and classifies them. Only SELECT runs, which for DuckDB includes
``FROM t``, ``TABLE t``, ``PIVOT``, ``DESCRIBE``, ``SUMMARIZE`` and ``SHOW``. A PIVOT without a list of values
is a MULTI statement, because it first collects them in a temporary type. There is no limit of steps or
seconds here: the parent kills the worker at the deadline. Functions that sleep, or run SQL in a string, are
refused. Cells become plain by the rules of ``tasks.databases.engines.duckdb_cells``.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise

import duckdb

from tasks.common.errors import DataError, first_line
from tasks.databases.engines.duckdb_cells import execute
from tasks.databases.engines.session import Allowance, collect
from tasks.databases.sql_text import first_word, quote, unreadable
from tasks.databases.state import file_of
from tasks.types import Database, Limits, Outcome, Status

_STATUSES: dict[type[Exception], Status] = {
    MemoryError: Status.MEMORY,
    duckdb.OutOfMemoryException: Status.MEMORY,
    duckdb.ParserException: Status.SYNTAX_ERROR,
    UnicodeError: Status.SYNTAX_ERROR,
    duckdb.PermissionException: Status.FORBIDDEN_STATEMENT,
    duckdb.IOException: Status.INFRASTRUCTURE,
    duckdb.SerializationException: Status.INFRASTRUCTURE,
    duckdb.InternalException: Status.INFRASTRUCTURE,
    duckdb.FatalException: Status.INFRASTRUCTURE,
}
"""Error of the engine -> status of the query. Any other error is an execution error, except DuckDB's bare
Error: a corrupt file. INFRASTRUCTURE counts only where a check of our own finds the file broken."""
_QUERIES = frozenset(
    {"SELECT", "WITH", "VALUES", "FROM", "TABLE", "PIVOT", "UNPIVOT", "DESCRIBE", "SUMMARIZE", "SHOW"}
)
"""The first words of statements that may be a MULTI."""
_FATAL = (duckdb.FatalException, duckdb.InternalException)
"""After these errors DuckDB refuses every query on the open database."""
_WRITES = re.compile(
    'TransactionContext Error: Cannot write to database "'
    '|Invalid Input Error: Cannot execute statement of type "\\w+"'
    ' on database ".*" which is attached in read-only',
    re.DOTALL,
)
"""The beginnings of messages that refuse a write. The rest of a message may quote the query."""
_SLEEPS = re.compile("sleep_ms|pg_sleep", re.IGNORECASE)
_RUNS_STRINGS = re.compile("query|json_execute_serialized_sql", re.IGNORECASE)
"""Functions that run the SQL in a string, where no check sees it."""
_CHANGES_STATE = re.compile("external_resource|extension|checkpoint|_logs?$|logging|profiling", re.IGNORECASE)
"""Functions that may change the open database."""
_SPECIAL = re.compile(
    "|".join(pattern.pattern.replace("$", r"\b") for pattern in (_SLEEPS, _RUNS_STRINGS, _CHANGES_STATE)),
    re.IGNORECASE,
)
"""Whether a text may call one of these functions."""
_LONGEST_MESSAGE = 500
"""Characters."""
_TABLES = "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal"
_EMPTY = 4 * 2**20
"""About the bytes that an open file without tables holds."""
_OPTIONS = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "threads": "1",
}


class Session:
    """One open instance of a DuckDB database. ``weight``: about the bytes that it holds between queries."""

    weight = 16 * 2**20
    started = ""

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        """Open the file, or build ``database.ddl`` in memory. Raises DataError: missing, corrupt, bad DDL."""
        self._limits = limits
        self._in_memory = not database.instances
        if not self._in_memory and (file := file_of(database, instance)).is_file():
            self.weight = min(self.weight, _EMPTY + 2 * file.stat().st_size)
        self._open = partial(connect, database, instance, limits.memory // 2)
        self._connection: duckdb.DuckDBPyConnection | None = self._open()
        self._intact = self._in_memory

    def run(self, sql: str, allowance: Allowance) -> Outcome:
        """Execute one statement. An error in it becomes the outcome's status and message.

        Raises DataError: the database had to be opened again and cannot be.
        """
        if why := unreadable(sql):
            return Outcome(Status.SYNTAX_ERROR, message=why)
        called = _called(sql)
        if any(map(_SLEEPS.fullmatch, called)):
            return Outcome(Status.FORBIDDEN_STATEMENT, message="sleeping is not allowed")
        if any(map(_RUNS_STRINGS.fullmatch, called)):
            return Outcome(Status.FORBIDDEN_STATEMENT, message="SQL in a string is not allowed")
        if self._connection is None:
            self._connection = self._open()
        start = time.perf_counter()
        reopen = any(map(_CHANGES_STATE.search, called))
        with self._connection.cursor() as cursor:
            try:
                outcome = _refusal(cursor, sql) or self._execute(cursor, sql, allowance.distinct)
            except Exception as error:  # of the engine, or for a value that Python cannot hold
                outcome = _explained(error)
                reopen |= isinstance(error, _FATAL)
        if reopen:
            self.close()
        return replace(outcome, seconds=time.perf_counter() - start)

    def broken(self) -> str:
        """What reading the whole file, opened again, finds wrong with it; "" where it is intact.

        An intact file is read once.
        """
        if self._intact:
            return ""
        self.close()
        try:
            self._connection = self._open()
            for schema, table in self._connection.execute(_TABLES).fetchall():
                every = f"SELECT count(hash(t)) FROM {quote(schema)}.{quote(table)} AS t"
                self._connection.execute(every).fetchall()
        except (DataError, duckdb.Error) as error:
            self.close()
            return first_line(error)[:_LONGEST_MESSAGE]
        self._intact = True
        return ""

    def close(self) -> None:
        """Close the file and free its memory."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _execute(self, cursor: duckdb.DuckDBPyConnection, sql: str, distinct: bool) -> Outcome:
        """The rows as plain cells, or the status with which they are refused."""
        if self._in_memory:
            cursor.execute("BEGIN TRANSACTION READ ONLY")  # ends with the cursor
        columns, fetch = execute(cursor, sql)
        return collect(fetch, columns, self._limits, distinct)


def connect(database: Database, instance: int, memory: int) -> duckdb.DuckDBPyConnection:
    """A locked connection to an instance; ``memory`` in bytes. Raises DataError in one line, MemoryError."""
    options: dict[str, str | bool | int | float | list[str]] = {
        **_OPTIONS,
        "memory_limit": f"{memory // 2**20}MiB",
    }
    path = file_of(database, instance) if database.instances else None
    if path is not None and not path.is_file():
        raise DataError(f"{path}: no such database file")
    try:
        if path is not None:  # all connections of a process to one file need equal options
            return duckdb.connect(str(path), read_only=True, config={**options, "lock_configuration": "true"})
        connection = duckdb.connect(config=options)
        connection.execute(database.ddl)
        connection.execute("SET lock_configuration = true")
    except duckdb.OutOfMemoryException as error:
        raise MemoryError(first_line(error)[:_LONGEST_MESSAGE]) from None
    except (duckdb.Error, RuntimeError) as error:
        where = path or f"database {database.id}: its DDL"
        raise DataError(
            f"{where}: not a readable DuckDB database: {first_line(error)[:_LONGEST_MESSAGE]}"
        ) from None
    return connection


def _called(sql: str) -> list[str]:
    """The functions that a query calls, if any of them may sleep, run strings or change the open database.

    DuckDB's own tokenizer distinguishes calls from strings and comments.
    """
    if not _SPECIAL.search(sql):
        return []
    text = sql.encode()
    places = duckdb.tokenize(sql)
    ends = [start for start, _ in places[1:]] + [len(text)]
    words = [
        text[start:end].decode(errors="replace").strip()
        for (start, kind), end in zip(places, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]
    return [word.strip('"`') for word, after in pairwise(words) if after.startswith("(")]


def _refusal(cursor: duckdb.DuckDBPyConnection, sql: str) -> Outcome | None:
    """The outcome of a text that is not one SELECT; None for one SELECT."""
    statements = cursor.extract_statements(sql)
    if not statements:
        return Outcome(Status.NO_SQL)
    if len(statements) > 1:
        return Outcome(Status.MANY_STATEMENTS, message=f"{len(statements)} statements")
    statement_type = statements[0].type
    if statement_type == duckdb.StatementType.SELECT:
        return None
    word = first_word(sql.replace("(", " ")) if statement_type == duckdb.StatementType.MULTI else ""
    if word in _QUERIES:
        return None
    return Outcome(Status.FORBIDDEN_STATEMENT, message=f"{word or statement_type.name} is not allowed")


def _explained(error: Exception) -> Outcome:
    if _WRITES.match(str(error)):
        return Outcome(Status.FORBIDDEN_STATEMENT, message=first_line(error)[:_LONGEST_MESSAGE])
    corrupt = Status.INFRASTRUCTURE if type(error) is duckdb.Error else Status.EXECUTION_ERROR
    status = next(
        (status for error_type, status in _STATUSES.items() if isinstance(error, error_type)), corrupt
    )
    return Outcome(status, message=first_line(error)[:_LONGEST_MESSAGE])
