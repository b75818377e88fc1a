"""SQLite, read-only and hardened: one open instance of a database, one statement at a time.

What holds here, in this process: the file is opened ``mode=ro&immutable=1`` (no lock, no journal, no write; a
WAL beside it is not read). An authorizer lets through SELECT, reads of the schema's own tables and views,
harmless functions and recursive CTEs, nothing else: no PRAGMA, ATTACH, transaction, temporary object,
extension, nor a look at other statements. ``trusted_schema`` is off; lengths, depth and terms are limited;
the virtual machine stops after ``limits.steps`` instructions or ``limits.seconds``. What one opcode does
without end, what needs too much memory and what crashes is for the worker and its parent: see ``sandbox``.
Functions of the clock and of chance (``date('now')``, ``random()``) are allowed: their results differ by run.

Cells are plain as they come. Text that is not UTF-8 is decoded with ``surrogateescape``: lossless, and each
official evaluator's view follows from it (Spider drops those bytes, that is the lone surrogates; BIRD calls
the query an error).
"""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path

from tasks.databases.statements import first_word, split
from tasks.errors import DataError
from tasks.types import Database, Limits, Outcome, Row, Status

TICK = 1000
"""Virtual-machine instructions between two looks at the budget: the unit of ``Outcome.steps``."""
SQL_LENGTH = 1_000_000
_FETCH = 256
_BOUNDS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: SQL_LENGTH * 4,
    sqlite3.SQLITE_LIMIT_COLUMN: 2000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 1000,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 500,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 5_000_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 127,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 100,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_CATALOGUE = frozenset({"sqlite_master", "sqlite_schema", "sqlite_sequence", "json_each", "json_tree"})
_DANGEROUS = re.compile(
    "load_extension|fts3_tokenizer|fts5|optimize|rtreecheck|sqlite_log|readfile|writefile|edit|eval",
    re.IGNORECASE,
)
_READERS = frozenset({"SELECT", "WITH", "VALUES"})
_COMMANDS = re.compile(
    "ALTER|ANALYZE|ATTACH|BEGIN|COMMIT|CREATE|DELETE|DETACH|DROP|END|EXPLAIN|INSERT|PRAGMA|REINDEX|RELEASE"
    "|REPLACE|ROLLBACK|SAVEPOINT|UPDATE|VACUUM"
)
_SYNTAX = re.compile(
    r'near ".*": syntax error|incomplete input|unrecognized token: .*|parser stack overflow'
    r"|Expression tree is too large .*|unknown or unsupported join type: .*|unknown join type: .*"
    r"|a JOIN clause is required before .*|.* clause should come (?:after|before) .*|no tables specified",
    re.DOTALL,
)
_OURS = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
    }
)


class Session:
    """One open instance of a SQLite database. ``weight``: bytes its page cache may grow to."""

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        """Open the file, or build ``database.ddl`` in memory. Raises DataError: missing, corrupt, bad DDL."""
        self._limits = limits
        self._denied = ""
        self._ticks = 0
        self._deadline = 0.0
        if database.instances:
            path = database.instances[instance]
            self._connection = open_file(path)
            self.weight = min(path.stat().st_size, 2 * 2**20)
        else:
            self._connection = _build(database)
            self.weight = 2**20
        self._tables = _names(self._connection, database)
        self._harden()

    def run(self, sql: str) -> Outcome:
        """Execute one statement. Never raises: whatever goes wrong is the outcome's status and message."""
        if len(sql) > SQL_LENGTH:
            return Outcome(Status.SYNTAX_ERROR, message=f"{len(sql)} characters of SQL, over {SQL_LENGTH}")
        statements = split(sql)
        if not statements:
            return Outcome(Status.NO_SQL)
        if len(statements) > 1:
            return Outcome(Status.MANY_STATEMENTS, message=f"{len(statements)} statements")
        word = first_word(statements[0])
        if word not in _READERS and _COMMANDS.fullmatch(word):
            return Outcome(Status.FORBIDDEN_STATEMENT, message=f"{word} is not allowed")
        outcome = self._execute(statements[0])
        if outcome is None:
            self._connection.text_factory = _lossless
            outcome = self._execute(statements[0])
            self._connection.text_factory = str
        return outcome or Outcome(Status.INFRASTRUCTURE, message="text cannot be decoded")

    def close(self) -> None:
        """Give back the handle and its page cache."""
        self._connection.close()

    def _execute(self, sql: str) -> Outcome | None:
        """Run one statement; None where its text needs the slower, lossless decoding."""
        self._denied, self._ticks = "", 0
        start = time.perf_counter()
        self._deadline = start + self._limits.seconds
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
            status, columns, rows, message = self._fetch(cursor)
        except (MemoryError, sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if str(error).startswith("Could not decode to UTF-8"):
                return None
            status, message = self._explain(error)
            columns, rows = (), []
        finally:
            cursor.close()
        seconds = time.perf_counter() - start
        return Outcome(status, columns, tuple(rows), message, seconds, self._ticks * TICK)

    def _fetch(self, cursor: sqlite3.Cursor) -> tuple[Status, tuple[str, ...], list[Row], str]:
        """All rows, or why they are refused."""
        columns = tuple([column[0] for column in cursor.description or ()])
        most = min(self._limits.rows, self._limits.cells // max(len(columns), 1))
        rows: list[Row] = []
        size = 0
        while chunk := cursor.fetchmany(_FETCH):
            rows += chunk
            size += sum([len(cell) for row in chunk for cell in row if cell.__class__ in (str, bytes)])
            if len(rows) > most:
                return Status.TOO_MANY_ROWS, (), [], f"over {most} rows of {len(columns)} columns"
            if size > self._limits.bytes:
                return Status.MEMORY, (), [], f"over {self._limits.bytes} bytes of result"
            if len(chunk) < _FETCH:
                break
        return Status.OK, columns, rows, ""

    def _explain(self, error: Exception) -> tuple[Status, str]:
        """The status and message of a failed execution."""
        message = str(error)
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, MemoryError):
            return Status.MEMORY, "out of memory"
        if self._denied:
            return Status.FORBIDDEN_STATEMENT, f"{self._denied} is not allowed"
        if code == sqlite3.SQLITE_INTERRUPT:
            over = f"{self._limits.steps} steps" if self._over_budget() else f"{self._limits.seconds} seconds"
            return Status.TIMEOUT, f"over {over}"
        if code == sqlite3.SQLITE_TOOBIG or message == "string or blob too big":
            return Status.MEMORY, message
        if code is not None and code & 0xFF in _OURS:
            return Status.INFRASTRUCTURE, message
        if message.startswith("You can only execute one statement"):
            return Status.MANY_STATEMENTS, message
        if isinstance(error, ValueError) or _SYNTAX.fullmatch(message):
            return Status.SYNTAX_ERROR, message
        return Status.EXECUTION_ERROR, message

    def _over_budget(self) -> bool:
        return self._ticks * TICK >= self._limits.steps

    def _tick(self) -> bool:
        """Called by SQLite every TICK instructions; True stops the query."""
        self._ticks += 1
        return self._over_budget() or time.perf_counter() > self._deadline

    def _harden(self) -> None:
        connection = self._connection
        for pragma in ("trusted_schema=OFF", "query_only=ON", "temp_store=MEMORY", "mmap_size=0"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        for what, most in _BOUNDS.items():
            connection.setlimit(what, most)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, self._limits.bytes)
        connection.set_progress_handler(self._tick, TICK)
        connection.set_authorizer(self._authorize)

    def _authorize(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        """The allow-list. A refusal is remembered, since SQLite's message does not always say so."""
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and (first or "").lower() in self._tables:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and not _DANGEROUS.fullmatch(second or ""):
            return sqlite3.SQLITE_OK
        self._denied = _describe(action, first, second)
        return sqlite3.SQLITE_DENY


def open_file(path: Path) -> sqlite3.Connection:
    """A read-only connection to a file that is known to hold a database. Raises DataError in one line.

    The statement cache is off: a statement used again would begin in the middle of a tick, and its verdict
    at the edge of the budget would depend on what ran before.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such database file")
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, cached_statements=0, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise DataError(f"{path}: not a readable SQLite database: {error}") from None
    return connection


def open_trusted(database: Database) -> sqlite3.Connection:
    """The first instance, or the DDL built, for our own reading; broken text shows as U+FFFD."""
    connection = open_file(database.instances[0]) if database.instances else _build(database)
    connection.set_authorizer(None)
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def _build(database: Database) -> sqlite3.Connection:
    """The database that ``ddl`` makes, in memory. PRAGMAs are skipped, ATTACH and extensions refused."""
    connection = sqlite3.connect(
        ":memory:", isolation_level=None, cached_statements=0, check_same_thread=False
    )

    def authorize(action: int, _first: str | None, second: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_PRAGMA:
            return sqlite3.SQLITE_IGNORE
        refused = action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) or bool(
            _DANGEROUS.fullmatch(second or "")
        )
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    connection.set_authorizer(authorize)
    try:
        connection.executescript(database.ddl)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        connection.close()
        raise DataError(f"database {database.id}: its DDL does not run: {error}") from None
    return connection


def _names(connection: sqlite3.Connection, database: Database) -> frozenset[str]:
    """Lower-case names that a query may read from: the schema's tables and views, and the catalogue."""
    try:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    except sqlite3.Error as error:
        raise DataError(f"database {database.id}: {error}") from None
    return _CATALOGUE | {name.lower() for (name,) in rows if isinstance(name, str)}


def _lossless(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _describe(action: int, *names: str | None) -> str:
    """What was refused: ``PRAGMA hard_heap_limit``."""
    return " ".join(name for name in (_ACTIONS.get(action, "this statement"), *names) if name)


_ACTIONS = {
    sqlite3.SQLITE_READ: "reading",
    sqlite3.SQLITE_FUNCTION: "function",
    sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}
