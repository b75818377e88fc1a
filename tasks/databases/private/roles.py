"""Databases on servers under a role, or account, that may not read what a task marks as private."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib import import_module
from typing import Any, Protocol

from tasks.databases.servers.address import EMBEDDED
from tasks.databases.state import content_of
from tasks.types import Database, Engine, Private, Schema, Server


class ServerPrivacy(Protocol):
    """What an engine's module ``engines.ENGINE_private`` knows of private data on a server."""

    def described(
        self, connection: Any, private: Sequence[str]
    ) -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
        """What is private: places and columns, and the names by which a text would tell of it."""

    def all_columns(self, database: Database) -> tuple[str, Schema]:
        """The usual schema, and the tables and views with all columns, also those that are private."""

    def reads_private(self, database: Database) -> AbstractContextManager[Callable[[str], bool]]:
        """A function: whether a query, which is not run, reads private data. Raises DataError."""


def privacy_of(engine: Engine) -> ServerPrivacy:
    """The module that knows of private data on an engine's servers."""
    module: Any = import_module(f"tasks.databases.engines.{engine}_private")
    privacy: ServerPrivacy = module
    return privacy


def by_role(database: Database, private: Sequence[str]) -> Database:
    """The database under a role that may not read what is private.

    On the embedded server the role is made here; on another one it is that of the URL, and checked before
    each first query. Raises DataError.
    """
    server = database.instances[0]
    assert isinstance(server, Server)
    if server.url.startswith(f"{EMBEDDED}://"):
        from tasks.databases.servers.embedded import embedded_server
        from tasks.databases.servers.private import private_login

        name = server.url.partition("://")[2]
        server = Server(server.url, private_login(embedded_server(), name, private))
    protected = replace(database, instances=(server,), private=Private(tuple(private)))
    with content_of(database.engine).opened(protected) as connection:
        hidden, names = privacy_of(database.engine).described(connection, private)
    return replace(protected, private=Private(tuple(private), hidden, names))
