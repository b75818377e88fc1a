"""PostgreSQL's role for tasks with private data: it may read all other columns, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import psycopg
from psycopg import sql

from tasks.common.errors import DataError, first_line
from tasks.databases.engines.postgres_private import relations
from tasks.databases.private.names import patterns
from tasks.databases.private.relations import Relation
from tasks.databases.servers.address import EMBEDDED
from tasks.databases.servers.embedded import EmbeddedServer
from tasks.databases.servers.roles import PRIVATE_READER

Connection = psycopg.Connection[tuple[Any, ...]]


def private_login(server: EmbeddedServer, name: str, private: Sequence[str]) -> str:
    """The URL of an embedded database under a role of these private names, which is made or renewed."""
    role = f"{PRIVATE_READER}_{sha256(repr(sorted(private)).encode()).hexdigest()[:12]}"
    try:
        with psycopg.connect(server.login(name)) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [role])
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchall():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(sql.Identifier(role)))
            grant(connection, role, relations(connection, patterns(private)).values())
    except psycopg.Error as error:
        raise DataError(f"{EMBEDDED}://{name}: {first_line(error)}") from None
    return server.login(name, role)


def grant(connection: Connection, role: str, every: Iterable[Relation]) -> None:
    """Let a role read what is not private of these tables and views, and nothing else of them."""
    reader = sql.Identifier(role)
    found = list(every)
    for schema in sorted({one.schema for one in found}):
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), reader))
    for one in found:
        place = sql.Identifier(one.schema, one.name)
        connection.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(place, reader))
        names = [sql.Identifier(name) for name in one.columns.values() if name not in one.private]
        if not one.private:
            connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(place, reader))
        elif names and not one.view:
            listed = sql.SQL(", ").join(names)
            connection.execute(sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(listed, place, reader))
