"""Make, on a PostgreSQL server of the user's, the role under which a model's queries run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg
from psycopg import sql

from tasks.common.errors import DataError, first_line
from tasks.databases.engines.postgres_open import connect, powers_of
from tasks.databases.engines.postgres_private import relations
from tasks.databases.engines.session import ServerLost
from tasks.databases.private.names import patterns
from tasks.databases.servers.private import grant
from tasks.databases.servers.roles import PASSWORD, PRIVATE_READER, READER
from tasks.types import Server

_LIMITS = {
    "statement_timeout": "300s",
    "idle_in_transaction_session_timeout": "60s",
    "temp_file_limit": "1GB",
}
_SCHEMAS = """
SELECT nspname, has_schema_privilege(%s, oid, 'CREATE') FROM pg_namespace
WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%%' ORDER BY 1
"""
Connection = psycopg.Connection[tuple[Any, ...]]


def prepare(server: Server, private: Sequence[str] = ()) -> Iterator[str]:
    """Make the role in the database's server and let it read the database; yields what was done, in lines.

    ``private``: tables and columns that it may not read. The role is then another one, for these only.

    ``server``: by a user who may make roles. Nothing else is changed: no right is taken from other users.
    Raises DataError: it may not, or the role exists and could do more than read.
    """
    try:
        with closing(connect(server)) as connection:
            connection.execute("SET default_transaction_read_only = off")
            with connection.transaction():
                role = PRIVATE_READER if private else READER
                yield from _make_role(connection, role)
                yield from _limit(connection, role)
                yield from _grant_public(connection, private) if private else _grant(connection)
            yield from _warn(connection)
    except ServerLost as error:
        raise DataError(str(error)) from None
    except psycopg.Error as error:
        raise DataError(f"{server}: {first_line(error)}") from None


def _make_role(connection: Connection, role: str) -> Iterator[str]:
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        if powers := powers_of(connection, role):
            raise DataError(f"the role {role} exists and {powers}: drop it, or take that from it")
        yield f"kept the role {role}: it owns nothing and may only log in"
    else:
        connection.execute(
            f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT"
        )
        yield f"made the role {role}, which may only log in"
    if password := os.environ.get(PASSWORD):
        encrypted = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), encrypted.decode())
        )
        yield f"set its password to the value of ${{{PASSWORD}}}"
    else:
        yield f"set no password: {PASSWORD} is not set, so the server must let the role in without one"


def _limit(connection: Connection, role: str) -> Iterator[str]:
    connection.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    yield "its transactions are read-only"
    for name, value in _LIMITS.items():
        try:
            with connection.transaction():
                connection.execute(f"ALTER ROLE {role} SET {name} = '{value}'".encode())
            yield f"limited its {name} to {value}"
        except psycopg.errors.InsufficientPrivilege:
            yield f"could not limit its {name}, which needs a superuser"


def _grant(connection: Connection) -> Iterator[str]:
    database, role = sql.Identifier(connection.info.dbname), sql.Identifier(READER)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
    for name, _ in connection.execute(_SCHEMAS, [READER]).fetchall():
        schema = sql.Identifier(name)
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
        connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(schema, role))
        yield f"it may read all tables of the schema {name}; run this again after adding tables"


def _grant_public(connection: Connection, private: Sequence[str]) -> Iterator[str]:
    """Let the role for private data read everything else."""
    found = relations(connection, patterns(private)).values()
    if not any(one.private for one in found):
        raise DataError(f"no table or column is named {', '.join(private)}")
    database, role = sql.Identifier(connection.info.dbname), sql.Identifier(PRIVATE_READER)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
    grant(connection, PRIVATE_READER, found)
    for one in found:
        hidden = "the whole of it" if one.whole else ", ".join(sorted(one.private))
        yield f"it may read {one.place}" + (f", but not {hidden}" if one.private else "")
    yield "run this again after adding tables or columns"


def _warn(connection: Connection) -> Iterator[str]:
    for name, may_create in connection.execute(_SCHEMAS, [READER]).fetchall():
        if may_create:
            yield (
                f"note: PUBLIC may create tables in the schema {name}; queries cannot, because their"
                f" transactions are read-only; REVOKE CREATE ON SCHEMA {name} FROM PUBLIC takes it from all"
            )
