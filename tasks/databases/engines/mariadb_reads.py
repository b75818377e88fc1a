"""The tables that a query reads on MariaDB, by the query as the server has understood it.

``EXPLAIN EXTENDED`` leaves a note with that query: views are resolved, names are complete and quoted. The
optimizer must not compute subqueries beforehand, which would take their tables away
(``expensive_subquery_limit``). Where it takes tables away all the same (``Select tables optimized away``),
each table that the text names counts as read. So do the tables of every view that the text names.
"""

from __future__ import annotations

import time

import pymysql

from tasks.databases.engines.mariadb_connection import Connection, PastDeadline
from tasks.databases.engines.mariadb_open import SQL_MODE, connect_reader, is_mariadb
from tasks.databases.engines.mariadb_private import definitions
from tasks.databases.engines.mariadb_text import SYSTEM, folded, tokens
from tasks.databases.engines.session import ServerLost
from tasks.databases.engines.statements import Token
from tasks.types import Database, Server

_TABLES = f"""
SELECT LOWER(TABLE_SCHEMA), LOWER(TABLE_NAME) FROM information_schema.TABLES
WHERE TABLE_SCHEMA NOT IN {tuple(sorted(SYSTEM))}
"""
_NOTE = 1003
_NO_TABLES = "No tables used"
_DOT = Token("sign", ".")
_SECONDS = 10.0
Place = tuple[str, str]
"""The schema and the name of a table, in lower case."""


def tables_read(database: Database, sql: str) -> frozenset[str] | None:
    """The tables with their database, in lower case; None where the server has no plan for the text.

    Raises DataError.
    """
    server = database.instances[0]
    assert isinstance(server, Server)
    try:
        reader = connect_reader(server, _SECONDS)
    except ServerLost:
        return None
    try:
        if reader.refused.refusal(sql):
            return None
        return frozenset(".".join(place) for place in _places(reader.connection, sql))
    except (pymysql.Error, PastDeadline):
        return None
    finally:
        reader.connection.close()


def _places(connection: Connection, sql: str) -> set[Place]:
    """The tables that a query reads. Raises pymysql.Error, PastDeadline."""
    connection.until(time.monotonic() + _SECONDS)
    listed = [(str(schema), str(name)) for schema, name in connection.execute(_TABLES).fetchall()]
    schemas = frozenset(schema for schema, _ in listed)
    views = {
        (schema.lower(), name.lower()): _named(text, schemas)
        for (schema, name), text in definitions(connection).items()
        if text
    }
    extended = "EXTENDED " * is_mariadb(connection)
    if extended:
        connection.execute("SET SESSION expensive_subquery_limit = 0")
    connection.execute(f"SET SESSION sql_mode = '{SQL_MODE}'")
    rows = connection.execute(f"EXPLAIN {extended}{sql}").fetchall()
    notes = connection.execute("SHOW WARNINGS").fetchall()
    found = {place for _, code, text in notes if code == _NOTE for place in _named(str(text), schemas)}
    words = {folded(token.text) for token in tokens(sql) if token.kind in ("word", "name")}
    hides = any(row[2] is None and row[0] is not None and row[-1] != _NO_TABLES for row in rows)
    found |= {place for place in listed if folded(place[1]) in words and (hides or place in views)}
    while inner := found & views.keys():
        found = (found - inner).union(*(views[view] for view in inner))
    return found


def _named(text: str, schemas: frozenset[str]) -> set[Place]:
    """The tables in a query that the server has written: a quoted name behind that of a database."""
    read = list(tokens(text))
    found = set()
    for place, (schema, dot, name) in enumerate(zip(read, read[1:], read[2:], strict=False)):
        around = [*read[max(0, place - 1) : place], *read[place + 3 : place + 4]]
        if schema.kind == name.kind == "name" and dot == _DOT and _DOT not in around:
            found.add((schema.text.lower(), name.text.lower()))
    return {place for place in found if place[0] in schemas}
