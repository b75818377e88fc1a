"""MariaDB with private data: queries run under an account that may not read it, which is checked first.

The server refuses every read of a column that the account may not read, also in ``*``, with one exception: it
does not ask about columns that ``NATURAL`` or ``USING`` compare (``mariadb_private_text``).

Beside the columns that the task names, these are private: columns computed from others (also by a default) of
their tables, foreign keys to them, and views whose definition the account could not run itself, because a
view reads with its owner's rights. If the account may read any of these, no query runs.

An account sees the names of columns on which it has a right. ``harness db prepare --private`` gives it
REFERENCES, which allows nothing without CREATE, on those that it may not read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import pymysql

from tasks.common.errors import DataError
from tasks.databases.engines.mariadb import Session
from tasks.databases.engines.mariadb_connection import Connection, PastDeadline
from tasks.databases.engines.mariadb_content import opened
from tasks.databases.engines.mariadb_open import SQL_MODE, Reader, connect_reader, database_of, user_of
from tasks.databases.engines.mariadb_private_text import PrivateRefused
from tasks.databases.engines.mariadb_text import SYSTEM, folded
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
from tasks.databases.sql_text import quote
from tasks.types import Database, Limits, Outcome, Schema, Server, Status

_NOT_SYSTEM = f"TABLE_SCHEMA NOT IN {tuple(sorted(SYSTEM))}"
_COLUMNS = f"""
SELECT c.TABLE_SCHEMA, c.TABLE_NAME, TABLE_TYPE = 'VIEW', COLUMN_NAME,
       FIND_IN_SET('select', PRIVILEGES) > 0, GENERATION_EXPRESSION, COLUMN_DEFAULT
FROM information_schema.COLUMNS c JOIN information_schema.TABLES t
  ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
WHERE c.{_NOT_SYSTEM} ORDER BY 1, BINARY c.TABLE_NAME, ORDINAL_POSITION
"""
_KEYS = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, COLUMN_NAME,
       REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL AND {_NOT_SYSTEM}
"""
_VIEWS = f"SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE {_NOT_SYSTEM}"
_NO_TABLE, _NO_COLUMN = 1142, 1143
_NO_RIGHTS_IN_VIEW = frozenset({1345, 1356})
_DENIED = _NO_RIGHTS_IN_VIEW | {_NO_TABLE, _NO_COLUMN}
_TEXT = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_QUOTED = re.compile("[`'\"]([^`'\"]+)[`'\"]")
Place = tuple[str, str]
"""The schema and the name of a table or view."""


def relations(connection: Connection, found: Sequence[Pattern]) -> dict[Place, Relation]:
    """All tables and views that the account sees, with what is private in them; views only where named."""
    every: dict[Place, Relation] = {}
    rows = connection.execute(_COLUMNS).fetchall()
    for schema, name, view, column, readable, *_ in rows:
        place = str(schema), str(name)
        relation = every.setdefault(place, Relation(*place, bool(view)))
        relation.columns[column] = str(column)
        relation.readable |= {str(column)} if readable else set()
    for schema, name, _, column, _, generated, default in rows:
        relation = every[str(schema), str(name)]
        if _is_computed(str(generated or ""), str(default or ""), relation.columns.values()):
            relation.generated.add(str(column))
    mark_named(every.values(), found)
    for relation in every.values():
        if relation.view and relation.private:
            relation.private = set(relation.columns.values())
    keys = connection.execute(_KEYS).fetchall()
    follow_keys(every, [((key[0], key[1]), (key[2], key[3]), key[4], key[5]) for key in keys])
    return every


def _is_computed(generated: str, default: str, columns: Iterable[str]) -> bool:
    """Whether a column is generated, or its default, which DEFAULT() computes, names columns of the table."""
    words = _TEXT.sub("", default)
    return bool(generated) or any(
        re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words, re.IGNORECASE) for name in columns
    )


def definitions(connection: Connection) -> dict[Place, str]:
    """The SELECT of each view; "" where the account may not see it."""
    rows = connection.execute(_VIEWS).fetchall()
    return {(str(schema), str(name)): str(text or "") for schema, name, text in rows}


def may_run(connection: Connection, sql: str) -> bool:
    """Whether the account may run a query, which is planned and not run."""
    try:
        connection.execute(f"EXPLAIN {sql}")
    except pymysql.Error:
        if not connection.open:
            raise
        return False
    return True


def may_compute(reader: Reader, definition: str) -> bool:
    """Whether the account could compute a view itself. A plan needs no right to call its functions."""
    return (
        bool(definition)
        and not reader.refused.calls_added(definition)
        and may_run(reader.connection, definition)
    )


def expect_hidden(reader: Reader, database: Database, place: str, user: str) -> list[Relation]:
    """All tables and views. Raises DataError where the account may read private data."""
    assert database.private
    every = relations(reader.connection, patterns(database.private.patterns))
    for where, definition in definitions(reader.connection).items():
        view = every.get(where) or _unlisted(reader.connection, where)
        every[where] = view
        if view.readable and not may_compute(reader, definition):
            view.private = set(view.columns.values())
    expect_unreadable(every.values(), place, user)
    return list(every.values())


def _unlisted(connection: Connection, place: Place) -> Relation:
    """A view whose columns the server does not list: it calls functions that the account may not call."""
    view = Relation(*place, view=True, columns={"*": "*"})
    try:
        connection.execute(f"EXPLAIN SELECT 1 FROM {quote(place[0])}.{quote(place[1])}")
    except pymysql.Error as error:
        if error.args[0] == _NO_TABLE:
            return view
        if not connection.open:
            raise
    view.readable = {"*"}
    return view


def described(
    connection: Connection, private: Sequence[str]
) -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
    """What is private: places and columns, and the names by which a text would tell of it.

    That includes all else that the account may not read, such as views of private data.
    """
    every = list(relations(connection, patterns(private)).values())
    for one in every:
        one.private |= set(one.columns.values()) - one.readable
    return hidden_and_names(every)


def all_columns(database: Database) -> tuple[str, Schema]:
    """The database's name, and the tables and views with all columns, also those that are private."""
    server = database.instances[0]
    assert isinstance(server, Server)
    usual = database_of(server)
    with opened(database) as connection:
        return usual, as_schema(relations(connection, []).values(), usual)


def _connected(server: Server, database: Database, seconds: float) -> tuple[Reader, list[Relation]]:
    """A connection whose account may not read what is private, and all tables and views."""
    reader = connect_reader(server, seconds)
    connection = reader.connection
    try:
        connection.until(time.monotonic() + seconds)
        every = expect_hidden(reader, database, str(server), user_of(server))
        partly = _partly_readable(connection, every)
    except (pymysql.Error, PastDeadline) as error:
        connection.close()
        raise ServerLost(f"{server}: {error.args[-1] if error.args else 'no answer'}") from None
    except DataError:
        connection.close()
        raise
    return reader._replace(refused=PrivateRefused(reader.refused.known, partly)), every


def _partly_readable(connection: Connection, every: Sequence[Relation]) -> dict[str, frozenset[str]]:
    """The tables, by name without case, of which the account may read some columns -> these."""
    partly: dict[str, frozenset[str]] = {}
    for one in every:
        place = f"{quote(one.schema)}.{quote(one.name)}"
        if one.readable and not may_run(connection, f"SELECT * FROM {place}"):
            # one name without case may be that of two columns
            hidden = {folded(column) for column in set(one.columns.values()) - one.readable}
            columns = frozenset(map(folded, one.readable)) - hidden
            name = folded(one.name)
            partly[name] = partly.get(name, columns) & columns
    return partly


class PrivateSession(Session):
    """A connection whose account may not read what is private."""

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        self._database = database
        self._every: list[Relation] = []
        super().__init__(database, instance, limits)

    def _connected(self) -> Reader:
        reader, self._every = _connected(self._server, self._database, self._limits.seconds)
        return reader

    def _explained(self, reader: Reader, error: pymysql.Error, allowance: Allowance) -> Outcome:
        outcome = super()._explained(reader, error, allowance)
        if error.args[0] not in _DENIED:
            return outcome
        if is_private(error, self._every):
            return Outcome(Status.PRIVATE_DATA, message=REFUSED)
        names = _denied(error)
        missing = f"column: {names[0]}" if error.args[0] == _NO_COLUMN else f"table: {names[-1]}"
        return replace(outcome, status=Status.EXECUTION_ERROR, message=f"no such {missing}")


def is_private(error: pymysql.Error, every: Sequence[Relation]) -> bool:
    """Whether the server refused a read of what exists. It denies access to what does not exist, too."""
    code = error.args[0] if error.args else 0
    named = _denied(error)
    if code == _NO_TABLE:
        return any((folded(one.schema), folded(one.name))[-len(named) :] == named for one in every)
    if code == _NO_COLUMN:
        return any(
            (folded(column), folded(one.name)) == named
            for one in every
            for column in set(one.columns.values()) - one.readable
        )
    return code in _NO_RIGHTS_IN_VIEW


def _denied(error: pymysql.Error) -> tuple[str, ...]:
    """The table, or the column and its table, of a refusal, which names the account and its host first."""
    return tuple(map(folded, _QUOTED.findall(str(error.args[-1]))[2:]))


@contextmanager
def reads_private(database: Database) -> Iterator[Callable[[str], bool]]:
    """A function: whether a query, which is not run, reads private data."""
    server = database.instances[0]
    assert isinstance(server, Server)
    try:
        reader, every = _connected(server, database, 10)
    except ServerLost as error:
        raise DataError(str(error)) from None
    with closing(reader.connection) as connection:
        connection.until(float("inf"))
        connection.execute(f"SET SESSION sql_mode = '{SQL_MODE}'")

        def reads(sql: str) -> bool:
            if refusal := reader.refused.refusal(sql):
                return refusal.status is Status.PRIVATE_DATA
            try:
                connection.execute(f"EXPLAIN {sql}")
            except pymysql.Error as error:
                return is_private(error, every)
            return False

        yield reads
