"""Connect to MariaDB: for a model's queries, by an account that can only read, and for our own.

``connect_reader`` refuses an account that could do more than read the tables of some databases: any other
privilege, one on all databases (which includes the server's own tables), a role, the right to grant.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pymysql
from pymysql.converters import encoders

from tasks.common.errors import DataError, MissingData, first_line
from tasks.databases.engines.mariadb_connection import Connection, PastDeadline
from tasks.databases.engines.mariadb_text import SYSTEM, Refused
from tasks.databases.engines.session import ServerLost
from tasks.types import Server

PORT = 3306
SQL_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
"""The mode in which a model's SQL is read: a server's own could change what is a string or a comment."""
_OWN_MODE = f"ANSI_QUOTES,{SQL_MODE}"
"""Our own queries quote names as standard SQL does."""
LOST = frozenset({1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2003, 2006, 2013, 2055})
"""Shutting down, errors of the network, a connection that was killed: the server may be back soon."""
_CROWDED = frozenset({1040, 1203, 1226})
"""Too many connections."""
_NO_DATABASE = frozenset({1044, 1049})
_OPTIONS: Mapping[str, str] = {"unix_socket": "unix_socket", "ssl_ca": "ssl_ca"}
"""What may stand behind the ``?`` of a URL -> pymysql's name."""
_READING = frozenset({"REFERENCES", "SELECT", "SHOW VIEW", "USAGE"})
"""REFERENCES lets an account see the name of a column, and allows nothing without CREATE."""
_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<place>.+?) TO (?P<rest>.+)", re.DOTALL)
_ROLE = re.compile(r"GRANT (?P<role>\S+) TO ")
_UNQUOTED = str.maketrans("", "", '`"\\')
_COLUMNS = re.compile(r" \([^)]*\)")
_JSON = """
SELECT TABLE_NAME, CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = DATABASE() AND LEVEL = 'Column'
  AND REPLACE(CHECK_CLAUSE, '"', '`') = CONCAT('json_valid(`', CONSTRAINT_NAME, '`)')
"""
"""The columns that were declared as JSON: LONGTEXT with a check."""
_KNOWN = (
    "SELECT LOWER(FUNCTION) FROM information_schema.SQL_FUNCTIONS"
    " UNION SELECT LOWER(WORD) FROM information_schema.KEYWORDS"
)


class Reader(NamedTuple):
    """A connection for a model's queries. ``collation``: of text that a query itself writes."""

    connection: Connection
    refused: Refused
    json_columns: frozenset[tuple[str, str]]
    collation: str


def is_mariadb(connection: Connection) -> bool:
    """Whether the server is MariaDB rather than MySQL."""
    return "mariadb" in str(connection.server_version).lower()


def connect(server: Server, seconds: float = 10, database: bool = True) -> Connection:
    """A connection for our own use. Raises DataError; ServerLost: the server may be back soon.

    ``database`` False: to the server only.
    """
    options = _options(server)
    if not database:
        options.pop("database", None)
    seconds = max(0.1, seconds / 2)
    try:
        connection = Connection(
            **options,
            conv=dict(encoders),
            use_unicode=False,
            charset="utf8mb4",
            autocommit=None,
            local_infile=False,
            connect_timeout=seconds,
            read_timeout=seconds,
            program_name="harness",
        )
    except PastDeadline:
        raise ServerLost(f"{server}: no answer within {seconds:.3g} seconds") from None
    except (pymysql.Error, OSError, RuntimeError) as error:  # without a package for MySQL's passwords
        raise _explained(server, options, error) from None
    try:
        connection.execute(f"SET SESSION sql_mode = '{_OWN_MODE}', time_zone = '+00:00', autocommit = 1")
    except (pymysql.Error, PastDeadline) as error:
        connection.close()
        raise _explained(server, options, error) from None
    connection.until(float("inf"))
    return connection


def connect_reader(server: Server, seconds: float) -> Reader:
    """A connection for a model's queries. Raises DataError: also where its account may do more than read."""
    connection = connect(server, seconds)
    connection.until(time.monotonic() + seconds)
    try:
        if powers := powers_of(grants(connection)):
            raise DataError(
                f"{server}: the account '{user_of(server)}' {powers}: a model's SQL must not run"
                " under it; make one that only reads with `harness db prepare` and name it in databases.url"
            )
        [(collation,)] = connection.execute("SELECT @@collation_database").fetchall()
        known, columns = _known(connection), json_columns(connection)
    except (pymysql.Error, PastDeadline) as error:
        connection.close()
        raise _explained(server, _options(server), error) from None
    except DataError:
        connection.close()
        raise
    if not str(collation).startswith("utf8mb4"):
        collation = "utf8mb4_general_ci"  # text in a query may have any character
    return Reader(connection, Refused(known), columns, str(collation))


_catalogues: dict[str, frozenset[str]] = {}
"""A server's version -> its words and functions."""


def _known(connection: Connection) -> frozenset[str]:
    """The server's words and functions; empty for MySQL, which has no list of them."""
    version = str(connection.server_version)
    if version not in _catalogues and is_mariadb(connection):
        try:
            rows = connection.execute(_KNOWN).fetchall()
        except pymysql.OperationalError:  # before 10.6
            rows = []
        _catalogues[version] = frozenset(str(name) for (name,) in rows)
    return _catalogues.get(version, frozenset())


def json_columns(connection: Connection) -> frozenset[tuple[str, str]]:
    """The columns of the database whose text is JSON, with their tables."""
    if not is_mariadb(connection):
        return frozenset()  # MySQL has a type for it
    return frozenset((str(table), str(column)) for table, column in connection.execute(_JSON).fetchall())


def grants(connection: Connection, account: str = "") -> list[str]:
    """The GRANT statements of an account, as the server writes them; of the connection's own for ""."""
    rows = connection.execute(f"SHOW GRANTS{f' FOR {account}' if account else ''}").fetchall()
    return [str(text) for (text,) in rows]


def powers_of(statements: Iterable[str]) -> str:
    """What GRANT statements allow beyond reading tables, such as "may INSERT on *.*"; "" if nothing."""
    powers = []
    for statement in statements:
        if match := _GRANT.match(statement):
            place = match["place"].translate(_UNQUOTED)
            allowed = {"USAGE"} if place == "*.*" or _schema(place) in SYSTEM else _READING
            what = set(_COLUMNS.sub("", match["what"]).split(", "))
            if beyond := sorted(what - allowed):
                who = "like all users (PUBLIC) " if match["rest"].startswith("PUBLIC") else ""
                powers.append(f"{who}may {', '.join(beyond)} on {place}")
            if "WITH GRANT OPTION" in match["rest"]:
                powers.append(f"may grant rights on {place}")
        elif match := _ROLE.match(statement):
            powers.append(f"has the role {match['role'].translate(_UNQUOTED)}")
    return "; ".join(powers)


def rights_on(statements: Iterable[str], database: str) -> Iterator[tuple[str, str]]:
    """The rights on a database and on its tables in GRANT statements, and their places, both as SQL."""
    for statement in statements:
        match = _GRANT.match(statement)
        if match and _schema(match["place"].translate(_UNQUOTED)) == database.lower():
            yield match["what"], match["place"]


def every_table_of(database: str) -> str:
    """All tables of a database, for a GRANT: ``_`` and ``%`` would stand for other characters."""
    pattern = database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%").replace("`", "``")
    return f"`{pattern}`.*"


def _schema(place: str) -> str:
    return place.partition(".")[0].lower()


def database_of(server: Server) -> str:
    """The name of the database in the URL; "" where there is none. Raises DataError."""
    return str(_options(server).get("database", ""))


def user_of(server: Server) -> str:
    """The name of the account in the URL; "" where there is none. Raises DataError."""
    return str(_options(server).get("user", ""))


def as_user(server: Server, user: str, password: str) -> Server:
    """The same database by another account."""
    parts = urlsplit(server.login)
    login = f"{quote(user)}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return Server(server.url, parts._replace(netloc=login).geturl())


def _options(server: Server) -> dict[str, Any]:
    """The arguments of a connection. Raises DataError: the URL is not one of MariaDB."""
    example = "mariadb://user:${PASSWORD}@host/name"
    try:
        parts = urlsplit(server.login)
        port = parts.port or PORT
    except ValueError:
        raise DataError(f"{server}: not a URL of MariaDB, such as {example}") from None
    options: dict[str, Any] = {"host": parts.hostname or "localhost", "port": port}
    if parts.username:
        options["user"] = unquote(parts.username)
    options["password"] = unquote(parts.password or "").encode()
    if name := unquote(parts.path.removeprefix("/")):
        options["database"] = name
    if name.lower() in SYSTEM:
        raise DataError(f"{server}: the schema {name} is the server's own: name another database")
    for key, value in parse_qsl(parts.query):
        if key not in _OPTIONS:
            raise DataError(f"{server}: unknown option '{key}'; known: {', '.join(sorted(_OPTIONS))}")
        options[_OPTIONS[key]] = value
    if "unix_socket" in options:
        options["ssl_disabled"] = True
    elif "ssl_ca" in options:
        options["ssl_verify_identity"] = True
    return options


def _explained(server: Server, options: Mapping[str, Any], error: Exception) -> Exception:
    """The error of a connection that could not be made, without the values of the URL's variables."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else first_line(error)
    for secret in (str(options.get("user", "")), options["password"].decode()):
        if secret and secret not in server.url:
            text = text.replace(secret, "***")
    message = f"{server}: {' '.join(text.split())}"
    if isinstance(error, PastDeadline | OSError) or code in LOST | _CROWDED:
        return ServerLost(message)
    return MissingData(message) if code in _NO_DATABASE else DataError(message)
