"""The addresses of databases on servers: ``postgresql://user:${PASSWORD}@host/{database}``, or with
``mariadb://`` or ``mysql://``.

``embedded://{database}`` is a database of the embedded PostgreSQL, where ``harness db copy`` puts it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import quote

from tasks.common.errors import MissingExtra
from tasks.common.home import expand
from tasks.databases.servers.embedded import embedded_server
from tasks.databases.servers.roles import READER
from tasks.types import Engine, Server

EMBEDDED = "embedded"
ENGINES: Mapping[str, Engine] = {
    "postgresql": "postgres",
    "postgres": "postgres",
    EMBEDDED: "postgres",
    "mariadb": "mariadb",
    "mysql": "mariadb",
}
"""The scheme of a URL -> the engine."""
_CLIENTS: Mapping[Engine, tuple[str, str]] = {
    "postgres": ("psycopg", "psycopg"),
    "mariadb": ("pymysql", "PyMySQL"),
}
"""Engine -> module and package of its client. The extra has the engine's name."""
EXAMPLE = "postgresql://user:${PASSWORD}@host/{database}"
_VARIABLE = re.compile(r"\$\{\w+\}")
_SECRET_KEYS = re.compile(r"[?&](?:ssl)?password=([^&]*)")


def engine_of(url: str) -> Engine | None:
    """The engine that a URL names; None where only a variable of the environment does, or no engine."""
    return ENGINES.get(url.partition("://")[0].lower())


def has_written_password(url: str) -> bool:
    """Whether a password, or part of one, is in the text itself rather than in a variable."""
    place = url.partition("://")[2]
    user = re.split(r"[/?#]", place, maxsplit=1)[0].rpartition("@")[0] or place.rpartition("@")[0]
    passwords = [user.partition(":")[2], *_SECRET_KEYS.findall(url)]
    return any(_VARIABLE.sub("", password) for password in passwords)


def _require(engine: Engine | None) -> None:
    """Raise MissingExtra where the client of an engine is not installed."""
    if engine and find_spec(_CLIENTS[engine][0]) is None:
        raise MissingExtra(_CLIENTS[engine][1], engine)


def server_at(pattern: str, database: str = "") -> Server:
    """The database at a URL; the embedded server is started.

    Raises SpecError: a variable is not set, or there is an unknown placeholder; DataError, MissingExtra.
    """
    if pattern.startswith(f"{EMBEDDED}://"):
        _require("postgres")
        name = expand(pattern.partition("://")[2], database=database)
        return Server(f"{EMBEDDED}://{name}", embedded_server().login(name, READER))
    named = {"database": quote(database, safe="")}
    scheme, separator, rest = pattern.partition("://")
    user, at, place = rest.rpartition("@")

    def encoded(match: re.Match[str]) -> str:
        return quote(expand(match[0]), safe="")

    login = expand(f"{scheme}{separator}{place}", **named)
    if at:
        head, mark, tail = login.partition("://")
        login = f"{head}{mark}{_VARIABLE.sub(encoded, user)}@{tail}"
    _require(engine_of(login))
    return Server(pattern.replace("{database}", named["database"]), login)
