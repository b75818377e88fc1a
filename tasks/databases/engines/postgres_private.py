"""PostgreSQL with private data: queries run under a role that may not read it, which is checked first.

The server refuses every read of a column that the role may not read, also in ``*``, in a whole row and in a
USING. Beside the columns that the task names, these are private: generated columns of their tables, the same
columns of partitions and of tables that inherit, the whole of a partition that such columns divide, foreign
keys to them, and views that depend on them or that could read them in a way that the catalogue does not show
(a whole row, a function with its owner's rights).
If the role may read any of these, no query runs. Foreign tables are taken for tables of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import psycopg

from tasks.common.errors import DataError
from tasks.databases.engines.postgres import Session
from tasks.databases.engines.postgres_content import opened
from tasks.databases.engines.postgres_open import Connection, Reader, connect_reader
from tasks.databases.engines.session import Allowance, ServerLost
from tasks.databases.engines.sqlite_private import REFUSED
from tasks.databases.private.names import Pattern, patterns
from tasks.databases.private.relations import (
    Relation,
    as_schema,
    expect_unreadable,
    follow_keys,
    hidden_and_names,
    mark_named,
)
from tasks.types import Database, Limits, Outcome, Schema, Server, Status

_COLUMNS = """
SELECT c.oid, nspname, relname, relkind IN ('v', 'm'), attname, attnum, attgenerated <> '',
       has_column_privilege(c.oid, attnum, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
ORDER BY c.oid, attnum
"""
_KEYS = """
SELECT conrelid, confrelid, number, other_number
FROM pg_constraint, unnest(conkey, confkey) AS k(number, other_number) WHERE contype = 'f'
"""
_INHERITS = "SELECT inhrelid, inhparent FROM pg_inherits"
_PARTITIONS = """
SELECT inhrelid, inhparent, string_to_array(partattrs::text, ' ')::int[]
FROM pg_inherits JOIN pg_partitioned_table ON partrelid = inhparent
"""
"""Partitions, the tables that they divide, and the numbers of the columns by which; 0 for an expression."""
_VIEWS = """
SELECT DISTINCT ev_class, refobjid, refobjsubid, ev_action::text LIKE '%:varattno 0 %'
FROM pg_depend JOIN pg_rewrite r ON r.oid = objid
WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass AND ev_class <> refobjid
"""
"""The relations and columns that views depend on; whether a view has whole rows, which are no columns."""
_WITH_OWNERS_RIGHTS = """
SELECT DISTINCT ev_class FROM pg_depend JOIN pg_rewrite r ON r.oid = objid JOIN pg_proc p ON p.oid = refobjid
WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_proc'::regclass AND prosecdef
"""
_HIDDEN_CALLS = """
SELECT p.oid::regprocedure::text FROM pg_proc p WHERE prosecdef AND (
    EXISTS (SELECT FROM pg_operator WHERE oprcode = p.oid)
    OR EXISTS (SELECT FROM pg_cast WHERE castfunc = p.oid)
    OR EXISTS (SELECT FROM pg_aggregate WHERE p.oid IN (aggtransfn, aggfinalfn))
    OR EXISTS (SELECT FROM pg_depend LEFT JOIN pg_constraint c ON c.oid = objid
               WHERE refclassid = 'pg_proc'::regclass AND refobjid = p.oid
                 AND (classid = 'pg_type'::regclass
                      OR classid = 'pg_constraint'::regclass AND contypid <> 0)))
"""
"""Functions with their owner's rights that a query calls without their name."""
_DENIED = "42501"
_USUAL = "public"


def relations(connection: Connection, found: Sequence[Pattern]) -> dict[int, Relation]:
    """All tables and views by their number, with what is private in them."""
    every: dict[int, Relation] = {}
    for oid, schema, name, view, column, number, generated, readable in connection.execute(_COLUMNS):
        relation = every.setdefault(oid, Relation(schema, name, view))
        relation.columns[number] = column
        relation.generated |= {column} if generated else set()
        relation.readable |= {column} if readable else set()
    mark_named(every.values(), found)
    follow_keys(every, connection.execute(_KEYS).fetchall())
    _inherit(every, connection.execute(_INHERITS).fetchall())
    _divide(every, connection.execute(_PARTITIONS).fetchall())
    _look_through(every, connection)
    return every


def _inherit(every: dict[int, Relation], pairs: Sequence[tuple[Any, ...]]) -> None:
    """Mark the same columns of tables that inherit from each other, in both directions."""
    changed = True
    while changed:
        changed = False
        for pair in pairs:
            first, second = (every.get(oid) for oid in pair)
            if first is None or second is None:
                continue
            for one, other in ((first, second), (second, first)):
                shared = one.private & set(other.columns.values())
                if not shared <= other.private:
                    other.private |= shared | other.generated
                    changed = True


def _divide(every: dict[int, Relation], partitions: Sequence[tuple[Any, ...]]) -> None:
    """Mark partitions as private whose rows tell of a private column, with the partitions of these."""
    hidden: set[int] = set()
    changed = True
    while changed:
        changed = False
        for one, whole, numbers in partitions:
            if one in hidden or one not in every or whole not in every:
                continue
            relation = every[whole]
            dividing = {relation.columns.get(number) for number in numbers if number}
            divided = relation.private and (0 in numbers or dividing & relation.private)
            if whole in hidden or divided:
                every[one].private = set(every[one].columns.values())
                hidden.add(one)
                changed = True


def _look_through(every: dict[int, Relation], connection: Connection) -> None:
    """Mark views that show private data, or may do so, as private."""
    for (oid,) in connection.execute(_WITH_OWNERS_RIGHTS).fetchall():
        if oid in every and any(relation.private for relation in every.values()):
            every[oid].private = set(every[oid].columns.values())
    reads = connection.execute(_VIEWS).fetchall()
    changed = True
    while changed:
        changed = False
        for view, source, number, has_rows in reads:
            if view not in every or source not in every or every[view].whole or not every[source].private:
                continue
            relation = every[source]
            if relation.whole or has_rows or relation.columns.get(number) in relation.private:
                every[view].private = set(every[view].columns.values())
                changed = True


def expect_hidden(connection: Connection, database: Database, place: str) -> None:
    """Raise DataError where the role of the connection may read private data."""
    assert database.private
    every = relations(connection, patterns(database.private.patterns)).values()
    expect_unreadable(every, place, connection.info.user)
    calls = [name for (name,) in connection.execute(_HIDDEN_CALLS).fetchall()]
    if calls:
        raise DataError(
            f"{place}: operators, casts or types call {calls[0]} with its owner's rights, so it cannot be"
            " proven that no query reads private data"
        )


def described(
    connection: Connection, private: Sequence[str]
) -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
    """What is private: places and columns, and the names by which a text would tell of it."""
    every = relations(connection, patterns(private)).values()
    return hidden_and_names(list(every))


def all_columns(database: Database) -> tuple[str, Schema]:
    """The usual schema, and the tables and views with all their columns, also those that are private."""
    with opened(database) as connection:
        every = relations(connection, [])
    return _USUAL, as_schema(every.values(), _USUAL)


class PrivateSession(Session):
    """A connection whose role may not read what is private."""

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        self._database = database
        super().__init__(database, instance, limits)

    def _connected(self) -> Reader:
        reader = super()._connected()
        try:
            expect_hidden(reader.connection, self._database, str(self._server))
        except psycopg.Error as error:
            reader.connection.close()
            raise ServerLost(f"{self._server}: {error}") from None
        except DataError:
            reader.connection.close()
            raise
        return reader

    def _explained(
        self, reader: Reader, error: psycopg.Error, seconds: float, allowance: Allowance
    ) -> Outcome:
        outcome = super()._explained(reader, error, seconds, allowance)
        primary = error.diag.message_primary or ""
        if _is_private(error):
            return Outcome(Status.PRIVATE_DATA, message=REFUSED)
        if primary and outcome.status in (Status.EXECUTION_ERROR, Status.SYNTAX_ERROR):
            return replace(outcome, message=primary)  # a hint may name a private column
        return outcome


def _is_private(error: psycopg.Error) -> bool:
    """Whether the server refused a read, and not the call of a function."""
    return error.sqlstate == _DENIED and "function" not in (error.diag.message_primary or "")


@contextmanager
def reads_private(database: Database) -> Iterator[Callable[[str], bool]]:
    """A function: whether a query, which is not run, reads private data."""
    server = database.instances[0]
    assert isinstance(server, Server)
    reader = connect_reader(server, 10)
    with closing(reader.connection):

        def reads(sql: str) -> bool:
            if reader.refused.refusal(sql):
                return False
            try:
                reader.connection.execute(f"EXPLAIN {sql}".encode(), binary=True)
            except psycopg.Error as error:
                return _is_private(error)
            return False

        yield reads
