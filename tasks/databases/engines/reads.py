"""The tables that a query reads, by its engine: it compiles or plans the query and does not run it.

SQLite's authorizer names all tables of a query, also those of its views, and a CTE that is only counted.
DuckDB's and PostgreSQL's plans name the tables that are scanned; they leave out what the optimizer has found
to have no effect. MariaDB's is in ``mariadb_reads``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tasks.common.errors import DataError
from tasks.databases.sql_text import split, unreadable
from tasks.types import Database, Limits, Server


def tables_read(database: Database, sql: str) -> frozenset[str] | None:
    """The tables in lower case, on a server or in DuckDB with their schema; None where the engine has no
    plan for the text."""
    if unreadable(sql):
        return None
    find = {"sqlite": _sqlite, "duckdb": _duckdb, "postgres": _postgres, "mariadb": _mariadb}
    try:
        return find[database.engine](database, sql)
    except DataError:
        return None


def usual_schema(database: Database) -> str:
    """The schema of a table that is named without one, in lower case; of MariaDB the database. Raises
    DataError."""
    if database.engine == "mariadb":
        from tasks.databases.engines.mariadb_open import database_of

        server = database.instances[0]
        assert isinstance(server, Server)
        return database_of(server).lower()
    return "public" if database.engine == "postgres" else "main"


def _sqlite(database: Database, sql: str) -> frozenset[str] | None:
    statements = split(sql)
    if len(statements) != 1:
        return None
    connection = _sqlite_opened(database)
    found: set[str] = set()

    def note(action: int, first: str | None, second: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ and first:
            found.add(first.lower())
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    try:
        connection.execute(f"EXPLAIN {statements[0]}").close()
    except (sqlite3.Error, sqlite3.Warning, ValueError):
        return None
    return frozenset(found)


@lru_cache(maxsize=8)
def _sqlite_opened(database: Database) -> sqlite3.Connection:
    from tasks.databases.engines.sqlite_open import harden, open_instance

    connection = open_instance(database, 0)
    harden(connection, Limits())
    return connection


def _duckdb(database: Database, sql: str) -> frozenset[str] | None:
    import duckdb

    with _duckdb_opened(database).cursor() as cursor:
        try:
            statements = cursor.extract_statements(sql)
            if len(statements) != 1:
                return None
            plans = cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchall()
        except (duckdb.Error, RuntimeError, UnicodeError):
            return None
    nodes = (node for _, text in plans for node in _nodes(json.loads(text), "children"))
    tables = (str((node.get("extra_info") or {}).get("Table", "")) for node in nodes)
    return frozenset(table.lower().partition(".")[2] for table in tables if table)


@lru_cache(maxsize=4)
def _duckdb_opened(database: Database) -> Any:
    from tasks.databases.engines.duckdb import connect

    return connect(database, 0, Limits().memory // 2)  # as the open session, or DuckDB refuses


def _postgres(database: Database, sql: str) -> frozenset[str] | None:
    import psycopg

    from tasks.databases.engines.postgres_open import connect_reader
    from tasks.databases.engines.session import ServerLost

    server = database.instances[0]
    assert isinstance(server, Server)
    try:
        reader = connect_reader(server, 10)
    except ServerLost:
        return None
    try:
        if reader.refused.refusal(sql):
            return None
        text = f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}"
        [plans] = reader.connection.execute(text.encode(), binary=True).fetchone() or (None,)
    except (psycopg.Error, UnicodeError):
        return None
    finally:
        reader.connection.close()
    plans = json.loads(plans) if isinstance(plans, str | bytes) else plans
    nodes = (node for plan in plans or () for node in _nodes(plan["Plan"], "Plans"))
    return frozenset(
        f"{node.get('Schema', '')}.{node['Relation Name']}".lower()
        for node in nodes
        if "Relation Name" in node
    )


def _mariadb(database: Database, sql: str) -> frozenset[str] | None:
    from tasks.databases.engines import mariadb_reads

    return mariadb_reads.tables_read(database, sql)


def _nodes(plan: Any, children: str) -> Iterator[dict[str, Any]]:
    """The nodes of a plan in JSON. ``children``: the key of a node's inputs."""
    for node in plan if isinstance(plan, list) else [plan]:
        yield node
        yield from _nodes(node.get(children, []), children)
