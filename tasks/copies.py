"""Copies of a task's databases on another engine, made on first use and kept by content."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

from tasks.common.digests import digest_of, file_digest
from tasks.common.errors import DataError
from tasks.common.home import home
from tasks.databases import copying
from tasks.databases.servers.address import EMBEDDED, server_at
from tasks.databases.state import content_of, database_digest
from tasks.databases_spec import engine_named
from tasks.types import Database, Server

_LONGEST = 40
"""Characters of a database's id in the name of its copy: PostgreSQL takes names of 63 bytes."""


def copy_of(source: Database, target: str, instances: int) -> Database:
    """The first ``instances`` instances of a database on another engine.

    ``target``: ``duckdb`` or ``postgres``, whose copies are made where they are missing; or the URL of
    databases that exist, with ``{database}``. Raises DataError, MissingExtra, SpecError.
    """
    shipped = len(source.instances) - source.generated
    if "://" in target:
        copy = Database(source.id, engine_named(target), (server_at(target, source.id),))
        _expect_copy(copy, source, target)
        return copy
    count = max(1, min(instances, len(source.instances)))
    make = _in_duckdb if target == "duckdb" else _in_postgres
    places = tuple(make(_instance(source, number)) for number in range(count))
    generated = max(0, count - max(1, shipped))
    return Database(source.id, engine_named(target), places, generated=generated)


def _instance(source: Database, number: int) -> Database:
    """The database with one of its instances alone."""
    return replace(source, instances=source.instances[number : number + 1], generated=0)


def _name(source: Database, engine: str) -> str:
    """The name of a copy: another one where the content, or the code that copies, is another."""
    key = digest_of(database_digest(source), engine, _code())[:16]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', source.id)[:_LONGEST].lower()}-{key}"


@cache
def _code() -> list[str]:
    folder = Path(copying.__path__[0])
    return [file_digest(file) for file in sorted(folder.glob("*.py"))]


def _in_duckdb(source: Database) -> Path:
    """The DuckDB file with a copy of the first instance."""
    from tasks.databases.copying.duckdb import copy_into

    release = version("duckdb")
    path = home() / "copies" / f"{_name(source, f'duckdb {release}')}.duckdb"
    if not path.is_file():
        copy_into(source, path, replace=True)  # another process may have made it meanwhile
    return path


def _in_postgres(source: Database) -> Server:
    """The database of the embedded server with a copy of the first instance."""
    from tasks.databases.servers.embedded import embedded_server
    from tasks.databases.servers.load import load_embedded

    name = _name(source, "postgres")
    server = server_at(f"{EMBEDDED}://{name}")
    copy = Database(source.id, "postgres", (server,))
    exists = content_of("postgres").exists
    if not exists(copy):
        try:
            load_embedded(source, name, embedded_server())
        except DataError:
            if not exists(copy):  # another process has made it meanwhile
                raise
    return server


def _expect_copy(copy: Database, source: Database, target: str) -> None:
    """Raises DataError where a server has no copy of a database."""
    if not content_of(copy.engine).exists(copy):
        file = source.instances[0] if source.instances else source.id
        raise DataError(
            f"{copy.instances[0]}: no such database: make it, then `harness db copy {file} '{target}'`"
        )
