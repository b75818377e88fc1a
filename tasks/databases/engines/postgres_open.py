"""Connect to PostgreSQL: for a model's queries, by a role that can only read, and for our own.

``connect_reader`` refuses a role that could do more than read: a superuser, an owner of anything, a member of
a role that reaches files, programs or other sessions. The connection is set up so that the text of a value
does not depend on the server's configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from tasks.common.errors import DataError, first_line
from tasks.databases.engines.postgres_text import HARMLESS, Refused
from tasks.databases.engines.session import ServerLost
from tasks.types import Server

Connection = psycopg.Connection[tuple[Any, ...]]
_SETTINGS: Mapping[str, str] = {
    "standard_conforming_strings": "on",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
    "extra_float_digits": "1",
    "client_min_messages": "warning",
    "default_transaction_read_only": "on",
    "lock_timeout": "5s",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
"""``client_min_messages``: the message that another session's crash ends this one is a warning. Parallel
workers would add floats in an order of their own."""
_OPTIONAL = "SET client_connection_check_interval = '1s'"
"""A server before 14, or on a system without it, does not know it. It ends the queries of a killed worker."""
_RETRY = frozenset({"53300", "57P01", "57P02", "57P03"})
"""Too many connections; shutting down, a crash, starting up."""
_REFUSALS = ("password authentication failed", "does not exist", "no pg_hba.conf", "no password supplied")
"""A server that answers so will do so again; while connecting there are no codes."""
_POWERS = (
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_execute_server_program",
    "pg_signal_backend",
    "pg_read_all_stats",
    "pg_monitor",
    "pg_write_all_data",
    "pg_maintain",
    "pg_checkpoint",
    "pg_create_subscription",
)
_ROLE = f"""
SELECT concat_ws(', ',
           CASE WHEN rolsuper THEN 'is a superuser' END,
           CASE WHEN rolcreaterole THEN 'may create roles' END,
           CASE WHEN rolcreatedb THEN 'may create databases' END,
           CASE WHEN rolreplication THEN 'may replicate' END,
           (SELECT 'owns ' || count(*) || ' objects' FROM pg_shdepend
            WHERE refobjid = r.oid AND deptype = 'o' HAVING count(*) > 0),
           (SELECT 'is a member of ' || string_agg(rolname, ', ') FROM pg_roles
            WHERE rolname IN {_POWERS} AND pg_has_role(r.oid, oid, 'MEMBER')))
FROM pg_roles r WHERE rolname = %s
"""
_CATALOGUE = """
SELECT DISTINCT proname, proname LIKE 'pg\\_%' FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
  AND (provolatile = 'v' OR proname LIKE 'pg\\_%' OR proname ~ '_to_xml|_description$')
UNION SELECT relname, true FROM pg_class
WHERE relname LIKE 'pg\\_%' AND relnamespace = 'pg_catalog'::regnamespace
"""
"""Names of the server's own that a query may not use, and whether they may not occur at all: functions that
have an effect, tell of the server, of other sessions or of comments, or run SQL in a string; tables about
them."""
_FUNCTIONS = """
SELECT DISTINCT proname FROM pg_proc p JOIN pg_language l ON l.oid = prolang
WHERE pronamespace <> 'pg_catalog'::regnamespace
  AND (prosecdef OR (provolatile = 'v' AND NOT lanpltrusted AND lanname <> 'sql'))
"""
"""Functions that have been added, which a query may not call: they run with other rights, or outside of
SQL."""
_OWN = """
SELECT relname FROM pg_class WHERE oid >= 16384 AND relname LIKE 'pg\\_%' AND relkind <> 't'
  AND relnamespace <> 'pg_toast'::regnamespace
UNION SELECT attname FROM pg_attribute WHERE attrelid >= 16384 AND attname LIKE 'pg\\_%'
"""
"""Tables and columns of the user that begin with pg_."""
_ARRAYS = """
SELECT a.oid, CASE e.typtype WHEN 'd' THEN e.typbasetype ELSE e.oid END
FROM pg_type a JOIN pg_type e ON e.oid = a.typelem
WHERE a.typcategory = 'A' AND a.typlen = -1 AND a.typdelim = ','
"""


class Reader(NamedTuple):
    """A connection for a model's queries. ``started``: when the server was started."""

    connection: Connection
    refused: Refused
    elements: Mapping[int, int]
    started: str


def connect(server: Server, seconds: float = 10, **options: Any) -> Connection:
    """A connection for our own use, which may only read. Raises DataError; ServerLost: it may be back
    soon."""
    try:
        connection = psycopg.connect(
            server.login,
            autocommit=True,
            connect_timeout=max(2, round(seconds / 2)),
            application_name="harness",
            **options,
        )
    except psycopg.Error as error:
        raise _explained(server, error) from None
    try:
        connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in _SETTINGS.items()))
        if connection.pgconn.server_version >= 140000:
            connection.execute(_OPTIONAL)
    except psycopg.Error as error:
        connection.close()
        raise _explained(server, error) from None
    return connection


def connect_reader(server: Server, seconds: float) -> Reader:
    """A connection for a model's queries. Raises DataError: also where its role may do more than read."""
    connection = connect(server, seconds)
    try:
        role = connection.info.user
        if powers := powers_of(connection, role):
            raise DataError(
                f"{server}: the role '{role}' {powers}: a model's SQL must not run under it; make a role that"
                " only reads with `harness db prepare` and name it in databases.url"
            )
        refused = _refused(connection)
        arrays = array_elements(connection)
        [started] = connection.execute("SELECT pg_postmaster_start_time()::text").fetchone() or ("",)
    except psycopg.Error as error:
        connection.close()
        raise _explained(server, error) from None
    except DataError:
        connection.close()
        raise
    return Reader(connection, refused, arrays, started)


_catalogues: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
"""A server's version -> names that may not occur, and functions that may not be called, in any database of
it."""


def _refused(connection: Connection) -> Refused:
    """What a query on this database may not use."""
    version = connection.pgconn.server_version
    if version not in _catalogues:
        rows = connection.execute(_CATALOGUE).fetchall()
        names = frozenset(name for name, anywhere in rows if anywhere) | {"pg_catalog"}
        _catalogues[version] = names - HARMLESS, frozenset(name for name, _ in rows) - HARMLESS
    names, calls = _catalogues[version]
    own = {name for (name,) in connection.execute(_OWN).fetchall()}
    added = {name for (name,) in connection.execute(_FUNCTIONS).fetchall()}
    return Refused(names - own, calls | added)


def powers_of(connection: Connection, role: str) -> str:
    """What a role may do beyond reading tables, such as "is a superuser"; "" if nothing."""
    [powers] = connection.execute(_ROLE.encode(), [role]).fetchone() or ("",)
    return str(powers)


def array_elements(connection: Connection) -> dict[int, int]:
    """The type of each array -> the type of its elements, by their numbers in pg_type."""
    return dict(connection.execute(_ARRAYS).fetchall())


def _explained(server: Server, error: psycopg.Error) -> Exception:
    """The error of a connection that could not be made, without the values of the URL's variables."""
    try:
        parts = conninfo_to_dict(server.login)
    except psycopg.Error:  # whose text has the URL
        return DataError(
            f"{server}: not a URL of PostgreSQL, such as postgresql://user:${{PASSWORD}}@host/name"
        )
    text = first_line(error)
    for secret in (str(parts.get(name) or "") for name in ("user", "password")):
        if secret and secret not in server.url:
            text = text.replace(secret, "***")
    message = f"{server}: {text}"
    connecting = error.sqlstate is None and isinstance(error, psycopg.OperationalError)
    if error.sqlstate in _RETRY or (connecting and not any(part in text for part in _REFUSALS)):
        return ServerLost(message)
    return DataError(message)


def lost(connection: Connection) -> bool:
    """Whether the connection can no longer be used."""
    return connection.closed or connection.pgconn.status != pq.ConnStatus.OK
