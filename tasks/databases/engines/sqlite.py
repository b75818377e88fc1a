"""SQLite, read-only and hardened: one open instance of a database, one statement at a time.

The guarantees, in the worker's process: The file is opened with ``mode=ro&immutable=1``, so there is no
lock, no journal and no write. If changes wait in a write-ahead log, a copy in memory is read
(``sqlite_open.latest``). An authorizer allows SELECT, reads of the schema's own tables, virtual tables and
views and of JSON's rows (json_each, json_tree), harmless functions and recursive CTEs, inside views as
outside. It denies all else: PRAGMA, ATTACH, transactions, temporary objects, extensions. ``trusted_schema``
is on, because views could otherwise not call json_extract or read FTS5 tables. Lengths, depth and terms are
limited. The virtual machine stops after the allowed steps (instructions) or seconds of CPU time. The worker
and its parent (``sandbox``) handle a single instruction that does not end, too much memory, and crashes.
Functions of the clock and of random numbers (``date('now')``, ``random()``) are allowed: their results
differ from run to run.

Cells are plain Python values. Text that is not UTF-8 is decoded with ``surrogateescape``, which is lossless,
so that each official evaluator can be reproduced (Spider drops those bytes, which are the lone surrogates;
BIRD counts the query as an error). Bytes of *names* that are not UTF-8 are read as Latin-1 (``sqlite_open``).
"""

from __future__ import annotations

import re
import sqlite3
import time
from dataclasses import replace
from functools import partial

from tasks.common.errors import DataError
from tasks.databases.engines.session import FETCH, OUT_OF_MEMORY, Allowance, collect
from tasks.databases.engines.sqlite_open import DANGEROUS, harden, lossless, open_instance, readable
from tasks.databases.sql_text import first_word, split, unreadable
from tasks.types import Database, Limits, Outcome, Status

TICK = 1000
"""Virtual-machine instructions between two checks of the budget: the unit of ``Outcome.steps``."""
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
_FILE = frozenset(
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
"""Errors by which SQLite reports a broken file. They count only if our own check finds it broken too."""
_READ, _FUNCTION, _OK = sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_OK
_HARMLESS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})
_VERSION = sqlite3.SQLITE_PRAGMA, "data_version", None
"""The PRAGMA that FTS5 runs before it reads."""
_ACTIONS = {
    sqlite3.SQLITE_READ: "reading",
    sqlite3.SQLITE_FUNCTION: "function",
    sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}


class Session:
    """One open instance of a SQLite database. ``weight``: bytes its page cache may grow to."""

    started = ""

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        """Open the file, or build ``database.ddl`` in memory. Raises DataError: missing, corrupt, bad DDL."""
        self._limits = limits
        self._open_again = partial(open_instance, database, instance)
        self._denied = ""
        self._ticks = 0
        self._allowed = Allowance(limits.seconds, limits.steps)
        self._cpu = 0.0
        self._next_check = 0.0
        """When to check the CPU time next; it cannot be used up earlier."""
        self._connection = open_instance(database, instance)
        try:
            pages, size = [
                self._connection.execute(f"PRAGMA page_{what}").fetchone()[0] for what in ("count", "size")
            ]
            self.weight = min(pages * size, 2 * 2**20)
            self._tables = readable(self._connection)
            harden(self._connection, limits)
        except sqlite3.Error as error:
            raise DataError(f"database {database.id}: {error}") from None
        self._connection.set_progress_handler(self._tick, TICK)
        self._connection.set_authorizer(self._authorize)

    def run(self, sql: str, allowance: Allowance) -> Outcome:
        """Execute one statement. Never raises: an error becomes the outcome's status and message."""
        if why := unreadable(sql):
            return Outcome(Status.SYNTAX_ERROR, message=why)
        statements = split(sql)
        if not statements:
            return Outcome(Status.NO_SQL)
        if len(statements) > 1:
            return Outcome(Status.MANY_STATEMENTS, message=f"{len(statements)} statements")
        word = first_word(statements[0])
        if word not in _READERS and _COMMANDS.fullmatch(word):
            return Outcome(Status.FORBIDDEN_STATEMENT, message=f"{word} is not allowed")
        self._allowed = allowance
        try:
            return self._execute(statements[0])
        except _NotUtf8:
            return self._run_lossless(statements[0])

    def broken(self) -> str:
        """What SQLite's own check finds wrong with the database, opened again; "" where it is intact.

        Also "" where the check takes longer than a query may.
        """
        try:
            connection = self._open_again()
        except DataError as error:
            return str(error)
        end = time.process_time() + self._limits.seconds
        connection.set_progress_handler(lambda: time.process_time() > end, 10 * TICK)
        try:
            result = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.Error as error:
            return "" if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT else str(error)
        finally:
            connection.close()
        return "" if result == "ok" else result

    def close(self) -> None:
        """Close the connection and free its page cache."""
        self._connection.close()

    def _run_lossless(self, sql: str) -> Outcome:
        """Run a statement whose result has text that is not UTF-8, which is slower."""
        self._connection.text_factory = lossless
        try:
            return replace(self._execute(sql), undecodable=True)
        finally:
            self._connection.text_factory = str

    def _execute(self, sql: str) -> Outcome:
        """Run one statement. Raises _NotUtf8: the result has text that is not UTF-8."""
        self._denied, self._ticks = "", 0
        start = time.perf_counter()
        self._cpu = time.process_time()
        self._next_check = start + self._allowed.seconds
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
            columns = tuple([column[0] for column in cursor.description or ()])
            outcome = collect(lambda: cursor.fetchmany(FETCH), columns, self._limits, self._allowed.distinct)
        except (MemoryError, sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if str(error).startswith("Could not decode to UTF-8"):
                raise _NotUtf8 from None
            status, message = self._explain(error)
            outcome = Outcome(status, message=message[:500])
        finally:
            cursor.close()
        seconds, steps = time.perf_counter() - start, self._ticks * TICK
        return Outcome(  # ``replace`` takes ten times as long
            outcome.status, outcome.columns, outcome.rows, outcome.message, seconds, steps, outcome.digest
        )

    def _explain(self, error: Exception) -> tuple[Status, str]:
        """The status and message of a failed execution."""
        message = str(error)
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, MemoryError):
            return Status.MEMORY, OUT_OF_MEMORY
        if self._denied:
            return Status.FORBIDDEN_STATEMENT, f"{self._denied} is not allowed"
        if code == sqlite3.SQLITE_INTERRUPT:
            allowed = self._allowed
            limit = (
                f"{allowed.steps} steps" if self._over_budget() else f"{allowed.seconds:.3g} seconds of CPU"
            )
            return Status.TIMEOUT, f"over {limit}"
        if code == sqlite3.SQLITE_TOOBIG or message == "string or blob too big":
            return Status.MEMORY, message
        if code is not None and code & 0xFF in _FILE:
            return Status.INFRASTRUCTURE, message
        if message.startswith("You can only execute one statement"):
            return Status.MANY_STATEMENTS, message
        if isinstance(error, ValueError) or _SYNTAX.fullmatch(message):
            return Status.SYNTAX_ERROR, message
        return Status.EXECUTION_ERROR, message

    def _over_budget(self) -> bool:
        return self._ticks * TICK >= self._allowed.steps

    def _tick(self) -> bool:
        """SQLite calls this every TICK instructions; True stops the query."""
        self._ticks += 1
        return self._over_budget() or (time.perf_counter() > self._next_check and self._over_time())

    def _over_time(self) -> bool:
        """Whether the CPU time is used up. If the machine was busy or stopped, some is left: check later."""
        left = self._allowed.seconds - (time.process_time() - self._cpu)
        self._next_check = time.perf_counter() + left
        return left <= 0

    def _authorize(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        """The allow-list. A refusal is noted here because SQLite's message does not always name it."""
        if action == _READ and (not second or (first or "").lower() in self._tables):
            return _OK  # a read without a column is ``count(*)`` of a table or a CTE
        if action in _HARMLESS or (action == _FUNCTION and not DANGEROUS.fullmatch(second or "")):
            return _OK
        if (action, first, second) == _VERSION:
            return _OK
        self._denied = _describe(action, first, second)
        return sqlite3.SQLITE_DENY


class _NotUtf8(Exception):
    """A result has text that is not UTF-8."""


def _describe(action: int, first: str | None, second: str | None) -> str:
    """What was refused, such as ``DELETE t``. A virtual table is reported as a change of the catalogue."""
    if first == "sqlite_master":
        return "a virtual table"
    return " ".join(name for name in (_ACTIONS.get(action, "this statement"), first, second) if name)
