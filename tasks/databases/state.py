"""The state and the content of a database's files, by which results are cached.

The state comes from ``os.stat``; what was read from a file is valid as long as its state is the same. A
write-ahead log or rollback journal beside a database file is part of the database.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import replace
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from tasks.common.digests import file_digest
from tasks.common.errors import DataError
from tasks.common.files import state
from tasks.types import Database, Engine, Schema, Server

COMPANIONS: dict[Engine, tuple[str, ...]] = {"sqlite": ("-wal", "-journal"), "duckdb": (".wal",)}
"""Engine -> endings of the files beside a database that may hold changes to it."""


CONTENTS: dict[Engine, str] = {
    "postgres": "tasks.databases.engines.postgres_content",
    "mariadb": "tasks.databases.engines.mariadb_content",
}


def on_server(database: Database) -> bool:
    """Whether the instances are databases of a server."""
    return bool(database.instances) and isinstance(database.instances[0], Server)


class ServerContent(Protocol):
    """How the content of databases on a server is read: a module of each engine (``CONTENTS``)."""

    def describe_server(self, database: Database, rows: int) -> Schema:
        """The tables that the account may read, with their first rows, then the views. Raises DataError."""

    def content_digest(self, database: Database, instance: int) -> str:
        """SHA-256, 32 hex digits, of the server's version, the schema, and the rows in any order. Raises
        DataError."""

    def exists(self, database: Database) -> bool:
        """Whether the server has the database. Raises DataError: the server cannot be asked."""

    def opened(self, database: Database, instance: int = 0) -> AbstractContextManager[Any]:
        """A connection of our own to an instance, in one read-only transaction. Raises DataError."""


def content_of(engine: Engine) -> ServerContent:
    """The module that reads the content of an engine's databases."""
    module: Any = import_module(CONTENTS[engine])
    content: ServerContent = module
    return content


def file_of(database: Database, instance: int) -> Path:
    """The file of an instance of an engine that reads files."""
    path = database.instances[instance]
    assert isinstance(path, Path)
    return path


def without_sources(database: Database) -> Database:
    """The database without the files of which private instances are copies: for other machines."""
    private = replace(database.private, sources=()) if database.private else None
    return replace(database, private=private)


def database_state(path: Path, engine: Engine) -> str:
    """A text that changes when a database's file, or one beside it, does. Raises DataError: no such file."""
    states = _states(path, engine)
    if not states[0]:
        raise DataError(f"{path}: no such database file")
    return "\n".join(states)


def stamped(database: Database) -> Database:
    """The database with the present state of its files, under which results of queries are cached.

    A server has no such state: its content is compared when a run begins and when it ends.
    """
    if not database.instances or on_server(database):
        return database
    places = range(len(database.instances))
    states = [text for place in places for text in _states(file_of(database, place), database.engine)]
    return replace(database, stamp=blake2b("\n".join(states).encode(), digest_size=8).hexdigest())


def database_files(path: Path, engine: Engine) -> list[Path]:
    """A database's file, and the files beside it that hold changes."""
    return [path, *(file for file in companions(path, engine) if file.is_file() and file.stat().st_size)]


def companions(path: Path, engine: Engine) -> list[Path]:
    """The paths beside a database's file (that a symbolic link leads to) that may hold changes to it."""
    file = path.resolve() if path.is_symlink() else path
    return [file.with_name(file.name + ending) for ending in COMPANIONS[engine]]


def database_digest(database: Database, instance: int = 0) -> str:
    """SHA-256 of an instance's content, 32 hex digits; of a copy, that of its source.

    A file is read again only when its state on disk differs. Raises DataError: it is missing.
    """
    if not database.instances:
        return hashlib.sha256(f"{database.engine}\0{database.ddl}".encode()).hexdigest()[:32]
    if on_server(database):
        return content_of(database.engine).content_digest(database, instance)
    sources = database.private.sources if database.private else ()
    path = sources[instance] if instance < len(sources) else file_of(database, instance)
    try:
        digests = [file_digest(file) for file in database_files(path, database.engine)]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    return (hashlib.sha256(" ".join(digests).encode()).hexdigest() if digests[1:] else digests[0])[:32]


def _states(path: Path, engine: Engine) -> list[str]:
    states = []
    for file in (path, *companions(path, engine)):
        try:
            states.append(state(file))
        except OSError:
            states.append("")
    return states
