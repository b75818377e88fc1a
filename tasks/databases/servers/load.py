"""Copy databases from files to PostgreSQL: to the embedded server, or to an empty database of another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg import sql

from tasks.common.errors import DataError, first_line
from tasks.databases.copying.copied import Copied
from tasks.databases.copying.postgres import copy_into
from tasks.databases.engines.postgres_open import connect
from tasks.databases.engines.session import ServerLost
from tasks.databases.servers.address import EMBEDDED
from tasks.databases.servers.embedded import EmbeddedServer, embedded_server
from tasks.databases.servers.roles import READER
from tasks.types import Database, Server

Connection = psycopg.Connection[tuple[Any, ...]]


def load(database: Database, target: Server, replace: bool = False) -> Copied:
    """Copy a database from its file to ``target``, which ``harness_reader`` may then read.

    On the embedded server the database is made, and must not exist yet unless it is to be replaced. On
    another server it must exist and be empty. Raises DataError, MissingExtra.
    """
    scheme, _, name = target.url.partition("://")
    if scheme == EMBEDDED:
        return load_embedded(database, name, embedded_server(), replace)
    try:
        with closing(connect(target)) as connection:
            if connection.execute(
                "SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            ).fetchall():
                raise DataError(f"{target}: it is not empty: name an empty database")
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [READER]).fetchall()
    except (ServerLost, psycopg.Error) as error:
        raise DataError(f"{target}: {first_line(error)}") from None
    return copy_into(database, target.login, READER if known else "")


def load_embedded(database: Database, name: str, server: EmbeddedServer, replace: bool = False) -> Copied:
    """Copy a database from its file to the embedded server; it appears there when it is complete."""
    final, new = sql.Identifier(name), sql.Identifier(f"{name}_new")
    with _locked(server, name) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchall()
        if exists and not replace:
            raise DataError(f"{EMBEDDED}://{name}: it exists: give --replace, or name another one")
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(new))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template1").format(new))
        copied = copy_into(database, server.login(f"{name}_new"), READER)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(final))
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(new, final))
    return copied


@contextmanager
def _locked(server: EmbeddedServer, name: str) -> Iterator[Connection]:
    """A connection of the superuser, while no other process makes the same database."""
    try:
        with psycopg.connect(server.login("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
            yield connection
    except psycopg.Error as error:
        raise DataError(f"the embedded PostgreSQL: {first_line(error)}") from None
