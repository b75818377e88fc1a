"""The state and the content of a database's files, by which results are cached.

The state comes from ``os.stat``; what was read from a file is valid as long as its state is the same. A
write-ahead log or rollback journal beside a database file is part of the database.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from tasks.common.digests import file_digest
from tasks.common.errors import DataError
from tasks.common.files import state
from tasks.types import Database, Engine, Server

COMPANIONS: dict[Engine, tuple[str, ...]] = {"sqlite": ("-wal", "-journal"), "duckdb": (".wal",)}
"""Engine -> endings of the files beside a database that may hold changes to it."""


def on_server(database: Database) -> bool:
    """Whether the instances are databases of a server."""
    return bool(database.instances) and isinstance(database.instances[0], Server)


def file_of(database: Database, instance: int) -> Path:
    """The file of an instance of an engine that reads files."""
    path = database.instances[instance]
    assert isinstance(path, Path)
    return path


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
    """SHA-256 of an instance's content, 32 hex digits. Raises DataError: it is missing.

    A file is read again only when its state on disk differs.
    """
    if not database.instances:
        return hashlib.sha256(f"{database.engine}\0{database.ddl}".encode()).hexdigest()[:32]
    if on_server(database):
        from tasks.databases.engines.postgres_content import content_digest

        return content_digest(database, instance)
    path = file_of(database, instance)
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
